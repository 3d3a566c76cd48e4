//! Booking as the services see it. Keeps each state of each visit, and the state in each answer.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use domain::id::AppointmentId;
use futures::{FutureExt, Stream, StreamExt, future};
use rpc::{Code, Context, Fault};
use runtime::Clock;
use tokio::sync::{oneshot, watch};
use tonic::{Request, Response, Status, service::Routes};
use wire::booking::{
    self, Appointment, ChangeBatch, GetContactRequest, GetContactResponse, PatientDetails, SnapshotRequest,
    SubscribeChangesRequest, booking_server::BookingServer, feed_server,
};

use super::scenario::{Patient, SECOND, To, Visit, ZONES};
use crate::common::{
    booking::{Booking, appointment_id},
    organization,
};

/// The longest time from an answer of booking to the send.
const ANSWER_HOLDS_US: i64 = 200 * SECOND;

/// The state of a visit from an instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisitState {
    pub at_us: i64,
    pub version: i64,
    pub is_booked: bool,
    pub starts_at_us: i64,
}

/// A point on a message's way to the patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checkpoint {
    Asked,
    Given,
}

/// A message at a checkpoint, in one service; it continues when this value drops.
pub struct Arrival {
    pub instance: usize,
    _goes_on: oneshot::Sender<()>,
}

#[derive(Default)]
struct State {
    states: HashMap<u128, Vec<VisitState>>,
    /// The states in recent answers.
    answers: HashMap<u128, Vec<VisitState>>,
    arms: HashMap<(Checkpoint, u128), oneshot::Sender<Arrival>>,
}

/// The oracle; clones share it.
#[derive(Clone)]
pub struct Oracle {
    pub booking: Booking,
    clock: Clock,
    state: Arc<Mutex<State>>,
    cut: watch::Sender<bool>,
}

