//! A failure of the gateway's database is logged with its cause and answered without it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use domain::id::OrganizationId;
use gateway::{App, Config, Deps, Oidc};
use rpc::Channel;
use runtime::{Clock, Ids, Readiness};
use sql::Target;
use testkit::database::Database;
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;
use uuid::Uuid;

/// The log of the test.
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

#[tokio::test]
async fn a_database_failure_is_logged_with_its_cause_and_answered_without() {
    let test = Database::sqlite().unwrap();
    let database = Target::from_url(&test.for_service("gateway")).unwrap();
    let deps = Deps {
        clock: Clock::system(),
        ids: Ids::system(),
        database: database.clone(),
        availability: Channel::pending(),
        booking: Channel::pending(),
        reminder: Channel::pending(),
        admin_key: None,
        oidc: Oidc::default(),
        default_organization: Some(OrganizationId::new(Uuid::from_u128(1))),
        readiness: Readiness::new(),
        keyring: service::seal::Keyring::from_key(&[7; 32]),
        public_url: String::new(),
    };
    let app = App::build(Config::default(), deps).await.unwrap();
    let Target::Sqlite(path) = &database else { panic!("the test's database is a SQLite file") };
    sqlx::query("DROP TABLE keys").execute(&sql::connect_sqlite(path).await.unwrap().writer).await.unwrap();

    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let request = Request::get("/v1/services").header("authorization", "Bearer mrd_unknown");
    let response = app.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    drop(guard);

    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    let (body, cause) = (String::from_utf8(body.to_vec()).unwrap(), "no such table: keys");
    assert!(!body.contains(cause), "{body}");
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains(cause), "the cause is missing in the log: {text}");
}
