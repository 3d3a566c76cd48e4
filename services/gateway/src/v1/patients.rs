//! Patients.

use axum::http::Method;
use domain::{
    appointment::BookingChannel,
    id::PatientId,
    patient::{Details, Record},
};
use rpc::{Code, Fault};
use serde::Serialize;
use serde_json::{Value, json};
use service::db_error;
use utoipa::ToSchema;
use wire::{
    booking::{
        self, CreatePatientRequest, DecideProposedChangeRequest, GetPatientRequest, ListPatientsRequest,
        RevokeManageLinksRequest, UpdatePatientRequest,
    },
    convert,
};

use super::{CURSOR, LIMIT, next_cursor, time};
use crate::{
    auth::Scope,
    calendar_link::{Kind, Subject},
    call::Call,
    operation::{Access, Body, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

/// A patient.
#[derive(Serialize, ToSchema)]
pub(crate) struct Patient {
    id: String,
    version: i64,
    given_name: String,
    family_name: String,
    phone: Option<String>,
    email: Option<String>,
    #[schema(format = Date)]
    date_of_birth: Option<String>,
    language: Option<String>,
    #[schema(value_type = Option<domain::patient::Channel>)]
    reminder_channel: Option<String>,
    consents: Vec<domain::patient::Consent>,
    #[serde(flatten)]
    staff: domain::patient::StaffFields,
    /// Details from bookings that differ from this record, the oldest first.
    proposed_changes: Vec<ProposedChange>,
    /// In lists and single reads: the next appointment that is not cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_visit: Option<AppointmentSummary>,
    /// In lists and single reads: the last appointment that was neither cancelled nor missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_visit: Option<AppointmentSummary>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A detail from a booking, for staff to accept or dismiss.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProposedChange {
    id: String,
    #[schema(value_type = domain::patient::ProposedField)]
    field: String,
    value: String,
    #[schema(format = DateTime)]
    proposed_at: String,
    #[schema(value_type = domain::appointment::BookingChannel)]
    channel: String,
}

/// An appointment of a patient, in short.
#[derive(Serialize, ToSchema)]
pub(crate) struct AppointmentSummary {
    appointment_id: String,
    #[schema(value_type = domain::appointment::Status)]
    status: String,
    service_id: String,
    practitioner_id: String,
    location_id: String,
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
    /// IANA time zone of the location.
    time_zone: String,
}

/// A page of patients, newest first, or the best match first.
#[derive(Serialize, ToSchema)]
pub(crate) struct PatientPage {
    data: Vec<Patient>,
    next_cursor: Option<String>,
}

/// The links of a patient that were revoked.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevokedLinks {
    /// How many appointments had a manage link that worked. Each has another one, which later messages carry.
    appointments: u32,
    /// Whether the patient had a calendar link.
    calendar: bool,
}

const Q: &str = "What is known of the patient: beginnings of names, e-mail address or date of birth, or a telephone \
    number in any form, its beginning or its end. Accents, apostrophes, the order of words and separators between digits \
    are ignored. Those whose whole words it has come first";
const QUERY: &str = "As `q`, newest first";

pub(super) fn operations() -> Vec<Operation> {
    let read = Access::Scopes(&[Scope::PatientsRead]);
    let write = Access::Scopes(&[Scope::PatientsWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "patients", summary, access, handler).answer(200, "Patient")
    };
    let q = Param::new("q", Type::Text(100), Q);
    let query = Param::new("query", Type::Text(100), QUERY);
    let external_id = Param::new("external_id", Type::Text(100), "With exactly this `external_id`");
    let proposed = Param::new("proposed_changes", Type::Boolean, "With or without proposed changes");
    let decide = |verb: &str, summary: &str, handler| {
        let path = format!("/v1/patients/{{parent_id}}/proposed_changes/{{id}}/{verb}");
        let operation = operation(&format!("{verb}_proposed_change"), Method::POST, &path, summary, write, handler);
        operation.json_body("Nothing").optional_body().describe(describe_write)
    };
    vec![
        operation("create_patient", Method::POST, "/v1/patients", "Creates a patient", write, handler!(create))
            .json_body("PatientRecord")
            .answer(201, "Patient"),
        operation(
            "list_patients",
            Method::GET,
            "/v1/patients",
            "Lists patients, newest first, or finds them",
            read,
            handler!(list),
        )
        .params(&[q, query, external_id, proposed, LIMIT, CURSOR])
        .answer(200, "PatientPage"),
        operation("get_patient", Method::GET, "/v1/patients/{id}", "Returns one patient", read, handler!(get)),
        operation("patch_patient", Method::PATCH, "/v1/patients/{id}", "Changes a patient", write, handler!(patch))
            .body(Body::MergePatch)
            .describe(describe_write),
        decide("accept", "Applies a proposed change to the patient's record", handler!(accept)),
        decide("dismiss", "Dismisses a proposed change", handler!(dismiss)),
        operation(
            "revoke_patient_links",
            Method::POST,
            "/v1/patients/{id}/links/revoke",
            "Revokes the manage links of all appointments of a patient, and the link to their calendar",
            Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]),
            handler!(revoke_links),
        )
        .json_body("Nothing")
        .optional_body()
        .answer(200, "RevokedLinks")
        .replayed_by_gateway(),
    ]
}

