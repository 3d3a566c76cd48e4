//! Consents: the messages to which a patient agreed, and the history of changes.

use axum::http::Method;
use domain::patient::{Channel, ConsentKind, ConsentSource};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::booking::{self, ConsentHistory, GetPatientRequest, RecordConsentRequest};

use super::{CURSOR, decode_cursor, page_size, patients, time};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

/// A change of a consent that staff record.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConsent {
    channel: Channel,
    /// `service`: about the patient's own appointments; `marketing`: offers and news.
    kind: ConsentKind,
    /// Given; else withdrawn.
    given: bool,
    /// The source of the change.
    how: RecordedSource,
}

/// A source of consent that staff record.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RecordedSource {
    Form,
    Phone,
    InPerson,
}

impl From<RecordedSource> for ConsentSource {
    fn from(source: RecordedSource) -> Self {
        match source {
            RecordedSource::Form => Self::Form,
            RecordedSource::Phone => Self::Phone,
            RecordedSource::InPerson => Self::InPerson,
        }
    }
}

/// A consent that is in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct GivenConsent {
    #[schema(value_type = Channel)]
    channel: String,
    #[schema(value_type = ConsentKind)]
    kind: String,
}

/// A change of a consent.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentChange {
    #[schema(value_type = Channel)]
    channel: String,
    #[schema(value_type = ConsentKind)]
    kind: String,
    /// Given; else withdrawn.
    given: bool,
    #[schema(format = DateTime)]
    at: String,
    /// A key's id, or `patient`.
    by: String,
    #[schema(value_type = ConsentSource)]
    how: String,
}

/// A patient's consents.
#[derive(Serialize, ToSchema)]
pub(crate) struct Consents {
    patient_id: String,
    /// The consents that are in force.
    consents: Vec<GivenConsent>,
    /// The changes, the newest first.
    data: Vec<ConsentChange>,
    next_cursor: Option<String>,
}

/// The default page size, which holds all changes of a patient.
const PAGE_SIZE: u32 = 200;
const LIMIT: Param = Param::new("limit", Type::Integer(1, 200), "At most this many changes; 200 without it");

pub(super) fn operations() -> Vec<Operation> {
    let path = "/v1/patients/{id}/consents";
    let operation = |id: &str, method, summary: &str, scope: &'static [Scope], handler| {
        Operation::new(id, method, path, "patients", summary, Access::Scopes(scope), handler)
    };
    vec![
        operation(
            "list_consents",
            Method::GET,
            "Lists a patient's consents and their history",
            &[Scope::PatientsRead],
            handler!(list),
        )
        .params(&[LIMIT, CURSOR])
        .answer(200, "Consents"),
        operation(
            "record_consent",
            Method::POST,
            "Records that a patient gave or withdrew a consent",
            &[Scope::PatientsWrite],
            handler!(record),
        )
        .json_body("NewConsent")
        .answer(201, "Consents")
        .describe(patients::describe_write),
    ]
}

/// A page of the history. `offset` is the number of changes, counted from the oldest, that earlier pages left.
fn reply(
    status: u16,
    response: &tonic::Response<ConsentHistory>,
    (limit, offset): (u32, usize),
) -> Result<Reply, Fault> {
    let history = response.get_ref();
    let newer = history.events.len().saturating_sub(offset);
    let page = history.events.iter().skip(newer).take(limit as usize);
    let left = history.events.len().saturating_sub(newer + limit as usize);
    let change = |event: &booking::ConsentEvent| ConsentChange {
        channel: event.channel.clone(),
        kind: event.kind.clone(),
        given: event.given,
        at: time::utc(event.at_us),
        by: event.by.clone(),
        how: event.how.clone(),
    };
    let given =
        |consent: &booking::Consent| GivenConsent { channel: consent.channel.clone(), kind: consent.kind.clone() };
    let consents = Consents {
        patient_id: history.patient_id.clone(),
        consents: history.consents.iter().map(given).collect(),
        data: page.map(change).collect(),
        next_cursor: (left > 0).then(|| sql::cursor::encode(i64::try_from(left).unwrap_or(i64::MAX), 0)),
    };
    Ok(Reply::json(status, &consents)?
        .rows(consents.data.len())
        .patient(&history.patient_id)
        .target(&history.patient_id)
        .write_metadata(response.metadata()))
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let offset = match call.params.text("cursor") {
        None => usize::MAX,
        Some(text) => {
            let (left, _) = decode_cursor(text)?;
            usize::try_from(left).unwrap_or(0)
        }
    };
    let limit = page_size(&call, PAGE_SIZE);
    let request = GetPatientRequest { id: call.path_param("id") };
    let response = call.inner.booking.clone().list_consents(call.context().request(request)).await?;
    reply(200, &response, (limit, offset))
}

async fn record(call: Call) -> Result<Reply, Fault> {
    let body: NewConsent = call.parse_body()?;
    let request = RecordConsentRequest {
        patient_id: call.path_param("id"),
        channel: body.channel.as_str().to_owned(),
        kind: body.kind.as_str().to_owned(),
        given: body.given,
        how: ConsentSource::from(body.how).as_str().to_owned(),
    };
    let response = call.inner.booking.clone().record_consent(call.context().forward(request)).await?;
    Ok(patients::withheld(&call, reply(201, &response, (PAGE_SIZE, usize::MAX))?))
}
