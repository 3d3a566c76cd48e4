//! A running booking service and the calls of its tests.

use std::time::Duration;

use booking::{App, Config, Deps};
use domain::{
    id::{LocationId, OrganizationId, PractitionerId, ServiceId},
    slot::Slot,
};
use jiff::{SignedDuration, Timestamp};
use rpc::{Code, Context, Fault, Idempotency, Visitor};
use runtime::{Clock, Ids, Readiness, Shutdown};
use sql::Target;
use testkit::database::Database;
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wire::{
    booking::{
        Appointment, BookAppointmentRequest, GetAppointmentRequest, PatientDetails, RescheduleAppointmentRequest,
        RevertAppointmentRequest, SnapshotPart, SnapshotRequest, Transition, TransitionAppointmentRequest,
        book_appointment_request::{Time, Who},
        booking_client::BookingClient,
        feed_client::FeedClient,
        reason_codes_client::ReasonCodesClient,
        waitlist_client::WaitlistClient,
    },
    common::BookingChannel,
};

use crate::fake_availability::{FakeAvailability, Offer};

pub const NOW: &str = "2026-03-02T08:00:00Z";
/// An hour on the day after [`NOW`].
pub const START: &str = "2026-03-03T16:00:00Z";
pub const PLAIN: Uuid = Uuid::from_u128(0x51);
pub const NEEDLING: Uuid = Uuid::from_u128(0x52);
pub const CLASS: Uuid = Uuid::from_u128(0x53);
pub const EVALUATION: Uuid = Uuid::from_u128(0x54);
pub const ELECTRO: Uuid = Uuid::from_u128(0x55);
pub const PLACES: u32 = 8;
pub const GRACE: Uuid = Uuid::from_u128(0x61);
pub const ALAN: Uuid = Uuid::from_u128(0x62);
pub const ROOMS: [Uuid; 2] = [Uuid::from_u128(0x71), Uuid::from_u128(0x72)];
const UNIT: Uuid = Uuid::from_u128(0x81);
pub const HERE: Uuid = Uuid::from_u128(0x91);

#[derive(Clone)]
pub struct Harness {
    pub booking: BookingClient<rpc::Channel>,
    pub feed: FeedClient<rpc::Channel>,
    pub waitlist: WaitlistClient<rpc::Channel>,
    pub reasons: ReasonCodesClient<rpc::Channel>,
    pub clock: Clock,
    pub readiness: Readiness,
    pub availability: FakeAvailability,
    pub organization: OrganizationId,
    pub target: Target,
    shutdown: Shutdown,
    seed: u64,
}

impl Harness {
    pub async fn over(database: &Database) -> Self {
        let target = Target::from_url(&database.for_service("booking")).unwrap();
        Self::start(target, Clock::manual(NOW.parse().unwrap()), 1).await
    }

    async fn start(target: Target, clock: Clock, seed: u64) -> Self {
        let availability = FakeAvailability::default();
        Self::with(target, clock, seed, availability).await
    }

    /// A service with other settings.
    pub async fn configured(database: &Database, change: impl FnOnce(&mut Config)) -> Self {
        let target = Target::from_url(&database.for_service("booking")).unwrap();
        let mut config = config();
        change(&mut config);
        Self::build(target, Clock::manual(NOW.parse().unwrap()), 1, FakeAvailability::default(), config).await
    }

    async fn with(target: Target, clock: Clock, seed: u64, availability: FakeAvailability) -> Self {
        Self::build(target, clock, seed, availability, config()).await
    }

    async fn build(target: Target, clock: Clock, seed: u64, availability: FakeAvailability, config: Config) -> Self {
        let plain = Offer { rooms: ROOMS.to_vec(), buffer_minutes: 5, ..Offer::default() };
        availability.offer(EVALUATION, plain.clone());
        let prior = ServiceId::new(EVALUATION).to_string();
        availability.offer(NEEDLING, Offer { needling: true, requires_prior: prior, ..plain.clone() });
        availability.offer(CLASS, Offer { capacity: PLACES, ..plain.clone() });
        availability.offer(ELECTRO, Offer { units: vec![(UNIT, 0)], ..plain.clone() });
        availability.offer(PLAIN, plain);
        let readiness = Readiness::new();
        let deps = Deps {
            readiness: readiness.clone(),
            clock: clock.clone(),
            ids: Ids::seeded(seed),
            database: target.clone(),
            availability: availability.channel(),
            keyring: service::seal::Keyring::from_key(&[7; 32]),
        };
        let app = App::build(config, deps).await.unwrap();
        let channel = rpc::Channel::in_process(app.routes());
        let shutdown = Shutdown::new();
        let until = shutdown.clone();
        tokio::spawn(async move { app.run(until).await });
        Self {
            booking: BookingClient::new(channel.clone()),
            feed: FeedClient::new(channel.clone()),
            waitlist: WaitlistClient::new(channel.clone()),
            reasons: ReasonCodesClient::new(channel),
            clock,
            readiness,
            availability,
            organization: OrganizationId::new(Uuid::from_u128(0xaa)),
            target,
            shutdown,
            seed,
        }
    }

    /// Another process over the same database and the same availability.
    pub async fn beside(&self) -> Self {
        Self::with(self.target.clone(), self.clock.clone(), self.seed + 100, self.availability.clone()).await
    }

    /// The service stopped and started again over the same database.
    pub async fn restarted(self) -> Self {
        self.shutdown.begin();
        Self::start(self.target, self.clock, self.seed + 1).await
    }

    pub fn context(&self) -> Context {
        Context::new(self.organization, "key_test", Duration::from_secs(20))
    }

