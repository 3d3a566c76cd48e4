//! The generations of calendar links.

use sql::Failure;
use sqlx::{query, query_scalar};
use uuid::Uuid;

use super::Store;

/// A revoked calendar gets the next generation, so that its old links stay revoked.
const OPEN_CALENDAR: &str = r#"
    INSERT INTO calendars (organization_id, kind, subject, generation, live)
    VALUES ($1, $2, $3, 1, true)
    ON CONFLICT (organization_id, kind, subject) DO UPDATE
    SET live = true,
        generation = calendars.generation + CASE WHEN calendars.live THEN 0 ELSE 1 END
    RETURNING generation
"#;
const CLOSE_CALENDAR: &str = r#"
    UPDATE calendars
    SET live = false
    WHERE organization_id = $1 AND kind = $2 AND subject = $3 AND live
"#;
const SELECT_LIVE_GENERATION: &str = r#"
    SELECT generation
    FROM calendars
    WHERE organization_id = $1 AND kind = $2 AND subject = $3 AND live
"#;

/// The key of a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CalendarKey {
    pub(crate) organization: Uuid,
    /// 1 practitioner, 2 location, 3 patient.
    pub(crate) kind: i16,
    pub(crate) subject: Uuid,
}

impl Store {
    /// Makes a calendar live and returns its generation.
    pub(crate) async fn open_calendar(&self, key: CalendarKey) -> Result<i32, Failure> {
        service::write!(self.database.of(key.organization), "gateway.open_calendar", |pool| {
            query_scalar(OPEN_CALENDAR).bind(key.organization).bind(key.kind).bind(key.subject).fetch_one(pool).await
        })
    }

    /// Revokes a calendar; `false` when it is not live.
    pub(crate) async fn close_calendar(&self, key: CalendarKey) -> Result<bool, Failure> {
        service::write!(self.database.of(key.organization), "gateway.close_calendar", |pool| {
            query(CLOSE_CALENDAR)
                .bind(key.organization)
                .bind(key.kind)
                .bind(key.subject)
                .execute(pool)
                .await
                .map(|done| done.rows_affected() > 0)
        })
    }

    /// The generation of a live calendar.
    pub(crate) async fn live_generation(&self, key: CalendarKey) -> Result<Option<i32>, Failure> {
        service::read!(self.database.of(key.organization), "gateway.live_generation", |pool| {
            query_scalar(SELECT_LIVE_GENERATION)
                .bind(key.organization)
                .bind(key.kind)
                .bind(key.subject)
                .fetch_optional(pool)
                .await
        })
    }
}
