//! One statement on either engine, its span, its errors, and the frame of a write with an idempotency key.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::id::OrganizationId;
use rpc::{Code, Context, Idempotency};
use service::{
    db_error,
    idempotency::{self, Begun, RunningKeys},
    store::{Database, Schema},
};
use sql::{Failure, Target};
use sqlx::{query, query_scalar};
use testkit::database::Database as TestDatabase;
use tracing_subscriber::fmt::MakeWriter;
use uuid::Uuid;

static SCHEMA: Schema = Schema {
    name: "sample",
    sqlite: sql::migrate!("tests/migrations/sqlite"),
    postgres: sql::migrate!("tests/migrations/postgres"),
    functions: &[],
};

testkit::engines!(
    a_transaction_is_whole_or_nothing,
    an_answer_is_replayed_and_its_key_serves_one_request,
    every_statement_has_a_span_without_values,
);

const INSERT_NOTE: &str = "INSERT INTO notes (id, body) VALUES ($1, $2)";
const SELECT_BODY: &str = "SELECT body FROM notes WHERE id = $1";

async fn open(test: &TestDatabase) -> Database {
    let target = Target::from_url(&test.for_service("sample")).unwrap();
    assert_eq!(SCHEMA.pending(&target).await.unwrap(), 1);
    let database = Database::open(&target, &SCHEMA).await.unwrap();
    database.migrate(&SCHEMA).await.unwrap();
    assert_eq!(SCHEMA.pending(&target).await.unwrap(), 0);
    database
}

async fn insert(database: &Database, id: Uuid, body: &str, commit: bool) -> Result<(), Failure> {
    let mut tx = database.begin().await?;
    service::statement!(&mut tx, "sample.insert_note", |conn| {
        query(INSERT_NOTE).bind(id).bind(body.to_owned()).execute(conn).await.map(|done| done.rows_affected())
    })?;
    if commit { tx.commit().await } else { Ok(()) }
}

async fn body(database: &Database, id: Uuid) -> Option<String> {
    service::read!(*database, "sample.select_body", |pool| query_scalar(SELECT_BODY)
        .bind(id)
        .fetch_optional(pool)
        .await)
    .unwrap()
}

async fn a_transaction_is_whole_or_nothing(test: TestDatabase) {
    let database = open(&test).await;
    let [kept, dropped] = [Uuid::from_u128(1), Uuid::from_u128(2)];
    insert(&database, dropped, "dropped", false).await.unwrap();
    insert(&database, kept, "kept", true).await.unwrap();
    assert_eq!((body(&database, kept).await.as_deref(), body(&database, dropped).await), (Some("kept"), None));
    assert!(matches!(insert(&database, kept, "again", true).await, Err(Failure::Duplicate(_))));
}

async fn an_answer_is_replayed_and_its_key_serves_one_request(test: TestDatabase) {
    let (database, running) = (open(&test).await, RunningKeys::default());
    let context = |fingerprint: &str| Context {
        idempotency: Some(Idempotency { key: "k".into(), fingerprint: fingerprint.into() }),
        ..Context::new(OrganizationId::new(Uuid::from_u128(1)), "web", Duration::from_secs(5))
    };
    let ctx = context("one");
    let begin = async |ctx: &Context| {
        idempotency::begin::<String>(&running, &database, ctx, "Write", idempotency::as_kept).await
    };
    let Begun::New(guard) = begin(&ctx).await.unwrap() else { panic!("nothing is kept yet") };
    assert_eq!(begin(&ctx).await.unwrap_err().code, Code::IdempotencyInProgress);
    let remember = idempotency::remember(&ctx, "Write", &"answer".to_owned(), "r7");
    for outcome in [true, false] {
        let mut tx = database.begin().await.unwrap();
        let inserted = idempotency::insert(&mut tx, remember.as_ref(), 1).await;
        assert_eq!(inserted.is_ok(), outcome, "{inserted:?}");
        if outcome {
            tx.commit().await.unwrap();
        }
    }
    drop(guard);
    let Begun::Replay(response) = begin(&ctx).await.unwrap() else { panic!("the answer is kept") };
    assert!(rpc::is_replay(&response));
    assert_eq!(response.metadata().get("meridian-revision").unwrap(), "r7");
    assert_eq!(response.into_inner(), "answer");
    assert_eq!(begin(&context("two")).await.unwrap_err().code, Code::IdempotencyKeyReused);
    let mut tx = database.begin().await.unwrap();
    idempotency::delete_before(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(begin(&ctx).await.unwrap(), Begun::New(_)));
}

/// The log of one test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        use tracing_subscriber::fmt::format::FmtSpan;
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_span_events(FmtSpan::NEW).with_writer(self.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

async fn every_statement_has_a_span_without_values(test: TestDatabase) {
    let database = open(&test).await;
    let log = Log::default();
    let guard = log.start();
    insert(&database, Uuid::from_u128(3), "secret", true).await.unwrap();
    body(&database, Uuid::from_u128(3)).await;
    drop(guard);
    let text = log.text();
    for part in ["sample.insert_note", "db.operation.name=\"select_body\"", database.engine()] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn a_database_failure_is_logged_with_its_causes_and_sent_without() {
    let failures = [
        (Failure::Serialization(sqlx::Error::Protocol("deep cause".into())), Code::Overloaded),
        (Failure::Busy(sqlx::Error::Protocol("deep cause".into())), Code::Overloaded),
        (Failure::Other(sqlx::Error::Protocol("deep cause".into())), Code::Internal),
    ];
    for (failure, code) in failures {
        let log = Log::default();
        let guard = log.start();
        let fault = db_error::fault(failure);
        drop(guard);
        assert_eq!((fault.code, fault.retry_after.is_some()), (code, code == Code::Overloaded));
        assert!(!fault.detail.contains("deep cause"), "{}", fault.detail);
        let text = log.text();
        assert!(text.contains("deep cause") && !text.contains("Some("), "{text}");
    }
}
