//! Open slots.

use axum::{http::Method, response::sse::Event};
use domain::appointment::BookingChannel;
use futures::StreamExt;
use rpc::{Context, Fault};
use serde::Serialize;
use utoipa::ToSchema;
use wire::availability::{self, ExplainSlotRequest, SearchSlotsRequest};

use super::{CURSOR, LIMIT, next_cursor, problem::Problem, time};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
};

/// A start that is open.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Slot {
    /// Opaque; post it as it is to holds and appointments.
    slot_id: String,
    service_id: String,
    practitioner_id: String,
    location_id: String,
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
    /// IANA time zone of the location.
    pub(crate) time_zone: String,
    places_left: u32,
}

impl From<availability::Slot> for Slot {
    fn from(slot: availability::Slot) -> Self {
        Self {
            starts_at: time::shown(slot.starts_at_us, &slot.time_zone),
            ends_at: time::shown(slot.ends_at_us, &slot.time_zone),
            slot_id: slot.slot_id,
            service_id: slot.service_id,
            practitioner_id: slot.practitioner_id,
            location_id: slot.location_id,
            time_zone: slot.time_zone,
            places_left: slot.places_left,
        }
    }
}

impl From<&availability::Slot> for Slot {
    fn from(slot: &availability::Slot) -> Self {
        Self::from(slot.clone())
    }
}

/// Open slots, earliest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlotPage {
    data: Vec<Slot>,
    next_cursor: Option<String>,
    /// Everything that starts before this has been looked at.
    #[schema(format = DateTime)]
    searched_until: String,
    /// The revision that the answer was computed at.
    revision: String,
}

/// A day at a location.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlotDay {
    #[schema(format = Date)]
    date: String,
    location_id: String,
    open_slots: u32,
    #[schema(format = DateTime)]
    first_starts_at: String,
}

/// The days that have open slots.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DayPage {
    data: Vec<SlotDay>,
    revision: String,
}

/// The next available appointments of a location.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextSlots {
    location_id: String,
    /// The first, second and third available appointment; fewer where there are fewer. They could all be booked: each is
    /// the earliest that is open once those before it are booked, so starts of one practitioner that overlap are one
    /// appointment, and practitioners share rooms and equipment. Each place of a group session is an appointment: the
    /// slot of a class with three places left stands three times. The days to the third are the access measure of the
    /// Institute for Healthcare Improvement, "third next available appointment" (<https://www.ihi.org>).
    #[schema(max_items = 3)]
    slots: Vec<Slot>,
}

/// The next available appointments of each location.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextPage {
    data: Vec<NextSlots>,
    revision: String,
}

/// A rule and whether a start keeps it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainedRule {
    code: String,
    passed: bool,
    detail: String,
}

/// Why a start is shown or hidden.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    bookable: bool,
    rules: Vec<ExplainedRule>,
}

/// What has changed since the event before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlotChange {
    /// Slots that are open now and were not, or whose places left have changed; in the first event all that are open.
    came: Vec<Slot>,
    /// Ids of slots that are not open any more.
    went: Vec<String>,
    /// The revision that it was computed at.
    revision: String,
}

/// The times to which an appointment can move; the manage link of one asks the same of its own.
const MOVING: Param = Param::new(
    "moving",
    Type::Id("appt"),
    "Times to which this appointment can move: it keeps its length, and its own time does not count as taken",
);

/// Which slots are asked for, apart from their service.
pub(super) const FILTERS: [Param; 10] = [
    Param::new("from", Type::Instant, "Visits start at or after this").required(),
    Param::new("to", Type::Instant, "Visits start before this; at most 400 days later").required(),
    Param::new("location_id", Type::Id("loc"), "Only there").repeats(),
    Param::new("practitioner_id", Type::Id("prac"), "Only by them").repeats(),
    Param::new("day", Type::Days, "Only on these days of the location's week"),
    Param::new("not_before", Type::WallTime, "Visits start at or after this wall-clock time"),
    Param::new("not_after", Type::WallTime, "Visits end at or before this wall-clock time"),
    Param::new("language", Type::Text(35), "The practitioner speaks it"),
    Param::new("near", Type::Point, "Only locations near this point"),
    Param::new("within_km", Type::Number(0, 20_100), "How near; 50 without it"),
];

