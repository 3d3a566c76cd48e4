//! Open slots: search, explanation and watch.

pub(crate) mod watch;

use axum::http::Method;
use domain::{appointment::BookingChannel, slot::WITHIN_KM_MAX};
use rpc::{Context, Fault};
use serde::Serialize;
use utoipa::ToSchema;
use wire::availability::{self, ExplainSlotRequest, Near, SearchSlotsRequest, SlotFilters};

use super::{
    CURSOR, LIMIT,
    include::{self, Included, IncludedLocation, IncludedPractitioner, IncludedService},
    next_cursor, time,
};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Content, Operation, handler},
    params::{Param, Type},
    reply::Reply,
    streams::LAST_EVENT_ID,
};

/// An open slot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Slot {
    /// Opaque; post it unchanged to holds and appointments.
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
    /// With `include=practitioner`, where the request may include objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    practitioner: Option<IncludedPractitioner>,
    /// With `include=service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    service: Option<IncludedService>,
    /// With `include=location`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    location: Option<IncludedLocation>,
}

impl Slot {
    /// A slot with the objects that the request includes.
    pub(super) fn including(slot: availability::Slot, included: &Included) -> Self {
        Self {
            practitioner: included.practitioner(&slot.practitioner_id),
            service: included.service(&slot.service_id),
            location: included.location(&slot.location_id),
            ..Self::from(slot)
        }
    }
}

/// The ids of a slot whose objects an answer may include.
pub(super) fn references(slot: &availability::Slot) -> [&str; 3] {
    [&slot.practitioner_id, &slot.service_id, &slot.location_id]
}

impl From<availability::Slot> for Slot {
    fn from(slot: availability::Slot) -> Self {
        Self {
            starts_at: time::local(slot.starts_at_us, &slot.time_zone),
            ends_at: time::local(slot.ends_at_us, &slot.time_zone),
            slot_id: slot.slot_id,
            service_id: slot.service_id,
            practitioner_id: slot.practitioner_id,
            location_id: slot.location_id,
            time_zone: slot.time_zone,
            places_left: slot.places_left,
            practitioner: None,
            service: None,
            location: None,
        }
    }
}

impl From<&availability::Slot> for Slot {
    fn from(slot: &availability::Slot) -> Self {
        Self::from(slot.clone())
    }
}

/// Lists open slots, earliest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlotPage {
    data: Vec<Slot>,
    next_cursor: Option<String>,
    /// The search covers every start before this.
    #[schema(format = DateTime)]
    searched_until: String,
    /// The revision at which the answer was computed.
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

/// The days with open slots.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DayPage {
    data: Vec<SlotDay>,
    revision: String,
}

/// The next available appointments of a location.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextSlots {
    location_id: String,
    /// The first, second and third available appointment, or fewer. All of them could be booked: each is the earliest slot
    /// that is open after the booking of those before it, so overlapping starts of one practitioner are one appointment,
    /// and practitioners share rooms and equipment. Each place of a group session is an appointment: the slot of a class
    /// with three places left appears three times. The days to the third one are the access measure of the Institute for
    /// Healthcare Improvement, "third next available appointment" (<https://www.ihi.org>).
    #[schema(max_items = 3)]
    slots: Vec<Slot>,
}

/// The next available appointments of each location.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextPage {
    data: Vec<NextSlots>,
    revision: String,
}

/// A rule, and whether a start satisfies it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainedRule {
    code: String,
    passed: bool,
    detail: String,
}

/// The rules that make a start open or not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    bookable: bool,
    rules: Vec<ExplainedRule>,
}

/// The appointment to move. A manage link sets its own appointment.
const MOVING: Param = Param::new(
    "moving",
    Type::Id("appt"),
    "Searches slots to which this appointment can move: it keeps its length, and its own time counts as free",
);

