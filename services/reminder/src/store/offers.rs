//! Offers of free slots to patients on the waitlist, derived from booking's feed.

use service::{read, statement, store::Tx};
use sql::Failure;
use sql::FromRow;
use sqlx::{query, query_as};
use uuid::Uuid;

use super::Store;

const UPSERT_OFFER: &str = r#"
    INSERT INTO offers
        (organization_id, id, version, open, patient_id, service_id, practitioner_id, location_id, starts_at_us,
         ends_at_us, time_zone, seen_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (organization_id, id) DO UPDATE SET
        version = excluded.version,
        open = excluded.open,
        seen_at_us = excluded.seen_at_us
"#;
// The page is cut before its messages are joined, so that a page costs no more than its offers.
const SELECT_COUNTS: &str = r#"
    WITH page AS (
        SELECT id, service_id, practitioner_id, location_id, starts_at_us, time_zone
        FROM offers
        WHERE organization_id = $1 AND (starts_at_us, id) > ($2, $3) AND starts_at_us < $4
        ORDER BY starts_at_us, id
        LIMIT $5
    )
    SELECT p.id, p.service_id, p.practitioner_id, p.location_id, p.starts_at_us, p.time_zone,
        EXISTS (SELECT 1 FROM inbound i WHERE i.organization_id = $1 AND i.appointment_id = p.id) AS replied,
        count(m.sent_at_us) AS sent,
        count(*) FILTER (WHERE m.status = 'delivered') AS delivered,
        count(*) FILTER (WHERE m.status IN ('failed', 'undelivered')) AS failed,
        count(*) FILTER (WHERE m.status = 'unknown') AS unknown,
        count(*) FILTER (WHERE m.status = 'suppressed') AS suppressed,
        coalesce(sum(m.segments) FILTER (WHERE m.sent_at_us IS NOT NULL), 0) AS segments
    FROM page p
    LEFT JOIN messages m ON m.organization_id = $1 AND m.subject_id = p.id AND m.subject_kind = 'offer'
    GROUP BY p.id, p.service_id, p.practitioner_id, p.location_id, p.starts_at_us, p.time_zone
    ORDER BY p.starts_at_us, p.id
"#;

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [UPSERT_OFFER, SELECT_COUNTS];

/// An offer.
#[derive(Debug, Clone)]
pub(crate) struct OfferRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    /// Whether the patient can still accept it.
    pub(crate) open: bool,
    pub(crate) patient_id: Uuid,
    pub(crate) service_id: Uuid,
    pub(crate) practitioner_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) time_zone: String,
}

/// An offer with the counts of its messages.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct OfferCountsRow {
    pub(crate) id: Uuid,
    pub(crate) service_id: Uuid,
    pub(crate) practitioner_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) time_zone: String,
    /// Whether the patient wrote about it.
    pub(crate) replied: bool,
    pub(crate) sent: i64,
    pub(crate) delivered: i64,
    pub(crate) failed: i64,
    pub(crate) unknown: i64,
    pub(crate) suppressed: i64,
    pub(crate) segments: i64,
}

impl Store {
    /// Offers of slots after a start and id and before `until_us`, the earliest first.
    pub(crate) async fn offer_counts(
        &self,
        organization: Uuid,
        after: (i64, Uuid),
        until_us: i64,
        limit: i64,
    ) -> Result<Vec<OfferCountsRow>, Failure> {
        read!(self.database.of(organization), "reminder.offer_counts", |pool| query_as(SELECT_COUNTS)
            .bind(organization)
            .bind(after.0)
            .bind(after.1)
            .bind(until_us)
            .bind(limit)
            .fetch_all(pool)
            .await)
    }
}

/// Inserts an offer or replaces its version and state; its slot never changes.
pub(crate) async fn upsert_offer(tx: &mut Tx, offer: &OfferRow, now_us: i64) -> Result<(), Failure> {
    statement!(tx, "reminder.upsert_offer", |conn| query(UPSERT_OFFER)
        .bind(offer.organization_id)
        .bind(offer.id)
        .bind(offer.version)
        .bind(offer.open)
        .bind(offer.patient_id)
        .bind(offer.service_id)
        .bind(offer.practitioner_id)
        .bind(offer.location_id)
        .bind(offer.starts_at_us)
        .bind(offer.ends_at_us)
        .bind(&offer.time_zone)
        .bind(now_us)
        .execute(conn)
        .await
        .map(drop))
}
