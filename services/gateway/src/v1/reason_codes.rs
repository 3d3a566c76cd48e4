//! Reason codes of cancellations and moves.

use std::collections::BTreeMap;

use axum::http::Method;
use domain::reason::CausedBy;
use rpc::Fault;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use wire::booking::{
    self, CreateReasonCodeRequest, DeleteReasonCodeRequest, GetReasonCodeRequest, ListReasonCodesRequest,
    UpdateReasonCodeRequest,
};

use super::{CURSOR, LIMIT, next_cursor, time};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Body, Operation, handler},
    reply::Reply,
};

/// The meaning of a reason code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReasonMeaning {
    /// The name in each language, by its BCP 47 tag.
    #[schema(example = json!({"en": "The patient is ill", "fr": "Patient malade"}))]
    names: BTreeMap<String, String>,
    caused_by: CausedBy,
    /// Whether a late cancellation with this code uses up the session of a care plan.
    #[serde(default)]
    forfeits: bool,
}

/// A reason code to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReasonCode {
    /// The code that cancellations name.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$", example = "patient_ill")]
    code: String,
    #[schema(example = json!({"en": "The patient is ill", "fr": "Patient malade"}))]
    names: BTreeMap<String, String>,
    caused_by: CausedBy,
    /// Whether a late cancellation with this code uses up the session of a care plan.
    #[serde(default)]
    forfeits: bool,
}

/// A reason code.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonCode {
    code: String,
    version: i64,
    names: BTreeMap<String, String>,
    #[schema(value_type = CausedBy)]
    caused_by: String,
    forfeits: bool,
    /// None: a shipped code that was never changed.
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

/// A page of reason codes, by code.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonCodePage {
    data: Vec<ReasonCode>,
    next_cursor: Option<String>,
}

pub(super) fn operations() -> Vec<Operation> {
    let read = Access::Scopes(&[Scope::SlotsRead]);
    let write = Access::Scopes(&[Scope::DirectoryWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "reason codes", summary, access, handler)
    };
    let (collection, resource) = ("/v1/reason_codes", "/v1/reason_codes/{code}");
    let list_summary = "Lists the reason codes of cancellations and moves, by code";
    let delete_summary = "Deletes a reason code: appointments keep it, and later cancellations treat it as unknown";
    vec![
        operation("list_reason_codes", Method::GET, collection, list_summary, read, handler!(list))
            .params(&[LIMIT, CURSOR])
            .answer(200, "ReasonCodePage"),
        operation("create_reason_code", Method::POST, collection, "Creates a reason code", write, handler!(create))
            .json_body("NewReasonCode")
            .answer(201, "ReasonCode"),
        operation("get_reason_code", Method::GET, resource, "Returns one reason code", read, handler!(get))
            .answer(200, "ReasonCode"),
        operation("patch_reason_code", Method::PATCH, resource, "Changes a reason code", write, handler!(patch))
            .body(Body::MergePatch)
            .answer(200, "ReasonCode"),
        operation("delete_reason_code", Method::DELETE, resource, delete_summary, write, handler!(delete)).no_content(),
    ]
}

fn to_json(code: booking::ReasonCode) -> ReasonCode {
    let body = code.body.unwrap_or_default();
    ReasonCode {
        code: code.code,
        version: code.version,
        names: body.names.into_iter().collect(),
        caused_by: body.caused_by,
        forfeits: body.forfeits,
        updated_at: time::optional(code.updated_at_us, ""),
    }
}

fn reply(status: u16, response: tonic::Response<booking::ReasonCode>) -> Result<Reply, Fault> {
    let (metadata, message, _) = response.into_parts();
    let (code, version) = (message.code.clone(), message.version);
    Ok(Reply::json(status, &to_json(message))?.version(version).target(&code).write_metadata(&metadata))
}

fn to_wire(meaning: ReasonMeaning) -> booking::ReasonCodeBody {
    let ReasonMeaning { names, caused_by, forfeits } = meaning;
    booking::ReasonCodeBody { names: names.into_iter().collect(), caused_by: caused_by.as_str().to_owned(), forfeits }
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let request = ListReasonCodesRequest { page: call.page() };
    let answer = call.inner.reasons.clone().list_reason_codes(call.context().request(request)).await?.into_inner();
    let data = answer.reason_codes.into_iter().map(to_json).collect();
    Reply::json(200, &ReasonCodePage { data, next_cursor: next_cursor(answer.next_cursor) })
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetReasonCodeRequest { code: call.path_param("code") };
    reply(200, call.inner.reasons.clone().get_reason_code(call.context().request(request)).await?)
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let NewReasonCode { code, names, caused_by, forfeits } = call.parse_body()?;
    let body = to_wire(ReasonMeaning { names, caused_by, forfeits });
    let path = format!("/v1/reason_codes/{code}");
    let request = CreateReasonCodeRequest { code, body: Some(body) };
    let created = call.inner.reasons.clone().create_reason_code(call.context().forward(request)).await?;
    Ok(reply(201, created)?.location(path))
}

async fn patch(call: Call) -> Result<Reply, Fault> {
    let code = call.path_param("code");
    let request = GetReasonCodeRequest { code: code.clone() };
    let current = call.inner.reasons.clone().get_reason_code(call.context().request(request)).await?.into_inner();
    let if_version = call.if_match_or(current.version)?;
    let ReasonCode { names, caused_by, forfeits, .. } = to_json(current);
    let resource = json!({"names": names, "caused_by": caused_by, "forfeits": forfeits});
    let meaning: ReasonMeaning = call.merge_patch("ReasonMeaning", resource)?;
    let request = UpdateReasonCodeRequest { code, body: Some(to_wire(meaning)), if_version };
    reply(200, call.inner.reasons.clone().update_reason_code(call.context().request(request)).await?)
}

async fn delete(call: Call) -> Result<Reply, Fault> {
    let code = call.path_param("code");
    let request = DeleteReasonCodeRequest { code: code.clone(), if_version: call.if_match()? };
    let deleted = call.inner.reasons.clone().delete_reason_code(call.context().request(request)).await?;
    Ok(Reply::empty(204).write_metadata(deleted.metadata()).target(&code))
}
