//! Appointments that are in no snapshot of booking any more: a restore has taken them away.

use service::{read, statement, store::Tx};
use sql::Failure;
use sqlx::{query, query_as};
use uuid::Uuid;

use super::Store;

/// A snapshot touches every appointment in it, so the others were seen before it began. `seen_at_us = 0` marks them; with
/// this status nothing is planned for them, and a later snapshot that has them again is news.
const MARK_ABSENT: &str = r#"
    UPDATE appointments
    SET status = 'entered-in-error', seen_at_us = 0
    WHERE status IN ('pending', 'booked') AND starts_at_us > $1 AND seen_at_us < $2
    RETURNING organization_id, id
"#;
const SUPPRESS_ABSENT: &str = r#"
    UPDATE messages
    SET status = 'suppressed', reason = 'gone', wake_at_us = NULL, fence = fence + 1, updated_at_us = $1
    WHERE status = 'scheduled'
        AND wake_at_us IS NOT NULL
        AND trigger <> 'reply'
        AND EXISTS (
            SELECT 1
            FROM appointments a
            WHERE a.organization_id = messages.organization_id AND a.id = messages.appointment_id AND a.seen_at_us = 0
        )
"#;
/// Messages that came due while booking did not have their appointment, which the snapshot has as it was.
const REVIVE_GONE: &str = r#"
    UPDATE messages
    SET status = 'scheduled', reason = '', wake_at_us = $1, tries = 0, fence = fence + 1, updated_at_us = $1
    WHERE status = 'suppressed'
        AND reason = 'gone'
        AND subject_kind = 'appointment'
        AND starts_at_us > $1
        AND EXISTS (
            SELECT 1
            FROM appointments a
            WHERE a.organization_id = messages.organization_id
                AND a.id = messages.appointment_id
                AND a.status IN ('pending', 'booked')
                AND a.seen_at_us >= $2
                AND a.visit_version = messages.subject_version
        )
"#;
const SELECT_ABSENT: &str = r#"
    SELECT organization_id, id, starts_at_us
    FROM appointments
    WHERE seen_at_us = 0 AND starts_at_us > $1
    ORDER BY starts_at_us, id
    LIMIT $2
"#;

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [MARK_ABSENT, SUPPRESS_ABSENT, REVIVE_GONE, SELECT_ABSENT];

/// An appointment that booking has no more.
#[derive(Debug, Clone, PartialEq, Eq, sql::FromRow)]
pub(crate) struct AbsentRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) starts_at_us: i64,
}

impl Store {
    /// Upcoming appointments that booking has no more, the earliest first.
    pub(crate) async fn absent(&self, now_us: i64, limit: i64) -> Result<Vec<AbsentRow>, Failure> {
        read!(self.across(), "reminder.absent", |pool| query_as(SELECT_ABSENT)
            .bind(now_us)
            .bind(limit)
            .fetch_all(pool)
            .await)
    }
}

/// Marks the upcoming appointments that a snapshot which began at `began_us` did not have, and takes back their messages.
/// Messages that missed an appointment which the snapshot has are scheduled again. Answers organisation and id of the
/// appointments.
pub(crate) async fn settle_absent(tx: &mut Tx, began_us: i64, now_us: i64) -> Result<Vec<(Uuid, Uuid)>, Failure> {
    let absent = statement!(tx, "reminder.mark_absent", |conn| query_as(MARK_ABSENT)
        .bind(now_us)
        .bind(began_us)
        .fetch_all(conn)
        .await)?;
    statement!(tx, "reminder.suppress_absent", |conn| query(SUPPRESS_ABSENT)
        .bind(now_us)
        .execute(conn)
        .await
        .map(drop))?;
    statement!(tx, "reminder.revive_gone", |conn| query(REVIVE_GONE)
        .bind(now_us)
        .bind(began_us)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(absent)
}
