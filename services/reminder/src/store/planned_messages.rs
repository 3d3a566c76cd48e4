//! Messages as planning writes them: inserted, taken back, moved and revived.

use service::{statement, store::Tx};
use sql::Failure;
use sql::FromRow;
use sqlx::{QueryBuilder, query, query_as, query_scalar};
use uuid::Uuid;

const INSERT_MESSAGES: &str = r#"
    INSERT INTO messages
        (organization_id, id, subject_kind, subject_id, subject_version, appointment_id, patient_id, rule_id, trigger,
         channel, status, reason, base_at_us, due_at_us, wake_at_us, starts_at_us, location_id, time_zone,
         created_at_us, updated_at_us, changed)
"#;
// A rule plans again what its own change took back; any other message stays as it is.
const PLAN_AGAIN: &str = r#"
    ON CONFLICT (organization_id, subject_id, subject_kind, subject_version, rule_id, channel) DO UPDATE SET
        status = 'scheduled',
        reason = '',
        base_at_us = excluded.base_at_us,
        due_at_us = excluded.due_at_us,
        wake_at_us = excluded.wake_at_us,
        fence = messages.fence + 1,
        updated_at_us = excluded.updated_at_us,
        tries = 0,
        next_provider = '',
        provider_rank = 0,
        fallback_for = NULL
    WHERE messages.status = 'suppressed' AND messages.reason IN ('rule_changed', 'rule_archived')
"#;
// The key allows one fallback for each version; PLAN_AGAIN's rule holds for it too.
const INSERT_FALLBACK: &str = r#"
    INSERT INTO messages
        (organization_id, id, subject_kind, subject_id, subject_version, appointment_id, patient_id, rule_id, trigger,
         channel, status, reason, base_at_us, due_at_us, wake_at_us, starts_at_us, location_id, time_zone,
         created_at_us, updated_at_us, fallback_for, changed)
    SELECT organization_id, $3, subject_kind, subject_id, subject_version, appointment_id, patient_id, rule_id, trigger,
        $4, 'scheduled', '', base_at_us, $5, $5, starts_at_us, location_id, time_zone, $5, $5, id, changed
    FROM messages
    WHERE organization_id = $1 AND id = $2
    ON CONFLICT (organization_id, subject_id, subject_kind, subject_version, rule_id, channel) DO UPDATE SET
        status = 'scheduled',
        reason = '',
        due_at_us = excluded.due_at_us,
        wake_at_us = excluded.wake_at_us,
        tries = 0,
        next_provider = '',
        provider_rank = 0,
        fence = messages.fence + 1,
        updated_at_us = excluded.updated_at_us,
        fallback_for = excluded.fallback_for
    WHERE messages.status = 'suppressed' AND messages.reason IN ('rule_changed', 'rule_archived')
"#;
const SUPPRESS_PENDING: &str = r#"
    UPDATE messages
    SET status = 'suppressed', reason = $3, wake_at_us = NULL, fence = fence + 1, updated_at_us = $4
    WHERE organization_id = $1 AND appointment_id = $2 AND status = 'scheduled' AND trigger <> 'reply'
"#;
const SUPPRESS_OFFER: &str = r#"
    UPDATE messages
    SET status = 'suppressed', reason = $3, wake_at_us = NULL, fence = fence + 1, updated_at_us = $4
    WHERE organization_id = $1
        AND subject_kind = 'offer'
        AND subject_id = $2
        AND status = 'scheduled'
        AND trigger <> 'reply'
"#;
// Only the last message of each rule about this arrangement, and none when one of them has left. A series may have
// announced its booking through another appointment meanwhile.
const REVIVE_SUPERSEDED: &str = r#"
    UPDATE messages
    SET status = 'scheduled', reason = '', due_at_us = $6, wake_at_us = $6, tries = 0, next_provider = '',
        provider_rank = 0, fence = fence + 1, updated_at_us = $7
    WHERE organization_id = $1
        AND subject_kind = 'appointment'
        AND subject_id = $2
        AND starts_at_us = $3
        AND location_id = $4
        AND due_at_us <= $5
        AND starts_at_us > $6
        AND status = 'suppressed'
        AND reason IN ('superseded', 'cancelled', 'gone', 'visit_begun', 'missed', 'entered_in_error')
        AND (trigger = 'before_start' OR (trigger = 'booked' AND $8))
        AND rule_id IN (SELECT id FROM rules WHERE organization_id = $1 AND archived_at_us IS NULL)
        AND NOT EXISTS (
            SELECT 1
            FROM messages other
            WHERE other.organization_id = messages.organization_id
                AND other.id <> messages.id
                AND other.subject_kind = messages.subject_kind
                AND other.subject_id = messages.subject_id
                AND other.rule_id = messages.rule_id
                AND other.channel = messages.channel
                AND other.starts_at_us = messages.starts_at_us
                AND other.location_id = messages.location_id
                AND (other.status <> 'suppressed' OR other.subject_version > messages.subject_version)
        )
