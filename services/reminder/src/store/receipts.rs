//! Delivery receipts of providers on attempts, and the parts of a text that have arrived.

use service::{statement, store::Tx};
use sql::Failure;
use sql::FromRow;
use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

// An update, so that it locks the row: two receipts on parts of one text must see each other.
const LOCK_MESSAGE: &str = r#"
    UPDATE messages
    SET provider_rank = provider_rank
    WHERE organization_id = $1 AND id = $2
    RETURNING attempts, key_attempt, trigger, channel, recipient, segments
"#;
// An attempt whose provider was not stored counts for every provider.
const COUNT_BY_PROVIDER: &str = r#"
    SELECT count(*)
    FROM attempts
    WHERE organization_id = $1 AND message_id = $2 AND number = $3 AND provider IN ('', $4)
"#;
const INSERT_EVENT: &str = r#"
    INSERT INTO provider_events (organization_id, id, message_id, attempt, received_at_us, form)
    VALUES ($1, $2, $3, $4, $5, $6)
"#;
const INSERT_ARRIVED_PART: &str = r#"
    INSERT INTO arrived_parts (organization_id, message_id, attempt, part_id, arrived_at_us)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING
"#;
const COUNT_ARRIVED_PARTS: &str = r#"
    SELECT count(*)
    FROM arrived_parts
    WHERE organization_id = $1 AND message_id = $2 AND attempt = $3
"#;
const SELECT_PARTS: &str = r#"
    SELECT parts
    FROM attempts
    WHERE organization_id = $1 AND message_id = $2 AND number = $3
"#;
// A message that was sent twice counts as delivered when either attempt is, while the outcome of the second is unknown.
const APPLY_STATUS: &str = r#"
    UPDATE messages
    SET status = $4, reason = $5, provider_rank = $6, wake_at_us = NULL,
        sent_at_us = coalesce(sent_at_us, $7), updated_at_us = $7
    WHERE organization_id = $1
        AND id = $2
        AND provider_rank < $6
        AND (
            (
                attempts = $3
                AND (
                    status IN ('sending', 'unknown', 'sent', 'delivered', 'undelivered', 'failed')
                    OR (status = 'scheduled' AND reason = 'provider_busy')
                )
            )
            OR (repeated AND status IN ('sending', 'unknown') AND $4 = 'delivered')
        )
"#;
// The rank restarts at 0: the next receipts are on another attempt.
const RESCHEDULE: &str = r#"
    UPDATE messages
    SET status = 'scheduled', reason = $7, wake_at_us = $5, fence = fence + 1, tries = tries + 1,
        provider_rank = 0, updated_at_us = $8
    WHERE organization_id = $1
        AND id = $2
        AND attempts = $3
        AND provider_rank < $4
        AND tries < $6
        AND starts_at_us > $5
        AND status IN ('sending', 'unknown', 'sent')
"#;
const UPDATE_ATTEMPT: &str = r#"
    UPDATE attempts
    SET outcome = CASE WHEN outcome = 'unknown' THEN $4 ELSE outcome END,
        provider_message_id = CASE WHEN provider_message_id = '' THEN $5 ELSE provider_message_id END,
        error_code = CASE WHEN $6 = '' THEN error_code ELSE $6 END
    WHERE organization_id = $1 AND message_id = $2 AND number = $3
"#;

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 9] = [
    LOCK_MESSAGE,
    COUNT_BY_PROVIDER,
    INSERT_EVENT,
    INSERT_ARRIVED_PART,
    COUNT_ARRIVED_PARTS,
    SELECT_PARTS,
    APPLY_STATUS,
    RESCHEDULE,
    UPDATE_ATTEMPT,
];

/// The attempt that a receipt is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptKey {
    pub(crate) organization: Uuid,
    pub(crate) message: Uuid,
    pub(crate) number: i32,
}

/// A message with a receipt, locked.
#[derive(FromRow)]
pub(crate) struct LockedMessageRow {
    pub(crate) attempts: i32,
    pub(crate) key_attempt: i32,
    pub(crate) trigger: String,
    pub(crate) channel: String,
    pub(crate) recipient: String,
    /// Segments as carriers count them.
    pub(crate) segments: i32,
}

/// A status that a receipt sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiptStatus {
    pub(crate) status: &'static str,
    pub(crate) reason: &'static str,
    /// A message moves to higher ranks only.
    pub(crate) rank: i16,
}

