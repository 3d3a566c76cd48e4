//! A running availability service with a small clinic in it.

use std::time::Duration;

use availability::{App, Calendars, Config, Deps};
use domain::{
    claim::{Claim, Kind},
    directory::Body,
    id::{LocationId, OrganizationId, PractitionerId, RoomId},
};
use jiff::{SignedDuration, Timestamp};
use rpc::{Context, Fault};
use runtime::{Clock, Ids, Readiness, Shutdown};
use serde_json::{Value, json};
use sql::Target;
use testkit::database::Database;
use tonic::{Request, Response};
use uuid::Uuid;
use wire::{
    availability::{
        self as proto, ArchiveEntryRequest, CheckSlotsRequest, CheckedSlot, CreateEntryRequest, Entry,
        SearchSlotsRequest, SearchSlotsResponse, UpdateEntryRequest, WriteEntryResponse,
        directory_client::DirectoryClient, planner_client::PlannerClient, search_client::SearchClient,
    },
    common::BookingChannel,
    convert::directory::{body_to_wire, kind_to_wire},
};

use crate::fake_booking::{FakeBooking, Visit, claim, new_id};

/// A Monday, 01:00 in Edmonton.
pub const NOW: &str = "2026-03-02T08:00:00Z";

pub struct World {
    pub clock: Clock,
    pub booking: FakeBooking,
    pub readiness: Readiness,
    pub directory: DirectoryClient<rpc::Channel>,
    pub search: SearchClient<rpc::Channel>,
    pub planner: PlannerClient<rpc::Channel>,
    pub organization: OrganizationId,
    pub target: Target,
    shutdown: Shutdown,
    _database: Option<Database>,
}

/// The ids of a clinic's entries, in public form.
#[derive(Debug, Clone)]
pub struct Clinic {
    pub location: String,
    pub room: String,
    pub practitioner: String,
    pub roster: String,
    pub service: String,
    /// Whether the service is a group session.
    pub shared: bool,
}

/// A world on each engine.
pub async fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for database in [Database::sqlite().unwrap(), Database::postgres().await.unwrap()] {
        worlds.push(World::over(database).await);
    }
    worlds
}

pub fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_microsecond()
}

pub fn text_of(us: i64) -> String {
    Timestamp::from_microsecond(us).unwrap().to_string()
}

pub fn fault<T: std::fmt::Debug>(answer: Result<Response<T>, tonic::Status>) -> Fault {
    answer.expect_err("it should have been refused").into()
}

/// The violations as `pointer code`.
pub fn violations(fault: &Fault) -> Vec<String> {
    fault.violations.iter().map(|one| format!("{} {}", one.pointer, one.code)).collect()
}

pub fn revision<T>(answer: &Response<T>) -> String {
    answer.metadata().get("meridian-revision").unwrap().to_str().unwrap().to_owned()
}

impl World {
    pub async fn over(database: Database) -> Self {
        let target = Target::from_url(&database.for_service("availability")).unwrap();
        let mut world = Self::start(target, FakeBooking::new(), Clock::manual(NOW.parse().unwrap()), 1).await;
        world._database = Some(database);
        world.organization = world.new_organization().await;
        world
    }