"#;
const COUNT_UNSENT_BOOKED: &str = r#"
    SELECT count(*)
    FROM messages
    WHERE organization_id = $1
        AND subject_kind = 'appointment'
        AND subject_id = $2
        AND trigger = 'booked'
        AND status = 'scheduled'
"#;
const SELECT_PENDING_OF_RULE: &str = r#"
    SELECT m.id, m.trigger, m.channel, m.base_at_us, m.due_at_us, coalesce(a.service_id, o.service_id) AS service_id,
        m.starts_at_us, m.time_zone, m.fallback_for
    FROM messages m
    LEFT JOIN appointments a ON a.organization_id = m.organization_id AND a.id = m.appointment_id
    LEFT JOIN offers o ON o.organization_id = m.organization_id AND o.id = m.subject_id AND m.subject_kind = 'offer'
    WHERE m.organization_id = $1
        AND m.rule_id = $2
        AND m.id > $3
        AND m.status = 'scheduled'
        AND m.wake_at_us IS NOT NULL
        AND m.trigger <> 'reply'
    ORDER BY m.id
    LIMIT $4
"#;
// A message that failed has been tried, and its fallback has a row of its own.
const SELECT_LEFT: &str = r#"
    SELECT rule_id, trigger, channel, subject_version
    FROM messages
    WHERE organization_id = $1
        AND subject_kind = 'appointment'
        AND subject_id = $2
        AND starts_at_us = $3
        AND status NOT IN ('scheduled', 'suppressed')
        AND trigger <> 'reply'
"#;
const MOVE_MESSAGE: &str = r#"
    UPDATE messages
    SET due_at_us = $3, wake_at_us = $3, fence = fence + 1, updated_at_us = $4
    WHERE organization_id = $1 AND id = $2 AND status = 'scheduled'
"#;
const SUPPRESS_MESSAGE: &str = r#"
    UPDATE messages
    SET status = 'suppressed', reason = $3, wake_at_us = NULL, fence = fence + 1, updated_at_us = $4
    WHERE organization_id = $1 AND id = $2 AND status = 'scheduled'
"#;

/// Every statement of this file whose text is fixed, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 9] = [
    INSERT_FALLBACK,
    SUPPRESS_PENDING,
    SUPPRESS_OFFER,
    REVIVE_SUPERSEDED,
    COUNT_UNSENT_BOOKED,
    SELECT_PENDING_OF_RULE,
    SELECT_LEFT,
    MOVE_MESSAGE,
    SUPPRESS_MESSAGE,
];

/// A message to insert.
#[derive(Debug, Clone)]
pub(crate) struct NewMessageRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) subject_kind: &'static str,
    pub(crate) subject_id: Uuid,
    pub(crate) subject_version: i64,
    /// The appointment through which the patient is reached; `None` for an offer.
    pub(crate) appointment_id: Option<Uuid>,
    pub(crate) patient_id: Uuid,
    pub(crate) rule_id: Uuid,
    pub(crate) trigger: &'static str,
    pub(crate) channel: &'static str,
    pub(crate) base_at_us: i64,
    pub(crate) due_at_us: i64,
    pub(crate) starts_at_us: i64,
    pub(crate) location_id: Uuid,
    pub(crate) time_zone: String,
    pub(crate) changed: String,
}

/// A planned message of a rule, and the service of its appointment or offer.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct PendingRow {
    pub(crate) id: Uuid,
    pub(crate) trigger: String,
    pub(crate) channel: String,
    pub(crate) base_at_us: i64,
    pub(crate) due_at_us: i64,
    pub(crate) service_id: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) time_zone: String,
    pub(crate) fallback_for: Option<Uuid>,
}

/// A message of a rule that has left.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct LeftRow {
    pub(crate) rule_id: Uuid,
    pub(crate) trigger: String,
    pub(crate) channel: String,
    pub(crate) subject_version: i64,
}

/// Superseded messages about an arrangement that holds again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Superseded {
    pub(crate) organization: Uuid,
    pub(crate) appointment: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) location: Uuid,
    /// Messages that were due by this instant; later ones are planned anew.
    pub(crate) due_until_us: i64,
    pub(crate) due_at_us: i64,
    /// Whether messages about the booking are revived too.
    pub(crate) with_booked: bool,
}

/// Inserts planned messages; answers how many are new or planned again.
pub(crate) async fn insert_messages(tx: &mut Tx, rows: &[NewMessageRow], now_us: i64) -> Result<u64, Failure> {
    statement!(tx, "reminder.insert_messages", |conn: Engine| {
        let mut query = QueryBuilder::<Engine>::new(INSERT_MESSAGES);
        query.push_values(rows, |mut values, row| {
            values.push_bind(row.organization_id).push_bind(row.id).push_bind(row.subject_kind);
            values.push_bind(row.subject_id).push_bind(row.subject_version).push_bind(row.appointment_id);
            values.push_bind(row.patient_id).push_bind(row.rule_id).push_bind(row.trigger);
            values.push_bind(row.channel).push("'scheduled', ''").push_bind(row.base_at_us);
            values.push_bind(row.due_at_us).push_bind(row.due_at_us).push_bind(row.starts_at_us);
            values.push_bind(row.location_id).push_bind(&row.time_zone).push_bind(now_us).push_bind(now_us);
            values.push_bind(&row.changed);
        });
        query.push(PLAN_AGAIN);
        query.build().persistent(sql::is_kept(rows.len())).execute(conn).await.map(|done| done.rows_affected())
    })
}