/// Documents the answer to callers who may not read patients.
pub(super) fn describe_write(operation: &mut Value) {
    operation["responses"]["204"] =
        json!({"description": "Done; the answer to a caller without the scope patients:read"});
}

/// The record of a patient that booking has stored.
fn record(patient: &booking::Patient) -> Result<Record, Fault> {
    let invalid = |_| Fault::internal(format!("the stored patient {} is not valid", patient.id));
    let (details, staff) = (patient.details.clone().unwrap_or_default(), patient.staff.clone().unwrap_or_default());
    Ok(Record {
        details: convert::patient::from_wire(&details, "", None).map_err(invalid)?,
        staff: convert::patient::staff_from_wire(&staff, "", |_| None).map_err(invalid)?,
    })
}

fn to_json(patient: &booking::Patient) -> Result<Patient, Fault> {
    let details = patient.details.clone().unwrap_or_default();
    let Record { details: Details { consents, .. }, staff } = record(patient)?;
    Ok(Patient {
        id: patient.id.clone(),
        version: patient.version,
        given_name: details.given_name,
        family_name: details.family_name,
        phone: convert::optional_text(&details.phone),
        email: convert::optional_text(&details.email),
        date_of_birth: convert::optional_text(&details.date_of_birth),
        language: convert::optional_text(&details.language),
        reminder_channel: convert::optional_text(&details.reminder_channel),
        consents,
        staff,
        proposed_changes: patient.proposed_changes.iter().map(proposed_change).collect(),
        next_visit: patient.next_visit.as_ref().map(summary),
        last_visit: patient.last_visit.as_ref().map(summary),
        created_at: time::utc(patient.created_at_us),
        updated_at: time::utc(patient.updated_at_us),
    })
}

fn proposed_change(change: &booking::ProposedChange) -> ProposedChange {
    let by_staff = change.channel == wire::common::BookingChannel::Staff as i32;
    ProposedChange {
        id: change.id.clone(),
        field: change.field.clone(),
        value: change.value.clone(),
        proposed_at: time::utc(change.proposed_at_us),
        channel: if by_staff { BookingChannel::Staff } else { BookingChannel::Online }.to_string(),
    }
}

fn summary(appointment: &booking::Appointment) -> AppointmentSummary {
    AppointmentSummary {
        appointment_id: appointment.id.clone(),
        status: appointment.status.clone(),
        service_id: appointment.service_id.clone(),
        practitioner_id: appointment.practitioner_id.clone(),
        location_id: appointment.location_id.clone(),
        starts_at: time::local(appointment.starts_at_us, &appointment.time_zone),
        ends_at: time::local(appointment.ends_at_us, &appointment.time_zone),
        time_zone: appointment.time_zone.clone(),
    }
}

fn reply(status: u16, response: &tonic::Response<booking::Patient>) -> Result<Reply, Fault> {
    let patient = response.get_ref();
    let reply =
        Reply::json(status, &to_json(patient)?)?.version(patient.version).patient(&patient.id).target(&patient.id);
    Ok(reply.write_metadata(response.metadata()))
}

