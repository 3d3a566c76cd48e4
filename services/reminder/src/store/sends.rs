//! Messages on their way: due ones, leases, the claim before a send and the result after it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use service::{
    read, statement,
    store::{Scoped, Tx},
    write,
};
use sql::Failure;
use sql::FromRow;
use sqlx::{QueryBuilder, query, query_as};
use uuid::Uuid;

use super::{
    Store,
    appointments::Announcement,
    batch::{Key, push_not_in, with_given},
    blocked::Address,
    messages::MessageRow,
    postgres, sqlite,
};

const SELECT_NEXT_WAKE: &str = r#"
    SELECT
        (SELECT min(wake_at_us) FROM messages WHERE wake_at_us IS NOT NULL),
        (SELECT min(wake_at_us) FROM messages WHERE status = 'sending')
"#;
const POSTPONE_MESSAGE: &str = r#"
    UPDATE messages
    SET wake_at_us = $4
    WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status IN ('scheduled', 'unknown')
"#;
const CLAIM_MESSAGES: &str = r#"
    UPDATE messages
    SET status = 'sending', wake_at_us = g_lease, attempts = attempts + 1,
        repeated = repeated OR status = 'unknown', provider_rank = 0, provider = g_provider,
        recipient = g_recipient, subject = g_subject, body = g_body, updated_at_us = g_now, segments = g_segments,
        key_attempt = CASE WHEN g_key > 0 THEN g_key ELSE attempts + 1 END
    FROM given
    WHERE organization_id = g_organization
        AND id = g_id
        AND fence = g_fence
        AND status IN ('scheduled', 'unknown')
        AND (
            EXISTS (
                SELECT 1
                FROM appointments a
                WHERE a.organization_id = g_organization
                    AND a.id = messages.appointment_id
                    AND a.version <= g_verified
            )
            OR (
                subject_kind = 'offer'
                AND EXISTS (
                    SELECT 1
                    FROM offers o
                    WHERE o.organization_id = g_organization
                        AND o.id = messages.subject_id
                        AND o.version <= g_verified
                )
            )
        )
    RETURNING id, attempts
"#;
const RECORD_RESULTS: &str = r#"
    UPDATE messages
    SET status = g_status, reason = g_reason, wake_at_us = g_wake, tries = tries + g_try,
        sent_at_us = coalesce(g_sent, sent_at_us), provider_rank = g_rank, updated_at_us = g_now, held = g_held,
        next_provider = g_next
    FROM given
    WHERE organization_id = g_organization AND id = g_id AND fence = g_fence AND status IN ('sending', 'unknown')
    RETURNING id
"#;
const FINISH_MESSAGES: &str = r#"
    UPDATE messages
    SET status = g_status, reason = g_reason, wake_at_us = NULL, updated_at_us = g_now
    FROM given
    WHERE organization_id = g_organization AND id = g_id AND fence = g_fence AND status IN ('scheduled', 'unknown')
    RETURNING id
"#;
const SELECT_RULES_OF_MESSAGES: &str = r#"
    SELECT m.id, m.trigger, m.channel, r.body
    FROM given
    JOIN messages m ON m.organization_id = g_organization AND m.id = g_id
    JOIN rules r ON r.organization_id = m.organization_id AND r.id = m.rule_id
    WHERE r.archived_at_us IS NULL
"#;

/// Every statement of this file whose text is fixed, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [SELECT_NEXT_WAKE, POSTPONE_MESSAGE];

/// A send that is about to begin.
#[derive(Clone)]
pub(crate) struct NewSend {
    pub(crate) message: Arc<MessageRow>,
    /// The appointment's version that the message was verified against.
    pub(crate) verified_version: i64,
    /// `None` when the message announces no arrangement that holds.
    pub(crate) announcement: Option<Announcement>,
    pub(crate) provider: &'static str,
    /// The attempt whose name is the key; 0 for this one.
    pub(crate) key_attempt: i32,
    pub(crate) recipient: String,
    pub(crate) subject: String,
    pub(crate) body: String,
    /// Segments as carriers count them; 0 for e-mail.
    pub(crate) segments: i32,
    pub(crate) now_us: i64,
    pub(crate) lease_until_us: i64,
}

