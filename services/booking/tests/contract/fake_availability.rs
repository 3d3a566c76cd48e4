//! An availability service that a test scripts: it knows services, and finds every slot free.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::{
    fault::Faults,
    id::{EquipmentId, RoomId},
    slot::Slot,
};
use jiff::SignedDuration;
use rpc::Fault;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;
use wire::{
    availability::{
        self as proto, CheckReferencesRequest, CheckReferencesResponse, CheckSlotsRequest, CheckSlotsResponse,
        CheckedSlot, Decided, DescribeVisitRequest, DescribeVisitResponse, DescribeVisitsRequest,
        DescribeVisitsResponse, EquipmentUnit, ExplainSlotRequest, ExplainSlotResponse, LocationDay,
        NearestSlotsRequest, NearestSlotsResponse, NextSlotsResponse, Refusal, SearchDaysResponse, SearchSlotsRequest,
        SearchSlotsResponse,
        search_server::{Search, SearchServer},
    },
    common::Interval,
};

use crate::fake_directory;

pub const ZONE: &str = "America/Edmonton";
const DAY_US: i64 = 86_400_000_000;

/// A scripted service. `rooms` and `units` are the candidates of its slots, best first.
#[derive(Debug, Clone)]
pub struct Offer {
    pub minutes: i64,
    /// Before and after the visit.
    pub buffer_minutes: i64,
    pub capacity: u32,
    pub needling: bool,
    pub requires_prior: String,
    pub rooms: Vec<Uuid>,
    pub units: Vec<(Uuid, u32)>,
    /// The group session that availability says a slot joins; empty for none.
    pub joins: String,
    /// The code that every slot of it is refused with.
    pub refused: Option<&'static str>,
    /// Most visits on one day in UTC.
    pub most_a_day: Option<u32>,
    /// Of these, only needling counts.
    pub needling_counts: bool,
    /// Minutes to the practitioner's visits at this location.
    pub road: Option<(Uuid, i64)>,
}

impl Default for Offer {
    /// Half an hour for one patient, with no buffers, rooms or rules.
    fn default() -> Self {
        Self {
            minutes: 30,
            buffer_minutes: 0,
            capacity: 1,
            needling: false,
            requires_prior: String::new(),
            rooms: vec![],
            units: vec![],
            joins: String::new(),
            refused: None,
            most_a_day: None,
            needling_counts: false,
            road: None,
        }
    }
}

/// A patient, and the slots that open when a search names the patient.
type Opening = (String, Vec<String>);

#[derive(Clone, Default)]
pub struct FakeAvailability {
    offers: Arc<Mutex<HashMap<Uuid, Offer>>>,
    /// The slots that a search finds.
    open: Arc<Mutex<Vec<String>>>,
    /// The slots that open once a patient's search is answered.
    opening: Arc<Mutex<Option<Opening>>>,
    /// Checks of slots wait while a test holds this lock.
    gate: Arc<RwLock<()>>,
    checks: Arc<AtomicUsize>,
    /// Ids that are none of an entry in use; every other one is.
    unknown: Arc<Mutex<HashSet<String>>>,
    /// The zone of every location, where it is not [`ZONE`].
    zone: Arc<Mutex<Option<String>>>,
    /// The open minutes of every location and day; days are those of UTC.
    open_minutes: Arc<Mutex<u32>>,
}

impl FakeAvailability {
    /// No entry in use has this id, from now on.
    pub fn forget(&self, id: impl ToString) {
        self.unknown.lock().unwrap().insert(id.to_string());
    }

    pub fn offer(&self, service: Uuid, offer: Offer) {
        self.offers.lock().unwrap().insert(service, offer);
    }

    /// Sets the slots that a search finds.
    pub fn open(&self, slots: &[String]) {
        *self.open.lock().unwrap() = slots.to_vec();
    }

    /// Sets the slots that a search finds as soon as the next search for this patient is answered.
    pub fn open_after(&self, patient_id: &str, slots: &[String]) {
        *self.opening.lock().unwrap() = Some((patient_id.to_owned(), slots.to_vec()));
    }

    /// Gives every location a time zone.
    pub fn rezone(&self, time_zone: &str) {
        *self.zone.lock().unwrap() = Some(time_zone.to_owned());
    }

    /// The time zone of every location.
    pub fn zone(&self) -> String {
        self.zone.lock().unwrap().clone().unwrap_or_else(|| ZONE.to_owned())
    }