impl Oracle {
    pub fn new(clock: Clock) -> Self {
        Self { booking: Booking::new(), clock, state: Arc::default(), cut: watch::Sender::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The channel to booking for one service.
    pub fn channel(&self, instance: usize) -> rpc::Channel {
        let watched = Watched { oracle: self.clone(), instance };
        let routes = Routes::new(BookingServer::new(watched.clone()));
        rpc::Channel::in_process(rpc::guard(routes.add_service(feed_server::FeedServer::new(watched))))
    }

    pub fn book(&self, visit: Visit) {
        let appointment = Appointment {
            id: appointment_id(visit.number),
            status: "booked".into(),
            version: 1,
            service_id: domain::id::ServiceId::new(uuid::Uuid::from_u128(20)).to_string(),
            practitioner_id: domain::id::PractitionerId::new(uuid::Uuid::from_u128(21)).to_string(),
            location_id: domain::id::LocationId::new(uuid::Uuid::from_u128(22)).to_string(),
            starts_at_us: visit.starts_at_us,
            ends_at_us: visit.starts_at_us + 1800 * SECOND,
            time_zone: ZONES[visit.zone].into(),
            patient_id: domain::id::PatientId::new(uuid::Uuid::from_u128(visit.number)).to_string(),
            ..Appointment::default()
        };
        let mut state = self.lock();
        let now_us = self.clock.now_us();
        let booked = VisitState { at_us: now_us, version: 1, is_booked: true, starts_at_us: visit.starts_at_us };
        state.states.insert(visit.number, vec![booked]);
        self.booking.book(organization(visit.zone as u128 + 1), now_us, appointment, details(visit));
    }

    /// Changes a visit, unless it has begun or is cancelled.
    pub fn change(&self, number: u128, to: To) {
        let mut state = self.lock();
        let now_us = self.clock.now_us();
        let states = state.states.get_mut(&number).unwrap();
        let last = *states.last().unwrap();
        let changed = match to {
            To::Cancelled => VisitState { is_booked: false, ..last },
            To::At(starts_at_us) => VisitState { starts_at_us, ..last },
        };
        if !last.is_booked || last.starts_at_us <= now_us || changed == last {
            return;
        }
        states.push(VisitState { at_us: now_us, version: last.version + 1, ..changed });
        let event = if changed.is_booked { "rescheduled" } else { "cancelled" };
        self.booking.change(&appointment_id(number), event, now_us, |visit| {
            visit.starts_at_us = changed.starts_at_us;
            if !changed.is_booked {
                visit.status = "cancelled".into();
            }
        });
    }

    pub fn states(&self, number: u128) -> Vec<VisitState> {
        self.lock().states[&number].clone()
    }

    /// Forgets the answers about a visit: all services know its later state.
    pub fn outdate(&self, number: u128) {
        self.lock().answers.remove(&number);
    }

    /// The present state of a visit, and the states in answers that a send may still use.
    pub fn now_and_answered(&self, number: u128) -> (VisitState, Vec<VisitState>) {
        let state = self.lock();
        let since_us = self.clock.now_us() - ANSWER_HOLDS_US;
        let answers = state.answers.get(&number).into_iter().flatten();
        (*state.states[&number].last().unwrap(), answers.filter(|state| state.at_us >= since_us).copied().collect())
    }

    /// Notifies when a message about this visit reaches the checkpoint.
    pub fn arm(&self, checkpoint: Checkpoint, number: u128) -> oneshot::Receiver<Arrival> {
        let (sender, receiver) = oneshot::channel();
        self.lock().arms.insert((checkpoint, number), sender);
        receiver
    }

    pub fn disarm(&self, number: u128) {
        self.lock().arms.retain(|(_, armed), _| *armed != number);
    }

    /// Waits at an armed checkpoint.
    pub async fn reached(&self, checkpoint: Checkpoint, number: u128, instance: usize) {
        let arm = self.lock().arms.remove(&(checkpoint, number));
        let Some(arm) = arm else { return };
        let (goes_on, wait) = oneshot::channel();
        if arm.send(Arrival { instance, _goes_on: goes_on }).is_ok() {
            // The error of the dropped sender lets it continue.
            let _ = wait.await;
        }
    }

    pub fn set_cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }

    /// The position of the last change.
    pub fn position(&self) -> String {
        self.booking.revision().split_off(1)
    }
}

fn details(visit: Visit) -> PatientDetails {
    let mut details = crate::common::with_phone(&phone(visit.number));
    match visit.patient {
        Patient::NoPhone => details.phone.clear(),
        Patient::NoConsent => details.consents.retain(|consent| consent.channel != "sms"),
        Patient::PrefersEmail => details.reminder_channel = "email".into(),
        Patient::Plain | Patient::BadNumber | Patient::OptedOut => {}
    }
    details
}

/// Each visit has its own patient, and each patient a phone number.
fn phone(number: u128) -> String {
    format!("+1500{number:07}")
}

/// The visit that a telephone number belongs to.
pub fn number_of_phone(phone: &str) -> u128 {
    phone.strip_prefix("+1500").unwrap().parse().unwrap()
}

/// Booking as one service sees it.
#[derive(Clone)]
struct Watched {
    oracle: Oracle,
    instance: usize,
}

#[tonic::async_trait]
impl booking::booking_server::Booking for Watched {
    async fn get_contact(&self, request: Request<GetContactRequest>) -> Result<Response<GetContactResponse>, Status> {
        let id: AppointmentId = request.get_ref().appointment_id.parse().unwrap();
        let number = id.uuid().as_u128();
        let answer = {
            let mut state = self.oracle.lock();
            let answer = self.oracle.booking.get_contact(request).now_or_never().unwrap();
            if answer.is_ok() {
                let now = *state.states[&number].last().unwrap();
                let answered = VisitState { at_us: self.oracle.clock.now_us(), ..now };
                state.answers.entry(number).or_default().push(answered);
            }
            answer
        };
        if answer.is_ok() {
            self.oracle.reached(Checkpoint::Asked, number, self.instance).await;
        }
        answer
    }

