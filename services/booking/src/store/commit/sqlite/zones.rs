//! The time zones of locations: those by which a batch was checked, and the change of one.

use sqlx::{SqliteConnection, query, query_scalar};

use crate::store::batch::{Batch, CommitError};

const COUNT_OTHER_ZONE: &str = r#"
    SELECT count(*)
    FROM location_zones
    WHERE organization_id = $1 AND location_id = $2 AND time_zone <> $3
"#;
const UPSERT: &str = r#"
    INSERT INTO location_zones (organization_id, location_id, time_zone, changed_at_us, settled)
    VALUES ($1, $2, $3, $4, false)
    ON CONFLICT (organization_id, location_id) DO UPDATE
    SET time_zone = excluded.time_zone, changed_at_us = excluded.changed_at_us, settled = false
"#;
const COUNT_HELD: &str = r#"
    SELECT count(*)
    FROM claims
    WHERE organization_id = $1 AND location_id = $2 AND expires_at_us > $3
"#;
const COUNT_NOT_MOVED: &str = r#"
    SELECT count(*)
    FROM appointments
    WHERE organization_id = $1 AND location_id = $2 AND starts_at_us > $3 AND time_zone <> $4
      AND status IN ('pending', 'booked', 'arrived', 'checked-in', 'fulfilled')
"#;

/// Refuses a batch that was checked by another zone than its location has been given; records the zone that the batch
/// gives.
pub(super) async fn check(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    for zone in &batch.zones {
        let count = query_scalar(COUNT_OTHER_ZONE).bind(batch.organization_id).bind(zone.location_id);
        let count: i64 = count.bind(&zone.time_zone).fetch_one(&mut *conn).await?;
        if count > 0 {
            return Err(CommitError::ZoneChanged);
        }
    }
    let Some(zone) = &batch.set_zone else { return Ok(()) };
    let upsert = query(UPSERT).bind(batch.organization_id).bind(zone.location_id).bind(&zone.time_zone);
    upsert.bind(batch.now_us).execute(&mut *conn).await?;
    // Holds at the location must end first.
    let count = query_scalar(COUNT_HELD).bind(batch.organization_id).bind(zone.location_id).bind(batch.now_us);
    let count: i64 = count.fetch_one(&mut *conn).await?;
    if count > 0 { Err(CommitError::VersionMismatch) } else { Ok(()) }
}

/// Refuses a change of a zone that leaves out an appointment which was booked since the others were read.
pub(super) async fn require_all_moved(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    let Some(zone) = &batch.set_zone else { return Ok(()) };
    let count = query_scalar(COUNT_NOT_MOVED).bind(batch.organization_id).bind(zone.location_id);
    let count: i64 = count.bind(batch.now_us).bind(&zone.time_zone).fetch_one(conn).await?;
    if count > 0 { Err(CommitError::VersionMismatch) } else { Ok(()) }
}
