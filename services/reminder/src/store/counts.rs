// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// What is counted, for the report and for who watches the service.

use sql::Failure;
use sqlx::query_as;
use uuid::Uuid;

use super::{super::rows::SeenRow, Store};

// The page is cut before the messages are joined, so that each look costs no more than its visits.
const SEEN: &str = "WITH page AS (SELECT id, status, service_id, practitioner_id, location_id, starts_at_us, time_zone, \
     confirmed_at_us FROM appointments WHERE organization_id = $1 AND (starts_at_us, id) > ($2, $3) \
     AND starts_at_us < $4 ORDER BY starts_at_us, id LIMIT $5) \
     SELECT p.id, p.status, p.service_id, p.practitioner_id, p.location_id, p.starts_at_us, p.time_zone, \
     p.confirmed_at_us, EXISTS (SELECT 1 FROM inbound i WHERE i.organization_id = $1 AND i.appointment_id = p.id) \
     AS replied, count(*) FILTER (WHERE m.trigger = 'before_start' AND m.status IN ('sent', 'delivered') \
     AND m.starts_at_us = p.starts_at_us AND m.location_id = p.location_id) AS reminded, \
     count(m.sent_at_us) AS sent, count(*) FILTER (WHERE m.status = 'delivered') AS delivered, \
     count(*) FILTER (WHERE m.status IN ('failed', 'undelivered')) AS failed, \
     count(*) FILTER (WHERE m.status = 'unknown') AS unknown, \
     count(*) FILTER (WHERE m.status = 'suppressed') AS suppressed, \
     coalesce(sum(m.segments) FILTER (WHERE m.sent_at_us IS NOT NULL), 0) AS segments \
     FROM page p LEFT JOIN messages m ON m.organization_id = $1 AND m.appointment_id = p.id \
     GROUP BY p.id, p.status, p.service_id, p.practitioner_id, p.location_id, p.starts_at_us, p.time_zone, \
     p.confirmed_at_us ORDER BY p.starts_at_us, p.id";
const UNREAD_ANYWHERE: &str =
    "SELECT count(*), min(received_at_us) FROM inbound WHERE attention <> '' AND read_at_us IS NULL";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 2] = [SEEN, UNREAD_ANYWHERE];

impl Store {
    pub(crate) async fn seen(
        &self,
        organization: Uuid,
        after: (i64, Uuid),
        until_us: i64,
        limit: i64,
    ) -> Result<Vec<SeenRow>, Failure> {
        let query = query_as(SEEN).bind(organization).bind(after.0).bind(after.1).bind(until_us).bind(limit);
        Ok(query.fetch_all(self.reader()).await?)
    }

    pub(crate) async fn unread_anywhere(&self) -> Result<(i64, Option<i64>), Failure> {
        Ok(query_as(UNREAD_ANYWHERE).fetch_one(self.reader()).await?)
    }
}
