//! A booking service that tests script: the truth, and the feed that tells it.

mod records;
mod waitlist;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
};

use ::wire::booking::{
    self as wire, Appointment, AppointmentState, Change, ChangeBatch, GetContactRequest, GetContactResponse, Patient,
    PatientDetails, PlanNow, SnapshotPart, SnapshotRequest, SubscribeChangesRequest, change::Owner,
};
use domain::id::{AppointmentId, OrganizationId};
use futures::Stream;
use rpc::{Code, Context, Fault};
use sql::feed::Position;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;

/// The truth of one appointment.
#[derive(Clone)]
pub struct Truth {
    organization: OrganizationId,
    appointment: Appointment,
    patient: PatientDetails,
    moved_from_us: i64,
    plan: Option<PlanNow>,
}

#[derive(Default)]
struct State {
    truths: HashMap<String, Truth>,
    changes: Vec<Change>,
    epoch: i64,
    /// How many changes followers may see; the rest is held back.
    held_at: Option<usize>,
    down: bool,
    asked: usize,
    snapshots: usize,
    /// Ids of visits and scores.
    check_ins: Vec<(String, u32)>,
    /// Addresses, and whether their consents came back.
    consents: Vec<(String, bool)>,
    /// Idempotency keys of transitions.
    keys: Vec<String>,
    /// Offers with the patients to whom they are made.
    offers: HashMap<String, (wire::Offer, PatientDetails)>,
    /// Visits that had ended when the followers took their snapshots.
    ended: Vec<String>,
}

/// A booking service that tests script.
#[derive(Clone)]
pub struct Booking {
    state: Arc<Mutex<State>>,
    rings: watch::Sender<u64>,
    /// Whether answers about visits are made and stay on their way.
    slow: watch::Sender<bool>,
}

impl Booking {
    pub fn new() -> Self {
        let state = State { epoch: 1, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), rings: watch::Sender::new(0), slow: watch::Sender::new(false) }
    }

    pub fn channel(&self) -> rpc::Channel {
        let routes = Routes::new(wire::booking_server::BookingServer::new(self.clone()));
        let routes = routes.add_service(wire::waitlist_server::WaitlistServer::new(self.clone()));
        let routes = routes.add_service(wire::plans_server::PlansServer::new(self.clone()));
        rpc::Channel::in_process(rpc::guard(routes.add_service(wire::feed_server::FeedServer::new(self.clone()))))
    }

    /// Tells the followers a new appointment.
    pub fn book(
        &self,
        organization: OrganizationId,
        now_us: i64,
        appointment: Appointment,
        patient: PatientDetails,
    ) -> String {
        let id = appointment.id.clone();
        let truth = Truth { organization, appointment, patient, moved_from_us: 0, plan: None };
        self.state.lock().unwrap().truths.insert(id.clone(), truth);
        self.publish(&id, "booked", now_us);
        id
    }

    /// Changes an appointment and tells the followers.
    pub fn change(&self, id: &str, event: &str, now_us: i64, change: impl FnOnce(&mut Appointment)) {
        {
            let mut state = self.state.lock().unwrap();
            let truth = state.truths.get_mut(id).unwrap();
            let before = truth.appointment.starts_at_us;
            change(&mut truth.appointment);
            truth.appointment.version += 1;
            if truth.appointment.starts_at_us != before {
                truth.moved_from_us = before;
            }
        }
        self.publish(id, event, now_us);
    }

    /// Changes the record of a visit's patient, which no follower of the feed is told.
    pub fn change_patient(&self, id: &str, change: impl FnOnce(&mut PatientDetails)) {
        change(&mut self.state.lock().unwrap().truths.get_mut(id).unwrap().patient);
    }

    /// The session is booked.
    pub fn is_booked_again(&self, id: &str) {
        self.state.lock().unwrap().truths.get_mut(id).unwrap().plan = Some(PlanNow::default());
    }

    fn publish(&self, id: &str, event: &str, now_us: i64) {
        let mut state = self.state.lock().unwrap();
        let mut change = change_of(&state.truths[id], event, now_us);
        change.position = position(&state, state.changes.len() + 1);
        state.changes.push(change);
        drop(state);
        self.ring();
    }

    fn ring(&self) {
        self.rings.send_modify(|rings| *rings += 1);
    }

    /// Followers see nothing new until [`Booking::release`].
    pub fn hold_back(&self) {
        let mut state = self.state.lock().unwrap();
        state.held_at = Some(state.changes.len());
    }

    pub fn release(&self) {
        self.state.lock().unwrap().held_at = None;
        self.ring();
    }

    /// A restored database: positions of before are lost.
    pub fn lose_positions(&self) {
        let mut state = self.state.lock().unwrap();
        state.epoch += 1;
        state.changes.clear();
        drop(state);
        self.ring();
    }

    /// Whether questions are answered.
    pub fn set_down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    /// Whether answers about visits stay on their way, as they were made.
    pub fn set_slow(&self, slow: bool) {
        self.slow.send_replace(slow);
    }

    /// The truth of a visit.
    pub fn visit(&self, id: &str) -> Appointment {
        self.state.lock().unwrap().truths[id].appointment.clone()
    }

    /// The position before the first change.
    pub fn beginning(&self) -> String {
        position(&self.state.lock().unwrap(), 0)
    }

    /// The revision of the last change.
    pub fn revision(&self) -> String {
        let state = self.state.lock().unwrap();
        format!("b{}", position(&state, state.changes.len()))
    }
}

