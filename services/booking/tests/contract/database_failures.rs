//! A database that refuses a write is overloaded, not a failure of ours.

use rpc::Code;
use sqlx::{Connection, Executor};
use testkit::database::Database;

use crate::harness::{GRACE, Harness, PLAIN, after, slot, visit};

/// Every insert of an appointment fails as if another transaction had won.
const ALWAYS_LOSE: &str = r#"
    CREATE FUNCTION booking.lose() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
    END $$;
    CREATE TRIGGER lose BEFORE INSERT ON booking.appointments FOR EACH ROW EXECUTE FUNCTION booking.lose();
"#;

#[tokio::test]
async fn a_serialization_failure_that_outlasts_its_retries_is_overloaded() {
    let database = Database::postgres().await.unwrap();
    let harness = Harness::over(&database).await;
    let mut connection = sqlx::PgConnection::connect(&database.admin_url).await.unwrap();
    connection.execute(ALWAYS_LOSE).await.unwrap();
    let fault = harness.try_book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await.unwrap_err();
    assert_eq!((fault.code, fault.retry_after.is_some()), (Code::Overloaded, true), "{fault:?}");
    assert!(!fault.detail.contains("serialize"), "{}", fault.detail);
}
