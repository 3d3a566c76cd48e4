//! Changes of an organisation's reason codes.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    fault::{Faults, check_text},
    reason::CausedBy,
};
use rpc::{Code, Context, Fault};
use service::{db_error, idempotency::Begun};
use tonic::Response;
use wire::booking::{
    CreateReasonCodeRequest, DeleteReasonCodeRequest, DeleteReasonCodeResponse, ReasonCode, ReasonCodeBody,
    UpdateReasonCodeRequest,
};

use super::{Meaning, Reason, find, is_code, load};
use crate::{
    Inner,
    commit::{self, begin},
    store::batch::{Batch, ReasonChange},
};

const CREATE_ROUTE: &str = "CreateReasonCode";
const UPDATE_ROUTE: &str = "UpdateReasonCode";
const DELETE_ROUTE: &str = "DeleteReasonCode";
/// Most own codes of an organisation.
const OWN_MAX: usize = 200;
const NAMES_MAX: usize = 20;
const NAME_CHARS_MAX: usize = 100;

pub(crate) async fn create(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: CreateReasonCodeRequest,
) -> Result<Response<ReasonCode>, Fault> {
    let _guard = match begin(inner, ctx, CREATE_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let mut faults = Faults::new();
    let fits = is_code(&request.code);
    faults.check(fits, "/code", "invalid_value", "1 to 64 letters, digits, dots, dashes and underscores");
    let meaning = meaning(&mut faults, request.body.unwrap_or_default());
    faults.result()?;
    let organization = ctx.organization.uuid();
    if find(inner, organization, &request.code).await?.is_some() {
        return Err(Fault::new(Code::Duplicate, "the code is in use; change that one"));
    }
    let rows = inner.store.reason_codes(organization).await.map_err(db_error::fault)?;
    // An archived code comes back as its next version.
    let archived = rows.iter().find(|row| row.code == request.code);
    if archived.is_none() && rows.len() >= OWN_MAX {
        return Err(Fault::violation("", "too_many", &format!("at most {OWN_MAX} codes of your own")));
    }
    let now_us = inner.clock.now_us();
    let reason = Reason {
        version: archived.map_or(1, |row| row.version + 1),
        created_at_us: archived.map_or(now_us, |row| row.created_at_us),
        updated_at_us: now_us,
        code: request.code,
        meaning,
    };
    commit::answer(inner, ctx, CREATE_ROUTE, batch(ctx, &reason, false)?, reason.to_wire()).await
}

pub(crate) async fn update(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: UpdateReasonCodeRequest,
) -> Result<Response<ReasonCode>, Fault> {
    let _guard = match begin(inner, ctx, UPDATE_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let mut faults = Faults::new();
    let meaning = meaning(&mut faults, request.body.unwrap_or_default());
    faults.result()?;
    let old = load(inner, ctx, &request.code, request.if_version).await?;
    let reason = Reason { meaning, ..next_version(inner, old) };
    commit::answer(inner, ctx, UPDATE_ROUTE, batch(ctx, &reason, false)?, reason.to_wire()).await
}

pub(crate) async fn delete(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: DeleteReasonCodeRequest,
) -> Result<Response<DeleteReasonCodeResponse>, Fault> {
    let _guard = match begin(inner, ctx, DELETE_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let old = load(inner, ctx, &request.code, request.if_version).await?;
    let batch = batch(ctx, &next_version(inner, old), true)?;
    commit::answer(inner, ctx, DELETE_ROUTE, batch, DeleteReasonCodeResponse {}).await
}

/// The next version of a code. A shipped code that changes for the first time is created now.
fn next_version(inner: &Inner, old: Reason) -> Reason {
    let now_us = inner.clock.now_us();
    let created_at_us = if old.created_at_us == 0 { now_us } else { old.created_at_us };
    Reason { version: old.version + 1, created_at_us, updated_at_us: now_us, ..old }
}

fn batch(ctx: &Context, reason: &Reason, archived: bool) -> Result<Batch, Fault> {
    let change = ReasonChange {
        code: reason.code.clone(),
        version: reason.version,
        meaning: serde_json::to_string(&reason.meaning).map_err(Fault::internal)?,
        archived,
        created_at_us: reason.created_at_us,
    };
    Ok(Batch { reason_code: Some(change), ..Batch::new(ctx.organization.uuid(), reason.updated_at_us) })
}

fn meaning(faults: &mut Faults, body: ReasonCodeBody) -> Meaning {
    let count = body.names.len();
    faults.check((1..=NAMES_MAX).contains(&count), "/names", "out_of_range", "give it a name in 1 to 20 languages");
    let names: BTreeMap<String, String> = body.names.into_iter().take(NAMES_MAX).collect();
    for (tag, name) in &names {
        let part = |part: &str| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric());
        let is_tag = tag.len() <= 35 && tag.split('-').all(part);
        faults.check(is_tag, "/names", "invalid_value", "name each language by its BCP 47 tag, such as en or fr-CA");
        if is_tag {
            check_text(faults, &format!("/names/{tag}"), name, NAME_CHARS_MAX);
        }
    }
    let caused_by = body.caused_by.parse().unwrap_or_else(|expected: &str| {
        faults.push("/caused_by", "invalid_value", expected);
        CausedBy::Clinic
    });
    let is_consistent = caused_by == CausedBy::Patient || !body.forfeits;
    faults.check(is_consistent, "/forfeits", "unexpected", "nothing is forfeited by the clinic's own doing");
    Meaning { names, caused_by, forfeits: body.forfeits }
}
