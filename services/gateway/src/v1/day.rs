//! A location's day in one answer: the columns of a day board, and the appointments with their names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::http::Method;
use domain::appointment::Status;
use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::{
    availability::{DescribeDayRequest, DescribeDayResponse, describe_day_response as wire_day},
    booking::{self, ListDayRequest, ListDayResponse},
    convert::optional_text,
};

use super::{
    appointments::{Cancellation, Places, PlanPart, cancellation, places, plan_part},
    include::{Included, IncludedPatient, IncludedService},
    time,
};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

const ROOM: &str = "room";
const PARAMS: [Param; 3] = [
    Param::new("date", Type::Date, "A date of the location; today without it"),
    Param::new("by", Type::Word(&["practitioner", ROOM]), "The columns; practitioners without it"),
    Param::new("ids", Type::Id("appt"), "These appointments of the day alone, for a client that an event told of them")
        .repeated(),
];

pub(super) fn operations() -> Vec<Operation> {
    let operation = Operation::new(
        "get_day",
        Method::GET,
        "/v1/locations/{id}/day",
        "appointments",
        "Returns a location's day: who works when, every appointment with its names, and the event to listen from",
        Access::Scopes(&[Scope::PatientsRead]),
        handler!(get),
    );
    vec![operation.params(&PARAMS).answer(200, "LocationDay")]
}

/// A day of a location.
#[derive(Serialize, ToSchema)]
pub(crate) struct LocationDay {
    location_id: String,
    location_name: String,
    #[schema(format = Date)]
    date: String,
    /// IANA time zone of the location.
    time_zone: String,
    /// The first instant of the date; the day has 23 to 25 hours where the clock changes.
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
    /// The offset from UTC at the start of the day, and each change of it.
    offsets: Vec<UtcOffset>,
    /// Opening hours, less closures.
    open: Vec<TimeSpan>,
    closures: Vec<Block>,
    /// Practitioners with a shift or an appointment on the day, by family name; or the rooms.
    columns: Vec<DayColumn>,
    /// Earliest start first, in every status.
    appointments: Vec<DayAppointment>,
    /// The services of the appointments, by name.
    services: Vec<IncludedService>,
    counts: DayCounts,
    /// `GET /v1/events` with this `Last-Event-ID` continues from here. Events of appointments that are in this answer may come
    /// again: the one with the higher `version` is the newer.
    last_event_id: String,
}

/// An offset from UTC.
#[derive(Serialize, ToSchema)]
pub(crate) struct UtcOffset {
    /// From this instant on.
    #[schema(format = DateTime)]
    starts_at: String,
    /// Minutes east of UTC.
    minutes: i32,
}

/// A part of the day.
#[derive(Serialize, ToSchema)]
pub(crate) struct TimeSpan {
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
}

