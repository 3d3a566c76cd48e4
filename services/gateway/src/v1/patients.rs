//! Patients.

use axum::http::Method;
use domain::patient::Details;
use rpc::Fault;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wire::{
    booking::{self, CreatePatientRequest, GetPatientRequest, ListPatientsRequest, UpdatePatientRequest},
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
    reminder_channel: Option<String>,
    consents: Vec<domain::patient::Consent>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A page of patients, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct PatientPage {
    data: Vec<Patient>,
    next_cursor: Option<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let read = Access::Scopes(&[Scope::PatientsRead]);
    let write = Access::Scopes(&[Scope::PatientsWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "patients", summary, access, handler).answer(200, "Patient")
    };
    let query = Param::new("query", Type::Text(100), "Part of a name or of a telephone number");
    vec![
        operation("create_patient", Method::POST, "/v1/patients", "Adds a patient", write, handler!(create))
            .body("Details")
            .answer(201, "Patient"),
        operation("list_patients", Method::GET, "/v1/patients", "Patients, newest first", read, handler!(list))
            .params(&[query, LIMIT, CURSOR])
            .answer(200, "PatientPage"),
        operation("get_patient", Method::GET, "/v1/patients/{id}", "One patient", read, handler!(get)),
        operation("patch_patient", Method::PATCH, "/v1/patients/{id}", "Changes a patient", write, handler!(patch))
            .body("MergePatch"),
    ]
}

fn shown(it: &booking::Patient) -> Result<Patient, Fault> {
    let details = it.details.clone().unwrap_or_default();
    let consents = convert::patient::from_wire(&details, "").map(|details| details.consents).unwrap_or_default();
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
        created_at: time::utc(it.created_at_us),
        updated_at: time::utc(it.updated_at_us),
    })
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
    let details = convert::patient::from_wire(&present.details.unwrap_or_default(), "")
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
