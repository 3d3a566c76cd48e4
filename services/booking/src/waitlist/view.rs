//! Entries and offers for the wire.

use domain::id::{OfferId, PatientId, WaitlistId};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use service::db_error;
use wire::{
    availability::Slot,
    booking::{Offer, WaitlistEntry},
};

use super::{criteria::Criteria, entries};
use crate::{
    Inner,
    manage_links::LinkSigner,
    store::{offers::OfferRow, waitlist_entries::EntryRow},
};

/// Offers in the answer to one entry.
const OFFERS_MAX: i64 = 20;

/// An entry with its offers.
pub(crate) async fn entry_with_offers(inner: &Inner, row: &EntryRow) -> Result<WaitlistEntry, Fault> {
    let offers = inner.store.offers_of_entry(row.organization_id, row.id, OFFERS_MAX).await;
    let offers = offers.map_err(db_error::fault)?;
    let offers = offers.iter().map(offer_to_wire).collect::<Result<_, _>>()?;
    Ok(WaitlistEntry { offers, ..entry_to_wire(row, &entries::criteria(row)?) })
}

/// An entry without its offers.
pub(super) fn entry_to_wire(row: &EntryRow, criteria: &Criteria) -> WaitlistEntry {
    WaitlistEntry {
        id: WaitlistId::new(row.id).to_string(),
        version: row.version,
        status: row.status.clone(),
        wish: Some(criteria.to_wire(row.patient_id, row.service_id)),
        created_at_us: row.created_at_us,
        updated_at_us: row.updated_at_us,
        offers: vec![],
        joined_before: false,
    }
}

/// An offer with the token of its link.
pub(crate) fn offer_with_link(links: &LinkSigner, row: &OfferRow) -> Result<Offer, Fault> {
    Ok(Offer { token: links.offer_token(row.organization_id, row.id), ..offer_to_wire(row)? })
}

/// An offer without its link, as lists have it.
pub(super) fn offer_to_wire(row: &OfferRow) -> Result<Offer, Fault> {
    Ok(Offer {
        id: OfferId::new(row.id).to_string(),
        version: row.version,
        waitlist_id: WaitlistId::new(row.waitlist_id).to_string(),
        patient_id: PatientId::new(row.patient_id).to_string(),
        status: public_status(&row.status).to_owned(),
        slot: Some(offered_slot(row)?),
        expires_at_us: row.expires_at_us,
        created_at_us: row.created_at_us,
        decided_at_us: row.decided_at_us.unwrap_or(0),
        token: String::new(),
    })
}

/// A status as the public sees it: an offer that is being created or accepted is open.
pub(super) fn public_status(status: &str) -> &str {
    if matches!(status, "making" | "accepting") { "open" } else { status }
}

/// The stored form of an offered slot.
#[derive(Serialize, Deserialize)]
struct OfferedSlot {
    service_id: String,
    practitioner_id: String,
    location_id: String,
    starts_at_us: i64,
    ends_at_us: i64,
    time_zone: String,
}

/// An offered slot as JSON.
pub(super) fn slot_to_json(slot: &Slot) -> Result<String, Fault> {
    let offered = OfferedSlot {
        service_id: slot.service_id.clone(),
        practitioner_id: slot.practitioner_id.clone(),
        location_id: slot.location_id.clone(),
        starts_at_us: slot.starts_at_us,
        ends_at_us: slot.ends_at_us,
        time_zone: slot.time_zone.clone(),
    };
    serde_json::to_string(&offered).map_err(Fault::internal)
}

/// The slot of an offer.
pub(super) fn offered_slot(row: &OfferRow) -> Result<Slot, Fault> {
    let offered: OfferedSlot =
        serde_json::from_str(&row.slot).map_err(|_| Fault::internal("a stored offer cannot be read"))?;
    Ok(Slot {
        slot_id: row.slot_id.clone(),
        service_id: offered.service_id,
        practitioner_id: offered.practitioner_id,
        location_id: offered.location_id,
        starts_at_us: offered.starts_at_us,
        ends_at_us: offered.ends_at_us,
        time_zone: offered.time_zone,
        places_left: 1,
    })
}
