//! Finishes a location's change of time zone: the directory gets the zone where its own write was lost, and offers that were
//! made by the old zone end.

use std::{sync::Arc, time::Duration};

use domain::id::{LocationId, OrganizationId};
use jiff::SignedDuration;
use rpc::{Code, Context, Fault};
use sql::Failure;
use uuid::Uuid;
use wire::availability::{EntryKind, GetEntryRequest, UpdateEntryRequest, entry_body::Body};

use crate::{Inner, plans::propose::VALID_US, store::zones::ZoneRow, waitlist::offers};

/// Age after which the directory's own write counts as lost.
const LOST_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// A finished change is kept for as long as a proposal from before it can be booked.
const RETENTION: SignedDuration = SignedDuration::from_micros(VALID_US);
const ZONES_MAX: i64 = 50;
const CALL_WITHIN: Duration = Duration::from_secs(20);

/// Finishes each change that is old enough; answers whether all succeeded.
pub(crate) async fn finish_pending(inner: &Arc<Inner>) -> Result<bool, Failure> {
    let before = |age: SignedDuration| inner.clock.now().saturating_sub(age).unwrap_or_default().as_microsecond();
    let mut all = true;
    for zone in inner.store.pending_zone_changes(before(LOST_AFTER), ZONES_MAX).await? {
        match finish(inner, &zone).await {
            Ok(()) => inner.store.mark_zone_settled(&zone).await?,
            Err(fault) => {
                let (code, organization) = (fault.code.as_str(), OrganizationId::new(zone.organization_id));
                let location = LocationId::new(zone.location_id);
                tracing::warn!(code, %organization, %location, "a change of time zone is not finished; trying again");
                all = false;
            }
        }
    }
    inner.store.delete_settled_zones(before(RETENTION)).await?;
    Ok(all)
}

async fn finish(inner: &Arc<Inner>, zone: &ZoneRow) -> Result<(), Fault> {
    withdraw_offers(inner, zone.organization_id, zone.location_id, &zone.time_zone).await?;
    let organization = OrganizationId::new(zone.organization_id);
    let ctx = Context::new(organization, "booking", CALL_WITHIN);
    let id = LocationId::new(zone.location_id).to_string();
    let kind = EntryKind::Location.into();
    let request = ctx.request(GetEntryRequest { kind, id: id.clone(), parent_id: String::new() });
    let entry = match inner.directory.clone().get_entry(request).await.map_err(Fault::from) {
        Ok(entry) => entry.into_inner(),
        // Nothing is booked where there is no location.
        Err(fault) if fault.code == Code::NotFound => return Ok(()),
        Err(fault) => return Err(fault),
    };
    let mut body = entry.body.unwrap_or_default();
    let Some(Body::Location(location)) = &mut body.body else { return Ok(()) };
    if location.time_zone == zone.time_zone || entry.archived_at_us != 0 {
        return Ok(());
    }
    // The appointments have the zone: the directory gets it, as its lost write would have given it.
    location.time_zone.clone_from(&zone.time_zone);
    let request = UpdateEntryRequest {
        id: id.clone(),
        body: Some(body),
        if_version: entry.version,
        ..UpdateEntryRequest::default()
    };
    inner.directory.clone().update_entry(ctx.request(request)).await?;
    tracing::info!(%organization, location = id, "the directory got the time zone that its own write had lost");
    Ok(())
}

/// Ends the offers of a location that were made by another zone.
pub(super) async fn withdraw_offers(
    inner: &Arc<Inner>,
    organization: Uuid,
    location: Uuid,
    time_zone: &str,
) -> Result<(), Fault> {
    let location = LocationId::new(location).to_string();
    offers::withdraw_other_zones(inner, organization, &location, time_zone).await
}
