//! Changes of an organisation's reason codes.

use std::{collections::BTreeMap, sync::Arc};

use domain::fault::{Faults, check_text};
use rpc::{Code, Context, Fault};
use tonic::Response;
use wire::booking::{
    CreateReasonCodeRequest, DeleteReasonCodeRequest, DeleteReasonCodeResponse, ReasonCode, ReasonCodeBody,
    UpdateReasonCodeRequest,
};

use super::{CausedBy, Meaning, Reason, find, is_code, load};
use crate::{
    Inner,
    commit::{self, Begun, begin, finish, remember},
    store::batch::{Batch, ReasonChange},
};

const CREATE: &str = "CreateReasonCode";
const UPDATE: &str = "UpdateReasonCode";
const DELETE: &str = "DeleteReasonCode";
/// Most codes that an organisation writes itself.
const OWN_MAX: usize = 200;
const NAMES_MAX: usize = 20;
const NAME_CHARS_MAX: usize = 100;

pub(super) async fn create(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: CreateReasonCodeRequest,
) -> Result<Response<ReasonCode>, Fault> {
    let _running = match begin(inner, ctx, CREATE).await? {
        Begun::New(running) => running,
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
    let rows = inner.store.reasons(organization).await.map_err(commit::failure)?;
    // One that went out of use comes back as its next version.
    let gone = rows.iter().find(|row| row.code == request.code);
    if gone.is_none() && rows.len() >= OWN_MAX {
        return Err(Fault::violation("", "too_many", &format!("at most {OWN_MAX} codes of your own")));
    }
    let now_us = inner.clock.now_us();
    let reason = Reason {
        version: gone.map_or(1, |row| row.version + 1),
        created_at_us: gone.map_or(now_us, |row| row.created_at_us),
        updated_at_us: now_us,
        code: request.code,
        meaning,
    };
    save(inner, ctx, CREATE, reason).await
}

pub(super) async fn update(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: UpdateReasonCodeRequest,
) -> Result<Response<ReasonCode>, Fault> {
    let _running = match begin(inner, ctx, UPDATE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let mut faults = Faults::new();
    let meaning = meaning(&mut faults, request.body.unwrap_or_default());
    faults.result()?;
    let old = load(inner, ctx, &request.code, request.if_version).await?;
    let now_us = inner.clock.now_us();
    let created_at_us = if old.created_at_us == 0 { now_us } else { old.created_at_us };
    let reason = Reason { version: old.version + 1, meaning, created_at_us, updated_at_us: now_us, ..old };
    save(inner, ctx, UPDATE, reason).await
}

pub(super) async fn delete(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: DeleteReasonCodeRequest,
) -> Result<Response<DeleteReasonCodeResponse>, Fault> {
    let _running = match begin(inner, ctx, DELETE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let old = load(inner, ctx, &request.code, request.if_version).await?;
    let now_us = inner.clock.now_us();
    let created_at_us = if old.created_at_us == 0 { now_us } else { old.created_at_us };
    let reason = Reason { version: old.version + 1, created_at_us, updated_at_us: now_us, ..old };
    let answer = DeleteReasonCodeResponse {};
    let batch = batch(ctx, &reason, true)?;
    let batch = Batch { idempotency: remember(ctx, DELETE, &answer), ..batch };
    finish(inner, ctx, DELETE, batch, answer).await
}

async fn save(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    reason: Reason,
) -> Result<Response<ReasonCode>, Fault> {
    let answer = reason.to_wire();
    let batch = Batch { idempotency: remember(ctx, route, &answer), ..batch(ctx, &reason, false)? };
    finish(inner, ctx, route, batch, answer).await
}

fn batch(ctx: &Context, reason: &Reason, archived: bool) -> Result<Batch, Fault> {
    let change = ReasonChange {
        code: reason.code.clone(),
        version: reason.version,
        meaning: serde_json::to_string(&reason.meaning).map_err(Fault::internal)?,
        archived,
        created_at_us: reason.created_at_us,
    };
    Ok(Batch {
        organization_id: ctx.organization.uuid(),
        now_us: reason.updated_at_us,
        reason_code: Some(change),
        ..Batch::default()
    })
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
    let caused_by = match body.caused_by.as_str() {
        "patient" => CausedBy::Patient,
        "clinic" => CausedBy::Clinic,
        _ => {
            faults.push("/caused_by", "invalid_value", "expected one of patient, clinic");
            CausedBy::Clinic
        }
    };
    let clean = caused_by == CausedBy::Patient || !body.forfeits;
    faults.check(clean, "/forfeits", "unexpected", "nothing is forfeited by the clinic's own doing");
    Meaning { names, caused_by, forfeits: body.forfeits }
}
