//! A booking service that a test scripts.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::{
    claim::{Claim, Kind},
    id::{AppointmentId, GroupId, HoldId, OrganizationId},
    time::{Interval, from_micros},
};
use sql::feed::Position;
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;
use wire::booking::{self as proto, booking_server, change::Owner, feed_server, set_displaced_request::Item};

#[derive(Clone)]
pub struct FakeBooking(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Rings at each change of the state.
    bell: watch::Sender<u64>,
}

struct State {
    epoch: i64,
    log: Vec<proto::Change>,
    /// Changes up to here are no longer in the feed.
    floor: usize,
    /// While it is paused, subscribers hear nothing.
    paused: bool,
    /// While it is set, the position stays here: what is beyond comes early, each write named.
    held: Option<usize>,
    /// While it is set, subscribers hear without end that there is more.
    more: bool,
    /// Raised to cut all streams.
    life: u64,
    snapshots: u32,
    deaf: bool,
    told: Vec<Item>,
}

/// What is booked: times in microseconds.
#[derive(Debug, Clone)]
pub struct Visit {
    pub organization: OrganizationId,
    pub service: String,
    pub location: String,
    pub practitioner: String,
    pub room: String,
    /// The group session that it is a place of, or empty.
    pub group: String,
    pub patient: Uuid,
    pub starts_at_us: i64,
    pub ends_at_us: i64,
    pub claims: Vec<Claim>,
}

pub fn claim(kind: Kind, resource: Uuid, unit: i16, starts_at_us: i64, ends_at_us: i64) -> Claim {
    let interval = Interval::new(from_micros(starts_at_us).unwrap(), from_micros(ends_at_us).unwrap()).unwrap();
    Claim::new(kind, resource, unit, interval)
}

impl FakeBooking {
    pub fn new() -> Self {
        let state = State {
            epoch: 1,
            log: vec![],
            floor: 0,
            paused: false,
            held: None,
            more: false,
            life: 0,
            snapshots: 0,
            deaf: false,
            told: vec![],
        };
        Self(Arc::new(Shared { state: Mutex::new(state), bell: watch::Sender::new(0) }))
    }

