//! Statements of PostgreSQL alone: several processes lease side by side, and each skips the rows that another one holds.

use std::collections::HashSet;

use service::{
    scoped, spanned,
    store::{POSTGRES, ScopedPool},
};
use sql::Failure;
use sqlx::{PgConnection, Postgres, QueryBuilder, query};
use uuid::Uuid;

use super::{
    batch::{Key, push_keys, with_given},
    messages::{self, MessageRow},
    sends::NewSend,
    webhook_deliveries::{self, DeliveryRow, Excluded, push_included},
};

const LOCK_APPOINTMENT: &str = r#"
    SELECT id
    FROM appointments
    WHERE organization_id = $1 AND id = $2
    FOR NO KEY UPDATE
"#;
const LOCK_OFFER: &str = r#"
    SELECT id
    FROM offers
    WHERE organization_id = $1 AND id = $2
    FOR NO KEY UPDATE
"#;
/// In one order, so that two verifications never wait for each other.
const LOCK_VERIFICATIONS: &str = r#"
    SELECT pg_advisory_xact_lock(locks.key)
    FROM (
        SELECT hashtextextended('caller' || $1::uuid::text || $2::text, 0) AS key
        UNION
        SELECT hashtextextended('recipient' || $1::uuid::text || encode($3::bytea, 'hex'), 0)
        ORDER BY key) AS locks
"#;
const LOCK_FREE: &str = r#"
    SELECT m.id
    FROM given
    JOIN messages m ON m.organization_id = g_organization AND m.id = g_id
    JOIN appointments a ON a.organization_id = m.organization_id AND a.id = m.appointment_id
    FOR NO KEY UPDATE OF a, m SKIP LOCKED
"#;
const LOCK_FREE_OFFERS: &str = r#"
    SELECT m.id
    FROM given
    JOIN messages m ON m.organization_id = g_organization AND m.id = g_id AND m.subject_kind = 'offer'
    JOIN offers o ON o.organization_id = m.organization_id AND o.id = m.subject_id
    FOR NO KEY UPDATE OF o, m SKIP LOCKED
"#;

/// See [`super::verifications::lock_limits`].
pub(super) async fn lock_verifications(
    conn: &mut PgConnection,
    organization: Uuid,
    caller: &str,
    address_hash: &[u8],
) -> Result<(), Failure> {
    spanned!(POSTGRES, "reminder.lock_verifications", {
        let lock = query(LOCK_VERIFICATIONS).bind(organization).bind(caller).bind(address_hash);
        lock.execute(conn).await.map(drop)
    })
}

/// See [`super::Store::lease`].
pub(super) async fn lease(
    pool: ScopedPool<'_>,
    now_us: i64,
    until_us: i64,
    keys: &[Key],
) -> Result<Vec<MessageRow>, Failure> {
    scoped!(end_write, pool, "reminder.lease", |conn| {
        let mut query = QueryBuilder::<Postgres>::new(
            "WITH picked AS MATERIALIZED (\
             SELECT organization_id AS picked_organization, id AS picked_id FROM messages WHERE ",
        );
        push_keys(&mut query, keys);
        query.push(" AND status IN ('scheduled', 'unknown') AND wake_at_us <= ").push_bind(now_us);
        query.push(" FOR UPDATE SKIP LOCKED) UPDATE messages SET fence = messages.fence + 1, wake_at_us = ");
        query.push_bind(until_us);
        query.push(" FROM picked WHERE organization_id = picked_organization AND id = picked_id RETURNING ");
        query.push(messages::COLUMNS);
        query.build_query_as().persistent(sql::is_kept(keys.len())).fetch_all(conn).await
    })
}

/// See [`super::sends::lock_free`].
pub(super) async fn lock_free(conn: &mut PgConnection, sends: &[NewSend]) -> Result<HashSet<Uuid>, Failure> {
    let (offers, others): (Vec<_>, Vec<_>) = sends.iter().partition(|send| send.message.appointment_id.is_none());
    let mut free = lock_free_by(conn, LOCK_FREE, &others).await?;
    free.extend(lock_free_by(conn, LOCK_FREE_OFFERS, &offers).await?);
    Ok(free)
}

async fn lock_free_by(
    conn: &mut PgConnection,
    lock: &'static str,
    sends: &[&NewSend],
) -> Result<HashSet<Uuid>, Failure> {
    if sends.is_empty() {
        return Ok(HashSet::new());
    }
    let free: Vec<Uuid> = spanned!(POSTGRES, "reminder.lock_free", {
        let mut query = with_given::<Postgres, _>(&["organization", "id"], sends, |mut row, send| {
            row.push_bind(send.message.organization_id).push_bind(send.message.id);
        });
        query.push(lock);
        query.build_query_scalar().persistent(sql::is_kept(sends.len())).fetch_all(&mut *conn).await
    })?;
    Ok(free.into_iter().collect())
}

/// See [`super::sends::lock_subject_of`].
pub(super) async fn lock_subject_of(conn: &mut PgConnection, message: &MessageRow) -> Result<(), Failure> {
    spanned!(POSTGRES, "reminder.lock_subject", {
        let lock = match message.appointment_id {
            Some(appointment) => query(LOCK_APPOINTMENT).bind(message.organization_id).bind(appointment),
            None => query(LOCK_OFFER).bind(message.organization_id).bind(message.subject_id),
        };
        lock.execute(conn).await.map(drop)
    })
}

/// See [`super::Store::lease_deliveries`].
pub(super) async fn lease_deliveries(
    pool: ScopedPool<'_>,
    now_us: i64,
    until_us: i64,
    limit: i64,
    excluded: &Excluded,
) -> Result<Vec<DeliveryRow>, Failure> {
    scoped!(end_write, pool, "reminder.lease_deliveries", |conn| {
        let mut query = QueryBuilder::<Postgres>::new(
            "WITH picked AS MATERIALIZED (\
             SELECT organization_id AS picked_organization, id AS picked_id FROM webhook_deliveries \
             WHERE status = 'pending' AND wake_at_us <= ",
        );
        query.push_bind(now_us);
        push_included(&mut query, excluded);
        query.push(" ORDER BY wake_at_us, id LIMIT ").push_bind(limit).push(" FOR UPDATE SKIP LOCKED) ");
        query.push("UPDATE webhook_deliveries SET fence = webhook_deliveries.fence + 1, tries = tries + 1, ");
        query.push("attempts = attempts + 1, wake_at_us = ").push_bind(until_us);
        query.push(" FROM picked WHERE organization_id = picked_organization AND id = picked_id RETURNING ");
        query.push(webhook_deliveries::COLUMNS);
        query.build_query_as().fetch_all(conn).await
    })
}
