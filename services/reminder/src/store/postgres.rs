//! PostgreSQL: several dispatchers take leases side by side, each skipping what another is taking.

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

use sql::Failure;
use sqlx::{PgPool, QueryBuilder, Transaction, migrate::Migrator};
use uuid::Uuid;

use self::transactions::Tx;
use super::{
    Sending,
    rows::{DeliveryRow, MESSAGE_COLUMNS, MessageRow},
};

pub(super) type Db = sqlx::Postgres;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

const WAIT_FOR: &str = "SELECT id FROM appointments WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE";

/// Reminder's schema.
#[derive(Clone)]
pub(crate) struct Store {
    pub(super) pool: PgPool,
}

impl Store {
    fn reader(&self) -> &PgPool {
        &self.pool
    }

    fn writer(&self) -> &PgPool {
        &self.pool
    }

    async fn begin(&self) -> Result<Transaction<'static, Db>, sqlx::Error> {
        self.pool.begin().await
    }

    pub(crate) async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        sql::migrate_postgres(&self.pool, "reminder", &MIGRATIONS).await
    }

    pub(crate) async fn lease(
        &self,
        now_us: i64,
        until_us: i64,
        wanted: &[(Uuid, Uuid)],
    ) -> Result<Vec<MessageRow>, Failure> {
        let mut query = QueryBuilder::<Db>::new(
            "WITH picked AS MATERIALIZED (SELECT organization_id AS picked_of, id AS picked_id FROM messages WHERE ",
        );
        queries::these(&mut query, wanted);
        query.push(" AND status IN ('scheduled', 'unknown') AND wake_at_us <= ").push_bind(now_us);
        query.push(" FOR UPDATE SKIP LOCKED) UPDATE messages SET fence = messages.fence + 1, wake_at_us = ");
        query.push_bind(until_us).push(" FROM picked WHERE organization_id = picked_of AND id = picked_id RETURNING ");
        query.push(MESSAGE_COLUMNS);
        Ok(query.build_query_as().persistent(sql::is_kept(wanted.len())).fetch_all(self.writer()).await?)
    }

    /// Locks messages and their visits for this transaction, without waiting: answers which could be had at once.
    pub(super) async fn lock(tx: &mut Tx, sendings: &[Sending]) -> Result<HashSet<Uuid>, Failure> {
        let mut query = sends::given(&["organization", "id"], sendings, |mut row, one| {
            row.push_bind(one.message.organization_id).push_bind(one.message.id);
        });
        query.push(
            " SELECT m.id FROM given JOIN messages m ON m.organization_id = g_organization AND m.id = g_id \
             JOIN appointments a ON a.organization_id = m.organization_id AND a.id = m.appointment_id \
             FOR NO KEY UPDATE OF a, m SKIP LOCKED",
        );
        Ok(query
            .build_query_scalar()
            .persistent(sql::is_kept(sendings.len()))
            .fetch_all(&mut **tx)
            .await?
            .into_iter()
            .collect())
    }

    /// Locks a message's visit for this transaction; the message itself comes after it, as everywhere.
    pub(super) async fn wait_for(tx: &mut Tx, sending: &Sending) -> Result<(), Failure> {
        let message = &sending.message;
        let lock = sqlx::query(WAIT_FOR).bind(message.organization_id).bind(message.appointment_id);
        lock.execute(&mut **tx).await?;
        Ok(())
    }

    pub(crate) async fn lease_deliveries(
        &self,
        now_us: i64,
        until_us: i64,
        limit: i64,
        (busy, full): (&[Uuid], &[Uuid]),
    ) -> Result<Vec<DeliveryRow>, Failure> {
        let mut query = QueryBuilder::<Db>::new(
            "WITH picked AS MATERIALIZED (SELECT organization_id, id FROM webhook_deliveries \
             WHERE status = 'pending' AND wake_at_us <= ",
        );
        query.push_bind(now_us);
        queries::none_of(&mut query, busy);
        queries::none_in(&mut query, "endpoint_id", full);
        query.push(" ORDER BY wake_at_us, id LIMIT ").push_bind(limit).push(" FOR UPDATE SKIP LOCKED) ");
        query.push("UPDATE webhook_deliveries SET fence = webhook_deliveries.fence + 1, tries = tries + 1, ");
        query.push("attempts = attempts + 1, wake_at_us = ").push_bind(until_us);
        query.push(
            " FROM picked WHERE webhook_deliveries.organization_id = picked.organization_id \
             AND webhook_deliveries.id = picked.id RETURNING webhook_deliveries.*",
        );
        Ok(query.build_query_as().fetch_all(self.writer()).await?)
    }
}
