//! Reason codes: why appointments are cancelled or moved, who causes it, and whether it uses up a session of a plan.
//!
//! `shipped.rs` holds the product's list. An organisation's own code takes precedence over the shipped one.

mod shipped;
pub(crate) mod write;

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{appointment::Actor, fault::Faults, reason::CausedBy};
use rpc::{Context, Fault};
use serde::{Deserialize, Serialize};
use service::{db_error, page};
use uuid::Uuid;
use wire::booking::{ListReasonCodesRequest, ListReasonCodesResponse, ReasonCode, ReasonCodeBody};

use crate::{Inner, commit, store::reason_codes::ReasonRow};

/// Most characters of a code.
const CODE_MAX: usize = 64;

/// The meaning of a code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meaning {
    /// By BCP 47 tag.
    pub(crate) names: BTreeMap<String, String>,
    pub(crate) caused_by: CausedBy,
    /// Whether a late cancellation for it uses up a session of a plan.
    pub(crate) forfeits: bool,
}

/// A code of an organisation's list.
pub(crate) struct Reason {
    code: String,
    /// 1 for a shipped code that was never changed.
    version: i64,
    meaning: Meaning,
    created_at_us: i64,
    updated_at_us: i64,
}

impl Reason {
    fn shipped(code: &str, meaning: Meaning) -> Self {
        Self { code: code.to_owned(), version: 1, meaning, created_at_us: 0, updated_at_us: 0 }
    }

    pub(crate) fn to_wire(&self) -> ReasonCode {
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

/// The cause of a cancellation or a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cause {
    /// Whether the patient causes it. Only then can it be late.
    pub(crate) is_patients: bool,
    /// Whether it uses up a session of a plan where it is late.
    pub(crate) forfeits: bool,
}

impl Cause {
    /// Caused by the clinic.
    pub(crate) const CLINIC: Self = Self { is_patients: false, forfeits: false };
}

/// The cause of a cancellation or a move. A patient's own request is caused by the patient, whatever its code; of a staff
/// request the code decides, and an unknown code means the clinic.
pub(crate) async fn cause(inner: &Inner, organization: Uuid, by: Actor, code: &str) -> Result<Cause, Fault> {
    let known = find(inner, organization, code).await?;
    let by_patient = known.map(|reason| reason.meaning).filter(|meaning| meaning.caused_by == CausedBy::Patient);
    Ok(match (by, by_patient) {
        (_, Some(meaning)) => Cause { is_patients: true, forfeits: meaning.forfeits },
        (Actor::Patient, None) => Cause { is_patients: true, forfeits: inner.config.late_cancellation_forfeits },
        (Actor::Staff, None) => Cause::CLINIC,
    })
}

/// Whether a text has the form of a code. Only such a text may leave booking, since it cannot hold a sentence about a
/// patient.
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

/// A code that is in use; `None` where it is unknown or archived.
async fn find(inner: &Inner, organization: Uuid, code: &str) -> Result<Option<Reason>, Fault> {
    if !is_code(code) {
        return Ok(None);
    }
    match inner.store.reason_code(organization, code).await.map_err(db_error::fault)? {
        Some(row) => read(row),
        None => Ok(shipped::meaning(code, &inner.config).map(|meaning| Reason::shipped(code, meaning))),
    }
}

/// All codes that are in use, in their order.
async fn all(inner: &Inner, organization: Uuid) -> Result<Vec<Reason>, Fault> {
    let shipped = shipped::all(&inner.config);
    let mut all: BTreeMap<String, Option<Reason>> =
        shipped.map(|(code, meaning)| (code.to_owned(), Some(Reason::shipped(code, meaning)))).collect();
    for row in inner.store.reason_codes(organization).await.map_err(db_error::fault)? {
        all.insert(row.code.clone(), read(row)?);
    }
    Ok(all.into_values().flatten().collect())
}

pub(crate) async fn load(inner: &Inner, ctx: &Context, code: &str, if_version: i64) -> Result<Reason, Fault> {
    let found = find(inner, ctx.organization.uuid(), code).await?.ok_or_else(Fault::not_found)?;
    if if_version != 0 && if_version != found.version {
        return Err(commit::version_mismatch());
    }
    Ok(found)
}

pub(crate) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListReasonCodesRequest,
) -> Result<ListReasonCodesResponse, Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = usize::try_from(page::limit(&mut faults, page.limit)).unwrap_or(usize::MAX);
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
