//! Consents: which messages a patient agreed to, and the history of that.

use axum::http::Method;
use domain::patient::{Channel, ConsentKind, ConsentSource};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::booking::{self, ConsentHistory, GetPatientRequest, RecordConsentRequest};

use super::{CURSOR, cursor, page_size, time};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
};

/// A consent that the clinic has been told of.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConsent {
    channel: Channel,
    /// `service`: about the patient's own visits; `marketing`: offers and news.
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

/// A consent that holds.
#[derive(Serialize, ToSchema)]
pub(crate) struct GivenConsent {
    #[schema(value_type = Channel)]
    channel: String,
    #[schema(value_type = ConsentKind)]
    kind: String,
}

/// A consent that was given or withdrawn.
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
    /// What holds now.
    consents: Vec<GivenConsent>,
    /// Who gave or withdrew what, when and how; the newest first.
    data: Vec<ConsentChange>,
    next_cursor: Option<String>,
}

/// All changes that are kept of a patient fit on one page.
const ALL: u32 = 200;
const LIMIT: Param = Param::new("limit", Type::Integer(1, 200), "At most so many changes; 200 without it");

pub(crate) fn operations() -> Vec<Operation> {
    let path = "/v1/patients/{id}/consents";
    let operation = |id: &str, method, summary: &str, scope: &'static [Scope], handler| {
        Operation::new(id, method, path, "patients", summary, Access::Scopes(scope), handler)
    };
    vec![
        operation(
            "list_consents",
            Method::GET,
            "What a patient agreed to, and the history of it",
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
        .body("NewConsent")
        .answer(201, "Consents"),
    ]
}

/// A page of the history: at most so many changes, after the older ones that are left.
fn reply(
    status: u16,
    response: &tonic::Response<ConsentHistory>,
    (limit, older): (u32, usize),
) -> Result<Reply, Fault> {
    let it = response.get_ref();
    let newer = it.events.len().saturating_sub(older);
    let page = it.events.iter().skip(newer).take(limit as usize);
    let left = it.events.len().saturating_sub(newer + limit as usize);
    let event = |one: &booking::ConsentEvent| ConsentChange {
        channel: one.channel.clone(),
        kind: one.kind.clone(),
        given: one.given,
        at: time::utc(one.at_us),
        by: one.by.clone(),
        how: one.how.clone(),
    };
    let given = |one: &booking::Consent| GivenConsent { channel: one.channel.clone(), kind: one.kind.clone() };
    let shown = Consents {
        patient_id: it.patient_id.clone(),
        consents: it.consents.iter().map(given).collect(),
        data: page.map(event).collect(),
        next_cursor: (left > 0).then(|| sql::cursor::encode(i64::try_from(left).unwrap_or(i64::MAX), 0)),
    };
    Ok(Reply::json(status, &shown)?.patient(&it.patient_id).target(&it.patient_id).after(response))
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let older = match call.params.text("cursor") {
        None => usize::MAX,
        Some(text) => {
            let (left, _) = cursor(text)?;
            usize::try_from(left).unwrap_or(0)
        }
    };
    let limit = page_size(&call, ALL);
    let request = GetPatientRequest { id: call.part("id") };
    let response = call.inner.booking.clone().list_consents(call.context().request(request)).await?;
    reply(200, &response, (limit, older))
}

async fn record(call: Call) -> Result<Reply, Fault> {
    let body: NewConsent = call.read()?;
    let request = RecordConsentRequest {
        patient_id: call.part("id"),
        channel: body.channel.as_str().to_owned(),
        kind: body.kind.as_str().to_owned(),
        given: body.given,
        how: ConsentSource::from(body.how).as_str().to_owned(),
    };
    let response = call.inner.booking.clone().record_consent(call.context().forward(request)).await?;
    reply(201, &response, (ALL, usize::MAX))
}