    /// Sets the open minutes of every location and day.
    pub fn open_minutes(&self, minutes: u32) {
        *self.open_minutes.lock().unwrap() = minutes;
    }

    /// Makes all checks of slots wait until the guard is dropped.
    pub async fn stall(&self) -> OwnedRwLockWriteGuard<()> {
        self.gate.clone().write_owned().await
    }

    /// Checks of slots that have come.
    pub fn checks(&self) -> usize {
        self.checks.load(Ordering::SeqCst)
    }

    pub fn channel(&self) -> rpc::Channel {
        let routes = Routes::new(SearchServer::new(self.clone()));
        rpc::Channel::in_process(rpc::guard(fake_directory::add(routes, self.clone())))
    }

    fn checked(&self, text: &str, decided: &Decided) -> CheckedSlot {
        let slot: Slot = text.parse().unwrap();
        let known = self.offers.lock().unwrap();
        let Some(offer) = known.get(&slot.service.uuid()) else {
            let refusal = Refusal { code: "not_offered".into(), detail: "no such service".into() };
            return CheckedSlot { refusals: vec![refusal], ..CheckedSlot::default() };
        };
        let minutes = |minutes: i64| SignedDuration::from_mins(minutes);
        let long = match (&decided.kept, decided.minutes) {
            (Some(_), _) => i64::from(slot.minutes),
            (None, 0) => offer.minutes,
            (None, own) => i64::from(own),
        };
        let promised = decided.minutes > 0 || i64::from(slot.minutes) == long;
        let refused = offer.refused.into_iter().chain((!promised).then_some("slot_changed"));
        let refusals = refused.map(|code| Refusal { code: code.into(), detail: "so says the test".into() });
        let refusals = refusals.collect();
        let ends_at = slot.starts_at + minutes(long);
        let slot = Slot { minutes: u16::try_from(long).unwrap(), ..slot };
        let claim = Interval {
            starts_at_us: (slot.starts_at - minutes(offer.buffer_minutes)).as_microsecond(),
            ends_at_us: (ends_at + minutes(offer.buffer_minutes)).as_microsecond(),
        };
        CheckedSlot {
            slot: Some(slot_response(&slot, ends_at.as_microsecond(), offer.capacity, self.zone())),
            refusals,
            service: Some(proto::Service {
                capacity: offer.capacity,
                needling: offer.needling,
                requires_prior: offer.requires_prior.clone(),
                ..proto::Service::default()
            }),
            claim: Some(decided.kept.as_ref().and_then(|kept| kept.claim).unwrap_or(claim)),
            room_ids: offer.rooms.iter().map(|id| RoomId::new(*id).to_string()).collect(),
            equipment: offer
                .units
                .iter()
                .map(|(id, unit)| EquipmentUnit { equipment_id: EquipmentId::new(*id).to_string(), unit: *unit })
                .collect(),
            group_id: offer.joins.clone(),
            limits: limits(offer, slot.starts_at, ends_at),
            day: None,
        }
    }
}

fn limits(offer: &Offer, starts_at: jiff::Timestamp, ends_at: jiff::Timestamp) -> Vec<proto::Limit> {
    let from_us = starts_at.as_microsecond().div_euclid(DAY_US) * DAY_US;
    let cap = offer.most_a_day.map(|most| proto::Limit {
        code: "daily_cap".into(),
        needling: offer.needling_counts,
        starts_at_us: from_us,
        ends_at_us: from_us + DAY_US,
        most,
        ..proto::Limit::default()
    });
    let road = offer.road.map(|(location, minutes)| proto::Limit {
        code: "travel_time".into(),
        location_id: domain::id::LocationId::new(location).to_string(),
        starts_at_us: (starts_at - SignedDuration::from_mins(minutes)).as_microsecond(),
        ends_at_us: (ends_at + SignedDuration::from_mins(minutes)).as_microsecond(),
        ..proto::Limit::default()
    });
    cap.into_iter().chain(road).collect()
}

fn slot_response(slot: &Slot, ends_at_us: i64, places_left: u32, time_zone: String) -> proto::Slot {
    proto::Slot {
        slot_id: slot.to_string(),
        service_id: slot.service.to_string(),
        practitioner_id: slot.practitioner.to_string(),
        location_id: slot.location.to_string(),
        starts_at_us: slot.starts_at.as_microsecond(),
        ends_at_us,
        time_zone,
        places_left,
    }
}

