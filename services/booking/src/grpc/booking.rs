//! Holds, appointments, patients and consents.

use std::sync::Arc;

use ::wire::booking::{self as wire, booking_server};
use rpc::Context;
use tonic::{Request, Response};

use super::Answer;
use crate::{
    Inner,
    appointments::{
        self, book, contact, derived, displace, links, list, of_patients, reschedule, revert, transition, update,
        view::to_wire_with_link,
    },
    holds,
    patients::{self, change, consents, many},
    rezone, verifications,
};

/// The service `Booking`.
pub(crate) struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl booking_server::Booking for Service {
    async fn create_hold(&self, request: Request<wire::CreateHoldRequest>) -> Answer<wire::Hold> {
        let ctx = Context::of(&request)?;
        Ok(holds::create(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn release_hold(&self, request: Request<wire::ReleaseHoldRequest>) -> Answer<wire::ReleaseHoldResponse> {
        let ctx = Context::of(&request)?;
        Ok(holds::release(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_hold(&self, request: Request<wire::GetHoldRequest>) -> Answer<wire::Hold> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(holds::list::get(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn list_holds(&self, request: Request<wire::ListHoldsRequest>) -> Answer<wire::ListHoldsResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(holds::list::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn book_appointment(&self, request: Request<wire::BookAppointmentRequest>) -> Answer<wire::Appointment> {
        let ctx = Context::of(&request)?;
        Ok(book::book(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_appointment(&self, request: Request<wire::GetAppointmentRequest>) -> Answer<wire::Appointment> {
        let ctx = Context::of(&request)?;
        let row = appointments::load(&self.0, &ctx, &request.into_inner().id).await?;
        let mut answer = [to_wire_with_link(&self.0.links, &row)];
        derived::add(&self.0, row.organization_id, std::slice::from_ref(&row), &mut answer).await?;
        let [answer] = answer;
        Ok(Response::new(answer))
    }

    async fn list_appointments(
        &self,
        request: Request<wire::ListAppointmentsRequest>,
    ) -> Answer<wire::ListAppointmentsResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(list::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn list_day(&self, request: Request<wire::ListDayRequest>) -> Answer<wire::ListDayResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(list::day(&self.0, &ctx, request.get_ref()).await?))
    }

    async fn transition_appointment(
        &self,
        request: Request<wire::TransitionAppointmentRequest>,
    ) -> Answer<wire::Appointment> {
        let ctx = Context::of(&request)?;
        Ok(transition::transition(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn revert_appointment(&self, request: Request<wire::RevertAppointmentRequest>) -> Answer<wire::Appointment> {
        let ctx = Context::of(&request)?;
        Ok(revert::revert(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn update_appointment(&self, request: Request<wire::UpdateAppointmentRequest>) -> Answer<wire::Appointment> {
        let ctx = Context::of(&request)?;
        Ok(update::update(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn reschedule_appointment(
        &self,
        request: Request<wire::RescheduleAppointmentRequest>,
    ) -> Answer<wire::Appointment> {
        let ctx = Context::of(&request)?;
        Ok(reschedule::reschedule(&self.0, &ctx, request.into_inner(), None).await?)
    }

    async fn set_displaced(&self, request: Request<wire::SetDisplacedRequest>) -> Answer<wire::SetDisplacedResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(displace::set_displaced(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn rezone_appointments(
        &self,
        request: Request<wire::RezoneAppointmentsRequest>,
    ) -> Answer<wire::RezoneAppointmentsResponse> {
        let ctx = Context::of(&request)?;
        Ok(rezone::rezone(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn resolve_manage_link(
        &self,
        request: Request<wire::ResolveManageLinkRequest>,
    ) -> Answer<wire::ResolveManageLinkResponse> {
        Ok(Response::new(links::resolve(&self.0, request.into_inner()).await?))
    }

    async fn revoke_manage_link(&self, request: Request<wire::RevokeManageLinkRequest>) -> Answer<wire::Appointment> {
        let ctx = Context::of(&request)?;
        Ok(links::revoke(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn revoke_manage_links(
        &self,
        request: Request<wire::RevokeManageLinksRequest>,
    ) -> Answer<wire::RevokeManageLinksResponse> {
        let ctx = Context::of(&request)?;
        Ok(links::revoke_all(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn create_patient(&self, request: Request<wire::CreatePatientRequest>) -> Answer<wire::Patient> {
        let ctx = Context::of(&request)?;
        Ok(change::create(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_patient(&self, request: Request<wire::GetPatientRequest>) -> Answer<wire::Patient> {
        let ctx = Context::of(&request)?;
        let row = patients::load(&self.0, &ctx, &request.into_inner().id).await?;
        let mut patients = [patients::view::to_wire(&row)?];
        of_patients::add_adjacent(&self.0, &ctx, &mut patients).await?;
        let [patient] = patients;
        Ok(Response::new(patient))
    }

    async fn get_patients(&self, request: Request<wire::GetPatientsRequest>) -> Answer<wire::GetPatientsResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(many::get(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn update_patient(&self, request: Request<wire::UpdatePatientRequest>) -> Answer<wire::Patient> {
        let ctx = Context::of(&request)?;
        Ok(change::update(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn decide_proposed_change(
        &self,
        request: Request<wire::DecideProposedChangeRequest>,
    ) -> Answer<wire::Patient> {
        let ctx = Context::of(&request)?;
        Ok(change::decide(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn list_patients(&self, request: Request<wire::ListPatientsRequest>) -> Answer<wire::ListPatientsResponse> {
        let ctx = Context::of(&request)?;
        let mut answer = patients::list::list(&self.0, &ctx, request.into_inner()).await?;
        of_patients::add_adjacent(&self.0, &ctx, &mut answer.patients).await?;
        Ok(Response::new(answer))
    }

    async fn list_consents(&self, request: Request<wire::GetPatientRequest>) -> Answer<wire::ConsentHistory> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(consents::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn record_consent(&self, request: Request<wire::RecordConsentRequest>) -> Answer<wire::ConsentHistory> {
        let ctx = Context::of(&request)?;
        Ok(consents::record(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn record_reply_consent(
        &self,
        request: Request<wire::RecordReplyConsentRequest>,
    ) -> Answer<wire::RecordReplyConsentResponse> {
        let ctx = Context::of(&request)?;
        Ok(consents::record_reply(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn sign_verification(
        &self,
        request: Request<wire::SignVerificationRequest>,
    ) -> Answer<wire::SignVerificationResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(verifications::sign(&self.0, &ctx, request.get_ref())?))
    }

    async fn get_contact(&self, request: Request<wire::GetContactRequest>) -> Answer<wire::GetContactResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(contact::get(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn get_contacts(&self, request: Request<wire::GetContactsRequest>) -> Answer<wire::GetContactsResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(contact::get_many(&self.0, &ctx, request.into_inner()).await?))
    }
}
