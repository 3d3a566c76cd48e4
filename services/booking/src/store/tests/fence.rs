//! PostgreSQL's own fence: what a statement reaches that has no filter by organisation.

use sqlx::{Executor, PgConnection, query_scalar};

use super::*;

const OTHER: Uuid = Uuid::from_u128(3);
const COUNT: &str = "SELECT count(*) FROM claims";
const INSERT: &str = "INSERT INTO claims (organization_id, kind, resource, unit, starts_at_us, ends_at_us, owner) \
     VALUES ('00000000-0000-0000-0000-000000000001', 2, gen_random_uuid(), 0, 1, 2, gen_random_uuid())";
const MOVE: &str = "UPDATE claims SET organization_id = '00000000-0000-0000-0000-000000000003'";

async fn count(scope: Scoped<'_>) -> i64 {
    service::read!(scope, "booking.count_claims", |pool| query_scalar(COUNT).fetch_one(pool).await).unwrap()
}

/// Whether PostgreSQL refuses the statement because of a policy.
fn is_fenced(outcome: Result<impl Sized, sqlx::Error>) -> bool {
    let code = outcome.err().and_then(|error| Some(error.as_database_error()?.code()?.into_owned()));
    code.as_deref() == Some("42501")
}

#[tokio::test]
async fn a_statement_without_a_filter_reaches_the_organisation_of_its_scope_alone() {
    let (store, _database) = on_postgres().await;
    store.commit(&batch(0, vec![claim(10, 100, 200, None), claim(11, 300, 400, None)])).await.unwrap();
    store.commit(&Batch { organization_id: OTHER, ..batch(0, vec![claim(12, 100, 200, None)]) }).await.unwrap();
    let database = store.database();
    assert_eq!(count(database.of(ORG)).await, 2);
    assert_eq!(count(database.of(OTHER)).await, 1);
    assert_eq!(count(database.of(Uuid::from_u128(9))).await, 0);
    assert_eq!(count(database.across()).await, 3);

    // Without a scope nothing is visible and nothing can be written, also after a transaction that had one.
    let mut connection = pool(&store).acquire().await.unwrap();
    let connection: &mut PgConnection = &mut connection;
    connection.execute("BEGIN; SET LOCAL meridian.organization = '*'; COMMIT").await.unwrap();
    assert_eq!(query_scalar::<_, i64>(COUNT).fetch_one(&mut *connection).await.unwrap(), 0);
    assert!(is_fenced(connection.execute(INSERT).await));
    assert_eq!(connection.execute(MOVE).await.unwrap().rows_affected(), 0);
    assert_eq!(count(database.across()).await, 3);
}

#[tokio::test]
async fn a_statement_writes_no_other_organisations_rows() {
    let (store, _database) = on_postgres().await;
    store.commit(&batch(0, vec![claim(10, 100, 200, None)])).await.unwrap();
    let Scoped::Postgres(of_other) = store.database().of(OTHER) else { panic!("it is PostgreSQL") };
    let Scoped::Postgres(of_own) = store.database().of(ORG) else { panic!("it is PostgreSQL") };
    assert!(is_fenced(of_other.begin().await.unwrap().execute(INSERT).await));
    assert!(is_fenced(of_own.begin().await.unwrap().execute(MOVE).await));
    let deleted = of_other.begin().await.unwrap().execute("DELETE FROM claims").await.unwrap();
    assert_eq!(deleted.rows_affected(), 0);
}
