//! The time zones that locations have been given.

use sql::Failure;
use sqlx::{query, query_as};
use uuid::Uuid;

use super::Store;

/// The time zone by which bookings at a location must be checked.
#[derive(Debug, Clone, sql::FromRow)]
pub(crate) struct ZoneRow {
    pub(crate) organization_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) time_zone: String,
    pub(crate) changed_at_us: i64,
}

const SELECT_CHANGES: &str = r#"
    SELECT organization_id, location_id, time_zone, changed_at_us
    FROM location_zones
    WHERE organization_id = $1
"#;
const SELECT_PENDING: &str = r#"
    SELECT organization_id, location_id, time_zone, changed_at_us
    FROM location_zones
    WHERE NOT settled AND changed_at_us <= $1
    ORDER BY changed_at_us
    LIMIT $2
"#;
const MARK_SETTLED: &str = r#"
    UPDATE location_zones
    SET settled = true
    WHERE organization_id = $1 AND location_id = $2 AND changed_at_us = $3
"#;
const DELETE_SETTLED: &str = "DELETE FROM location_zones WHERE settled AND changed_at_us < $1";

/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SELECT_CHANGES, SELECT_PENDING, MARK_SETTLED, DELETE_SETTLED];

impl Store {
    /// The recent changes of an organisation's locations.
    pub(crate) async fn zone_changes(&self, organization: Uuid) -> Result<Vec<ZoneRow>, Failure> {
        service::read!(self.database.of(organization), "booking.zone_changes", |pool| {
            query_as(SELECT_CHANGES).bind(organization).fetch_all(pool).await
        })
    }

    /// Changes of all organisations by an instant, of which the directory is not known to have the zone.
    pub(crate) async fn pending_zone_changes(&self, before_us: i64, limit: i64) -> Result<Vec<ZoneRow>, Failure> {
        service::read!(self.database.across(), "booking.pending_zone_changes", |pool| {
            query_as(SELECT_PENDING).bind(before_us).bind(limit).fetch_all(pool).await
        })
    }

    /// Marks that the directory has the zone, unless it has changed again since.
    pub(crate) async fn mark_zone_settled(&self, zone: &ZoneRow) -> Result<(), Failure> {
        service::write!(self.database.of(zone.organization_id), "booking.mark_zone_settled", |pool| {
            query(MARK_SETTLED)
                .bind(zone.organization_id)
                .bind(zone.location_id)
                .bind(zone.changed_at_us)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    /// Deletes settled changes from before an instant.
    pub(crate) async fn delete_settled_zones(&self, before_us: i64) -> Result<(), Failure> {
        service::write!(self.database.across(), "booking.delete_settled_zones", |pool| {
            query(DELETE_SETTLED).bind(before_us).execute(pool).await.map(drop)
        })
    }
}
