//! Booking as the services see it: it keeps what was so and when, and what it answered to whom.

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

/// No message is at work on one answer for longer.
const ANSWER_HOLDS_US: i64 = 200 * SECOND;

/// How a visit stood from an instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    pub at_us: i64,
    pub version: i64,
    pub stands: bool,
    pub starts_at_us: i64,
}

/// A moment in a message's way at which something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    Asked,
    Given,
}

/// It has come so far, at this service; it goes on when this is dropped.
pub struct Hit {
    pub instance: usize,
    _goes_on: oneshot::Sender<()>,
}

#[derive(Default)]
struct State {
    facts: HashMap<u128, Vec<Fact>>,
    /// What was answered lately.
    answers: HashMap<u128, Vec<Fact>>,
    arms: HashMap<(Point, u128), oneshot::Sender<Hit>>,
}

/// The truth, shared by all.
#[derive(Clone)]
pub struct Truth {
    pub booking: Booking,
    clock: Clock,
    state: Arc<Mutex<State>>,
    cut: watch::Sender<bool>,
}

impl Truth {
    pub fn new(clock: Clock) -> Self {
        Self { booking: Booking::new(), clock, state: Arc::default(), cut: watch::Sender::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The way to booking for one service.
    pub fn channel(&self, instance: usize) -> rpc::Channel {
        let watched = Watched { truth: self.clone(), instance };
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
        let fact = Fact { at_us: now_us, version: 1, stands: true, starts_at_us: visit.starts_at_us };
        state.facts.insert(visit.number, vec![fact]);
        self.booking.book(organization(visit.zone as u128 + 1), now_us, appointment, details(visit));
    }

    /// Changes a visit; does nothing where it has begun or is called off.
    pub fn change(&self, number: u128, to: To) {
        let mut state = self.lock();
        let now_us = self.clock.now_us();
        let facts = state.facts.get_mut(&number).unwrap();
        let last = *facts.last().unwrap();
        let changed = match to {
            To::Cancelled => Fact { stands: false, ..last },
            To::At(starts_at_us) => Fact { starts_at_us, ..last },
        };
        if !last.stands || last.starts_at_us <= now_us || changed == last {
            return;
        }
        facts.push(Fact { at_us: now_us, version: last.version + 1, ..changed });
        let event = if changed.stands { "rescheduled" } else { "cancelled" };
        self.booking.change(&appointment_id(number), event, now_us, |visit| {
            visit.starts_at_us = changed.starts_at_us;
            if !changed.stands {
                visit.status = "cancelled".into();
            }
        });
    }

    pub fn facts(&self, number: u128) -> Vec<Fact> {
        self.lock().facts[&number].clone()
    }

    /// The followers know better than what was answered about this visit.
    pub fn outdate(&self, number: u128) {
        self.lock().answers.remove(&number);
    }

    /// How the visit stands, and how it stood in answers that a message may be at work on.
    pub fn now_and_answered(&self, number: u128) -> (Fact, Vec<Fact>) {
        let state = self.lock();
        let since_us = self.clock.now_us() - ANSWER_HOLDS_US;
        let answers = state.answers.get(&number).into_iter().flatten();
        (*state.facts[&number].last().unwrap(), answers.filter(|fact| fact.at_us >= since_us).copied().collect())
    }

    /// Tells when a message about this visit comes to this point.
    pub fn arm(&self, point: Point, number: u128) -> oneshot::Receiver<Hit> {
        let (sender, receiver) = oneshot::channel();
        self.lock().arms.insert((point, number), sender);
        receiver
    }

    pub fn disarm(&self, number: u128) {
        self.lock().arms.retain(|(_, armed), _| *armed != number);
    }

    /// Waits where somebody wants to know of this point.
    pub async fn reached(&self, point: Point, number: u128, instance: usize) {
        let arm = self.lock().arms.remove(&(point, number));
        let Some(arm) = arm else { return };
        let (goes_on, wait) = oneshot::channel();
        if arm.send(Hit { instance, _goes_on: goes_on }).is_ok() {
            // An error is how it goes on.
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

/// Each visit has a patient, and each patient a number of their own.
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
    truth: Truth,
    instance: usize,
}

#[tonic::async_trait]
impl booking::booking_server::Booking for Watched {
    async fn get_contact(&self, request: Request<GetContactRequest>) -> Result<Response<GetContactResponse>, Status> {
        let id: AppointmentId = request.get_ref().appointment_id.parse().unwrap();
        let number = id.uuid().as_u128();
        let answer = {
            let mut state = self.truth.lock();
            let answer = self.truth.booking.get_contact(request).now_or_never().unwrap();
            if answer.is_ok() {
                let now = *state.facts[&number].last().unwrap();
                let answered = Fact { at_us: self.truth.clock.now_us(), ..now };
                state.answers.entry(number).or_default().push(answered);
            }
            answer
        };
        if answer.is_ok() {
            self.truth.reached(Point::Asked, number, self.instance).await;
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
            let one = Context::new(ctx.organization, "reminder", ctx.remaining());
            let found = self.get_contact(one.request(GetContactRequest { appointment_id, with_plan })).await?;
            contacts.push(found.into_inner());
        }
        Ok(Response::new(booking::GetContactsResponse { contacts }))
    }

    crate::unused! {
        create_hold(booking::CreateHoldRequest) -> booking::Hold;
        release_hold(booking::ReleaseHoldRequest) -> booking::ReleaseHoldResponse;
        book_appointment(booking::BookAppointmentRequest) -> booking::Appointment;
        get_appointment(booking::GetAppointmentRequest) -> booking::Appointment;
        list_appointments(booking::ListAppointmentsRequest) -> booking::ListAppointmentsResponse;
        reschedule_appointment(booking::RescheduleAppointmentRequest) -> booking::Appointment;
        update_appointment(booking::UpdateAppointmentRequest) -> booking::Appointment;
        transition_appointment(booking::TransitionAppointmentRequest) -> booking::Appointment;
        record_reply_consent(booking::RecordReplyConsentRequest) -> booking::RecordReplyConsentResponse;
        set_displaced(booking::SetDisplacedRequest) -> booking::SetDisplacedResponse;
        rezone_appointments(booking::RezoneAppointmentsRequest) -> booking::RezoneAppointmentsResponse;
        resolve_manage_link(booking::ResolveManageLinkRequest) -> booking::ResolveManageLinkResponse;
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
        self.truth.booking.snapshot(request).await
    }

    async fn history(
        &self,
        request: Request<booking::HistoryRequest>,
    ) -> Result<Response<booking::HistoryPart>, Status> {
        self.truth.booking.history(request).await
    }

    async fn subscribe_changes(
        &self,
        request: Request<SubscribeChangesRequest>,
    ) -> Result<Response<Self::SubscribeChangesStream>, Status> {
        let gone = || Status::from(Fault::new(Code::Unavailable, "cut"));
        let mut cut = self.truth.cut.subscribe();
        if *cut.borrow() {
            return Err(gone());
        }
        let batches = self.truth.booking.subscribe_changes(request).await?.into_inner();
        let until = async move {
            // An error means that the test is over.
            let _ = cut.wait_for(|cut| *cut).await;
        };
        let last = futures::stream::once(future::ready(Err(gone())));
        Ok(Response::new(Box::pin(batches.take_until(Box::pin(until)).chain(last))))
    }
}
