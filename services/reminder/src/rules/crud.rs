//! List, read, create, change and archive rules.

use std::sync::Arc;

use ::wire::{
    availability::CheckReferencesRequest,
    convert,
    reminder::{
        self as wire, ArchiveRuleRequest, CreateRuleRequest, GetRuleRequest, ListRulesRequest, ListRulesResponse,
        UpdateRuleRequest,
    },
};
use domain::{
    directory::Kind,
    id::{RuleId, ServiceId},
};
use rpc::{Code, Context, Fault};
use service::{db_error, page};
use tonic::Response;

use super::{
    Rule,
    organisations::insert_defaults,
    wire::{from_wire, to_wire},
};
use crate::{
    Inner,
    idempotency::{Begun, KeyGuard, answer, begin, refused, remember, stale},
    planning::rule_change::{RuleWrite, write_rule},
    store::rules::RuleRow,
};

const CREATE: &str = "/meridian.reminder.v1.Reminder/CreateRule";
const UPDATE: &str = "/meridian.reminder.v1.Reminder/UpdateRule";
const ARCHIVE: &str = "/meridian.reminder.v1.Reminder/ArchiveRule";

pub(crate) async fn list(inner: &Inner, ctx: &Context, request: ListRulesRequest) -> Result<ListRulesResponse, Fault> {
    let mut faults = domain::fault::Faults::new();
    let asked = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, asked.limit);
    let after = page::cursor(&mut faults, &asked.cursor).map(|(_, id)| id);
    faults.result()?;
    let organization = ctx.organization.uuid();
    let read = || inner.store.rules(organization, request.archived, after, limit + 1);
    let mut rows = read().await.map_err(db_error::fault)?;
    if rows.is_empty() && after.is_none() {
        // The organisation may be new here.
        let defaults = insert_defaults(&inner.store, organization, inner.clock.now_us(), &inner.ids);
        defaults.await.map_err(db_error::fault)?;
        rows = read().await.map_err(db_error::fault)?;
    }
    let next_cursor = page::cut(&mut rows, limit, |row| (0, row.id));
    let rules: Vec<Rule> = rows.into_iter().map(from_row).collect::<Result<_, _>>()?;
    Ok(ListRulesResponse { rules: rules.iter().map(to_wire).collect(), next_cursor })
}

pub(crate) async fn get(inner: &Inner, ctx: &Context, request: GetRuleRequest) -> Result<wire::Rule, Fault> {
    Ok(to_wire(&load(inner, ctx, &request.id).await?))
}

pub(crate) async fn create(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: CreateRuleRequest,
) -> Result<Response<wire::Rule>, Fault> {
    let body = from_wire(&inner.templates, request.body.unwrap_or_default())?;
    let guard = match begin(inner, ctx, CREATE).await? {
        Begun::Replay(response) => return Ok(response),
        Begun::New(guard) => guard,
    };
    check_services(inner, ctx, &body.service_ids, &[]).await?;
    let now = inner.clock.now();
    save(inner, ctx, (CREATE, guard), Rule::new(inner.ids.uuid(now), body, now.as_microsecond())).await
}

pub(crate) async fn update(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: UpdateRuleRequest,
) -> Result<Response<wire::Rule>, Fault> {
    let body = from_wire(&inner.templates, request.body.unwrap_or_default())?;
    let guard = match begin(inner, ctx, UPDATE).await? {
        Begun::Replay(response) => return Ok(response),
        Begun::New(guard) => guard,
    };
    let old = current(inner, ctx, &request.id, request.if_version).await?;
    if old.archived_at_us.is_some() {
        return Err(Fault::new(Code::Archived, "an archived rule cannot be changed; make a new one"));
    }
    check_services(inner, ctx, &body.service_ids, &old.body.service_ids).await?;
    let updated_at_us = inner.clock.now_us();
    save(inner, ctx, (UPDATE, guard), Rule { version: old.version + 1, body, updated_at_us, ..old }).await
}

pub(crate) async fn archive(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: ArchiveRuleRequest,
) -> Result<Response<wire::Rule>, Fault> {
    let guard = match begin(inner, ctx, ARCHIVE).await? {
        Begun::Replay(response) => return Ok(response),
        Begun::New(guard) => guard,
    };
    let old = current(inner, ctx, &request.id, request.if_version).await?;
    if old.archived_at_us.is_some() {
        return Ok(answer(to_wire(&old), &inner.revision(), false));
    }
    let now_us = inner.clock.now_us();
    let archived = Rule { version: old.version + 1, updated_at_us: now_us, archived_at_us: Some(now_us), ..old };
    save(inner, ctx, (ARCHIVE, guard), archived).await
}

/// Checks the services of a rule. Those that it has already may be archived.
async fn check_services(
    inner: &Inner,
    ctx: &Context,
    services: &[ServiceId],
    known: &[ServiceId],
) -> Result<(), Fault> {
    let new = services.iter().enumerate().filter(|(_, id)| !known.contains(id));
    let reference = |(at, id)| convert::directory::reference(Kind::Service, format!("/service_ids/{at}"), id);
    let references: Vec<_> = new.map(reference).collect();
    if references.is_empty() {
        return Ok(());
    }
    let request = ctx.request(CheckReferencesRequest { references });
    inner.availability.clone().check_references(request).await?;
    Ok(())
}

/// Writes a rule and changes its messages. In a task of its own: a caller that hangs up does not interrupt it.
async fn save(
    inner: &Arc<Inner>,
    ctx: &Context,
    (route, guard): (&'static str, KeyGuard),
    rule: Rule,
) -> Result<Response<wire::Rule>, Fault> {
    let message = to_wire(&rule);
    let revision = inner.revision();
    let kept = remember(inner, ctx, route, &message, &revision)?;
    let (owned, organization) = (inner.clone(), ctx.organization.uuid());
    let task = tokio::spawn(async move {
        let _guard = guard;
        let (now_us, remember, ids) = (rule.updated_at_us, kept.as_ref(), &owned.ids);
        let write = RuleWrite { organization, rule: &rule, now_us, remember, ids };
        sql::retry_serialization(|| ids.fraction(), || write_rule(&owned.store, &write)).await
    });
    if let Err(refusal) = task.await.map_err(Fault::internal)? {
        return refused(inner, ctx, route, refusal).await;
    }
    // Messages may have become due or moved.
    inner.planned.notify_waiters();
    Ok(answer(message, &revision, false))
}

fn from_row(row: RuleRow) -> Result<Rule, Fault> {
    Rule::from_row(row).map_err(db_error::fault)
}

async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<Rule, Fault> {
    let id: RuleId = id.parse().map_err(|_| Fault::not_found())?;
    let row = inner.store.rule(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
    from_row(row.ok_or_else(Fault::not_found)?)
}

async fn current(inner: &Inner, ctx: &Context, id: &str, if_version: i64) -> Result<Rule, Fault> {
    let rule = load(inner, ctx, id).await?;
    if if_version != 0 && if_version != rule.version { Err(stale()) } else { Ok(rule) }
}