    /// Starts a service over a database that may hold data.
    pub async fn start(target: Target, booking: FakeBooking, clock: Clock, seed: u64) -> Self {
        let readiness = Readiness::new();
        let deps = Deps {
            config: Config {
                // The test's servers run on this machine.
                calendars: Calendars { allow_private_addresses: true, ..Calendars::default() },
                ..Config::default()
            },
            clock: clock.clone(),
            ids: Ids::seeded(seed),
            database: target.clone(),
            booking: booking.channel(),
            readiness: readiness.clone(),
            keyring: service::seal::Keyring::from_key(&[7; 32]),
        };
        let app = App::build(deps).await.unwrap();
        let shutdown = Shutdown::new();
        let channel = rpc::Channel::in_process(app.routes());
        let until = shutdown.clone();
        tokio::spawn(async move { app.run(until).await });
        let organization = OrganizationId::new(Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_00aa));
        Self {
            directory: DirectoryClient::new(channel.clone()),
            search: SearchClient::new(channel.clone()),
            planner: PlannerClient::new(channel),
            clock,
            booking,
            readiness,
            organization,
            target,
            shutdown,
            _database: None,
        }
    }

    pub async fn new_organization(&self) -> OrganizationId {
        let request = proto::CreateOrganizationRequest {
            name: "Prairie Physio".into(),
            default_language: "en".into(),
            country: "CA".into(),
            ..Default::default()
        };
        let made = self.directory.clone().create_organization(self.request(request)).await.unwrap();
        made.into_inner().id.parse().unwrap()
    }

    pub fn context(&self) -> Context {
        Context::new(self.organization, "key_test", Duration::from_secs(20))
    }

    pub fn request<T>(&self, message: T) -> Request<T> {
        self.context().request(message)
    }

    /// A request that must include a revision.
    pub fn after<T>(&self, revision: &str, message: T) -> Request<T> {
        Context { revision: Some(revision.to_owned()), ..self.context() }.request(message)
    }

    pub fn advance(&self, minutes: i64) {
        self.clock.advance(SignedDuration::from_mins(minutes));
    }

    pub async fn try_create(
        &self,
        parent: &str,
        kind: &str,
        body: Value,
        dry_run: bool,
    ) -> Result<Response<WriteEntryResponse>, tonic::Status> {
        let request = CreateEntryRequest { parent_id: parent.into(), body: Some(self::body(kind, body)), dry_run };
        self.directory.clone().create_entry(self.request(request)).await
    }

    /// Adds an entry; returns its id.
    pub async fn create(&self, parent: &str, kind: &str, body: Value) -> String {
        self.try_create(parent, kind, body, false).await.unwrap().into_inner().entry.unwrap().id
    }

    pub async fn update(&self, id: &str, kind: &str, body: Value, if_version: i64) -> Result<Entry, Fault> {
        let request =
            UpdateEntryRequest { id: id.into(), body: Some(self::body(kind, body)), if_version, ..Default::default() };
        let answer = self.directory.clone().update_entry(self.request(request)).await?;
        Ok(answer.into_inner().entry.unwrap())
    }

    pub async fn archive(&self, kind: domain::directory::Kind, id: &str) -> WriteEntryResponse {
        let request = ArchiveEntryRequest { kind: kind_to_wire(kind) as i32, id: id.into(), ..Default::default() };
        self.directory.clone().archive_entry(self.request(request)).await.unwrap().into_inner()
    }

    /// One location, one room, one practitioner (weekdays 09:00 to 12:00), one service of 30 minutes.
    pub async fn clinic(&self) -> Clinic {
        let location =
            json!({"name": "Whyte", "time_zone": "America/Edmonton", "latitude": 53.51, "longitude": -113.5});
        let location = self.create("", "location", location).await;
        let room = self.create(&location, "room", json!({"name": "1", "type": "treatment-room"})).await;
        let practitioner = json!({"given_name": "Ada", "family_name": "Byron", "languages": ["en", "fr-CA"]});
        let practitioner = self.create("", "practitioner", practitioner).await;
        let roster = self.create(&practitioner, "roster", roster(&location, "09:00", "12:00")).await;
        let service = self.create("", "service", service(json!({"room_type": "treatment-room"}))).await;
        Clinic { location, room, practitioner, roster, service, shared: false }
    }

    pub async fn slots(&self, revision: &str, request: SearchSlotsRequest) -> SearchSlotsResponse {
        let request = if revision.is_empty() { self.request(request) } else { self.after(revision, request) };
        self.search.clone().search_slots(request).await.unwrap().into_inner()
    }

    /// The starts of a day's slots as wall-clock times of the clinic.
    pub async fn starts(&self, revision: &str, clinic: &Clinic, date: &str) -> Vec<String> {
        self.local_starts(&self.slots(revision, day(clinic, date)).await)
    }

    pub fn local_starts(&self, answer: &SearchSlotsResponse) -> Vec<String> {
        self.local_starts_of(&answer.slots)
    }

    pub fn local_starts_of(&self, slots: &[proto::Slot]) -> Vec<String> {
        let local = |slot: &proto::Slot| {
            let zone = jiff::tz::TimeZone::get(&slot.time_zone).unwrap();
            let start = Timestamp::from_microsecond(slot.starts_at_us).unwrap();
            zone.to_datetime(start).strftime("%H:%M").to_string()
        };
        slots.iter().map(local).collect()
    }

    pub async fn check(&self, revision: &str, slot_ids: &[String], channel: BookingChannel) -> Vec<CheckedSlot> {
        let request = CheckSlotsRequest { slot_ids: slot_ids.to_vec(), channel: channel as i32, ..Default::default() };
        let request = if revision.is_empty() { self.request(request) } else { self.after(revision, request) };
        self.search.clone().check_slots(request).await.unwrap().into_inner().slots
    }

    /// The codes that refuse a start online.
    pub async fn refusals(&self, revision: &str, clinic: &Clinic, start: &str) -> Vec<String> {
        let checked = self.check(revision, &[slot_id(clinic, at(start))], BookingChannel::Online).await;
        checked[0].refusals.iter().map(|refusal| refusal.code.clone()).collect()
    }

    /// A visit at the clinic that claims its practitioner and room for `minutes`.
    pub fn visit(&self, clinic: &Clinic, start: &str, minutes: i64) -> Visit {
        let (starts_at_us, ends_at_us) = (at(start), at(start) + minutes * 60_000_000);
        let practitioner = clinic.practitioner.parse::<PractitionerId>().unwrap().uuid();
        let room = clinic.room.parse::<RoomId>().unwrap().uuid();
        let location = Some(clinic.location.parse::<LocationId>().unwrap().uuid());
        let patient = new_id();
        Visit {
            organization: self.organization,
            service: clinic.service.clone(),
            location: clinic.location.clone(),
            practitioner: clinic.practitioner.clone(),
            room: clinic.room.clone(),
            group: String::new(),
            patient,
            starts_at_us,
            ends_at_us,
            claims: vec![
                Claim { location, ..claim(Kind::Practitioner, practitioner, 0, starts_at_us, ends_at_us) },
                claim(Kind::Room, room, 0, starts_at_us, ends_at_us),
                claim(Kind::Patient, patient, 0, starts_at_us, ends_at_us),
            ],
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

pub fn body(kind: &str, body: Value) -> proto::EntryBody {
    let body: Body = serde_json::from_value(json!({"kind": kind, "body": body})).unwrap();
    body_to_wire(&body)
}

/// Weekdays, the same hours each.
pub fn roster(location: &str, from: &str, to: &str) -> Value {
    let weekly: Vec<Value> =
        ["mo", "tu", "we", "th", "fr"].iter().map(|day| json!({"day": day, "from": from, "to": to})).collect();
    json!({"location_id": location, "effective_from": "2026-01-05", "weekly": weekly})
}

/// A service of 30 minutes every half hour, with other fields replaced.
pub fn service(own: Value) -> Value {
    let mut service = json!({"code": format!("s-{}", new_id().simple()), "name": "Visit", "duration_minutes": 30,
        "start_alignment_minutes": 30, "horizon_days": 60});
    for (key, value) in own.as_object().unwrap() {
        service[key] = value.clone();
    }
    service
}

/// All starts of one Edmonton date.
pub fn day(clinic: &Clinic, date: &str) -> SearchSlotsRequest {
    let from = at(&format!("{date}T06:00:00Z"));
    SearchSlotsRequest {
        service_id: clinic.service.clone(),
        from_us: from,
        to_us: from + 86_400_000_000,
        limit: 200,
        ..Default::default()
    }
}

pub fn slot_id(clinic: &Clinic, starts_at_us: i64) -> String {
    slot_of(clinic, starts_at_us, 30)
}

/// A slot of a visit that takes `minutes`.
pub fn slot_of(clinic: &Clinic, starts_at_us: i64, minutes: u16) -> String {
    domain::slot::Slot {
        starts_at: Timestamp::from_microsecond(starts_at_us).unwrap(),
        service: clinic.service.parse().unwrap(),
        location: clinic.location.parse::<LocationId>().unwrap(),
        practitioner: clinic.practitioner.parse().unwrap(),
        minutes,
        shared: clinic.shared,
    }
    .to_string()
}
