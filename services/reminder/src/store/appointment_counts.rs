//! Appointments with the counts of their messages, for the report on reminders.

use service::read;
use sql::Failure;
use sql::FromRow;
use sqlx::query_as;
use uuid::Uuid;

use super::Store;

// The page is cut before its messages are joined, so that a page costs no more than its appointments.
const SELECT_COUNTS: &str = r#"
    WITH page AS (
        SELECT id, status, service_id, practitioner_id, location_id, starts_at_us, time_zone, confirmed_at_us
        FROM appointments
        WHERE organization_id = $1 AND (starts_at_us, id) > ($2, $3) AND starts_at_us < $4
        ORDER BY starts_at_us, id
        LIMIT $5
    )
    SELECT p.id, p.status, p.service_id, p.practitioner_id, p.location_id, p.starts_at_us, p.time_zone,
        p.confirmed_at_us,
        EXISTS (SELECT 1 FROM inbound i WHERE i.organization_id = $1 AND i.appointment_id = p.id) AS replied,
        count(*) FILTER (
            WHERE m.trigger = 'before_start'
                AND m.status IN ('sent', 'delivered')
                AND m.starts_at_us = p.starts_at_us
                AND m.location_id = p.location_id
        ) AS reminded,
        count(m.sent_at_us) AS sent,
        count(*) FILTER (WHERE m.status = 'delivered') AS delivered,
        count(*) FILTER (WHERE m.status IN ('failed', 'undelivered')) AS failed,
        count(*) FILTER (WHERE m.status = 'unknown') AS unknown,
        count(*) FILTER (WHERE m.status = 'suppressed') AS suppressed,
        coalesce(sum(m.segments) FILTER (WHERE m.sent_at_us IS NOT NULL), 0) AS segments
    FROM page p
    LEFT JOIN messages m ON m.organization_id = $1 AND m.appointment_id = p.id
    GROUP BY p.id, p.status, p.service_id, p.practitioner_id, p.location_id, p.starts_at_us, p.time_zone,
        p.confirmed_at_us
    ORDER BY p.starts_at_us, p.id
"#;

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [SELECT_COUNTS];

/// An appointment with the counts of its messages.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct AppointmentCountsRow {
    pub(crate) id: Uuid,
    pub(crate) status: String,
    pub(crate) service_id: Uuid,
    pub(crate) practitioner_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) time_zone: String,
    pub(crate) confirmed_at_us: Option<i64>,
    /// Whether the patient wrote about it.
    pub(crate) replied: bool,
    /// Reminders of its present time and location that have left.
    pub(crate) reminded: i64,
    pub(crate) sent: i64,
    pub(crate) delivered: i64,
    pub(crate) failed: i64,
    pub(crate) unknown: i64,
    pub(crate) suppressed: i64,
    pub(crate) segments: i64,
}

impl Store {
    /// Appointments after a start and id and before `until_us`, the earliest first.
    pub(crate) async fn appointment_counts(
        &self,
        organization: Uuid,
        after: (i64, Uuid),
        until_us: i64,
        limit: i64,
    ) -> Result<Vec<AppointmentCountsRow>, Failure> {
        read!(self.database.of(organization), "reminder.appointment_counts", |pool| query_as(SELECT_COUNTS)
            .bind(organization)
            .bind(after.0)
            .bind(after.1)
            .bind(until_us)
            .bind(limit)
            .fetch_all(pool)
            .await)
    }
}
