//! Rules through the gRPC face: list, read, create, change, archive.

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
use tonic::Response;

use super::{
    Rule,
    wire::{from_wire, to_wire},
};
use crate::{
    Inner, page,
    store::{Refusal, RuleWrite},
    write::{answer, failure, refused, remember, replay, stale},
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
    let mut rules = read().await.map_err(failure)?;
    if rules.is_empty() && after.is_none() {
        // Perhaps it is seen for the first time.
        inner.store.welcome(organization, inner.clock.now_us(), &inner.ids).await.map_err(failure)?;
        rules = read().await.map_err(failure)?;
    }
    let next_cursor = page::cut(&mut rules, limit, |rule| (0, rule.id));
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
    if let Some(response) = replay(inner, ctx, CREATE).await? {
        return Ok(response);
    }
    references(inner, ctx, &body.service_ids, &[]).await?;
    let now = inner.clock.now();
    save(inner, ctx, CREATE, Rule::new(inner.ids.uuid(now), body, now.as_microsecond())).await
}

pub(crate) async fn update(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: UpdateRuleRequest,
) -> Result<Response<wire::Rule>, Fault> {
    let body = from_wire(&inner.templates, request.body.unwrap_or_default())?;
    if let Some(response) = replay(inner, ctx, UPDATE).await? {
        return Ok(response);
    }
    let old = current(inner, ctx, &request.id, request.if_version).await?;
    if old.archived_at_us.is_some() {
        return Err(Fault::new(Code::Archived, "an archived rule cannot be changed; make a new one"));
    }
    references(inner, ctx, &body.service_ids, &old.body.service_ids).await?;
    let updated_at_us = inner.clock.now_us();
    save(inner, ctx, UPDATE, Rule { version: old.version + 1, body, updated_at_us, ..old }).await
}

pub(crate) async fn archive(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: ArchiveRuleRequest,
) -> Result<Response<wire::Rule>, Fault> {
    if let Some(response) = replay(inner, ctx, ARCHIVE).await? {
        return Ok(response);
    }
    let old = current(inner, ctx, &request.id, request.if_version).await?;
    if old.archived_at_us.is_some() {
        return Ok(answer(to_wire(&old), &inner.revision(), false));
    }
    let now_us = inner.clock.now_us();
    let archived = Rule { version: old.version + 1, updated_at_us: now_us, archived_at_us: Some(now_us), ..old };
    save(inner, ctx, ARCHIVE, archived).await
}

/// Refuses services that are none in use, but for those that the rule has already: one may have been archived since.
async fn references(inner: &Inner, ctx: &Context, services: &[ServiceId], known: &[ServiceId]) -> Result<(), Fault> {
    let fresh = services.iter().enumerate().filter(|(_, id)| !known.contains(id));
    let reference = |(at, id)| convert::directory::reference(Kind::Service, format!("/service_ids/{at}"), id);
    let references: Vec<_> = fresh.map(reference).collect();
    if references.is_empty() {
        return Ok(());
    }
    let request = ctx.request(CheckReferencesRequest { references });
    inner.availability.clone().check_references(request).await?;
    Ok(())
}

/// Writes a rule with what follows for its messages. In a task of its own: a caller who hangs up cannot leave it half
/// known.
async fn save(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    rule: Rule,
) -> Result<Response<wire::Rule>, Fault> {
    let shown = to_wire(&rule);
    let revision = inner.revision();
    let kept = remember(ctx, route, &shown, &revision);
    let (owned, organization) = (inner.clone(), ctx.organization.uuid());
    let task = tokio::spawn(async move {
        let write =
            |remember| RuleWrite { organization, rule: &rule, now_us: rule.updated_at_us, remember, ids: &owned.ids };
        let fraction = || owned.ids.fraction();
        sql::retry_serialization(fraction, || {
            let write = write(kept.clone());
            let store = &owned.store;
            async move { store.write_rule(&write).await }
        })
        .await
    });
    match task.await.map_err(Fault::internal)? {
        Ok(_) => {}
        // The same key may have done it just now; then its answer is this one's, too.
        Err(Refusal::Stale) => {
            return replay(inner, ctx, route).await?.ok_or_else(stale);
        }
        Err(other) => return refused(inner, ctx, route, other).await,
    }
    // Whatever became due or was moved: the dispatcher looks anew.
    inner.planned.notify_waiters();
    Ok(answer(shown, &revision, false))
}

async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<Rule, Fault> {
    let id: RuleId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.rule(ctx.organization.uuid(), id.uuid()).await.map_err(failure)?;
    found.ok_or_else(Fault::not_found)
}

async fn current(inner: &Inner, ctx: &Context, id: &str, if_version: i64) -> Result<Rule, Fault> {
    let rule = load(inner, ctx, id).await?;
    if if_version != 0 && if_version != rule.version { Err(stale()) } else { Ok(rule) }
}