    pub fn channel(&self) -> rpc::Channel {
        let routes = Routes::new(booking_server::BookingServer::new(self.clone()));
        rpc::Channel::in_process(rpc::guard(routes.add_service(feed_server::FeedServer::new(self.clone()))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.bell.send_modify(|rung| *rung += 1);
    }

    fn push(&self, change: proto::Change) -> String {
        let mut revision = String::new();
        self.change(|state| {
            state.log.push(change);
            revision = format!("b{}", state.position(state.log.len()));
        });
        revision
    }

    /// Tells of an appointment; answers its id and the revision.
    pub fn book(&self, visit: &Visit) -> (String, String) {
        let id = AppointmentId::new(new_id()).to_string();
        (id.clone(), self.tell(visit, &id, 1, "booked", false))
    }

    /// Tells of an appointment's new state; a status other than `booked` has no claims here.
    pub fn tell(&self, visit: &Visit, id: &str, version: i64, status: &str, displaced: bool) -> String {
        let claims = if status == "booked" { visit.claims.as_slice() } else { &[] };
        self.push(proto::Change {
            organization_id: visit.organization.to_string(),
            version,
            claims: claims.iter().map(wire::convert::claim::to_wire).collect(),
            event: status.to_owned(),
            owner: Some(Owner::Appointment(proto::AppointmentState {
                id: id.to_owned(),
                status: status.to_owned(),
                service_id: visit.service.clone(),
                location_id: visit.location.clone(),
                practitioner_id: visit.practitioner.clone(),
                room_id: visit.room.clone(),
                starts_at_us: visit.starts_at_us,
                ends_at_us: visit.ends_at_us,
                displaced,
                group_id: visit.group.clone(),
                ..proto::AppointmentState::default()
            })),
            ..proto::Change::default()
        })
    }

    /// Tells of a hold; answers its id and the revision.
    pub fn hold(&self, organization: OrganizationId, claims: &[Claim], expires_at_us: i64) -> (String, String) {
        let id = HoldId::new(new_id()).to_string();
        (id.clone(), self.tell_hold(organization, &id, 1, claims, expires_at_us))
    }

    pub fn tell_hold(&self, org: OrganizationId, id: &str, version: i64, claims: &[Claim], expires_us: i64) -> String {
        self.push(proto::Change {
            organization_id: org.to_string(),
            version,
            claims: claims.iter().map(wire::convert::claim::to_wire).collect(),
            claims_expire_at_us: expires_us,
            owner: Some(Owner::Hold(proto::HoldState { id: id.to_owned() })),
            ..proto::Change::default()
        })
    }

    /// Tells of a group session with some of its places taken by appointments; answers its id and the revision.
    pub fn group(&self, visit: &Visit, capacity: u32, members: i16) -> (Uuid, String) {
        let id = new_id();
        let mut revision = self.push(proto::Change {
            organization_id: visit.organization.to_string(),
            version: 1,
            claims: visit.claims.iter().map(wire::convert::claim::to_wire).collect(),
            owner: Some(Owner::Group(proto::GroupState {
                id: GroupId::new(id).to_string(),
                service_id: visit.service.clone(),
                practitioner_id: visit.practitioner.clone(),
                location_id: visit.location.clone(),
                room_id: visit.room.clone(),
                starts_at_us: visit.starts_at_us,
                ends_at_us: visit.ends_at_us,
                capacity,
            })),
            ..proto::Change::default()
        });
        for place in 0..members {
            let place = claim(Kind::Place, id, place, visit.starts_at_us, visit.ends_at_us);
            revision = self.book(&Visit { claims: vec![place], ..visit.clone() }).1;
        }
        (id, revision)
    }

    /// Stops or resumes telling.
    pub fn pause(&self, paused: bool) {
        self.change(|state| state.paused = paused);
    }

    /// Holds the position back, or lets it go on.
    pub fn hold_back(&self, held: bool) {
        self.change(|state| state.held = held.then_some(state.log.len()));
    }

    /// Says without end that there is more to tell, or stops saying so.
    pub fn has_more(&self, more: bool) {
        self.change(|state| state.more = more);
    }

    /// Ends all streams, as a lost connection does.
    pub fn cut(&self) {
        self.change(|state| state.life += 1);
    }

    /// A restored database: a new epoch, with the same content.
    pub fn restore(&self) {
        self.change(|state| {
            state.epoch += 1;
            state.life += 1;
        });
    }

    /// Forgets all that was told: whoever stands behind has lost their position. Answers what was told.
    pub fn forget_log(&self) {
        self.change(|state| {
            state.floor = state.log.len();
            state.life += 1;
        });
    }

    pub fn snapshots(&self) -> u32 {
        self.state().snapshots
    }

    /// Refuses to hear of displaced appointments, or hears again.
    pub fn deaf(&self, deaf: bool) {
        self.change(|state| state.deaf = deaf);
    }

    /// What it was told of displaced appointments: id and flag.
    pub fn told(&self) -> Vec<(String, bool)> {
        self.state().told.iter().map(|item| (item.appointment_id.clone(), item.displaced)).collect()
    }

    /// Waits until it has been told so many things.
    pub async fn told_at_least(&self, count: usize) -> Vec<(String, bool)> {
        let mut bell = self.0.bell.subscribe();
        let enough = async {
            while self.told().len() < count {
                bell.changed().await.unwrap();
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), enough).await.expect("booking was not told");
        self.told()
    }
}

impl State {
    fn position(&self, seq: usize) -> Position {
        Position { epoch: self.epoch, xid: 0, seq: i64::try_from(seq).unwrap() }
    }

    /// The last change of each owner.
    fn whole(&self) -> Vec<proto::Change> {
        let id = |change: &proto::Change| match change.owner.as_ref().unwrap() {
            Owner::Appointment(state) => state.id.clone(),
            Owner::Hold(state) => state.id.clone(),
            Owner::Group(state) => state.id.clone(),
            Owner::Plan(state) => state.id.clone(),
            Owner::Offer(state) => state.id.clone(),
            Owner::Waitlist(state) => state.id.clone(),
        };
        let last = self.log.iter().enumerate().filter(|(at, change)| {
            !self.log[at + 1..].iter().any(|later| id(later) == id(change) && later.version > change.version)
        });
        last.map(|(_, change)| change.clone()).collect()
    }
}

fn lost() -> Status {
    rpc::Fault::new(rpc::Code::FeedPositionLost, "the position is no longer in the feed").into()
}

type Parts<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl feed_server::Feed for FakeBooking {
    type SnapshotStream = Parts<proto::SnapshotPart>;
    type SubscribeChangesStream = Parts<proto::ChangeBatch>;

    async fn snapshot(
        &self,
        _: Request<proto::SnapshotRequest>,
    ) -> Result<Response<Parts<proto::SnapshotPart>>, Status> {
        let parts = {
            let mut state = self.state();
            state.snapshots += 1;
            let position = state.position(state.log.len()).to_string();
            // In two parts, as a large one comes in several.
            let mut changes = state.whole();
            let later = changes.split_off(changes.len() / 2);
            [proto::SnapshotPart { changes, position: String::new() }, proto::SnapshotPart { changes: later, position }]
        };
        Ok(Response::new(Box::pin(tokio_stream::iter(parts).map(Ok))))
    }

    async fn history(&self, _: Request<proto::HistoryRequest>) -> Result<Response<proto::HistoryPart>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn subscribe_changes(
        &self,
        request: Request<proto::SubscribeChangesRequest>,
    ) -> Result<Response<Parts<proto::ChangeBatch>>, Status> {
        let position: Position = request.into_inner().position.parse().map_err(|_| lost())?;
        let mut next = usize::try_from(position.seq).unwrap();
        let (epoch, floor, life) = {
            let state = self.state();
            (state.epoch, state.floor, state.life)
        };
        if position.epoch != epoch || next < floor {
            return Err(lost());
        }
        let (sender, receiver) = mpsc::channel(4);
        let fake = self.clone();
        tokio::spawn(async move {
            let mut bell = fake.0.bell.subscribe();
            loop {
                let (batch, more) = {
                    let state = fake.state();
                    if state.life != life {
                        return;
                    }
                    let end = if state.paused { next } else { state.log.len() };
                    let changes = state.log[next..end].to_vec();
                    next = end;
                    let reached = state.held.unwrap_or(next);
                    let position = state.position(reached).to_string();
                    let writes = (reached + 1..=next).map(|seq| state.position(seq).to_string()).collect();
                    let more = state.more;
                    (proto::ChangeBatch { changes, position, more, writes, ..proto::ChangeBatch::default() }, more)
                };
                if sender.send(Ok(batch)).await.is_err() || (!more && bell.changed().await.is_err()) {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

macro_rules! not_played {
    ($($name:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl booking_server::Booking for FakeBooking {
            async fn set_displaced(
                &self,
                request: Request<proto::SetDisplacedRequest>,
            ) -> Result<Response<proto::SetDisplacedResponse>, Status> {
                if self.state().deaf {
                    return Err(Status::unavailable("deaf"));
                }
                let items = request.into_inner().items;
                let changed = u32::try_from(items.len()).unwrap();
                self.change(|state| state.told.extend(items));
                Ok(Response::new(proto::SetDisplacedResponse { changed }))
            }
            /// As where nothing is booked.
            async fn rezone_appointments(
                &self,
                _: Request<proto::RezoneAppointmentsRequest>,
            ) -> Result<Response<proto::RezoneAppointmentsResponse>, Status> {
                Ok(Response::new(proto::RezoneAppointmentsResponse::default()))
            }
            $(async fn $name(&self, _: Request<proto::$request>) -> Result<Response<proto::$response>, Status> {
                Err(Status::unimplemented("not played"))
            })*
        }
    };
}

not_played! {
    create_hold(CreateHoldRequest) -> Hold;
    release_hold(ReleaseHoldRequest) -> ReleaseHoldResponse;
    book_appointment(BookAppointmentRequest) -> Appointment;
    get_appointment(GetAppointmentRequest) -> Appointment;
    list_appointments(ListAppointmentsRequest) -> ListAppointmentsResponse;
    transition_appointment(TransitionAppointmentRequest) -> Appointment;
    reschedule_appointment(RescheduleAppointmentRequest) -> Appointment;
    update_appointment(UpdateAppointmentRequest) -> Appointment;
    resolve_manage_link(ResolveManageLinkRequest) -> ResolveManageLinkResponse;
    create_patient(CreatePatientRequest) -> Patient;
    get_patient(GetPatientRequest) -> Patient;
    update_patient(UpdatePatientRequest) -> Patient;
    decide_proposed_change(DecideProposedChangeRequest) -> Patient;
    list_patients(ListPatientsRequest) -> ListPatientsResponse;
    get_contact(GetContactRequest) -> GetContactResponse;
    get_contacts(GetContactsRequest) -> GetContactsResponse;
    list_consents(GetPatientRequest) -> ConsentHistory;
    record_consent(RecordConsentRequest) -> ConsentHistory;
    record_reply_consent(RecordReplyConsentRequest) -> RecordReplyConsentResponse;
}

/// An id that no other test of this process has.
pub fn new_id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0000 | u128::from(number))
}
