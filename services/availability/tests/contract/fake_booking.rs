//! A booking service that a test scripts.

mod services;

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

use domain::{
    claim::{Claim, Kind},
    id::{AppointmentId, GroupId, HoldId, OrganizationId},
    time::{Interval, from_micros},
};
use sql::feed::Position;
use tokio::sync::watch;
use tonic::service::Routes;
use uuid::Uuid;
use wire::booking::{self as proto, booking_server, change::Owner, feed_server, set_displaced_request::Item};

#[derive(Clone)]
pub struct FakeBooking(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Notified at each change of the state.
    wake: watch::Sender<u64>,
}

struct State {
    epoch: i64,
    log: Vec<proto::Change>,
    /// Changes up to here are no longer in the feed.
    floor: usize,
    /// While paused, subscribers receive nothing.
    paused: bool,
    /// The position stays here while set: later changes arrive early, with their writes.
    held: Option<usize>,
    /// Whether every batch says that there is more.
    more: bool,
    /// Raised to end all streams.
    incarnation: u64,
    snapshots: u32,
    /// Whether displaced flags are refused.
    refuses_flags: bool,
    /// The received displaced flags.
    flags: Vec<Item>,
    /// Whether calls that move appointments to a zone wait.
    holds_rezoning: bool,
    rezonings: u32,
    /// The W3C `traceparent` of new changes; empty for none.
    trace_parent: String,
}

/// An appointment; times in microseconds.
#[derive(Debug, Clone)]
pub struct Visit {
    pub organization: OrganizationId,
    pub service: String,
    pub location: String,
    pub practitioner: String,
    pub room: String,
    /// The group session in which it has a place; may be empty.
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
            incarnation: 0,
            snapshots: 0,
            refuses_flags: false,
            flags: vec![],
            holds_rezoning: false,
            rezonings: 0,
            trace_parent: String::new(),
        };
        Self(Arc::new(Shared { state: Mutex::new(state), wake: watch::Sender::new(0) }))
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
        self.0.wake.send_modify(|count| *count += 1);
    }

    fn push(&self, mut change: proto::Change) -> String {
        let mut revision = String::new();
        self.change(|state| {
            change.trace_parent.clone_from(&state.trace_parent);
            state.log.push(change);
            revision = format!("b{}", state.position(state.log.len()));
        });
        revision
    }

    /// Publishes a new appointment; returns its id and the revision.
    pub fn book(&self, visit: &Visit) -> (String, String) {
        let id = AppointmentId::new(new_id()).to_string();
        (id.clone(), self.publish(visit, &id, 1, "booked", false))
    }

    /// Publishes an appointment's new state; only `booked` has claims here.
    pub fn publish(&self, visit: &Visit, id: &str, version: i64, status: &str, displaced: bool) -> String {
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

    /// Publishes a new hold; returns its id and the revision.
    pub fn hold(&self, organization: OrganizationId, claims: &[Claim], expires_at_us: i64) -> (String, String) {
        let id = HoldId::new(new_id()).to_string();
        (id.clone(), self.publish_hold(organization, &id, 1, claims, expires_at_us))
    }

    pub fn publish_hold(
        &self,
        org: OrganizationId,
        id: &str,
        version: i64,
        claims: &[Claim],
        expires_us: i64,
    ) -> String {
        self.push(proto::Change {
            organization_id: org.to_string(),
            version,
            claims: claims.iter().map(wire::convert::claim::to_wire).collect(),
            claims_expire_at_us: expires_us,
            owner: Some(Owner::Hold(proto::HoldState { id: id.to_owned() })),
            ..proto::Change::default()
        })
    }

    /// Publishes a group session with members; returns its id and the revision.
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

    /// Stops or resumes the feed.
    pub fn pause(&self, paused: bool) {
        self.change(|state| state.paused = paused);
    }

    /// Holds the position back, or releases it.
    pub fn hold_back(&self, held: bool) {
        self.change(|state| state.held = held.then_some(state.log.len()));
    }

    /// Marks every batch as unfinished, or stops marking.
    pub fn has_more(&self, more: bool) {
        self.change(|state| state.more = more);
    }

    /// Ends all streams, as a lost connection does.
    pub fn cut(&self) {
        self.change(|state| state.incarnation += 1);
    }

    /// A restored database: a new epoch, with the same content.
    pub fn restore(&self) {
        self.change(|state| {
            state.epoch += 1;
            state.incarnation += 1;
        });
    }

    /// Drops the log: followers behind its end lose their position.
    pub fn forget_log(&self) {
        self.change(|state| {
            state.floor = state.log.len();
            state.incarnation += 1;
        });
    }

    pub fn snapshots(&self) -> u32 {
        self.state().snapshots
    }

    /// Writes later changes in a trace.
    pub fn trace(&self, trace_parent: &str) {
        self.change(|state| trace_parent.clone_into(&mut state.trace_parent));
    }

    /// Refuses displaced flags, or accepts them again.
    pub fn refuse_flags(&self, refuse: bool) {
        self.change(|state| state.refuses_flags = refuse);
    }

    /// Holds calls that move appointments to a zone, or lets them go on.
    pub fn hold_rezoning(&self, held: bool) {
        self.change(|state| state.holds_rezoning = held);
    }

    /// Waits until a call that moves appointments to a zone has arrived.
    pub async fn rezoning_arrived(&self) {
        let mut wake = self.0.wake.subscribe();
        while self.state().rezonings == 0 {
            wake.changed().await.unwrap();
        }
    }

    /// The received displaced flags: appointment id and flag.
    pub fn flags(&self) -> Vec<(String, bool)> {
        self.state().flags.iter().map(|item| (item.appointment_id.clone(), item.displaced)).collect()
    }

    /// Waits until it has received at least `count` flags.
    pub async fn flags_at_least(&self, count: usize) -> Vec<(String, bool)> {
        let mut wake = self.0.wake.subscribe();
        let enough = async {
            while self.flags().len() < count {
                wake.changed().await.unwrap();
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), enough)
            .await
            .expect("booking has not received the flags");
        self.flags()
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

/// An id that no other test of this process has.
pub fn new_id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0000 | u128::from(number))
}
