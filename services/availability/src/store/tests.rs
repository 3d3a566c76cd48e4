//! Every statement, prepared on both engines.

use service::{idempotency, store::Database};
use sql::Target;
use sqlx::{Executor, SqlSafeStr};
use testkit::database::Database as TestDatabase;

use super::{STATEMENTS, Store};

testkit::engines!(every_statement_prepares);

async fn every_statement_prepares(database: TestDatabase) {
    let store = Store::open(&Target::from_url(&database.for_service("availability")).unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    for statement in STATEMENTS.concat().into_iter().chain(idempotency::STATEMENTS) {
        match &store.database {
            Database::Sqlite(pools) => {
                let mut connection = pools.reader.acquire().await.unwrap();
                connection.prepare(statement.into_sql_str()).await.map(drop)
            }
            Database::Postgres(pool) => {
                let mut connection = pool.acquire().await.unwrap();
                connection.prepare(statement.into_sql_str()).await.map(drop)
            }
        }
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}
