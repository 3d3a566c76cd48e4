//! Whether a location has been given another time zone since a proposal was made.

use domain::slot::Slot;
use rpc::Fault;
use service::db_error;
use uuid::Uuid;

use crate::Inner;

/// Whether the location of any of these slots has changed its time zone since the proposal, whose id is a version 7
/// UUID, was made. Its slots were chosen by hours of the day that are others now.
pub(crate) async fn changed_since(
    inner: &Inner,
    organization: Uuid,
    proposal: Uuid,
    slot_ids: impl Iterator<Item = &str>,
) -> Result<bool, Fault> {
    let zones = inner.store.zone_changes(organization).await.map_err(db_error::fault)?;
    if zones.is_empty() {
        return Ok(false);
    }
    let proposed_at_us = proposal.get_timestamp().map_or(0, |at| {
        let (seconds, nanos) = at.to_unix();
        i64::try_from(seconds).unwrap_or(i64::MAX / 2_000_000) * 1_000_000 + i64::from(nanos / 1000)
    });
    let locations: Vec<Uuid> = slot_ids.filter_map(|slot| Some(slot.parse::<Slot>().ok()?.location.uuid())).collect();
    Ok(zones.iter().any(|zone| zone.changed_at_us >= proposed_at_us && locations.contains(&zone.location_id)))
}