/// Locks a message.
pub(crate) async fn lock_for_receipt(
    tx: &mut Tx,
    organization: Uuid,
    message: Uuid,
) -> Result<Option<LockedMessageRow>, Failure> {
    statement!(tx, "reminder.lock_for_receipt", |conn| query_as(LOCK_MESSAGE)
        .bind(organization)
        .bind(message)
        .fetch_optional(conn)
        .await)
}

/// Whether an attempt may have gone by a provider.
pub(crate) async fn is_by_provider(tx: &mut Tx, attempt: AttemptKey, provider: &str) -> Result<bool, Failure> {
    let count: i64 = statement!(tx, "reminder.count_by_provider", |conn| query_scalar(COUNT_BY_PROVIDER)
        .bind(attempt.organization)
        .bind(attempt.message)
        .bind(attempt.number)
        .bind(provider)
        .fetch_one(conn)
        .await)?;
    Ok(count > 0)
}

/// Stores a receipt as it came; `form` is JSON.
pub(crate) async fn insert_provider_event(
    tx: &mut Tx,
    id: Uuid,
    attempt: AttemptKey,
    form: &str,
    now_us: i64,
) -> Result<(), Failure> {
    statement!(tx, "reminder.insert_provider_event", |conn| query(INSERT_EVENT)
        .bind(attempt.organization)
        .bind(id)
        .bind(attempt.message)
        .bind(attempt.number)
        .bind(now_us)
        .bind(form)
        .execute(conn)
        .await
        .map(drop))
}

/// Stores the arrival of a part.
pub(crate) async fn insert_arrived_part(
    tx: &mut Tx,
    attempt: AttemptKey,
    part: &str,
    now_us: i64,
) -> Result<(), Failure> {
    statement!(tx, "reminder.insert_arrived_part", |conn| query(INSERT_ARRIVED_PART)
        .bind(attempt.organization)
        .bind(attempt.message)
        .bind(attempt.number)
        .bind(part)
        .bind(now_us)
        .execute(conn)
        .await
        .map(drop))
}

/// The number of parts that have arrived.
pub(crate) async fn count_arrived_parts(tx: &mut Tx, attempt: AttemptKey) -> Result<i64, Failure> {
    statement!(tx, "reminder.count_arrived_parts", |conn| query_scalar(COUNT_ARRIVED_PARTS)
        .bind(attempt.organization)
        .bind(attempt.message)
        .bind(attempt.number)
        .fetch_one(conn)
        .await)
}

/// The number of parts that the provider named; 0 when it named none.
pub(crate) async fn select_parts(tx: &mut Tx, attempt: AttemptKey) -> Result<i32, Failure> {
    let parts: Option<i32> = statement!(tx, "reminder.parts", |conn| query_scalar(SELECT_PARTS)
        .bind(attempt.organization)
        .bind(attempt.message)
        .bind(attempt.number)
        .fetch_optional(conn)
        .await)?;
    Ok(parts.unwrap_or(0))
}

/// Sets a receipt's status when it ranks higher than the known one; answers whether it did.
pub(crate) async fn apply_status(
    tx: &mut Tx,
    attempt: AttemptKey,
    received: ReceiptStatus,
    now_us: i64,
) -> Result<bool, Failure> {
    let changed = statement!(tx, "reminder.apply_status", |conn| query(APPLY_STATUS)
        .bind(attempt.organization)
        .bind(attempt.message)
        .bind(attempt.number)
        .bind(received.status)
        .bind(received.reason)
        .bind(received.rank)
        .bind(now_us)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Schedules an undelivered message again while its appointment is still to come; answers whether it did.
pub(crate) async fn reschedule(
    tx: &mut Tx,
    attempt: AttemptKey,
    received: ReceiptStatus,
    (wake_at_us, tries_max): (i64, i32),
    now_us: i64,
) -> Result<bool, Failure> {
    let changed = statement!(tx, "reminder.reschedule", |conn| query(RESCHEDULE)
        .bind(attempt.organization)
        .bind(attempt.message)
        .bind(attempt.number)
        .bind(received.rank)
        .bind(wake_at_us)
        .bind(tries_max)
        .bind(received.reason)
        .bind(now_us)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Fills in what is unknown of an attempt: its outcome, the provider's id and the error code.
pub(crate) async fn update_attempt(
    tx: &mut Tx,
    attempt: AttemptKey,
    outcome: &str,
    provider_message_id: &str,
    error_code: &str,
) -> Result<(), Failure> {
    statement!(tx, "reminder.update_attempt", |conn| query(UPDATE_ATTEMPT)
        .bind(attempt.organization)
        .bind(attempt.message)
        .bind(attempt.number)
        .bind(outcome)
        .bind(provider_message_id)
        .bind(error_code)
        .execute(conn)
        .await
        .map(drop))
}