/// One start.
pub(super) const START: [Param; 3] = [
    Param::new("practitioner_id", Type::Id("prac"), "By whom").required(),
    Param::new("starts_at", Type::Instant, "When").required(),
    Param::new("location_id", Type::Id("loc"), "Where; without it, where the practitioner works then"),
];

const SERVICE: Param = Param::new("service_id", Type::Id("svc"), "What is given").required();
const PATIENT: Param = Param::new("patient_id", Type::Id("pat"), "Leaves out times at which the patient is taken");
const CHANNEL: Param =
    Param::new("channel", Type::Word(BookingChannel::WORDS), "As whom to search; staff keys may choose");

pub(crate) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::SlotsRead]);
    let get = |id: &str, path: &str, summary: &str, answer, handler| {
        Operation::new(id, Method::GET, path, "slots", summary, access, handler).answer(200, answer)
    };
    let question =
        |operation: Operation| operation.params(&[SERVICE]).params(&FILTERS).params(&[PATIENT, CHANNEL, MOVING]);
    let watch = get("watch_slots", "/v1/slots/watch", "Open slots as they come and go", "SlotChange", handler!(watch));
    vec![
        Operation { events: true, ..question(watch) },
        question(get("search_slots", "/v1/slots", "Open slots, earliest first", "SlotPage", handler!(slots)))
            .params(&[LIMIT, CURSOR]),
        question(get(
            "search_days",
            "/v1/slots/days",
            "Open slots by day, for a month view",
            "DayPage",
            handler!(days),
        )),
        question(get(
            "next_slots",
            "/v1/slots/next",
            "The first three available appointments of each location, which could all be booked",
            "NextPage",
            handler!(next),
        )),
        get("explain_slot", "/v1/slots/explain", "Which rule hides a start", "Explanation", handler!(explained))
            .params(&[SERVICE])
            .params(&START)
            .params(&[CHANNEL, MOVING]),
    ]
}

/// The question that the parameters ask; of another caller's patient or appointment only where the key may read them.
fn request(call: &Call) -> Result<SearchSlotsRequest, Fault> {
    let params = &call.params;
    if params.text("patient_id").is_some() || params.text("moving").is_some() {
        call.caller.needs(Scope::PatientsRead)?;
    }
    Ok(SearchSlotsRequest {
        service_id: params.text_or_empty("service_id"),
        channel: call.channel(params.word("channel")),
        patient_id: params.text_or_empty("patient_id"),
        moving: params.text_or_empty("moving"),
        ..filtered(call)
    })
}

/// The part of a question that says which slots, apart from their service.
pub(super) fn filtered(call: &Call) -> SearchSlotsRequest {
    let params = &call.params;
    let near = params.point("near");
    SearchSlotsRequest {
        from_us: params.instant_us("from"),
        to_us: params.instant_us("to"),
        location_ids: params.all("location_id"),
        practitioner_ids: params.all("practitioner_id"),
        days: params.list("day"),
        not_before: params.text_or_empty("not_before"),
        not_after: params.text_or_empty("not_after"),
        language: params.text_or_empty("language"),
        near_latitude: near.map(|point| point.0),
        near_longitude: near.map(|point| point.1),
        within_km: params.decimal("within_km").unwrap_or(50.0),
        limit: params.number("limit"),
        cursor: params.text_or_empty("cursor"),
        ..SearchSlotsRequest::default()
    }
}

async fn slots(call: Call) -> Result<Reply, Fault> {
    let request = request(&call)?;
    page(&call, &call.context(), request).await
}

async fn days(call: Call) -> Result<Reply, Fault> {
    let request = request(&call)?;
    by_day(&call, &call.context(), request).await
}

async fn next(call: Call) -> Result<Reply, Fault> {
    let request = request(&call)?;
    first(&call, &call.context(), request).await
}

