//! Lists of appointments, as JSON, CSV or NDJSON.

use domain::{appointment::Status, custom::EXTERNAL_ID_CHARS_MAX};
use rpc::Fault;
use wire::booking::{AppointmentOrder, ListAppointmentsRequest};

use super::{
    super::{
        CURSOR, LIMIT,
        include::{self, Included},
        next_cursor,
        table::{self, Form},
    },
    types::{Appointment, AppointmentPage, including, references},
};
use crate::{
    call::Call,
    params::{Param, Type},
    reply::Reply,
};

const UPDATED_AT: &str = "updated_at";
const SINCE: &str = "Changed at or after this. A change that is being written may appear a moment later: ask again for the \
    last minute";

pub(super) const PARAMS: [Param; 17] = [
    Param::new("location_id", Type::Id("loc"), "At this location").repeated(),
    Param::new("practitioner_id", Type::Id("prac"), "Of this practitioner").repeated(),
    Param::new("service_id", Type::Id("svc"), "Of this service").repeated(),
    Param::new("room_id", Type::Id("room"), "In this room").repeated(),
    Param::new("patient_id", Type::Id("pat"), "Of this patient"),
    Param::new("plan_id", Type::Id("plan"), "Of this plan"),
    Param::new("external_id", Type::Text(EXTERNAL_ID_CHARS_MAX), "With this id of the clinic's own"),
    Param::new("status", Type::Word(Status::WORDS), "In this status").repeated(),
    Param::new("from", Type::Instant, "Starts at or after this"),
    Param::new("to", Type::Instant, "Starts before this"),
    Param::new("date", Type::Date, "Starts on this date of its location"),
    Param::new("displaced", Type::Boolean, "Displaced or not"),
    Param::new("updated_since", Type::Instant, SINCE),
    Param::new("order", Type::Word(&["starts_at", UPDATED_AT]), "The order; by the start without it"),
    include::OF_VISITS,
    LIMIT,
    CURSOR,
];

/// The columns of CSV. Those of included objects are empty unless the request includes them.
const COLUMNS: [&str; 34] = [
    "id",
    "status",
    "version",
    "service_id",
    "service.name",
    "practitioner_id",
    "practitioner.given_name",
    "practitioner.family_name",
    "location_id",
    "location.name",
    "room_id",
    "room.name",
    "starts_at",
    "ends_at",
    "time_zone",
    "patient_id",
    "patient.given_name",
    "patient.family_name",
    "patient.phone",
    "plan.id",
    "plan.ordinal",
    "first_visit",
    "displaced",
    "channel",
    "created_at",
    "updated_at",
    "confirmed_at",
    "arrived_at",
    "completed_at",
    "cancelled_at",
    "cancellation.reason_code",
    "cancellation.late",
    "external_id",
    "note",
];

pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let order = match params.text("order") {
        Some(UPDATED_AT) => AppointmentOrder::UpdatedAt,
        _ => AppointmentOrder::StartsAt,
    };
    let request = ListAppointmentsRequest {
        location_ids: params.all("location_id"),
        practitioner_ids: params.all("practitioner_id"),
        patient_id: params.text_or_empty("patient_id"),
        statuses: params.all("status"),
        from_us: params.instant_us("from"),
        to_us: params.instant_us("to"),
        displaced: params.flag("displaced"),
        page: call.page(),
        service_ids: params.all("service_id"),
        plan_id: params.text_or_empty("plan_id"),
        room_ids: params.all("room_id"),
        external_id: params.text_or_empty("external_id"),
        updated_since_us: params.instant_us("updated_since"),
        date: params.text_or_empty("date"),
        order: order.into(),
    };
    let answer = call.inner.booking.clone().list_appointments(call.context().request(request)).await?.into_inner();
    let included = Included::load(&call, answer.appointments.iter().flat_map(references)).await?;
    let data: Vec<Appointment> =
        answer.appointments.iter().map(|appointment| including(&call, appointment, &included)).collect();
    let (rows, next_cursor) = (data.len(), next_cursor(answer.next_cursor));
    let reply = match Form::of(&call) {
        Form::Json => Reply::json(200, &AppointmentPage { data, next_cursor })?,
        Form::Csv => table::csv(&COLUMNS, &data)?.next_cursor(next_cursor),
        Form::Ndjson => table::ndjson(&data)?.next_cursor(next_cursor),
    };
    Ok(reply.rows(rows))
}