/// The result of an attempt.
#[derive(Clone)]
pub(crate) struct SendResult {
    pub(crate) message: Arc<MessageRow>,
    pub(crate) attempt: i32,
    pub(crate) status: &'static str,
    pub(crate) reason: &'static str,
    /// The instant of the next attempt.
    pub(crate) wake_at_us: Option<i64>,
    pub(crate) sent: bool,
    pub(crate) rank: i16,
    pub(crate) outcome: &'static str,
    pub(crate) provider_message_id: String,
    /// Parts of the text; 0 when the provider does not say.
    pub(crate) parts: i32,
    pub(crate) error_code: String,
    pub(crate) detail: &'static str,
    /// The address to block.
    pub(crate) block: Option<Address>,
    /// Whether the provider may hold the message although it did not accept it.
    pub(crate) held: bool,
    /// The provider of the next attempt; empty for the first of the channel.
    pub(crate) next_provider: &'static str,
    /// The id of the fallback, if one is planned.
    pub(crate) fallback_id: Uuid,
    pub(crate) now_us: i64,
}

impl SendResult {
    /// Whether the provider did not accept the message and it is tried again.
    pub(crate) fn is_busy(&self) -> bool {
        self.outcome == "failed" && self.wake_at_us.is_some()
    }
}

/// The end of a message that was not sent.
#[derive(Clone)]
pub(crate) struct Finish {
    pub(crate) message: Arc<MessageRow>,
    pub(crate) status: &'static str,
    pub(crate) reason: &'static str,
    /// The id of the fallback, if one is planned.
    pub(crate) fallback_id: Uuid,
    pub(crate) now_us: i64,
}

/// A message with its rule's body (JSON).
#[derive(Debug, Clone, FromRow)]
pub(crate) struct MessageRuleRow {
    pub(crate) id: Uuid,
    pub(crate) trigger: String,
    pub(crate) channel: String,
    pub(crate) body: String,
}

impl Store {
    /// The next instant at which a message is due, and at which the lease of a running send ends.
    pub(crate) async fn next_wake(&self) -> Result<(Option<i64>, Option<i64>), Failure> {
        read!(self.database.across(), "reminder.next_wake", |pool| query_as(SELECT_NEXT_WAKE).fetch_one(pool).await)
    }

    /// Organisation and id of due messages, the earliest appointment first; without `busy`, which this process works on.
    pub(crate) async fn due(&self, now_us: i64, limit: i64, busy: &[Uuid]) -> Result<Vec<Key>, Failure> {
        read!(self.database.across(), "reminder.due", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(
                "SELECT organization_id, id FROM messages \
                 WHERE status IN ('scheduled', 'unknown') AND wake_at_us <= ",
            );
            query.push_bind(now_us);
            push_not_in(&mut query, "id", busy);
            query.push(" ORDER BY starts_at_us, id LIMIT ").push_bind(limit);
            // Planned for this instant: a generic plan assumes that a third of the table is due and reads it whole.
            query.build_query_as().persistent(false).fetch_all(pool).await
        })
    }

    /// Leases those of these messages that are still due, in no order.
    pub(crate) async fn lease(&self, now_us: i64, until_us: i64, keys: &[Key]) -> Result<Vec<MessageRow>, Failure> {
        match self.database.across() {
            Scoped::Sqlite(pools) => sqlite::lease(&pools.writer, now_us, until_us, keys).await,
            Scoped::Postgres(pool) => postgres::lease(pool, now_us, until_us, keys).await,
        }
    }

    /// Marks the sends of dead processes as unknown, to be looked at again at `wake_at_us` unless they were repeated.
    /// Answers trigger and channel of each.
    pub(crate) async fn expire_sends(
        &self,
        now_us: i64,
        wake_at_us: i64,
        busy: &[Uuid],
    ) -> Result<Vec<(String, String)>, Failure> {
        write!(self.database.across(), "reminder.expire_sends", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(
                "UPDATE messages SET status = 'unknown', reason = 'no_answer', \
                 wake_at_us = CASE WHEN repeated THEN NULL ELSE ",
            );
            query.push_bind(wake_at_us).push(" END, updated_at_us = ").push_bind(now_us);
            query.push(" WHERE status = 'sending' AND wake_at_us <= ").push_bind(now_us);
            push_not_in(&mut query, "id", busy);
            query.push(" RETURNING trigger, channel");
            query.build_query_as().persistent(sql::is_kept(busy.len())).fetch_all(pool).await
        })
    }

    /// Postpones a leased message, or gives it back; `false` when the lease is lost.
    pub(crate) async fn postpone(&self, message: &MessageRow, wake_at_us: i64) -> Result<bool, Failure> {
        let postponed =
            write!(self.database.of(message.organization_id), "reminder.postpone", |pool| query(POSTPONE_MESSAGE)
                .bind(message.organization_id)
                .bind(message.id)
                .bind(message.fence)
                .bind(wake_at_us)
                .execute(pool)
                .await
                .map(|done| done.rows_affected()))?;
        Ok(postponed == 1)
    }
}

