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
    seal::Keyring,
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
    kept_answers_are_sealed_for_their_row,
    answers_are_sealed_again_page_by_page,
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
    let mut tx = database.across().begin().await?;
    service::statement!(&mut tx, "sample.insert_note", |conn| {
        query(INSERT_NOTE).bind(id).bind(body.to_owned()).execute(conn).await.map(|done| done.rows_affected())
    })?;
    if commit { tx.commit().await } else { Ok(()) }
}

async fn body(database: &Database, id: Uuid) -> Option<String> {
    service::read!(database.across(), "sample.select_body", |pool| query_scalar(SELECT_BODY)
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
        let keyring = ring(1);
        idempotency::begin::<String>(&running, &database, &keyring, ctx, "Write", idempotency::as_kept).await
    };
    let Begun::New(guard) = begin(&ctx).await.unwrap() else { panic!("nothing is kept yet") };
    assert_eq!(begin(&ctx).await.unwrap_err().code, Code::IdempotencyInProgress);
    let remember = idempotency::remember(&ring(1), &ctx, "Write", &"answer".to_owned(), "r7").unwrap();
    for outcome in [true, false] {
        let mut tx = database.across().begin().await.unwrap();
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
    idempotency::delete_before(&database, 2).await.unwrap();
    assert!(matches!(begin(&ctx).await.unwrap(), Begun::New(_)));
}

fn ring(byte: u8) -> Keyring {
    Keyring::from_key(&[byte; 32])
}

/// The ring whose first key is the second byte's.
fn rotated() -> Keyring {
    let key = |byte: u8| format!("{byte:02x}").repeat(32);
    Keyring::parse(&format!("{} {}", key(2), key(1))).unwrap()
}

fn keyed(number: usize) -> Context {
    let idempotency = Idempotency { key: format!("k{number:04}"), fingerprint: "one".into() };
    let ctx = Context::new(OrganizationId::new(Uuid::from_u128(1)), "web", Duration::from_secs(5));
    Context { idempotency: Some(idempotency), ..ctx }
}

const ANSWER: &str = "answer with a canary link";

async fn keep(database: &Database, keyring: &Keyring, numbers: std::ops::Range<usize>) {
    let mut tx = database.across().begin().await.unwrap();
    for number in numbers {
        let kept = idempotency::remember(keyring, &keyed(number), "Write", &ANSWER.to_owned(), "r1").unwrap();
        idempotency::insert(&mut tx, kept.as_ref(), 1).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn replayed(database: &Database, keyring: &Keyring, number: usize) -> Result<Option<String>, Code> {
    let answer = idempotency::replay(database, keyring, &keyed(number), "Write", idempotency::as_kept).await;
    answer.map(|found| found.map(tonic::Response::into_inner)).map_err(|fault| fault.code)
}

async fn execute(database: &Database, statement: &'static str) -> u64 {
    service::write!(database.across(), "sample.execute", |pool| query(statement)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))
    .unwrap()
}

async fn responses(database: &Database) -> Vec<Vec<u8>> {
    service::read!(database.across(), "sample.responses", |pool| query_scalar(
        "SELECT response FROM idempotency ORDER BY key"
    )
    .fetch_all(pool)
    .await)
    .unwrap()
}

async fn kept_answers_are_sealed_for_their_row(test: TestDatabase) {
    let database = open(&test).await;
    keep(&database, &ring(1), 0..2).await;
    for stored in responses(&database).await {
        assert!(!stored.windows(6).any(|part| part == b"canary"), "{stored:?}");
    }
    assert_eq!(replayed(&database, &ring(1), 0).await, Ok(Some(ANSWER.to_owned())));
    assert_eq!(replayed(&database, &ring(2), 0).await, Err(Code::Internal), "under another key nothing opens");
    let moved =
        "UPDATE idempotency SET response = (SELECT response FROM idempotency WHERE key = 'k0001') WHERE key = 'k0000'";
    assert_eq!(execute(&database, moved).await, 1);
    assert_eq!(replayed(&database, &ring(1), 0).await, Err(Code::Internal), "in another row nothing opens");
    assert_eq!(replayed(&database, &ring(1), 1).await, Ok(Some(ANSWER.to_owned())));
}

async fn answers_are_sealed_again_page_by_page(test: TestDatabase) {
    const COUNT: usize = 450;
    let (database, both) = (open(&test).await, rotated());
    keep(&database, &ring(1), 0..COUNT).await;
    let new = async || responses(&database).await.iter().filter(|stored| stored.starts_with(&both.prefix())).count();

    // The run ends after its first page, as when its process is ended.
    let (page, mut paged) = tokio::sync::watch::channel(0);
    let progress = |_: &'static str, sealed: u64| {
        let _ = page.send(sealed);
    };
    tokio::select! {
        _ = idempotency::reseal(&database, &both, &progress) => panic!("there is more than a page"),
        _ = paged.changed() => {}
    }
    let done = new().await;
    assert!(done > 0 && done < COUNT, "{done}");
    for number in [0, COUNT - 1] {
        assert_eq!(replayed(&database, &both, number).await, Ok(Some(ANSWER.to_owned())));
    }

    let silent = |_: &'static str, _: u64| {};
    let rest = idempotency::reseal(&database, &both, &silent).await.unwrap();
    assert_eq!((usize::try_from(rest.sealed).unwrap(), rest.unopened, new().await), (COUNT - done, 0, COUNT));
    let again = idempotency::reseal(&database, &both, &silent).await.unwrap();
    assert_eq!((again.sealed, again.unopened), (0, 0));
    assert_eq!(replayed(&database, &ring(2), 0).await, Ok(Some(ANSWER.to_owned())));

    // Without the key under which they are sealed they stay as they are, and are counted.
    let lost = idempotency::reseal(&database, &ring(3), &silent).await.unwrap();
    assert_eq!((lost.sealed, lost.unopened), (0, COUNT as u64));
    assert!(lost.reason.unwrap().contains(&ring(2).id()));
    assert_eq!(new().await, COUNT);
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
        (Failure::Unwritable(sqlx::Error::Protocol("deep cause".into())), Code::StorageUnavailable),
        (Failure::Other(sqlx::Error::Protocol("deep cause".into())), Code::Internal),
    ];
    for (failure, code) in failures {
        let log = Log::default();
        let guard = log.start();
        let fault = db_error::fault(failure);
        drop(guard);
        assert_eq!((fault.code, fault.retry_after.is_some()), (code, code != Code::Internal));
        assert!(!fault.detail.contains("deep cause"), "{}", fault.detail);
        let text = log.text();
        assert!(text.contains("deep cause") && !text.contains("Some("), "{text}");
    }
}
