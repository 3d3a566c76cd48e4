//! Reason codes: why visits are called off or moved, and whose doing that is.

use std::collections::BTreeMap;

use axum::http::Method;
use domain::reason::CausedBy;
use rpc::Fault;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use wire::{
    booking::{
        self, CreateReasonCodeRequest, DeleteReasonCodeRequest, GetReasonCodeRequest, ListReasonCodesRequest,
        UpdateReasonCodeRequest,
    },
    common::Page,
};

use super::{CURSOR, LIMIT, directory::merge, next_cursor, time};
use crate::{
    auth::Scope,
    call::{Call, Reply, read},
    operation::{Access, Operation, handler},
};

/// What a reason code stands for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReasonMeaning {
    /// The name in each language, by its BCP 47 tag.
    #[schema(example = json!({"en": "The patient is ill", "fr": "Patient malade"}))]
    names: BTreeMap<String, String>,
    caused_by: CausedBy,
    /// Whether a session of a care plan is used up where a visit is called off late for it.
    #[serde(default)]
    forfeits: bool,
}

/// A reason code to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReasonCode {
    /// What cancellations name.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$", example = "patient_ill")]
    code: String,
    #[schema(example = json!({"en": "The patient is ill", "fr": "Patient malade"}))]
    names: BTreeMap<String, String>,
    caused_by: CausedBy,
    /// Whether a session of a care plan is used up where a visit is called off late for it.
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
    /// None: it is the product's own and was never changed.
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

/// A page of reason codes, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonCodePage {
    data: Vec<ReasonCode>,
    next_cursor: Option<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let look = Access::Scopes(&[Scope::SlotsRead]);
    let write = Access::Scopes(&[Scope::DirectoryWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "reason codes", summary, access, handler)
    };
    let (all, one) = ("/v1/reason_codes", "/v1/reason_codes/{code}");
    let summary = "Why visits are called off, and whose doing that is, in the order of the codes";
    let archive = "Takes a code out of use: appointments keep it, and from now on it counts as an unknown one";
    vec![
        operation("list_reason_codes", Method::GET, all, summary, look, handler!(list))
            .params(&[LIMIT, CURSOR])
            .answer(200, "ReasonCodePage"),
        operation("create_reason_code", Method::POST, all, "Adds a reason code", write, handler!(create))
            .body("NewReasonCode")
            .answer(201, "ReasonCode"),
        operation("get_reason_code", Method::GET, one, "One reason code", look, handler!(get))
            .answer(200, "ReasonCode"),
        operation("patch_reason_code", Method::PATCH, one, "Changes a reason code", write, handler!(patch))
            .body("MergePatch")
            .answer(200, "ReasonCode"),
        operation("delete_reason_code", Method::DELETE, one, archive, write, handler!(delete)).no_content(),
    ]
}

fn to_json(it: booking::ReasonCode) -> ReasonCode {
    let body = it.body.unwrap_or_default();
    ReasonCode {
        code: it.code,
        version: it.version,
        names: body.names.into_iter().collect(),
        caused_by: body.caused_by,
        forfeits: body.forfeits,
        updated_at: time::optional(it.updated_at_us, ""),
    }
}

fn reply(status: u16, response: tonic::Response<booking::ReasonCode>) -> Result<Reply, Fault> {
    let replied = Reply::empty(status).after(&response);
    let it = response.into_inner();
    let (code, version) = (it.code.clone(), it.version);
    let body = Reply::json(status, &to_json(it))?.body;
    Ok(Reply { body, ..replied }.version(version).target(&code))
}

fn to_wire(meaning: ReasonMeaning) -> booking::ReasonCodeBody {
    let ReasonMeaning { names, caused_by, forfeits } = meaning;
    booking::ReasonCodeBody { names: names.into_iter().collect(), caused_by: caused_by.as_str().to_owned(), forfeits }
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let page = Page { limit: call.params.number("limit"), cursor: call.params.text_or_empty("cursor") };
    let request = ListReasonCodesRequest { page: Some(page) };
    let answer = call.inner.reasons.clone().list_reason_codes(call.context().request(request)).await?.into_inner();
    let data = answer.reason_codes.into_iter().map(to_json).collect();
    Reply::json(200, &ReasonCodePage { data, next_cursor: next_cursor(answer.next_cursor) })
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetReasonCodeRequest { code: call.part("code") };
    reply(200, call.inner.reasons.clone().get_reason_code(call.context().request(request)).await?)
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let NewReasonCode { code, names, caused_by, forfeits } = call.read()?;
    let body = to_wire(ReasonMeaning { names, caused_by, forfeits });
    let path = format!("/v1/reason_codes/{code}");
    let request = CreateReasonCodeRequest { code, body: Some(body) };
    let made = call.inner.reasons.clone().create_reason_code(call.context().forward(request)).await?;
    Ok(reply(201, made)?.location(path))
}

async fn patch(call: Call) -> Result<Reply, Fault> {
    let code = call.part("code");
    let request = GetReasonCodeRequest { code: code.clone() };
    let present = call.inner.reasons.clone().get_reason_code(call.context().request(request)).await?.into_inner();
    let version = present.version;
    let ReasonCode { names, caused_by, forfeits, .. } = to_json(present);
    let mut merged = json!({"names": names, "caused_by": caused_by, "forfeits": forfeits});
    merge(&mut merged, &call.body);
    call.inner.schemas.check_merged("ReasonMeaning", &call.body, &merged)?;
    let meaning: ReasonMeaning = read(&merged)?;
    let if_version = match call.if_version()? {
        0 => version,
        version => version,
    };
    let request = UpdateReasonCodeRequest { code, body: Some(to_wire(meaning)), if_version };
    reply(200, call.inner.reasons.clone().update_reason_code(call.context().request(request)).await?)
}

async fn delete(call: Call) -> Result<Reply, Fault> {
    let code = call.part("code");
    let request = DeleteReasonCodeRequest { code: code.clone(), if_version: call.if_version()? };
    let done = call.inner.reasons.clone().delete_reason_code(call.context().request(request)).await?;
    Ok(Reply::empty(204).after(&done).target(&code))
}
