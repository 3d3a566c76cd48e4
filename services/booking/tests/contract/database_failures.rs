//! A database that refuses a write is overloaded, not a failure of ours.

use rpc::Code;
use sqlx::{Connection, Executor};
use testkit::database::Database;

use crate::harness::{GRACE, Harness, PLAIN, after, slot, visit};

/// Every insert of an appointment fails with the SQLSTATE that `booking.state` holds.
const ALWAYS_FAIL: &str = r#"
    CREATE TABLE booking.state (code text NOT NULL);
    INSERT INTO booking.state VALUES ('40001');
    CREATE FUNCTION booking.fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        RAISE EXCEPTION 'a text of the server' USING ERRCODE = (SELECT code FROM booking.state);
    END $$;
    CREATE TRIGGER fail BEFORE INSERT ON booking.appointments FOR EACH ROW EXECUTE FUNCTION booking.fail();
"#;

/// Conditions that pass: a lost race, a full disk, a disk that fails, a standby, and a lack of memory, connections or time.
const STATES: [(&str, Code); 9] = [
    ("40001", Code::Overloaded),
    ("53100", Code::StorageUnavailable),
    ("58030", Code::StorageUnavailable),
    ("25006", Code::StorageUnavailable),
    ("53200", Code::Overloaded),
    ("53300", Code::Overloaded),
    ("53400", Code::Overloaded),
    ("57014", Code::Overloaded),
    ("57P03", Code::Overloaded),
];

#[tokio::test]
async fn a_database_that_refuses_for_now_is_never_a_failure_of_ours() {
    let database = Database::postgres().await.unwrap();
    let harness = Harness::over(&database).await;
    let mut connection = sqlx::PgConnection::connect(&database.admin_url).await.unwrap();
    connection.execute(ALWAYS_FAIL).await.unwrap();
    for (state, code) in STATES {
        sqlx::query("UPDATE booking.state SET code = $1").bind(state).execute(&mut connection).await.unwrap();
        let fault = harness.try_book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await.unwrap_err();
        assert_eq!(
            (fault.code, fault.code.http(), fault.retry_after.is_some()),
            (code, 503, true),
            "{state}: {fault:?}"
        );
        assert!(!fault.detail.contains("server"), "{}", fault.detail);
    }
    connection.execute("DROP TRIGGER fail ON booking.appointments").await.unwrap();
    harness.try_book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await.unwrap();
}