/// Plans the fallback of a message on another channel, due now.
pub(crate) async fn insert_fallback(
    tx: &mut Tx,
    (organization, message): (Uuid, Uuid),
    fallback: Uuid,
    channel: &str,
    now_us: i64,
) -> Result<(), Failure> {
    statement!(tx, "reminder.insert_fallback", |conn| query(INSERT_FALLBACK)
        .bind(organization)
        .bind(message)
        .bind(fallback)
        .bind(channel)
        .bind(now_us)
        .execute(conn)
        .await
        .map(drop))
}

/// Suppresses the scheduled messages that reach their patient through an appointment.
pub(crate) async fn suppress_pending(
    tx: &mut Tx,
    organization: Uuid,
    appointment: Uuid,
    reason: &str,
    now_us: i64,
) -> Result<(), Failure> {
    statement!(tx, "reminder.suppress_pending", |conn| query(SUPPRESS_PENDING)
        .bind(organization)
        .bind(appointment)
        .bind(reason)
        .bind(now_us)
        .execute(conn)
        .await
        .map(drop))
}

/// Suppresses the scheduled messages of an offer.
pub(crate) async fn suppress_offer(
    tx: &mut Tx,
    organization: Uuid,
    offer: Uuid,
    reason: &str,
    now_us: i64,
) -> Result<(), Failure> {
    statement!(tx, "reminder.suppress_offer", |conn| query(SUPPRESS_OFFER)
        .bind(organization)
        .bind(offer)
        .bind(reason)
        .bind(now_us)
        .execute(conn)
        .await
        .map(drop))
}

/// Schedules superseded messages again; answers how many.
pub(crate) async fn revive_superseded(tx: &mut Tx, superseded: Superseded, now_us: i64) -> Result<u64, Failure> {
    statement!(tx, "reminder.revive_superseded", |conn| query(REVIVE_SUPERSEDED)
        .bind(superseded.organization)
        .bind(superseded.appointment)
        .bind(superseded.starts_at_us)
        .bind(superseded.location)
        .bind(superseded.due_until_us)
        .bind(superseded.due_at_us)
        .bind(now_us)
        .bind(superseded.with_booked)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))
}

/// The number of messages about an appointment's booking that have not left.
pub(crate) async fn count_unsent_booked(tx: &mut Tx, organization: Uuid, appointment: Uuid) -> Result<i64, Failure> {
    statement!(tx, "reminder.count_unsent_booked", |conn| query_scalar(COUNT_UNSENT_BOOKED)
        .bind(organization)
        .bind(appointment)
        .fetch_one(conn)
        .await)
}

/// The messages about a start of an appointment that have left.
pub(crate) async fn select_left(
    tx: &mut Tx,
    organization: Uuid,
    appointment: Uuid,
    starts_at_us: i64,
) -> Result<Vec<LeftRow>, Failure> {
    statement!(tx, "reminder.left_messages", |conn| query_as(SELECT_LEFT)
        .bind(organization)
        .bind(appointment)
        .bind(starts_at_us)
        .fetch_all(conn)
        .await)
}

/// The scheduled messages of a rule after an id, in the order of their ids.
pub(crate) async fn select_pending_of_rule(
    tx: &mut Tx,
    organization: Uuid,
    rule: Uuid,
    after: Uuid,
    limit: i64,
) -> Result<Vec<PendingRow>, Failure> {
    statement!(tx, "reminder.pending_of_rule", |conn| query_as(SELECT_PENDING_OF_RULE)
        .bind(organization)
        .bind(rule)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await)
}

/// Moves a scheduled message to another due time.
pub(crate) async fn move_message(
    tx: &mut Tx,
    organization: Uuid,
    id: Uuid,
    due_at_us: i64,
    now_us: i64,
) -> Result<(), Failure> {
    statement!(tx, "reminder.move_message", |conn| query(MOVE_MESSAGE)
        .bind(organization)
        .bind(id)
        .bind(due_at_us)
        .bind(now_us)
        .execute(conn)
        .await
        .map(drop))
}

/// Suppresses a scheduled message.
pub(crate) async fn suppress_message(
    tx: &mut Tx,
    organization: Uuid,
    id: Uuid,
    reason: &str,
    now_us: i64,
) -> Result<(), Failure> {
    statement!(tx, "reminder.suppress_message", |conn| query(SUPPRESS_MESSAGE)
        .bind(organization)
        .bind(id)
        .bind(reason)
        .bind(now_us)
        .execute(conn)
        .await
        .map(drop))
}
