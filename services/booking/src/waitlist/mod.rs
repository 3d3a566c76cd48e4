//! The waitlist: who would like a time that is taken, and to whom one that came free is offered.
//!
//! Whoever waits says what would do; `matcher.rs` looks for open slots that fit and offers each to the one whom it helps
//! most (`choose.rs`, pure). An offer is a hold with a name on it, so that nobody else gets the slot while it lasts; the
//! database allows one open offer a slot and one a patient. Every step is told in the feed.

mod assign;
mod criteria;
mod entries;
mod matcher;
mod offers;

use std::sync::Arc;

use domain::id::{OfferId, PatientId, PlanSessionId, ServiceId, WaitlistId};
use prost::Message;
use rpc::{Context, Fault};
use tonic::{Request, Response};
use uuid::Uuid;
use wire::booking::{self as wire_booking, Change, OfferState, WaitlistState, change::Owner, waitlist_server};

pub(crate) use self::{criteria::Wish, matcher::run, offers::withdraw_at};
use crate::{
    Inner, commit,
    store::{
        batch::{Batch, Hex, NewChange},
        rows::{EntryRow, OfferRow},
    },
};

/// The gRPC service.
pub(crate) struct Service(pub(crate) Arc<Inner>);

type Answer<T> = Result<Response<T>, tonic::Status>;

#[tonic::async_trait]
impl waitlist_server::Waitlist for Service {
    async fn join_waitlist(
        &self,
        request: Request<wire_booking::JoinWaitlistRequest>,
    ) -> Answer<wire_booking::WaitlistEntry> {
        let ctx = Context::of(&request)?;
        Ok(entries::join(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_entry(&self, request: Request<wire_booking::GetEntryRequest>) -> Answer<wire_booking::WaitlistEntry> {
        let ctx = Context::of(&request)?;
        let row = entries::load(&self.0, &ctx, &request.into_inner().id).await?;
        Ok(Response::new(entries::shown(&self.0, &row).await?))
    }

    async fn list_waitlist(
        &self,
        request: Request<wire_booking::ListWaitlistRequest>,
    ) -> Answer<wire_booking::ListWaitlistResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(entries::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn leave_waitlist(
        &self,
        request: Request<wire_booking::GetEntryRequest>,
    ) -> Answer<wire_booking::WaitlistEntry> {
        let ctx = Context::of(&request)?;
        Ok(entries::leave(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_offer(&self, request: Request<wire_booking::GetOfferRequest>) -> Answer<wire_booking::Offer> {
        let ctx = Context::of(&request)?;
        let row = offers::load(&self.0, &ctx, &request.into_inner().id).await?;
        Ok(Response::new(offers::shown(&self.0, &row)?))
    }

    async fn accept_offer(&self, request: Request<wire_booking::GetOfferRequest>) -> Answer<wire_booking::Appointment> {
        let ctx = Context::of(&request)?;
        Ok(offers::accept(&self.0, &ctx, &request.into_inner().id).await?)
    }

    async fn decline_offer(&self, request: Request<wire_booking::GetOfferRequest>) -> Answer<wire_booking::Offer> {
        let ctx = Context::of(&request)?;
        Ok(offers::decline(&self.0, &ctx, &request.into_inner().id).await?)
    }

    async fn resolve_offer_link(
        &self,
        request: Request<wire_booking::ResolveManageLinkRequest>,
    ) -> Answer<wire_booking::ResolveOfferLinkResponse> {
        Ok(Response::new(offers::resolve(&self.0, &request.into_inner().token).await?))
    }

    async fn get_offer_contact(
        &self,
        request: Request<wire_booking::GetOfferRequest>,
    ) -> Answer<wire_booking::OfferContact> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(offers::contact(&self.0, &ctx, &request.into_inner().id).await?))
    }
}

/// Tells the feed of a change, by itself.
async fn tell(inner: &Arc<Inner>, organization: Uuid, change: NewChange) -> Result<sql::feed::Position, Fault> {
    let now_us = inner.clock.now_us();
    let batch = Batch { organization_id: organization, now_us, changes: vec![change], ..Batch::default() };
    commit::commit(inner, batch).await.map_err(commit::refused)
}

fn entry_change(row: &EntryRow, wish: &Wish, event: &str) -> NewChange {
    let state = WaitlistState {
        id: WaitlistId::new(row.id).to_string(),
        status: row.status.clone(),
        patient_id: PatientId::new(row.patient_id).to_string(),
        service_id: ServiceId::new(row.service_id).to_string(),
        plan_session_id: wish.plan_session.map(|id| PlanSessionId::new(id).to_string()).unwrap_or_default(),
    };
    let change = Change { event: event.to_owned(), owner: Some(Owner::Waitlist(state)), ..Change::default() };
    NewChange { version: row.version, payload: Hex(change.encode_to_vec()) }
}

fn offer_change(row: &OfferRow, event: &str) -> Result<NewChange, Fault> {
    let slot = offers::slot_of(row)?;
    let state = OfferState {
        id: OfferId::new(row.id).to_string(),
        waitlist_id: WaitlistId::new(row.waitlist_id).to_string(),
        status: offers::public(&row.status).to_owned(),
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
