//! What is left to do after a location's appointments were given its new time zone: the directory has it too, and offers that
//! were made by the old one end.

use std::{sync::Arc, time::Duration};

use domain::id::{LocationId, OrganizationId};
use jiff::SignedDuration;
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::availability::{EntryKind, GetEntryRequest, UpdateEntryRequest, entry_body::Body};

use crate::{Inner, commit, plans::propose::KEPT_US, store::rows::ZoneRow, waitlist};

/// A directory that has not been written after so long will not be: its writer is gone.
const LOST_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// A zone that is settled is known as long as a proposal of before is remembered.
const KEPT: SignedDuration = SignedDuration::from_micros(KEPT_US);
const ZONES_MAX: i64 = 50;
const CALL_WITHIN: Duration = Duration::from_secs(20);

/// Looks after each location whose zone was changed a while ago; answers whether it went well.
pub(crate) async fn settle(inner: &Arc<Inner>) -> Result<bool, sql::Failure> {
    let before = |age: SignedDuration| inner.clock.now().saturating_sub(age).unwrap_or_default().as_microsecond();
    let mut fine = true;
    for zone in inner.store.zones_unsettled(before(LOST_AFTER), ZONES_MAX).await? {
        match one(inner, &zone).await {
            Ok(()) => inner.store.settle_zone(&zone).await?,
            Err(fault) => {
                tracing::warn!(code = fault.code.as_str(), "a location's time zone is not settled; it is tried again");
                fine = false;
            }
        }
    }
    inner.store.sweep_zones(before(KEPT)).await?;
    Ok(fine)
}

async fn one(inner: &Arc<Inner>, zone: &ZoneRow) -> Result<(), Fault> {
    withdraw_offers(inner, zone.organization_id, zone.location_id, &zone.time_zone).await?;
    let ctx = Context::new(OrganizationId::new(zone.organization_id), "booking", CALL_WITHIN);
    let id = LocationId::new(zone.location_id).to_string();
    let kind = EntryKind::Location.into();
    let asked = ctx.request(GetEntryRequest { kind, id: id.clone(), parent_id: String::new() });
    let entry = match inner.directory.clone().get_entry(asked).await.map_err(Fault::from) {
        Ok(entry) => entry.into_inner(),
        // Nobody books where there is no location.
        Err(fault) if fault.code == Code::NotFound => return Ok(()),
        Err(fault) => return Err(fault),
    };
    let mut body = entry.body.unwrap_or_default();
    let Some(Body::Location(location)) = &mut body.body else { return Ok(()) };
    if location.time_zone == zone.time_zone || entry.archived_at_us != 0 {
        return Ok(());
    }
    // The appointments have it: the directory follows, as its lost write would have done.
    location.time_zone.clone_from(&zone.time_zone);
    let request =
        UpdateEntryRequest { id, body: Some(body), if_version: entry.version, ..UpdateEntryRequest::default() };
    inner.directory.clone().update_entry(ctx.request(request)).await?;
    tracing::info!(location = %LocationId::new(zone.location_id), "a location's time zone is made up for");
    Ok(())
}

/// Ends the offers of slots of a location that were made by another zone: their texts name an hour that is no longer so.
pub(super) async fn withdraw_offers(
    inner: &Arc<Inner>,
    organization: Uuid,
    location: Uuid,
    time_zone: &str,
) -> Result<(), Fault> {
    let location = LocationId::new(location).to_string();
    for offer in inner.store.live_offers(organization).await.map_err(commit::failure)? {
        waitlist::withdraw_at(inner, &offer, &location, time_zone).await?;
    }
    Ok(())
}