#[tonic::async_trait]
impl Search for FakeAvailability {
    async fn check_references(
        &self,
        request: Request<CheckReferencesRequest>,
    ) -> Result<Response<CheckReferencesResponse>, Status> {
        let mut faults = Faults::new();
        for reference in request.into_inner().references {
            let known = !self.unknown.lock().unwrap().contains(&reference.id);
            faults.check(known, reference.pointer, "unknown_reference", "there is none in use with this id");
        }
        faults.result().map_err(Fault::invalid)?;
        Ok(Response::new(CheckReferencesResponse {}))
    }

    async fn check_slots(&self, request: Request<CheckSlotsRequest>) -> Result<Response<CheckSlotsResponse>, Status> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.read().await;
        let request = request.into_inner();
        let decided = |at: usize| request.decided.get(at).cloned().unwrap_or_default();
        let slots = request.slot_ids.iter().enumerate().map(|(at, text)| {
            let checked = self.checked(text, &decided(at));
            let slot = checked.slot.as_ref().filter(|_| request.with_day);
            let day = slot.map(|slot| LocationDay {
                starts_at_us: slot.starts_at_us.div_euclid(DAY_US) * DAY_US,
                open_minutes: *self.open_minutes.lock().unwrap(),
            });
            CheckedSlot { day, ..checked }
        });
        let slots = slots.collect();
        Ok(Response::new(CheckSlotsResponse { slots }))
    }

    type WatchAvailabilityStream = futures::stream::Empty<Result<proto::AvailabilityChange, Status>>;

    async fn watch_availability(
        &self,
        _: Request<SearchSlotsRequest>,
    ) -> Result<Response<Self::WatchAvailabilityStream>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    /// The same practitioner's next three hours.
    async fn nearest_slots(
        &self,
        request: Request<NearestSlotsRequest>,
    ) -> Result<Response<NearestSlotsResponse>, Status> {
        let slot: Slot = request.into_inner().slot_id.parse().unwrap();
        let later = (1..=3).map(|hours| Slot { starts_at: slot.starts_at + SignedDuration::from_hours(hours), ..slot });
        let response =
            |slot: Slot| slot_response(&slot, slot.starts_at.as_microsecond() + 1_800_000_000, 1, self.zone());
        let slots = later.map(response).collect();
        Ok(Response::new(NearestSlotsResponse { slots }))
    }

    async fn search_slots(
        &self,
        request: Request<SearchSlotsRequest>,
    ) -> Result<Response<SearchSlotsResponse>, Status> {
        let asked = request.into_inner();
        let open = self.open.lock().unwrap().clone();
        if let Some((_, slots)) = self.opening.lock().unwrap().take_if(|(patient, _)| *patient == asked.patient_id) {
            self.open(&slots);
        }
        let fits = |slot: &proto::Slot| {
            slot.service_id == asked.service_id && (asked.from_us..asked.to_us).contains(&slot.starts_at_us)
        };
        let decided = Decided { minutes: asked.minutes, kept: None };
        let slots = open.iter().filter_map(|text| self.checked(text, &decided).slot).filter(fits).collect();
        Ok(Response::new(SearchSlotsResponse { slots, ..SearchSlotsResponse::default() }))
    }

    async fn search_days(&self, _: Request<SearchSlotsRequest>) -> Result<Response<SearchDaysResponse>, Status> {
        Err(Status::unimplemented("not asked by booking"))
    }

    async fn next_slots(&self, _: Request<SearchSlotsRequest>) -> Result<Response<NextSlotsResponse>, Status> {
        Err(Status::unimplemented("not asked by booking"))
    }

    async fn explain_slot(&self, _: Request<ExplainSlotRequest>) -> Result<Response<ExplainSlotResponse>, Status> {
        Err(Status::unimplemented("not asked by booking"))
    }

    async fn describe_visit(
        &self,
        _: Request<DescribeVisitRequest>,
    ) -> Result<Response<DescribeVisitResponse>, Status> {
        Err(Status::unimplemented("not asked by booking"))
    }

    async fn describe_visits(
        &self,
        _: Request<DescribeVisitsRequest>,
    ) -> Result<Response<DescribeVisitsResponse>, Status> {
        Err(Status::unimplemented("not asked by booking"))
    }
}