/// The filters of a search, apart from the service.
pub(super) const FILTERS: [Param; 10] = [
    Param::new("from", Type::Instant, "Starts at or after this").required(),
    Param::new("to", Type::Instant, "Starts before this, at most 400 days later").required(),
    Param::new("location_id", Type::Id("loc"), "At this location").repeated(),
    Param::new("practitioner_id", Type::Id("prac"), "With this practitioner").repeated(),
    Param::new("day", Type::Days, "On these days, in the location's time"),
    Param::new("not_before", Type::WallTime, "Starts at or after this wall-clock time"),
    Param::new("not_after", Type::WallTime, "Ends at or before this wall-clock time"),
    Param::new("language", Type::Text(35), "The practitioner speaks this language"),
    Param::new("near", Type::Point, "At locations within `within_km` of this point"),
    Param::new("within_km", Type::Number(0, WITHIN_KM_MAX as i64), "The distance from `near` in km; 50 without it"),
];

/// The start to explain, apart from the service.
pub(super) const START: [Param; 3] = [
    Param::new("practitioner_id", Type::Id("prac"), "The practitioner").required(),
    Param::new("starts_at", Type::Instant, "The start").required(),
    Param::new("location_id", Type::Id("loc"), "The location; without it, where the practitioner works then"),
];

const SERVICE: Param = Param::new("service_id", Type::Id("svc"), "The service").required();
const PATIENT: Param = Param::new("patient_id", Type::Id("pat"), "Excludes the times at which this patient is busy");
const CHANNEL: Param = Param::new(
    "channel",
    Type::Word(BookingChannel::WORDS),
    "The booking channel; keys with `patients:read` may choose",
);

pub(super) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::SlotsRead]);
    let get = |id: &str, path: &str, summary: &str, answer, handler| {
        Operation::new(id, Method::GET, path, "slots", summary, access, handler).answer(200, answer)
    };
    let with_filters =
        |operation: Operation| operation.params(&[SERVICE]).params(&FILTERS).params(&[PATIENT, CHANNEL, MOVING]);
    let watch = get(
        "watch_slots",
        "/v1/slots/watch",
        "Streams open slots as they open and close",
        "SlotChange",
        handler!(watch::watch),
    );
    vec![
        with_filters(watch).params(&[LAST_EVENT_ID]).content(Content::Events("SlotChange")),
        with_filters(get("search_slots", "/v1/slots", "Lists open slots, earliest first", "SlotPage", handler!(list)))
            .params(&[include::OF_SLOTS, LIMIT, CURSOR]),
        with_filters(get(
            "search_days",
            "/v1/slots/days",
            "Counts open slots by day, for a month view",
            "DayPage",
            handler!(days),
        )),
        with_filters(get(
            "next_slots",
            "/v1/slots/next",
            "Lists the first three available appointments of each location, all of which could be booked",
            "NextPage",
            handler!(next),
        )),
        get(
            "explain_slot",
            "/v1/slots/explain",
            "Explains which rules a start satisfies",
            "Explanation",
            handler!(explain_start),
        )
        .params(&[SERVICE])
        .params(&START)
        .params(&[CHANNEL, MOVING]),
    ]
}

/// The search that the parameters declare. A search for a patient or an appointment needs `patients:read`.
fn search_request(call: &Call) -> Result<SearchSlotsRequest, Fault> {
    let params = &call.params;
    if params.text("patient_id").is_some() || params.text("moving").is_some() {
        call.caller.require(Scope::PatientsRead)?;
    }
    Ok(SearchSlotsRequest {
        service_id: params.text_or_empty("service_id"),
        channel: call.booking_channel(params.word("channel")),
        patient_id: params.text_or_empty("patient_id"),
        moving: params.text_or_empty("moving"),
        ..filter_request(call)
    })
}

/// The filters of a search, apart from the service.
pub(super) fn filter_request(call: &Call) -> SearchSlotsRequest {
    let params = &call.params;
    let within_km = params.decimal("within_km").unwrap_or(50.0);
    let filters = SlotFilters {
        location_ids: params.all("location_id"),
        practitioner_ids: params.all("practitioner_id"),
        days: params.list("day"),
        not_before: params.text_or_empty("not_before"),
        not_after: params.text_or_empty("not_after"),
        language: params.text_or_empty("language"),
        near: params.point("near").map(|(latitude, longitude)| Near { latitude, longitude, within_km }),
    };
    SearchSlotsRequest {
        from_us: params.instant_us("from"),
        to_us: params.instant_us("to"),
        filters: Some(filters),
        limit: params.number("limit"),
        cursor: params.text_or_empty("cursor"),
        ..SearchSlotsRequest::default()
    }
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let request = search_request(&call)?;
    search(&call, &call.context(), request).await
}

