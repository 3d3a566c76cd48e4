//! PostgreSQL's guard of claims, as the migration narrows it.

use sqlx::{AssertSqlSafe, Executor, query_scalar};

use super::*;

const NARROW: &str = include_str!("../../../migrations/postgres/0012_narrow_guard.sql");
const OF_BEFORE: &str = "CREATE INDEX claims_practitioner ON claims (organization_id, resource, starts_at_us) WHERE kind = 1; \
     ALTER TABLE claims DROP CONSTRAINT claims_do_not_overlap, ADD CONSTRAINT claims_do_not_overlap EXCLUDE USING gist ( \
     organization_id WITH =, kind WITH =, resource WITH =, unit WITH =, int8range(starts_at_us, ends_at_us, '[)') WITH &&)";
const DEFINITION: &str = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'claims_do_not_overlap'";

/// The guard's definition after the migration ran on a table of this many claims with the guard of before.
async fn narrowed_over(claims: i64) -> (Store, Database, String) {
    let (store, database) = on_postgres().await;
    let mut connection = pool(&store).acquire().await.unwrap();
    connection.execute("SET meridian.organization = '*'").await.unwrap();
    connection.execute(OF_BEFORE).await.unwrap();
    let insert = format!(
        "INSERT INTO claims (organization_id, kind, resource, unit, starts_at_us, ends_at_us, owner) \
         SELECT '{ORG}', 2, '{ROOM}', 0, 1000 * n, 1000 * n + 1000, gen_random_uuid() FROM generate_series(1, {claims}) n"
    );
    connection.execute(AssertSqlSafe(insert)).await.unwrap();
    connection.execute(NARROW).await.unwrap();
    let definition = query_scalar(DEFINITION).fetch_one(&mut *connection).await.unwrap();
    connection.execute("RESET meridian.organization").await.unwrap();
    drop(connection);
    (store, database, definition)
}

/// Refuses what overlaps for the same unit, and nothing else.
async fn guards(store: &Store) {
    let taken = store.commit(&batch(0, vec![claim(10, 1500, 1600, None)])).await;
    assert!(matches!(taken, Err(CommitError::ClaimsConflict(_))));
    let other_unit = ClaimRow { unit: 1, ..claim(11, 1500, 1600, None) };
    let other_kind = ClaimRow { kind: Kind::Equipment.number(), ..claim(11, 1500, 1600, None) };
    let other_room = ClaimRow { resource: Uuid::from_u128(77), ..claim(11, 1500, 1600, None) };
    store.commit(&batch(0, vec![other_unit, other_kind, other_room, claim(11, 900, 1000, None)])).await.unwrap();
    let of_other = Batch { organization_id: Uuid::from_u128(3), ..batch(0, vec![claim(12, 1500, 1600, None)]) };
    store.commit(&of_other).await.unwrap();
}

#[tokio::test]
async fn a_table_of_few_claims_has_the_narrow_guard() {
    let (store, _database, definition) = narrowed_over(5000).await;
    assert!(definition.contains("uuid_hash_extended"), "{definition}");
    guards(&store).await;
}

#[tokio::test]
async fn a_table_of_many_claims_keeps_its_guard() {
    let (store, _database, definition) = narrowed_over(5001).await;
    assert!(!definition.contains("uuid_hash_extended"), "{definition}");
    guards(&store).await;
}