    /// The context of a front end's call for a visitor.
    pub fn visitor(&self, id: &str) -> Context {
        Context { visitor: Some(Visitor { id: id.into(), named: true }), ..self.context() }
    }

    pub fn request<T>(&self, message: T) -> Request<T> {
        self.context().request(message)
    }

    /// A request that may be repeated.
    pub fn keyed<T>(&self, key: &str, fingerprint: &str, message: T) -> Request<T> {
        let idempotency = Some(Idempotency { key: key.into(), fingerprint: fingerprint.into() });
        Context { idempotency, ..self.context() }.forward(message)
    }

    /// Books in the name of a caller.
    pub async fn book_as(&self, ctx: &Context, request: BookAppointmentRequest) -> Result<Appointment, Fault> {
        let answer = self.booking.clone().book_appointment(ctx.request(request)).await;
        answer.map(Response::into_inner).map_err(|status| fault(&status))
    }

    pub async fn try_book(&self, request: BookAppointmentRequest) -> Result<Appointment, Fault> {
        self.book_as(&self.context(), request).await
    }

    pub async fn book(&self, request: BookAppointmentRequest) -> Appointment {
        self.try_book(request).await.unwrap()
    }

    pub async fn reschedule(&self, id: &str, slot_id: String) -> Result<Appointment, Fault> {
        let channel = BookingChannel::Staff as i32;
        let request =
            RescheduleAppointmentRequest { id: id.into(), slot_id, channel, ..RescheduleAppointmentRequest::default() };
        let answer = self.booking.clone().reschedule_appointment(self.request(request)).await;
        answer.map(Response::into_inner).map_err(|status| fault(&status))
    }

    pub async fn transition(&self, id: &str, transition: Transition) -> Result<Appointment, Fault> {
        let request = TransitionAppointmentRequest {
            id: id.into(),
            transition: transition as i32,
            reason_code: "patient_ill".into(),
            by: "staff".into(),
            ..TransitionAppointmentRequest::default()
        };
        let answer = self.booking.clone().transition_appointment(self.request(request)).await;
        answer.map(Response::into_inner).map_err(|status| fault(&status))
    }

    /// Takes the last transition back as staff do.
    pub async fn revert(&self, id: &str) -> Result<Appointment, Fault> {
        let request = RevertAppointmentRequest { id: id.into(), ..RevertAppointmentRequest::default() };
        let answer = self.booking.clone().revert_appointment(self.request(request)).await;
        answer.map(Response::into_inner).map_err(|status| fault(&status))
    }

    pub async fn cancel(&self, id: &str) -> Appointment {
        self.transition(id, Transition::Cancel).await.unwrap()
    }

    /// An appointment as answers to writes show it: without what only reads look up.
    pub async fn read(&self, id: &str) -> Appointment {
        let request = self.request(GetAppointmentRequest { id: id.to_owned() });
        let read = self.booking.clone().get_appointment(request).await.unwrap().into_inner();
        Appointment { places: None, first_visit: None, plan: None, ..read }
    }

    /// Everything live, part by part, and the position to follow from.
    pub async fn snapshot(&self) -> (Vec<wire::booking::Change>, String) {
        let mut parts =
            self.feed.clone().snapshot(self.request(SnapshotRequest::default())).await.unwrap().into_inner();
        let (mut changes, mut position) = (Vec::new(), String::new());
        while let Some(part) = parts.message().await.unwrap() {
            let SnapshotPart { changes: more, position: last } = part;
            changes.extend(more);
            position = last;
        }
        (changes, position)
    }

    pub fn advance(&self, minutes: i64) {
        self.clock.advance(SignedDuration::from_mins(minutes));
    }
}

fn config() -> Config {
    Config { link_key: Some("a key of the contract tests".into()), ..Config::default() }
}

pub fn fault(status: &Status) -> Fault {
    Fault::from(status.clone())
}

/// So many minutes after [`START`].
pub fn after(minutes: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

pub fn slot(service: Uuid, practitioner: Uuid, starts_at: Timestamp) -> String {
    slot_at(HERE, service, practitioner, starts_at)
}

pub fn slot_at(location: Uuid, service: Uuid, practitioner: Uuid, starts_at: Timestamp) -> String {
    slot_of(location, service, practitioner, starts_at, 30)
}

/// A slot that says that the visit takes so many minutes.
pub fn slot_of(location: Uuid, service: Uuid, practitioner: Uuid, starts_at: Timestamp, minutes: u16) -> String {
    Slot {
        starts_at,
        service: ServiceId::new(service),
        location: LocationId::new(location),
        practitioner: PractitionerId::new(practitioner),
        minutes,
        shared: service == CLASS,
    }
    .to_string()
}

/// A patient with a number in the name and the telephone number.
pub fn patient(number: u32) -> PatientDetails {
    PatientDetails {
        given_name: "Ada".into(),
        family_name: format!("Example {number}"),
        phone: format!("+1780555{number:04}"),
        ..PatientDetails::default()
    }
}

/// A booking of a slot for the patient with this number.
pub fn visit(slot_id: &str, number: u32) -> BookAppointmentRequest {
    BookAppointmentRequest {
        time: Some(Time::SlotId(slot_id.into())),
        who: Some(Who::Patient(patient(number))),
        channel: BookingChannel::Staff as i32,
        ..BookAppointmentRequest::default()
    }
}

/// A booking of a hold.
pub fn of_hold(hold_id: &str, number: u32) -> BookAppointmentRequest {
    BookAppointmentRequest { time: Some(Time::HoldId(hold_id.into())), ..visit("", number) }
}

pub fn code<T: std::fmt::Debug>(answer: Result<T, Fault>) -> Code {
    answer.unwrap_err().code
}