fn position(state: &State, seq: usize) -> String {
    Position { epoch: state.epoch, xid: 0, seq: i64::try_from(seq).unwrap() }.to_string()
}

fn change_of(truth: &Truth, event: &str, now_us: i64) -> Change {
    let appointment = &truth.appointment;
    Change {
        organization_id: truth.organization.to_string(),
        version: appointment.version,
        changed_at_us: now_us,
        event: event.to_owned(),
        owner: Some(Owner::Appointment(AppointmentState {
            id: appointment.id.clone(),
            status: appointment.status.clone(),
            service_id: appointment.service_id.clone(),
            practitioner_id: appointment.practitioner_id.clone(),
            location_id: appointment.location_id.clone(),
            starts_at_us: appointment.starts_at_us,
            ends_at_us: appointment.ends_at_us,
            time_zone: appointment.time_zone.clone(),
            patient_id: appointment.patient_id.clone(),
            plan_session_id: appointment.plan_session_id.clone(),
            confirmed_at_us: appointment.confirmed_at_us,
            group_id: appointment.group_id.clone(),
            previous_starts_at_us: truth.moved_from_us,
            ..AppointmentState::default()
        })),
        ..Change::default()
    }
}

type Parts<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl wire::feed_server::Feed for Booking {
    type SnapshotStream = Parts<SnapshotPart>;
    type SubscribeChangesStream = Parts<ChangeBatch>;

    async fn snapshot(&self, _: Request<SnapshotRequest>) -> Result<Response<Parts<SnapshotPart>>, Status> {
        let mut state = self.state.lock().unwrap();
        state.snapshots += 1;
        let live = state.truths.iter().filter(|(id, _)| !state.ended.contains(id));
        let changes: Vec<_> = live.map(|(_, truth)| change_of(truth, "snapshot", 0)).collect();
        let last = SnapshotPart { changes: vec![], position: position(&state, state.changes.len()) };
        let parts = vec![Ok(SnapshotPart { changes, position: String::new() }), Ok(last)];
        Ok(Response::new(Box::pin(futures::stream::iter(parts))))
    }

    async fn history(&self, request: Request<wire::HistoryRequest>) -> Result<Response<wire::HistoryPart>, Status> {
        Ok(Response::new(self.part_of_history(&request.into_inner())))
    }

    async fn subscribe_changes(
        &self,
        request: Request<SubscribeChangesRequest>,
    ) -> Result<Response<Parts<ChangeBatch>>, Status> {
        let position: Position = request.into_inner().position.parse().unwrap();
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(follow(self.clone(), position, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

async fn follow(booking: Booking, from: Position, sender: mpsc::Sender<Result<ChangeBatch, Status>>) {
    let mut rings = booking.rings.subscribe();
    let mut at = usize::try_from(from.seq).unwrap();
    loop {
        rings.mark_unchanged();
        let batch = {
            let state = booking.state.lock().unwrap();
            let seen = state.held_at.unwrap_or(state.changes.len()).min(state.changes.len());
            if state.epoch != from.epoch || at > state.changes.len() {
                Err(Fault::new(Code::FeedPositionLost, "lost").into())
            } else {
                let changes = state.changes[at.min(seen)..seen].to_vec();
                at = at.max(seen);
                Ok(ChangeBatch { changes, position: position(&state, at), ..ChangeBatch::default() })
            }
        };
        let lost = batch.is_err();
        if sender.send(batch).await.is_err() || lost {
            return;
        }
        // A heartbeat a second, as booking does it.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), rings.changed()).await;
    }
}

#[tonic::async_trait]
impl wire::booking_server::Booking for Booking {
    async fn get_contact(&self, request: Request<GetContactRequest>) -> Result<Response<GetContactResponse>, Status> {
        let ctx = Context::of(&request)?;
        let mut state = self.state.lock().unwrap();
        state.asked += 1;
        if state.down {
            return Err(Fault::new(Code::Unavailable, "down").into());
        }
        let GetContactRequest { appointment_id: id, with_plan } = request.into_inner();
        let truth = state.truths.get(&id).filter(|truth| truth.organization == ctx.organization);
        let truth = truth.ok_or_else(Fault::not_found)?;
        Ok(Response::new(GetContactResponse {
            appointment: Some(truth.appointment.clone()),
            patient: Some(Patient { details: Some(truth.patient.clone()), ..Patient::default() }),
            plan: truth.plan.clone().filter(|_| with_plan),
        }))
    }

    async fn get_contacts(
        &self,
        request: Request<wire::GetContactsRequest>,
    ) -> Result<Response<wire::GetContactsResponse>, Status> {
        let ctx = Context::of(&request)?;
        let wire::GetContactsRequest { appointment_ids, with_plan } = request.into_inner();
        let mut contacts = vec![];
        for appointment_id in appointment_ids {
            let one = Context::new(ctx.organization, "reminder", ctx.remaining());
            match self.get_contact(one.request(GetContactRequest { appointment_id, with_plan })).await {
                Ok(found) => contacts.push(found.into_inner()),
                Err(status) if Fault::from(status.clone()).code == Code::NotFound => {}
                Err(status) => return Err(status),
            }
        }
        let _ = self.slow.subscribe().wait_for(|slow| !slow).await;
        Ok(Response::new(wire::GetContactsResponse { contacts }))
    }

    async fn transition_appointment(
        &self,
        request: Request<wire::TransitionAppointmentRequest>,
    ) -> Result<Response<Appointment>, Status> {
        let ctx = Context::of(&request)?;
        let request = request.into_inner();
        let transition = request.transition();
        let before = {
            let mut state = self.state.lock().unwrap();
            state.keys.push(ctx.idempotency.map(|one| one.key).unwrap_or_default());
            if state.down {
                return Err(Fault::new(Code::Unavailable, "down").into());
            }
            state.truths.get(&request.id).ok_or_else(Fault::not_found)?.appointment.clone()
        };
        if before.status != "booked" || request.by != "patient" {
            return Err(Fault::new(Code::InvalidTransition, "not now").into());
        }
        if request.if_version != before.version {
            return Err(Fault::new(Code::VersionMismatch, "it has changed").into());
        }
        match transition {
            wire::Transition::Confirm => self.change(&request.id, "confirmed", 0, |visit| visit.confirmed_at_us = 1),
            _ => self.change(&request.id, "cancelled", 0, |visit| visit.status = "cancelled".into()),
        }
        Ok(Response::new(self.visit(&request.id)))
    }

    async fn record_reply_consent(
        &self,
        request: Request<wire::RecordReplyConsentRequest>,
    ) -> Result<Response<wire::RecordReplyConsentResponse>, Status> {
        let request = request.into_inner();
        self.state.lock().unwrap().consents.push((request.address, request.given));
        Ok(Response::new(wire::RecordReplyConsentResponse { changed: 0 }))
    }

    async fn sign_verification(
        &self,
        request: Request<wire::SignVerificationRequest>,
    ) -> Result<Response<wire::SignVerificationResponse>, Status> {
        let ctx = Context::of(&request)?;
        let asked = request.into_inner();
        let verification = format!("{} {} {:02x?}", ctx.organization, asked.channel, asked.address_hash);
        Ok(Response::new(wire::SignVerificationResponse { verification, expires_at_us: 7 }))
    }

    crate::unused! {
        create_hold(wire::CreateHoldRequest) -> wire::Hold;
        release_hold(wire::ReleaseHoldRequest) -> wire::ReleaseHoldResponse;
        get_hold(wire::GetHoldRequest) -> wire::Hold;
        list_holds(wire::ListHoldsRequest) -> wire::ListHoldsResponse;
        book_appointment(wire::BookAppointmentRequest) -> wire::Appointment;
        get_appointment(wire::GetAppointmentRequest) -> wire::Appointment;
        get_patients(wire::GetPatientsRequest) -> wire::GetPatientsResponse;
        list_appointments(wire::ListAppointmentsRequest) -> wire::ListAppointmentsResponse;
        list_day(wire::ListDayRequest) -> wire::ListDayResponse;
        reschedule_appointment(wire::RescheduleAppointmentRequest) -> wire::Appointment;
        update_appointment(wire::UpdateAppointmentRequest) -> wire::Appointment;
        revert_appointment(wire::RevertAppointmentRequest) -> wire::Appointment;
        set_displaced(wire::SetDisplacedRequest) -> wire::SetDisplacedResponse;
        rezone_appointments(wire::RezoneAppointmentsRequest) -> wire::RezoneAppointmentsResponse;
        resolve_manage_link(wire::ResolveManageLinkRequest) -> wire::ResolveManageLinkResponse;
        revoke_manage_link(wire::RevokeManageLinkRequest) -> wire::Appointment;
        revoke_manage_links(wire::RevokeManageLinksRequest) -> wire::RevokeManageLinksResponse;
        create_patient(wire::CreatePatientRequest) -> wire::Patient;
        get_patient(wire::GetPatientRequest) -> wire::Patient;
        update_patient(wire::UpdatePatientRequest) -> wire::Patient;
        decide_proposed_change(wire::DecideProposedChangeRequest) -> wire::Patient;
        list_patients(wire::ListPatientsRequest) -> wire::ListPatientsResponse;
        list_consents(wire::GetPatientRequest) -> wire::ConsentHistory;
        record_consent(wire::RecordConsentRequest) -> wire::ConsentHistory;
    }
}

/// An appointment's id from a small number.
pub fn appointment_id(number: u128) -> String {
    AppointmentId::new(Uuid::from_u128(number)).to_string()
}