    async fn get_contacts(
        &self,
        request: Request<booking::GetContactsRequest>,
    ) -> Result<Response<booking::GetContactsResponse>, Status> {
        let ctx = Context::of(&request)?;
        let booking::GetContactsRequest { appointment_ids, with_plan } = request.into_inner();
        let mut contacts = vec![];
        for appointment_id in appointment_ids {
            let ctx = Context::new(ctx.organization, "reminder", ctx.remaining());
            let found = self.get_contact(ctx.request(GetContactRequest { appointment_id, with_plan })).await?;
            contacts.push(found.into_inner());
        }
        Ok(Response::new(booking::GetContactsResponse { contacts }))
    }

    crate::unused! {
        create_hold(booking::CreateHoldRequest) -> booking::Hold;
        release_hold(booking::ReleaseHoldRequest) -> booking::ReleaseHoldResponse;
        get_hold(booking::GetHoldRequest) -> booking::Hold;
        list_holds(booking::ListHoldsRequest) -> booking::ListHoldsResponse;
        sign_verification(booking::SignVerificationRequest) -> booking::SignVerificationResponse;
        book_appointment(booking::BookAppointmentRequest) -> booking::Appointment;
        get_appointment(booking::GetAppointmentRequest) -> booking::Appointment;
        get_patients(booking::GetPatientsRequest) -> booking::GetPatientsResponse;
        list_appointments(booking::ListAppointmentsRequest) -> booking::ListAppointmentsResponse;
        list_day(booking::ListDayRequest) -> booking::ListDayResponse;
        reschedule_appointment(booking::RescheduleAppointmentRequest) -> booking::Appointment;
        update_appointment(booking::UpdateAppointmentRequest) -> booking::Appointment;
        revert_appointment(booking::RevertAppointmentRequest) -> booking::Appointment;
        transition_appointment(booking::TransitionAppointmentRequest) -> booking::Appointment;
        record_reply_consent(booking::RecordReplyConsentRequest) -> booking::RecordReplyConsentResponse;
        set_displaced(booking::SetDisplacedRequest) -> booking::SetDisplacedResponse;
        rezone_appointments(booking::RezoneAppointmentsRequest) -> booking::RezoneAppointmentsResponse;
        resolve_manage_link(booking::ResolveManageLinkRequest) -> booking::ResolveManageLinkResponse;
        revoke_manage_link(booking::RevokeManageLinkRequest) -> booking::Appointment;
        revoke_manage_links(booking::RevokeManageLinksRequest) -> booking::RevokeManageLinksResponse;
        create_patient(booking::CreatePatientRequest) -> booking::Patient;
        get_patient(booking::GetPatientRequest) -> booking::Patient;
        update_patient(booking::UpdatePatientRequest) -> booking::Patient;
        decide_proposed_change(booking::DecideProposedChangeRequest) -> booking::Patient;
        list_patients(booking::ListPatientsRequest) -> booking::ListPatientsResponse;
        list_consents(booking::GetPatientRequest) -> booking::ConsentHistory;
        record_consent(booking::RecordConsentRequest) -> booking::ConsentHistory;
    }
}

#[tonic::async_trait]
impl feed_server::Feed for Watched {
    type SnapshotStream = <Booking as feed_server::Feed>::SnapshotStream;
    type SubscribeChangesStream = Pin<Box<dyn Stream<Item = Result<ChangeBatch, Status>> + Send>>;

    async fn snapshot(&self, request: Request<SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        self.oracle.booking.snapshot(request).await
    }

    async fn history(
        &self,
        request: Request<booking::HistoryRequest>,
    ) -> Result<Response<booking::HistoryPart>, Status> {
        self.oracle.booking.history(request).await
    }

    async fn subscribe_changes(
        &self,
        request: Request<SubscribeChangesRequest>,
    ) -> Result<Response<Self::SubscribeChangesStream>, Status> {
        let gone = || Status::from(Fault::new(Code::Unavailable, "cut"));
        let mut cut = self.oracle.cut.subscribe();
        if *cut.borrow() {
            return Err(gone());
        }
        let batches = self.oracle.booking.subscribe_changes(request).await?.into_inner();
        let until = async move {
            // An error means that the test ended.
            let _ = cut.wait_for(|cut| *cut).await;
        };
        let last = futures::stream::once(future::ready(Err(gone())));
        Ok(Response::new(Box::pin(batches.take_until(Box::pin(until)).chain(last))))
    }
}
