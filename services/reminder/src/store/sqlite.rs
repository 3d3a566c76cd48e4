//! SQLite: one writer at a time, so a lease needs no lock of its own.

#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "answers.rs"]
pub(super) mod answers;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "counts.rs"]
pub(super) mod counts;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "deliveries.rs"]
pub(super) mod deliveries;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "endpoints.rs"]
pub(super) mod endpoints;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "ends.rs"]
pub(super) mod ends;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "queries.rs"]
pub(super) mod queries;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "reports.rs"]
pub(super) mod reports;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "sends.rs"]
pub(super) mod sends;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "transactions.rs"]
pub(super) mod transactions;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "writes.rs"]
pub(super) mod writes;

use std::collections::HashSet;

use sql::{Failure, SqlitePools};
use sqlx::{QueryBuilder, SqlitePool, Transaction, migrate::Migrator};
use uuid::Uuid;

use self::transactions::Tx;
use super::{
    Sending,
    rows::{DeliveryRow, MESSAGE_COLUMNS, MessageRow},
};

pub(super) type Db = sqlx::Sqlite;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Reminder's file.
#[derive(Clone)]
pub(crate) struct Store {
    pub(super) pools: SqlitePools,
}

impl Store {
    fn reader(&self) -> &SqlitePool {
        &self.pools.reader
    }

    fn writer(&self) -> &SqlitePool {
        &self.pools.writer
    }

    async fn begin(&self) -> Result<Transaction<'static, Db>, sqlx::Error> {
        self.pools.writer.begin_with("BEGIN IMMEDIATE").await
    }

    pub(crate) async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        sql::migrate_sqlite(&self.pools, &MIGRATIONS).await
    }

    pub(crate) async fn lease(
        &self,
        now_us: i64,
        until_us: i64,
        wanted: &[(Uuid, Uuid)],
    ) -> Result<Vec<MessageRow>, Failure> {
        let mut query = QueryBuilder::<Db>::new("UPDATE messages SET fence = fence + 1, wake_at_us = ");
        query
            .push_bind(until_us)
            .push(" WHERE status IN ('scheduled', 'unknown') AND wake_at_us <= ")
            .push_bind(now_us);
        query.push(" AND ");
        queries::these(&mut query, wanted);
        query.push(" RETURNING ").push(MESSAGE_COLUMNS);
        Ok(query.build_query_as().persistent(sql::is_kept(wanted.len())).fetch_all(self.writer()).await?)
    }

    /// The one writer has all.
    pub(super) async fn lock(_: &mut Tx, sendings: &[Sending]) -> Result<HashSet<Uuid>, Failure> {
        Ok(sendings.iter().map(|one| one.message.id).collect())
    }

    pub(super) async fn wait_for(_: &mut Tx, _: &Sending) -> Result<(), Failure> {
        Ok(())
    }

    pub(crate) async fn lease_deliveries(
        &self,
        now_us: i64,
        until_us: i64,
        limit: i64,
        (busy, full): (&[Uuid], &[Uuid]),
    ) -> Result<Vec<DeliveryRow>, Failure> {
        let mut query = QueryBuilder::<Db>::new("UPDATE webhook_deliveries SET fence = fence + 1, tries = tries + 1, ");
        query.push("attempts = attempts + 1, wake_at_us = ").push_bind(until_us);
        query.push(
            " WHERE (organization_id, id) IN (SELECT organization_id, id FROM webhook_deliveries \
             WHERE status = 'pending' AND wake_at_us <= ",
        );
        query.push_bind(now_us);
        queries::none_of(&mut query, busy);
        queries::none_in(&mut query, "endpoint_id", full);
        query.push(" ORDER BY wake_at_us, id LIMIT ").push_bind(limit).push(") RETURNING *");
        Ok(query.build_query_as().fetch_all(self.writer()).await?)
    }
}