/// Answers a question with a page of slots.
pub(super) async fn page(call: &Call, ctx: &Context, request: SearchSlotsRequest) -> Result<Reply, Fault> {
    let answer = call.inner.search.clone().search_slots(ctx.request(request)).await?.into_inner();
    let zone = answer.slots.first().map(|slot| slot.time_zone.as_str()).unwrap_or_default();
    Reply::json(
        200,
        &SlotPage {
            searched_until: time::shown(answer.searched_until_us, zone),
            data: answer.slots.into_iter().map(Slot::from).collect(),
            next_cursor: next_cursor(answer.next_cursor),
            revision: answer.revision,
        },
    )
}

/// Answers a question with the days that have slots.
pub(super) async fn by_day(call: &Call, ctx: &Context, request: SearchSlotsRequest) -> Result<Reply, Fault> {
    let answer = call.inner.search.clone().search_days(ctx.request(request)).await?.into_inner();
    let data = answer.days.into_iter().map(|day| SlotDay {
        first_starts_at: time::shown(day.first_starts_at_us, &day.time_zone),
        date: day.date,
        location_id: day.location_id,
        open_slots: day.open_slots,
    });
    Reply::json(200, &DayPage { data: data.collect(), revision: answer.revision })
}

/// Answers a question with the first slots of each location.
pub(super) async fn first(call: &Call, ctx: &Context, request: SearchSlotsRequest) -> Result<Reply, Fault> {
    let answer = call.inner.search.clone().next_slots(ctx.request(request)).await?.into_inner();
    let data = answer.locations.into_iter().map(|location| NextSlots {
        slots: location.slots.into_iter().map(Slot::from).collect(),
        location_id: location.location_id,
    });
    Reply::json(200, &NextPage { data: data.collect(), revision: answer.revision })
}

/// The first event is `open` and holds everything; each one after is `change`. Where the question no longer makes sense,
/// the last one is `problem`.
async fn watch(call: Call) -> Result<Reply, Fault> {
    let request = call.context().request(request(&call)?);
    let changes = call.inner.search.clone().watch_availability(request).await?.into_inner();
    let events = changes.enumerate().map(|(at, change)| {
        let event = match change {
            Ok(change) => {
                let change = SlotChange {
                    came: change.came.into_iter().map(Slot::from).collect(),
                    went: change.went,
                    revision: change.revision,
                };
                Event::default().event(if at == 0 { "open" } else { "change" }).json_data(change)
            }
            Err(status) => Event::default().event("problem").json_data(Problem::from(Fault::from(status))),
        };
        // What cannot be written is left out: its like is compiled, not read.
        Ok(event.unwrap_or_default())
    });
    Reply::events(&call.inner, events)
}

async fn explained(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    if params.text("moving").is_some() {
        call.caller.needs(Scope::PatientsRead)?;
    }
    let request = ExplainSlotRequest {
        service_id: params.text_or_empty("service_id"),
        channel: call.channel(params.word("channel")),
        moving: params.text_or_empty("moving"),
        ..start(&call)
    };
    rules(&call, &call.context(), request).await
}

/// The start that is asked about, apart from its service.
pub(super) fn start(call: &Call) -> ExplainSlotRequest {
    ExplainSlotRequest {
        practitioner_id: call.params.text_or_empty("practitioner_id"),
        starts_at_us: call.params.instant_us("starts_at"),
        location_id: call.params.text_or_empty("location_id"),
        ..ExplainSlotRequest::default()
    }
}

/// Answers with the rules of one start.
pub(super) async fn rules(call: &Call, ctx: &Context, request: ExplainSlotRequest) -> Result<Reply, Fault> {
    let answer = call.inner.search.clone().explain_slot(ctx.request(request)).await?.into_inner();
    let rules = answer.rules.into_iter().map(|rule| ExplainedRule {
        code: rule.code,
        passed: rule.passed,
        detail: rule.detail,
    });
    Reply::json(200, &Explanation { bookable: answer.bookable, rules: rules.collect() })
}
