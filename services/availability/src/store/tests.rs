//! Every statement, prepared on both engines.

use sql::Target;
use sqlx::{Executor, SqlSafeStr};
use testkit::database::Database;

use super::{Store, postgres, sqlite};

#[tokio::test]
async fn every_statement_prepares_on_both_engines() {
    for database in [Database::sqlite().unwrap(), Database::postgres().await.unwrap()] {
        let store = Store::open(&Target::from_url(&database.for_service("availability")).unwrap()).await.unwrap();
        store.migrate().await.unwrap();
        for statement in sqlite::queries::STATEMENTS {
            match &store {
                Store::Sqlite(store) => {
                    let mut connection = store.pools.reader.acquire().await.unwrap();
                    connection.prepare(statement.into_sql_str()).await.map(drop)
                }
                Store::Postgres(store) => {
                    let mut connection = store.pool.acquire().await.unwrap();
                    connection.prepare(statement.into_sql_str()).await.map(drop)
                }
            }
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
    assert_eq!(sqlite::queries::STATEMENTS, postgres::queries::STATEMENTS);
}
