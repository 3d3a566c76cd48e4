//! Reason codes: why visits are called off or moved, whose doing each is, and whether it uses up a session of a plan.
//!
//! The list that the product ships is in `shipped.rs`; what an organisation writes itself stands over it.

mod shipped;
mod write;

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{appointment::Actor, fault::Faults};
use rpc::{Context, Fault};
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wire::booking::{
    CreateReasonCodeRequest, DeleteReasonCodeRequest, DeleteReasonCodeResponse, GetReasonCodeRequest,
    ListReasonCodesRequest, ListReasonCodesResponse, ReasonCode, ReasonCodeBody, UpdateReasonCodeRequest,
    reason_codes_server,
};

use crate::{
    Inner,
    appointments::list::limit,
    commit::{failure, stale},
    store::rows::ReasonRow,
};

/// Most characters of a code.
const CODE_MAX: usize = 64;

/// Who brings a cancellation or a move about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CausedBy {
    Patient,
    Clinic,
}

impl CausedBy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Clinic => "clinic",
        }
    }
}

/// What a code stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meaning {
    /// By BCP 47 tag.
    pub(crate) names: BTreeMap<String, String>,
    pub(crate) caused_by: CausedBy,
    /// Whether a late cancellation for it uses up a session of a plan.
    pub(crate) forfeits: bool,
}

/// A code of an organisation's list.
struct Reason {
    code: String,
    /// 1 for a shipped one that was never changed.
    version: i64,
    meaning: Meaning,
    created_at_us: i64,
    updated_at_us: i64,
}

impl Reason {
    fn shipped(code: &str, meaning: Meaning) -> Self {
        Self { code: code.to_owned(), version: 1, meaning, created_at_us: 0, updated_at_us: 0 }
    }

    fn to_wire(&self) -> ReasonCode {
        let Meaning { names, caused_by, forfeits } = &self.meaning;
        let names = names.clone().into_iter().collect();
        ReasonCode {
            code: self.code.clone(),
            version: self.version,
            body: Some(ReasonCodeBody { names, caused_by: caused_by.as_str().to_owned(), forfeits: *forfeits }),
            created_at_us: self.created_at_us,
            updated_at_us: self.updated_at_us,
        }
    }
}

/// Whose doing a cancellation or a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cause {
    /// Only then can it be late.
    pub(crate) is_patients: bool,
    /// Whether it uses up a session of a plan where it is late.
    pub(crate) forfeits: bool,
}

impl Cause {
    /// The clinic's own doing.
    pub(crate) const CLINIC: Self = Self { is_patients: false, forfeits: false };
}

/// Whose doing it is. What a patient does is the patient's, whatever code comes with it; of what staff do the code says
/// it, and an unknown one is the clinic's.
pub(crate) async fn cause(inner: &Inner, organization: Uuid, by: Actor, code: &str) -> Result<Cause, Fault> {
    let known = find(inner, organization, code).await?;
    let patients = known.map(|reason| reason.meaning).filter(|meaning| meaning.caused_by == CausedBy::Patient);
    Ok(match (by, patients) {
        (_, Some(meaning)) => Cause { is_patients: true, forfeits: meaning.forfeits },
        (Actor::Patient, None) => Cause { is_patients: true, forfeits: inner.config.late_cancellation_forfeits },
        (Actor::Staff, None) => Cause::CLINIC,
    })
}

/// Whether a text has the form of a code: then it may be told outside, since nobody writes a sentence in it.
pub(crate) fn is_code(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !text.is_empty() && text.len() <= CODE_MAX && text.chars().all(fits)
}

fn read(row: ReasonRow) -> Result<Option<Reason>, Fault> {
    if row.archived {
        return Ok(None);
    }
    let ReasonRow { code, version, meaning, created_at_us, updated_at_us, .. } = row;
    let meaning = serde_json::from_str(&meaning).map_err(|_| Fault::internal("a stored reason cannot be read"))?;
    Ok(Some(Reason { code, version, meaning, created_at_us, updated_at_us }))
}

/// A code that is in use.
async fn find(inner: &Inner, organization: Uuid, code: &str) -> Result<Option<Reason>, Fault> {
    if !is_code(code) {
        return Ok(None);
    }
    match inner.store.reason(organization, code).await.map_err(failure)? {
        Some(row) => read(row),
        None => Ok(shipped::meaning(code, &inner.config).map(|meaning| Reason::shipped(code, meaning))),
    }
}

/// Every code that is in use, in their order.
async fn all(inner: &Inner, organization: Uuid) -> Result<Vec<Reason>, Fault> {
    let shipped = shipped::all(&inner.config);
    let mut all: BTreeMap<String, Option<Reason>> =
        shipped.map(|(code, meaning)| (code.to_owned(), Some(Reason::shipped(code, meaning)))).collect();
    for row in inner.store.reasons(organization).await.map_err(failure)? {
        all.insert(row.code.clone(), read(row)?);
    }
    Ok(all.into_values().flatten().collect())
}

async fn load(inner: &Inner, ctx: &Context, code: &str, if_version: i64) -> Result<Reason, Fault> {
    let found = find(inner, ctx.organization.uuid(), code).await?.ok_or_else(Fault::not_found)?;
    if if_version != 0 && if_version != found.version {
        return Err(stale());
    }
    Ok(found)
}

async fn list(inner: &Inner, ctx: &Context, request: ListReasonCodesRequest) -> Result<ListReasonCodesResponse, Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = usize::try_from(limit(&mut faults, page.limit)).unwrap_or(usize::MAX);
    let after = URL_SAFE_NO_PAD.decode(&page.cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    faults.check(after.is_some(), "cursor", "invalid_cursor", "use the next_cursor of the page before, as it is");
    faults.result()?;
    let after = after.unwrap_or_default();
    let mut found = all(inner, ctx.organization.uuid()).await?;
    found.retain(|reason| reason.code > after);
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more);
    Ok(ListReasonCodesResponse {
        next_cursor: last.map(|reason| URL_SAFE_NO_PAD.encode(&reason.code)).unwrap_or_default(),
        reason_codes: found.iter().map(Reason::to_wire).collect(),
    })
}

/// The gRPC service.
pub(crate) struct Service(pub(crate) Arc<Inner>);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl reason_codes_server::ReasonCodes for Service {
    async fn list_reason_codes(&self, request: Request<ListReasonCodesRequest>) -> Answer<ListReasonCodesResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn get_reason_code(&self, request: Request<GetReasonCodeRequest>) -> Answer<ReasonCode> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(load(&self.0, &ctx, &request.into_inner().code, 0).await?.to_wire()))
    }

    async fn create_reason_code(&self, request: Request<CreateReasonCodeRequest>) -> Answer<ReasonCode> {
        let ctx = Context::of(&request)?;
        Ok(write::create(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn update_reason_code(&self, request: Request<UpdateReasonCodeRequest>) -> Answer<ReasonCode> {
        let ctx = Context::of(&request)?;
        Ok(write::update(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn delete_reason_code(&self, request: Request<DeleteReasonCodeRequest>) -> Answer<DeleteReasonCodeResponse> {
        let ctx = Context::of(&request)?;
        Ok(write::delete(&self.0, &ctx, request.into_inner()).await?)
    }
}