/// The reply to a write of a record that the caller may not know.
fn write_reply(call: &Call, response: &tonic::Response<booking::Patient>) -> Result<Reply, Fault> {
    Ok(withheld(call, reply(200, response)?))
}

/// The reply, without its body for a caller who may not read patients.
pub(super) fn withheld(call: &Call, reply: Reply) -> Reply {
    if call.caller.has(Scope::PatientsRead) { reply } else { Reply { status: 204, body: None, ..reply } }
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let record: Record = call.parse_body()?;
    let request = CreatePatientRequest {
        details: Some(convert::patient::to_wire(&record.details)),
        staff: Some(convert::patient::staff_to_wire(&record.staff)),
    };
    let response = call.inner.booking.clone().create_patient(call.context().forward(request)).await?;
    let path = format!("/v1/patients/{}", response.get_ref().id);
    Ok(reply(201, &response)?.location(path))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetPatientRequest { id: call.path_param("id") };
    reply(200, &call.inner.booking.clone().get_patient(call.context().request(request)).await?)
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let best_first = params.text("q").is_some();
    if best_first && params.text("query").is_some() {
        let fault = Fault::violation("query", "contradictory", "give q, for the best match first, or query; not both");
        return Err(Fault { code: Code::InvalidParameter, ..fault });
    }
    let request = ListPatientsRequest {
        query: params.text_or_empty(if best_first { "q" } else { "query" }),
        page: call.page(),
        proposed_changes: params.flag("proposed_changes"),
        best_first,
        external_id: params.text_or_empty("external_id"),
    };
    let answer = call.inner.booking.clone().list_patients(call.context().request(request)).await?.into_inner();
    let page = PatientPage {
        data: answer.patients.iter().map(to_json).collect::<Result<_, _>>()?,
        next_cursor: next_cursor(answer.next_cursor),
    };
    Ok(Reply::json(200, &page)?.rows(page.data.len()))
}

async fn patch(call: Call) -> Result<Reply, Fault> {
    let id = call.path_param("id");
    let request = GetPatientRequest { id: id.clone() };
    let current = call.inner.booking.clone().get_patient(call.context().request(request)).await?.into_inner();
    let resource = serde_json::to_value(record(&current)?).map_err(Fault::internal)?;
    let record: Record = call.merge_patch("PatientRecord", resource)?;
    let if_version = call.if_match_or(current.version)?;
    let request = UpdatePatientRequest {
        id,
        details: Some(convert::patient::to_wire(&record.details)),
        if_version,
        staff: Some(convert::patient::staff_to_wire(&record.staff)),
    };
    write_reply(&call, &call.inner.booking.clone().update_patient(call.context().request(request)).await?)
}

async fn decide(call: Call, accept: bool) -> Result<Reply, Fault> {
    let request = DecideProposedChangeRequest {
        patient_id: call.path_param("parent_id"),
        change_id: call.path_param("id"),
        accept,
    };
    write_reply(&call, &call.inner.booking.clone().decide_proposed_change(call.context().forward(request)).await?)
}

async fn accept(call: Call) -> Result<Reply, Fault> {
    decide(call, true).await
}

async fn dismiss(call: Call) -> Result<Reply, Fault> {
    decide(call, false).await
}

async fn revoke_links(call: Call) -> Result<Reply, Fault> {
    let id = call.path_param("id");
    let request = call.context().request(RevokeManageLinksRequest { patient_id: id.clone() });
    let response = call.inner.booking.clone().revoke_manage_links(request).await?;
    let patient: PatientId = id.parse().map_err(|_| Fault::not_found())?;
    let subject = Subject { organization: call.caller.organization, kind: Kind::Patient, id: patient.uuid() };
    let calendar = call.inner.store.close_calendar(subject.key()).await.map_err(db_error::fault)?;
    let revoked = RevokedLinks { appointments: response.get_ref().revoked, calendar };
    Ok(Reply::json(200, &revoked)?.write_metadata(response.metadata()).target(&id).patient(&id))
}