async fn days(call: Call) -> Result<Reply, Fault> {
    let request = search_request(&call)?;
    search_days(&call, &call.context(), request).await
}

async fn next(call: Call) -> Result<Reply, Fault> {
    let request = search_request(&call)?;
    search_next(&call, &call.context(), request).await
}

/// Searches a page of slots.
pub(super) async fn search(call: &Call, ctx: &Context, request: SearchSlotsRequest) -> Result<Reply, Fault> {
    let answer = call.inner.search.clone().search_slots(ctx.request(request)).await?.into_inner();
    let zone = answer.slots.first().map(|slot| slot.time_zone.as_str()).unwrap_or_default();
    let included = Included::load(call, answer.slots.iter().flat_map(references)).await?;
    Reply::json(
        200,
        &SlotPage {
            searched_until: time::local(answer.searched_until_us, zone),
            data: answer.slots.into_iter().map(|slot| Slot::including(slot, &included)).collect(),
            next_cursor: next_cursor(answer.next_cursor),
            revision: answer.revision,
        },
    )
}

/// Searches the days with open slots.
pub(super) async fn search_days(call: &Call, ctx: &Context, request: SearchSlotsRequest) -> Result<Reply, Fault> {
    let answer = call.inner.search.clone().search_days(ctx.request(request)).await?.into_inner();
    let data = answer.days.into_iter().map(|day| SlotDay {
        first_starts_at: time::local(day.first_starts_at_us, &day.time_zone),
        date: day.date,
        location_id: day.location_id,
        open_slots: day.open_slots,
    });
    Reply::json(200, &DayPage { data: data.collect(), revision: answer.revision })
}

/// Searches the first slots of each location.
pub(super) async fn search_next(call: &Call, ctx: &Context, request: SearchSlotsRequest) -> Result<Reply, Fault> {
    let answer = call.inner.search.clone().next_slots(ctx.request(request)).await?.into_inner();
    let data = answer.locations.into_iter().map(|location| NextSlots {
        slots: location.slots.into_iter().map(Slot::from).collect(),
        location_id: location.location_id,
    });
    Reply::json(200, &NextPage { data: data.collect(), revision: answer.revision })
}

async fn explain_start(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    if params.text("moving").is_some() {
        call.caller.require(Scope::PatientsRead)?;
    }
    let request = ExplainSlotRequest {
        service_id: params.text_or_empty("service_id"),
        channel: call.booking_channel(params.word("channel")),
        moving: params.text_or_empty("moving"),
        ..start_request(&call)
    };
    explain(&call, &call.context(), request).await
}

/// The start to explain, apart from the service.
pub(super) fn start_request(call: &Call) -> ExplainSlotRequest {
    ExplainSlotRequest {
        practitioner_id: call.params.text_or_empty("practitioner_id"),
        starts_at_us: call.params.instant_us("starts_at"),
        location_id: call.params.text_or_empty("location_id"),
        ..ExplainSlotRequest::default()
    }
}

/// Explains one start.
pub(super) async fn explain(call: &Call, ctx: &Context, request: ExplainSlotRequest) -> Result<Reply, Fault> {
    let answer = call.inner.search.clone().explain_slot(ctx.request(request)).await?.into_inner();
    let rules = answer.rules.into_iter().map(|rule| ExplainedRule {
        code: rule.code,
        passed: rule.passed,
        detail: rule.detail,
    });
    Reply::json(200, &Explanation { bookable: answer.bookable, rules: rules.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_distance_is_the_one_that_the_search_accepts() {
        let document = crate::v1::document();
        let parameters = document["paths"]["/v1/slots"]["get"]["parameters"].as_array().unwrap();
        let within_km = parameters.iter().find(|parameter| parameter["name"] == "within_km").unwrap();
        assert_eq!(within_km["schema"]["maximum"], WITHIN_KM_MAX);
    }
}
