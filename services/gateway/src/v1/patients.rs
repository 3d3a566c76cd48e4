//! Patients.

use axum::http::Method;
use domain::{appointment::BookingChannel, patient::Details};
use rpc::Fault;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wire::{
    booking::{
        self, CreatePatientRequest, DecideProposedChangeRequest, GetPatientRequest, ListPatientsRequest,
        UpdatePatientRequest,
    },
    common::Page,
    convert,
};

use super::{CURSOR, LIMIT, directory::merge, next_cursor, time};
use crate::{
    auth::Scope,
    call::{Call, Reply, read},
    operation::{Access, Operation, Param, Type, handler},
};

/// A patient.
#[derive(Serialize, ToSchema)]
pub(crate) struct Patient {
    id: String,
    version: i64,
    given_name: String,
    family_name: String,
    phone: String,
    email: Option<String>,
    #[schema(format = Date)]
    date_of_birth: Option<String>,
    language: Option<String>,
    #[schema(value_type = Option<domain::patient::Channel>)]
    reminder_channel: Option<String>,
    consents: Vec<domain::patient::Consent>,
    /// What the patient said at a booking and what differs from this record, the oldest first.
    proposed_changes: Vec<ProposedChange>,
    /// In lists and when one patient is read: the first visit that starts from now on, of those that stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_visit: Option<Visit>,
    /// Likewise the last one that started before, neither called off nor missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_visit: Option<Visit>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Something that a patient said at a booking, for staff to take or leave.
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

/// A visit of a patient, in short.
#[derive(Serialize, ToSchema)]
pub(crate) struct Visit {
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

/// A page of patients, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct PatientPage {
    data: Vec<Patient>,
    next_cursor: Option<String>,
}

const QUERY: &str = "Words that begin a name, an e-mail address or a date of birth, or a telephone number in any form, \
    its beginning or its end. Accents, apostrophes, the order of words and the marks between digits count for nothing";

pub(crate) fn operations() -> Vec<Operation> {
    let read = Access::Scopes(&[Scope::PatientsRead]);
    let write = Access::Scopes(&[Scope::PatientsWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "patients", summary, access, handler).answer(200, "Patient")
    };
    let query = Param::new("query", Type::Text(100), QUERY);
    let proposed = Param::new("proposed_changes", Type::Boolean, "Only those with proposed changes, or only others");
    let decide = |verb: &str, summary: &str, handler| {
        let path = format!("/v1/patients/{{parent_id}}/proposed_changes/{{id}}/{verb}");
        let operation = operation(&format!("{verb}_proposed_change"), Method::POST, &path, summary, write, handler);
        Operation { body_optional: true, ..operation.body("Nothing") }
    };
    vec![
        operation("create_patient", Method::POST, "/v1/patients", "Adds a patient", write, handler!(create))
            .body("Details")
            .answer(201, "Patient"),
        operation("list_patients", Method::GET, "/v1/patients", "Patients, newest first", read, handler!(list))
            .params(&[query, proposed, LIMIT, CURSOR])
            .answer(200, "PatientPage"),
        operation("get_patient", Method::GET, "/v1/patients/{id}", "One patient", read, handler!(get)),
        operation("patch_patient", Method::PATCH, "/v1/patients/{id}", "Changes a patient", write, handler!(patch))
            .body("MergePatch"),
        decide("accept", "Takes a proposed change into the record", handler!(accept)),
        decide("dismiss", "Leaves a proposed change", handler!(dismiss)),
    ]
}

fn shown(it: &booking::Patient) -> Result<Patient, Fault> {
    let details = it.details.clone().unwrap_or_default();
    let consents = convert::patient::from_wire(&details, "", None).map(|details| details.consents).unwrap_or_default();
    Ok(Patient {
        id: it.id.clone(),
        version: it.version,
        given_name: details.given_name,
        family_name: details.family_name,
        phone: details.phone,
        email: convert::optional_text(&details.email),
        date_of_birth: convert::optional_text(&details.date_of_birth),
        language: convert::optional_text(&details.language),
        reminder_channel: convert::optional_text(&details.reminder_channel),
        consents,
        proposed_changes: it.proposed_changes.iter().map(proposed).collect(),
        next_visit: it.next_visit.as_ref().map(visit),
        last_visit: it.last_visit.as_ref().map(visit),
        created_at: time::utc(it.created_at_us),
        updated_at: time::utc(it.updated_at_us),
    })
}

fn proposed(it: &booking::ProposedChange) -> ProposedChange {
    let by_staff = it.channel == wire::common::BookingChannel::Staff as i32;
    ProposedChange {
        id: it.id.clone(),
        field: it.field.clone(),
        value: it.value.clone(),
        proposed_at: time::utc(it.proposed_at_us),
        channel: if by_staff { BookingChannel::Staff } else { BookingChannel::Online }.to_string(),
    }
}

fn visit(it: &booking::Appointment) -> Visit {
    Visit {
        appointment_id: it.id.clone(),
        status: it.status.clone(),
        service_id: it.service_id.clone(),
        practitioner_id: it.practitioner_id.clone(),
        location_id: it.location_id.clone(),
        starts_at: time::shown(it.starts_at_us, &it.time_zone),
        ends_at: time::shown(it.ends_at_us, &it.time_zone),
        time_zone: it.time_zone.clone(),
    }
}

fn reply(status: u16, response: &tonic::Response<booking::Patient>) -> Result<Reply, Fault> {
    let it = response.get_ref();
    let reply = Reply::json(status, &shown(it)?)?.version(it.version).patient(&it.id).target(&it.id);
    Ok(reply.after(response))
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let details: Details = call.read()?;
    let request = CreatePatientRequest { details: Some(convert::patient::to_wire(&details)) };
    let response = call.inner.booking.clone().create_patient(call.context().forward(request)).await?;
    let path = format!("/v1/patients/{}", response.get_ref().id);
    Ok(reply(201, &response)?.location(path))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetPatientRequest { id: call.part("id") };
    reply(200, &call.inner.booking.clone().get_patient(call.context().request(request)).await?)
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let request = ListPatientsRequest {
        query: params.text_or_empty("query"),
        page: Some(Page { limit: params.number("limit"), cursor: params.text_or_empty("cursor") }),
        proposed_changes: params.flag("proposed_changes"),
    };
    let answer = call.inner.booking.clone().list_patients(call.context().request(request)).await?.into_inner();
    Reply::json(
        200,
        &PatientPage {
            data: answer.patients.iter().map(shown).collect::<Result<_, _>>()?,
            next_cursor: next_cursor(answer.next_cursor),
        },
    )
}

async fn patch(call: Call) -> Result<Reply, Fault> {
    let id = call.part("id");
    let present =
        call.inner.booking.clone().get_patient(call.context().request(GetPatientRequest { id: id.clone() })).await?;
    let present = present.into_inner();
    let details = convert::patient::from_wire(&present.details.unwrap_or_default(), "", None)
        .map_err(|_| Fault::internal("a stored patient is not valid"))?;
    let mut merged: Value = serde_json::to_value(details).map_err(Fault::internal)?;
    merge(&mut merged, &call.body);
    call.inner.schemas.check_merged("Details", &call.body, &merged)?;
    let details: Details = read(&merged)?;
    let if_version = match call.if_version()? {
        0 => present.version,
        version => version,
    };
    let request = UpdatePatientRequest { id, details: Some(convert::patient::to_wire(&details)), if_version };
    reply(200, &call.inner.booking.clone().update_patient(call.context().request(request)).await?)
}

async fn decide(call: Call, accept: bool) -> Result<Reply, Fault> {
    let request =
        DecideProposedChangeRequest { patient_id: call.part("parent_id"), change_id: call.part("id"), accept };
    reply(200, &call.inner.booking.clone().decide_proposed_change(call.context().forward(request)).await?)
}

async fn accept(call: Call) -> Result<Reply, Fault> {
    decide(call, true).await
}

async fn dismiss(call: Call) -> Result<Reply, Fault> {
    decide(call, false).await
}
