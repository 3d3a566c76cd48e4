//! The time zones of locations on SQLite: what a batch was checked by, and a change of one.

use sqlx::SqliteConnection;

use crate::store::batch::{Batch, Refusal};

/// Refuses a batch that was checked by another zone than its location is to have; notes the zone that one is given.
pub(super) async fn check(tx: &mut SqliteConnection, batch: &Batch) -> Result<(), Refusal> {
    let other =
        "SELECT count(*) FROM location_zones WHERE organization_id = $1 AND location_id = $2 AND time_zone <> $3";
    for zone in &batch.zones {
        let query = sqlx::query_scalar(other).bind(batch.organization_id).bind(zone.location_id).bind(&zone.time_zone);
        let count: i64 = query.fetch_one(&mut *tx).await?;
        if count > 0 {
            return Err(Refusal::Zone);
        }
    }
    let Some(zone) = &batch.set_zone else { return Ok(()) };
    let note = "INSERT INTO location_zones (organization_id, location_id, time_zone, changed_at_us, settled) \
         VALUES ($1, $2, $3, $4, false) ON CONFLICT (organization_id, location_id) DO UPDATE SET \
         time_zone = excluded.time_zone, changed_at_us = excluded.changed_at_us, settled = false";
    let query = sqlx::query(note).bind(batch.organization_id).bind(zone.location_id).bind(&zone.time_zone);
    query.bind(batch.now_us).execute(&mut *tx).await?;
    // What a hold keeps there is to be ended first.
    let held = "SELECT count(*) FROM claims WHERE organization_id = $1 AND location_id = $2 AND expires_at_us > $3";
    let query = sqlx::query_scalar(held).bind(batch.organization_id).bind(zone.location_id).bind(batch.now_us);
    let count: i64 = query.fetch_one(&mut *tx).await?;
    if count > 0 { Err(Refusal::Stale) } else { Ok(()) }
}

/// Refuses a change of a zone that leaves out a visit which was booked since they were read.
pub(super) async fn all_have_it(tx: &mut SqliteConnection, batch: &Batch) -> Result<(), Refusal> {
    let Some(zone) = &batch.set_zone else { return Ok(()) };
    let left = "SELECT count(*) FROM appointments WHERE organization_id = $1 AND location_id = $2 AND starts_at_us > $3 \
         AND time_zone <> $4 AND status IN ('pending', 'booked', 'arrived', 'checked-in', 'fulfilled')";
    let query = sqlx::query_scalar(left).bind(batch.organization_id).bind(zone.location_id).bind(batch.now_us);
    let count: i64 = query.bind(&zone.time_zone).fetch_one(tx).await?;
    if count > 0 { Err(Refusal::Stale) } else { Ok(()) }
}