/// Marks messages as sending when their lease holds and no newer version of their appointment or offer is known. Answers the
/// number of each attempt by message.
pub(crate) async fn claim_messages(tx: &mut Tx, sends: &[NewSend]) -> Result<HashMap<Uuid, i32>, Failure> {
    if sends.is_empty() {
        return Ok(HashMap::new());
    }
    let columns = [
        "organization",
        "id",
        "fence",
        "verified",
        "lease",
        "provider",
        "recipient",
        "subject",
        "body",
        "now",
        "segments",
        "key",
    ];
    let claimed: Vec<(Uuid, i32)> = statement!(tx, "reminder.claim_messages", |conn: Engine| {
        let mut query = with_given::<Engine, _>(&columns, sends, |mut row, send| {
            let message = &send.message;
            row.push_bind(message.organization_id).push_bind(message.id).push_bind(message.fence);
            row.push_bind(send.verified_version).push_bind(send.lease_until_us).push_bind(send.provider);
            row.push_bind(&send.recipient).push_bind(&send.subject).push_bind(&send.body).push_bind(send.now_us);
            row.push_bind(send.segments).push_bind(send.key_attempt);
        });
        query.push(CLAIM_MESSAGES);
        query.build_query_as().persistent(sql::is_kept(sends.len())).fetch_all(conn).await
    })?;
    Ok(claimed.into_iter().collect())
}

/// Records results on their messages when no newer result or plan is known. Answers the messages that changed.
pub(crate) async fn record_results(tx: &mut Tx, results: &[SendResult]) -> Result<HashSet<Uuid>, Failure> {
    let columns =
        ["organization", "id", "fence", "status", "reason", "wake", "try", "sent", "rank", "now", "held", "next"];
    let recorded: Vec<Uuid> = statement!(tx, "reminder.record_results", |conn: Engine| {
        let mut query = with_given::<Engine, _>(&columns, results, |mut row, result| {
            let message = &result.message;
            row.push_bind(message.organization_id).push_bind(message.id).push_bind(message.fence);
            row.push_bind(result.status).push_bind(result.reason).push_bind(result.wake_at_us);
            row.push_bind(i32::from(result.is_busy())).push_bind(result.sent.then_some(result.now_us));
            row.push_bind(result.rank).push_bind(result.now_us).push_bind(result.held);
            row.push_bind(result.next_provider);
        });
        query.push(RECORD_RESULTS);
        query.build_query_scalar().persistent(sql::is_kept(results.len())).fetch_all(conn).await
    })?;
    Ok(recorded.into_iter().collect())
}

/// Ends leased messages without a send. Answers those whose lease held.
pub(crate) async fn finish_messages(tx: &mut Tx, finishes: &[Finish]) -> Result<HashSet<Uuid>, Failure> {
    let columns = ["organization", "id", "fence", "status", "reason", "now"];
    let finished: Vec<Uuid> = statement!(tx, "reminder.finish_messages", |conn: Engine| {
        let mut query = with_given::<Engine, _>(&columns, finishes, |mut row, finish| {
            let message = &finish.message;
            row.push_bind(message.organization_id).push_bind(message.id).push_bind(message.fence);
            row.push_bind(finish.status).push_bind(finish.reason).push_bind(finish.now_us);
        });
        query.push(FINISH_MESSAGES);
        query.build_query_scalar().persistent(sql::is_kept(finishes.len())).fetch_all(conn).await
    })?;
    Ok(finished.into_iter().collect())
}

/// Messages with their rules, without archived ones.
pub(crate) async fn select_rules_of_messages(tx: &mut Tx, keys: &[Key]) -> Result<Vec<MessageRuleRow>, Failure> {
    statement!(tx, "reminder.rules_of_messages", |conn: Engine| {
        let mut query = with_given::<Engine, _>(&["organization", "id"], keys, |mut row, key| {
            row.push_bind(key.0).push_bind(key.1);
        });
        query.push(SELECT_RULES_OF_MESSAGES);
        query.build_query_as().persistent(sql::is_kept(keys.len())).fetch_all(conn).await
    })
}

/// Locks messages and their appointments or offers without waiting; answers those that were free.
pub(crate) async fn lock_free(tx: &mut Tx, sends: &[NewSend]) -> Result<HashSet<Uuid>, Failure> {
    match tx {
        // SQLite's one writer holds every row.
        Tx::Sqlite(_) => Ok(sends.iter().map(|send| send.message.id).collect()),
        Tx::Postgres(tx) => postgres::lock_free(tx, sends).await,
    }
}

/// Locks the appointment or offer of a message and waits for it; the message itself is locked later, as everywhere.
pub(crate) async fn lock_subject_of(tx: &mut Tx, message: &MessageRow) -> Result<(), Failure> {
    match tx {
        Tx::Sqlite(_) => Ok(()),
        Tx::Postgres(tx) => postgres::lock_subject_of(tx, message).await,
    }
}
