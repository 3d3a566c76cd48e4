//! The waitlist and the plans of the scripted booking.

use ::wire::booking::{self as wire, Appointment, Change, Patient, PatientDetails, change::Owner};
use domain::id::OrganizationId;
use rpc::{Code, Fault};
use tonic::{Request, Response, Status};

use super::{Booking, position};

impl Booking {
    /// Offers a slot to a patient, and tells the followers.
    pub fn offers(&self, organization: OrganizationId, now_us: i64, offer: wire::Offer, patient: PatientDetails) {
        let id = offer.id.clone();
        self.state.lock().unwrap().offers.insert(id.clone(), (offer, patient));
        self.publish_offer(organization, &id, "offered", now_us);
    }

    /// An offer ends in this status, and the feed says so.
    pub fn offer_ends(&self, organization: OrganizationId, id: &str, status: &str, now_us: i64) {
        {
            let mut state = self.state.lock().unwrap();
            let offer = &mut state.offers.get_mut(id).unwrap().0;
            status.clone_into(&mut offer.status);
            offer.version += 1;
        }
        self.publish_offer(organization, id, &format!("offer_{status}"), now_us);
    }

    /// An offer ends in this status, and the feed does not say so yet.
    pub fn offer_ends_unpublished(&self, id: &str, status: &str) {
        let mut state = self.state.lock().unwrap();
        status.clone_into(&mut state.offers.get_mut(id).unwrap().0.status);
    }

    /// The status of an offer.
    pub fn offer_status(&self, id: &str) -> String {
        self.state.lock().unwrap().offers[id].0.status.clone()
    }

    fn publish_offer(&self, organization: OrganizationId, id: &str, event: &str, now_us: i64) {
        let mut state = self.state.lock().unwrap();
        let offer = state.offers[id].0.clone();
        let slot = offer.slot.unwrap();
        let change = Change {
            organization_id: organization.to_string(),
            version: offer.version,
            changed_at_us: now_us,
            event: event.into(),
            owner: Some(Owner::Offer(wire::OfferState {
                id: offer.id,
                waitlist_id: offer.waitlist_id,
                status: offer.status,
                patient_id: offer.patient_id,
                service_id: slot.service_id,
                practitioner_id: slot.practitioner_id,
                location_id: slot.location_id,
                starts_at_us: slot.starts_at_us,
                ends_at_us: slot.ends_at_us,
                time_zone: slot.time_zone,
                expires_at_us: offer.expires_at_us,
            })),
            position: position(&state, state.changes.len() + 1),
            ..Change::default()
        };
        state.changes.push(change);
        drop(state);
        self.ring();
    }
}

#[tonic::async_trait]
impl wire::waitlist_server::Waitlist for Booking {
    async fn get_offer_contact(
        &self,
        request: Request<wire::GetOfferRequest>,
    ) -> Result<Response<wire::OfferContact>, Status> {
        let state = self.state.lock().unwrap();
        let (offer, details) = state.offers.get(&request.into_inner().id).cloned().ok_or_else(Fault::not_found)?;
        let patient = Some(Patient { details: Some(details), ..Patient::default() });
        Ok(Response::new(wire::OfferContact { offer: Some(offer), patient }))
    }

    async fn accept_offer(&self, request: Request<wire::GetOfferRequest>) -> Result<Response<Appointment>, Status> {
        let id = request.into_inner().id;
        let mut state = self.state.lock().unwrap();
        let offer = &mut state.offers.get_mut(&id).ok_or_else(Fault::not_found)?.0;
        if offer.status != "open" {
            return Err(Fault::new(Code::OfferGone, "gone").into());
        }
        offer.status = "accepted".into();
        Ok(Response::new(Appointment::default()))
    }

    async fn decline_offer(&self, request: Request<wire::GetOfferRequest>) -> Result<Response<wire::Offer>, Status> {
        let id = request.into_inner().id;
        let mut state = self.state.lock().unwrap();
        let offer = &mut state.offers.get_mut(&id).ok_or_else(Fault::not_found)?.0;
        offer.status = "declined".into();
        Ok(Response::new(offer.clone()))
    }

    crate::unused! {
        join_waitlist(wire::JoinWaitlistRequest) -> wire::WaitlistEntry;
        get_entry(wire::GetEntryRequest) -> wire::WaitlistEntry;
        list_waitlist(wire::ListWaitlistRequest) -> wire::ListWaitlistResponse;
        leave_waitlist(wire::GetEntryRequest) -> wire::WaitlistEntry;
        get_offer(wire::GetOfferRequest) -> wire::Offer;
        resolve_offer_link(wire::ResolveManageLinkRequest) -> wire::ResolveOfferLinkResponse;
    }
}

#[tonic::async_trait]
impl wire::plans_server::Plans for Booking {
    async fn record_check_in(
        &self,
        request: Request<wire::RecordCheckInRequest>,
    ) -> Result<Response<wire::RecordCheckInResponse>, Status> {
        let request = request.into_inner();
        self.state.lock().unwrap().check_ins.push((request.appointment_id, request.score));
        Ok(Response::new(wire::RecordCheckInResponse::default()))
    }

    crate::unused! {
        create_plan(wire::CreatePlanRequest) -> wire::Plan;
        get_plan(wire::GetPlanRequest) -> wire::Plan;
        list_plans(wire::ListPlansRequest) -> wire::ListPlansResponse;
        propose_plan(wire::ProposePlanRequest) -> wire::ProposePlanResponse;
        book_plan(wire::BookPlanRequest) -> wire::Plan;
        repair_plan(wire::ProposePlanRequest) -> wire::ProposePlanResponse;
        get_ledger(wire::GetPlanRequest) -> wire::Ledger;
        report_plans(wire::ReportPlansRequest) -> wire::PlanReport;
        review_plan(wire::ReviewPlanRequest) -> wire::Plan;
    }
}
