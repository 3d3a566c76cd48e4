//! The changes of the feed for entries and offers.

use std::sync::Arc;

use domain::id::{OfferId, PatientId, PlanSessionId, ServiceId, WaitlistId};
use prost::Message;
use rpc::Fault;
use sql::feed::Position;
use uuid::Uuid;
use wire::booking::{Change, OfferState, WaitlistState, change::Owner};

use super::{criteria::Criteria, view};
use crate::{
    Inner, commit,
    store::{
        batch::{Batch, Hex, NewChange},
        offers::OfferRow,
        waitlist_entries::EntryRow,
    },
};

/// Commits one change and nothing else.
pub(super) async fn publish(inner: &Arc<Inner>, organization: Uuid, change: NewChange) -> Result<Position, Fault> {
    let batch = Batch { changes: vec![change], ..Batch::new(organization, inner.clock.now_us()) };
    commit::commit(inner, batch).await.map_err(commit::refused)
}

pub(super) fn of_entry(row: &EntryRow, criteria: &Criteria, event: &str) -> NewChange {
    let state = WaitlistState {
        id: WaitlistId::new(row.id).to_string(),
        status: row.status.clone(),
        patient_id: PatientId::new(row.patient_id).to_string(),
        service_id: ServiceId::new(row.service_id).to_string(),
        plan_session_id: criteria.plan_session.map(|id| PlanSessionId::new(id).to_string()).unwrap_or_default(),
    };
    let change = Change { event: event.to_owned(), owner: Some(Owner::Waitlist(state)), ..Change::default() };
    NewChange { version: row.version, payload: Hex(change.encode_to_vec()) }
}

pub(super) fn of_offer(row: &OfferRow, event: &str) -> Result<NewChange, Fault> {
    let slot = view::offered_slot(row)?;
    let state = OfferState {
        id: OfferId::new(row.id).to_string(),
        waitlist_id: WaitlistId::new(row.waitlist_id).to_string(),
        status: view::public_status(&row.status).to_owned(),
        patient_id: PatientId::new(row.patient_id).to_string(),
        service_id: slot.service_id,
        practitioner_id: slot.practitioner_id,
        location_id: slot.location_id,
        starts_at_us: slot.starts_at_us,
        ends_at_us: slot.ends_at_us,
        time_zone: slot.time_zone,
        expires_at_us: row.expires_at_us,
    };
    let change = Change { event: event.to_owned(), owner: Some(Owner::Offer(state)), ..Change::default() };
    Ok(NewChange { version: row.version, payload: Hex(change.encode_to_vec()) })
}
