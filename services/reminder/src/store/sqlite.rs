//! Statements of SQLite alone: with one writer at a time a lease needs no lock of its own.

use service::{spanned, store::SQLITE};
use sql::Failure;
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::{
    batch::{Key, push_keys},
    messages::{self, MessageRow},
    webhook_deliveries::{self, DeliveryRow, Excluded, push_included},
};

/// See [`super::Store::lease`].
pub(super) async fn lease(
    writer: &SqlitePool,
    now_us: i64,
    until_us: i64,
    keys: &[Key],
) -> Result<Vec<MessageRow>, Failure> {
    spanned!(SQLITE, "reminder.lease", {
        let mut query = QueryBuilder::<Sqlite>::new("UPDATE messages SET fence = fence + 1, wake_at_us = ");
        query.push_bind(until_us);
        query.push(" WHERE status IN ('scheduled', 'unknown') AND wake_at_us <= ").push_bind(now_us).push(" AND ");
        push_keys(&mut query, keys);
        query.push(" RETURNING ").push(messages::COLUMNS);
        query.build_query_as().persistent(sql::is_kept(keys.len())).fetch_all(writer).await
    })
}

/// See [`super::Store::lease_deliveries`].
pub(super) async fn lease_deliveries(
    writer: &SqlitePool,
    now_us: i64,
    until_us: i64,
    limit: i64,
    excluded: &Excluded,
) -> Result<Vec<DeliveryRow>, Failure> {
    spanned!(SQLITE, "reminder.lease_deliveries", {
        let mut query = QueryBuilder::<Sqlite>::new(
            "UPDATE webhook_deliveries \
             SET fence = fence + 1, tries = tries + 1, attempts = attempts + 1, wake_at_us = ",
        );
        query.push_bind(until_us);
        query.push(
            " WHERE (organization_id, id) IN (SELECT organization_id, id FROM webhook_deliveries \
             WHERE status = 'pending' AND wake_at_us <= ",
        );
        query.push_bind(now_us);
        push_included(&mut query, excluded);
        query
            .push(" ORDER BY wake_at_us, id LIMIT ")
            .push_bind(limit)
            .push(") RETURNING ")
            .push(webhook_deliveries::COLUMNS);
        query.build_query_as().fetch_all(writer).await
    })
}