/// A part of the day that is taken from shifts or opening hours.
#[derive(Serialize, ToSchema)]
pub(crate) struct Block {
    #[serde(flatten)]
    span: TimeSpan,
    /// `closure`, `time_off`, or `busy` for an imported calendar.
    kind: String,
    /// The reason, or the calendar's name. Of an absence only for callers with `directory:write`: it may be personal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// A practitioner or a room on the day.
#[derive(Serialize, ToSchema)]
pub(crate) struct DayColumn {
    id: String,
    name: String,
    /// The time in which search finds slots, if it is free: shifts less breaks and blocks; of a room the opening hours.
    working: Vec<TimeSpan>,
    /// The breaks of shifts.
    breaks: Vec<TimeSpan>,
    blocks: Vec<Block>,
    /// Its appointments that take time: all but cancelled and missed ones.
    appointments: u32,
}

/// An appointment on the day. A field that is not set, or false, is left out.
#[derive(Serialize, ToSchema)]
pub(crate) struct DayAppointment {
    id: String,
    version: i64,
    #[schema(value_type = Status)]
    status: String,
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
    service_id: String,
    practitioner_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    room_id: Option<String>,
    /// Absent where the record was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    patient: Option<DayPatient>,
    /// Appointments with the same one are together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    places: Option<Places>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    plan: Option<PlanPart>,
    /// The patient's first at this organisation.
    #[serde(skip_serializing_if = "is_false")]
    first_visit: bool,
    #[serde(skip_serializing_if = "is_false")]
    displaced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    confirmed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    arrived_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cancellation: Option<Cancellation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
}

/// The patient of an appointment, as a day list names them.
#[derive(Serialize, ToSchema)]
pub(crate) struct DayPatient {
    id: String,
    given_name: String,
    family_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    phone: Option<String>,
}

/// The appointments of a day, counted.
#[derive(Serialize, ToSchema)]
pub(crate) struct DayCounts {
    total: u32,
    /// By status; a status without appointments is left out.
    by_status: BTreeMap<String, u32>,
    first_visits: u32,
    displaced: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let location_id = call.path_param("id");
    let date = call.params.text_or_empty("date");
    let (mut day, listed) = if date.is_empty() {
        // Only the location's clock knows its date.
        let day = described(&call, &location_id, date).await?;
        let listed = appointments_of(&call, &location_id, day.date.clone()).await?;
        (day, listed)
    } else {
        tokio::try_join!(described(&call, &location_id, date.clone()), appointments_of(&call, &location_id, date))?
    };
    let words = ["patient", "service", "practitioner"].map(str::to_owned);
    let ids = listed.appointments.iter().flat_map(|it| [it.patient_id.as_str(), &it.service_id, &it.practitioner_id]);
    let included = Included::of(&call, words, ids).await?;
    if !call.caller.has(Scope::DirectoryWrite) {
        let absences = day.practitioners.iter_mut().flat_map(|it| &mut it.blocks);
        absences.for_each(|block| block.reason.clear());
    }
    let by_room = call.params.text("by") == Some(ROOM);
    let answer = to_json(location_id, by_room, &day, &listed, &included);
    Ok(Reply::json(200, &answer)?.rows(answer.appointments.len()))
}

async fn described(call: &Call, location_id: &str, date: String) -> Result<DescribeDayResponse, Fault> {
    let request = DescribeDayRequest { location_id: location_id.to_owned(), date };
    Ok(call.inner.directory.clone().describe_day(call.context().request(request)).await?.into_inner())
}

async fn appointments_of(call: &Call, location_id: &str, date: String) -> Result<ListDayResponse, Fault> {
    let request = ListDayRequest { location_id: location_id.to_owned(), date, ids: call.params.all("ids") };
    Ok(call.inner.booking.clone().list_day(call.context().request(request)).await?.into_inner())
}

fn to_json(
    location_id: String,
    by_room: bool,
    day: &DescribeDayResponse,
    listed: &ListDayResponse,
    included: &Included,
) -> LocationDay {
    let zone = day.time_zone.as_str();
    let span = day.day.unwrap_or_default();
    let offsets = day.offsets.iter().map(|offset| UtcOffset {
        starts_at: time::local(offset.from_us, zone),
        minutes: offset.seconds.div_euclid(60),
    });
    LocationDay {
        location_id,
        location_name: day.location_name.clone(),
        date: day.date.clone(),
        time_zone: day.time_zone.clone(),
        starts_at: time::local(span.starts_at_us, zone),
        ends_at: time::local(span.ends_at_us, zone),
        offsets: offsets.collect(),
        open: spans(&day.open, zone),
        closures: blocks(&day.closures, zone),
        columns: if by_room { rooms(day, listed) } else { practitioners(day, listed, included) },
        appointments: listed.appointments.iter().map(|it| appointment(it, included)).collect(),
        services: included.all_services(),
        counts: counts(&listed.appointments),
        last_event_id: listed.position.clone(),
    }
}

/// The practitioners with a shift, and then those who have an appointment without one.
fn practitioners(day: &DescribeDayResponse, listed: &ListDayResponse, included: &Included) -> Vec<DayColumn> {
    let zone = day.time_zone.as_str();
    let taken = taken_by(listed, |it| &it.practitioner_id);
    let rostered = day.practitioners.iter().map(|it| DayColumn {
        id: it.id.clone(),
        name: format!("{} {}", it.given_name, it.family_name),
        working: spans(&it.working, zone),
        breaks: spans(&it.breaks, zone),
        blocks: blocks(&it.blocks, zone),
        appointments: taken.get(it.id.as_str()).copied().unwrap_or_default(),
    });
    let mut columns: Vec<DayColumn> = rostered.collect();
    let known: BTreeSet<&str> = day.practitioners.iter().map(|it| it.id.as_str()).collect();
    let others: BTreeSet<&str> = listed.appointments.iter().map(|it| it.practitioner_id.as_str()).collect();
    columns.extend(others.difference(&known).map(|id| DayColumn {
        id: (*id).to_owned(),
        name: included.practitioner(id).map(|it| it.name()).unwrap_or_default(),
        working: vec![],
        breaks: vec![],
        blocks: vec![],
        appointments: taken.get(id).copied().unwrap_or_default(),
    }));
    columns
}

fn rooms(day: &DescribeDayResponse, listed: &ListDayResponse) -> Vec<DayColumn> {
    let zone = day.time_zone.as_str();
    let taken = taken_by(listed, |it| &it.room_id);
    let columns = day.rooms.iter().map(|room| DayColumn {
        id: room.id.clone(),
        name: room.name.clone(),
        working: spans(&day.open, zone),
        breaks: vec![],
        blocks: blocks(&day.closures, zone),
        appointments: taken.get(room.id.as_str()).copied().unwrap_or_default(),
    });
    columns.collect()
}

/// How many appointments take the time of each practitioner or room.
fn taken_by(listed: &ListDayResponse, of: fn(&booking::Appointment) -> &str) -> HashMap<&str, u32> {
    let mut taken = HashMap::new();
    for appointment in &listed.appointments {
        if appointment.status.parse::<Status>().is_ok_and(Status::claims_time) {
            *taken.entry(of(appointment)).or_default() += 1;
        }
    }
    taken
}

fn appointment(of: &booking::Appointment, included: &Included) -> DayAppointment {
    let zone = of.time_zone.as_str();
    DayAppointment {
        id: of.id.clone(),
        version: of.version,
        status: of.status.clone(),
        starts_at: time::local(of.starts_at_us, zone),
        ends_at: time::local(of.ends_at_us, zone),
        service_id: of.service_id.clone(),
        practitioner_id: of.practitioner_id.clone(),
        room_id: optional_text(&of.room_id),
        patient: included.patient(&of.patient_id).map(DayPatient::from),
        group_id: optional_text(&of.group_id),
        places: of.places.map(places),
        plan: of.plan.as_ref().map(|plan| plan_part(plan, false)),
        first_visit: of.first_visit.unwrap_or_default(),
        displaced: of.displaced,
        confirmed_at: time::optional(of.confirmed_at_us, zone),
        arrived_at: time::optional(of.arrived_at_us, zone),
        cancellation: of.cancellation.as_ref().map(|it| cancellation(it, true)),
        note: optional_text(&of.note),
    }
}

impl From<IncludedPatient> for DayPatient {
    fn from(patient: IncludedPatient) -> Self {
        let IncludedPatient { id, given_name, family_name, phone, .. } = patient;
        Self { id, given_name, family_name, phone }
    }
}

fn counts(appointments: &[booking::Appointment]) -> DayCounts {
    let mut by_status = BTreeMap::new();
    for appointment in appointments {
        *by_status.entry(appointment.status.clone()).or_default() += 1;
    }
    let count = |of: fn(&booking::Appointment) -> bool| {
        u32::try_from(appointments.iter().filter(|it| of(it)).count()).unwrap_or(u32::MAX)
    };
    DayCounts {
        total: count(|_| true),
        by_status,
        first_visits: count(|it| it.first_visit == Some(true)),
        displaced: count(|it| it.displaced),
    }
}

fn spans(spans: &[wire_day::Span], zone: &str) -> Vec<TimeSpan> {
    spans.iter().map(|span| time_span(*span, zone)).collect()
}

fn blocks(blocks: &[wire_day::Block], zone: &str) -> Vec<Block> {
    let block = |it: &wire_day::Block| Block {
        span: time_span(it.span.unwrap_or_default(), zone),
        kind: it.kind.clone(),
        reason: optional_text(&it.reason),
    };
    blocks.iter().map(block).collect()
}

fn time_span(span: wire_day::Span, zone: &str) -> TimeSpan {
    TimeSpan { starts_at: time::local(span.starts_at_us, zone), ends_at: time::local(span.ends_at_us, zone) }
}
