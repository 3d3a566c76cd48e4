//! The gRPC face: read the context, call, answer.

use std::sync::Arc;

use ::wire::booking::{self as wire, booking_server};
use rpc::Context;
use tonic::{Request, Response, Status};

use crate::{
    Inner, appointments, holds, manage_links,
    patients::{self, consents},
    rezone,
};

/// The gRPC service.
pub(crate) struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl booking_server::Booking for Service {
    async fn create_hold(&self, request: Request<wire::CreateHoldRequest>) -> Result<Response<wire::Hold>, Status> {
        let ctx = Context::of(&request)?;
        Ok(holds::create(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn release_hold(
        &self,
        request: Request<wire::ReleaseHoldRequest>,
    ) -> Result<Response<wire::ReleaseHoldResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(holds::release(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn book_appointment(
        &self,
        request: Request<wire::BookAppointmentRequest>,
    ) -> Result<Response<wire::Appointment>, Status> {
        let ctx = Context::of(&request)?;
        Ok(appointments::book::book(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_appointment(
        &self,
        request: Request<wire::GetAppointmentRequest>,
    ) -> Result<Response<wire::Appointment>, Status> {
        let ctx = Context::of(&request)?;
        let row = appointments::load(&self.0, &ctx, &request.into_inner().id).await?;
        Ok(Response::new(appointments::shown(&self.0, &row)))
    }

    async fn list_appointments(
        &self,
        request: Request<wire::ListAppointmentsRequest>,
    ) -> Result<Response<wire::ListAppointmentsResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(appointments::list::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn transition_appointment(
        &self,
        request: Request<wire::TransitionAppointmentRequest>,
    ) -> Result<Response<wire::Appointment>, Status> {
        let ctx = Context::of(&request)?;
        Ok(appointments::transition::transition(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn update_appointment(
        &self,
        request: Request<wire::UpdateAppointmentRequest>,
    ) -> Result<Response<wire::Appointment>, Status> {
        let ctx = Context::of(&request)?;
        Ok(appointments::update::update(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn reschedule_appointment(
        &self,
        request: Request<wire::RescheduleAppointmentRequest>,
    ) -> Result<Response<wire::Appointment>, Status> {
        let ctx = Context::of(&request)?;
        Ok(appointments::reschedule::reschedule(&self.0, &ctx, request.into_inner(), None).await?)
    }

    async fn set_displaced(
        &self,
        request: Request<wire::SetDisplacedRequest>,
    ) -> Result<Response<wire::SetDisplacedResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(appointments::displace::set_displaced(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn rezone_appointments(
        &self,
        request: Request<wire::RezoneAppointmentsRequest>,
    ) -> Result<Response<wire::RezoneAppointmentsResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(rezone::rezone(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn resolve_manage_link(
        &self,
        request: Request<wire::ResolveManageLinkRequest>,
    ) -> Result<Response<wire::ResolveManageLinkResponse>, Status> {
        Ok(Response::new(manage_links::resolve(&self.0, request.into_inner()).await?))
    }

    async fn create_patient(
        &self,
        request: Request<wire::CreatePatientRequest>,
    ) -> Result<Response<wire::Patient>, Status> {
        let ctx = Context::of(&request)?;
        Ok(patients::create(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_patient(&self, request: Request<wire::GetPatientRequest>) -> Result<Response<wire::Patient>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(patients::get(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn update_patient(
        &self,
        request: Request<wire::UpdatePatientRequest>,
    ) -> Result<Response<wire::Patient>, Status> {
        let ctx = Context::of(&request)?;
        Ok(patients::update(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn decide_proposed_change(
        &self,
        request: Request<wire::DecideProposedChangeRequest>,
    ) -> Result<Response<wire::Patient>, Status> {
        let ctx = Context::of(&request)?;
        Ok(patients::decide(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn list_patients(
        &self,
        request: Request<wire::ListPatientsRequest>,
    ) -> Result<Response<wire::ListPatientsResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(patients::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn list_consents(
        &self,
        request: Request<wire::GetPatientRequest>,
    ) -> Result<Response<wire::ConsentHistory>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(consents::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn record_consent(
        &self,
        request: Request<wire::RecordConsentRequest>,
    ) -> Result<Response<wire::ConsentHistory>, Status> {
        let ctx = Context::of(&request)?;
        Ok(consents::record(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn record_reply_consent(
        &self,
        request: Request<wire::RecordReplyConsentRequest>,
    ) -> Result<Response<wire::RecordReplyConsentResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(consents::reply(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_contact(
        &self,
        request: Request<wire::GetContactRequest>,
    ) -> Result<Response<wire::GetContactResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(patients::contact(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn get_contacts(
        &self,
        request: Request<wire::GetContactsRequest>,
    ) -> Result<Response<wire::GetContactsResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(patients::contacts(&self.0, &ctx, request.into_inner()).await?))
    }
}
