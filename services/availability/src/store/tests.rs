//! Every statement, prepared on both engines.

use service::{
    idempotency,
    store::{Database, Schema},
};
use sql::Target;
use sqlx::{Executor, SqlSafeStr, migrate::Migrator};
use testkit::database::Database as TestDatabase;
use uuid::Uuid;

use super::{OrganizationRow, SCHEMA, STATEMENTS, Store, insert_organization};

testkit::engines!(every_statement_prepares, an_installation_from_before_keeps_its_default_organisation);

async fn every_statement_prepares(database: TestDatabase) {
    let store = Store::open(&Target::from_url(&database.for_service("availability")).unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    for statement in STATEMENTS.concat().into_iter().chain(idempotency::STATEMENTS).chain(service::secrets::STATEMENTS)
    {
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

/// The id that was the same in every installation.
const OLD_DEFAULT: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);

fn organization(id: Uuid) -> OrganizationRow {
    OrganizationRow {
        id,
        name: "Clinics".into(),
        default_language: "en".into(),
        country: "CA".into(),
        created_at_us: 1,
        directory_version: 1,
    }
}

/// The first migration alone.
fn baseline(migrator: &Migrator) -> Migrator {
    Migrator::with_migrations(migrator.iter().filter(|migration| migration.version == 1).cloned().collect())
}

async fn an_installation_from_before_keeps_its_default_organisation(database: TestDatabase) {
    let store = Store::open(&Target::from_url(&database.for_service("availability")).unwrap()).await.unwrap();
    let (sqlite, postgres) = (baseline(&SCHEMA.sqlite), baseline(&SCHEMA.postgres));
    let before = Schema { name: SCHEMA.name, sqlite, postgres, functions: &[] };
    store.database.migrate(&before).await.unwrap();
    let other = Uuid::from_u128(7);
    let mut tx = store.database.across().begin().await.unwrap();
    for id in [other, OLD_DEFAULT] {
        insert_organization(&mut tx, &organization(id)).await.unwrap();
    }
    tx.commit().await.unwrap();
    store.migrate().await.unwrap();
    let found = store.default_organization(&organization(Uuid::from_u128(9))).await.unwrap();
    assert_eq!((found.id, store.organizations().await.unwrap().len()), (OLD_DEFAULT, 2));
}
