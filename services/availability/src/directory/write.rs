//! A change of the directory: checked against one version of it, and written only if that is still the version.

use std::sync::Arc;

use domain::{
    directory::{Body, Kind},
    fault::Faults,
};
use prost::Message;
use rpc::{Code, Context, Fault};
use tonic::Response;
use uuid::Uuid;
use wire::availability::WriteEntryResponse;

use super::{
    service::shown,
    snapshot::{Directory, Entry},
};
use crate::{
    Inner, displaced, failure,
    store::{Remember, Write},
};

/// Most tries at one change; a lost race is tried again from the new version.
const TRIES_MAX: usize = 8;

/// What is changed.
pub(crate) enum Change {
    Create { parent: Option<Uuid>, body: Body },
    Update { kind: Kind, id: Uuid, parent: Option<Uuid>, body: Body, if_version: i64 },
    Archive { kind: Kind, id: Uuid, parent: Option<Uuid>, if_version: i64 },
}

/// Makes a change, or with `dry_run` only says what it would displace.
pub(crate) async fn make(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    change: Change,
    dry_run: bool,
) -> Result<Response<WriteEntryResponse>, Fault> {
    if let Some(response) = replay(inner, ctx, route).await? {
        return Ok(response);
    }
    for _ in 0..TRIES_MAX {
        let organization = ctx.organization.uuid();
        let directory = inner.orgs.directory(organization).ok_or_else(Fault::not_found)?;
        let entry = decide(inner, &directory, &change)?;
        let next = directory.with(entry.clone());
        let displaced = inner.orgs.displaced_by(inner, organization, &directory, &next);
        let answer = WriteEntryResponse { entry: Some(shown(&entry)), displaced };
        let revision = format!("d{}", next.version);
        if dry_run {
            return Ok(Response::new(answer));
        }
        let remember = ctx.idempotency.as_ref().map(|idempotency| Remember {
            caller: ctx.caller.clone(),
            route,
            key: idempotency.key.clone(),
            fingerprint: idempotency.fingerprint.clone(),
            response: answer.encode_to_vec(),
            revision: revision.clone(),
        });
        let write = Write {
            organization,
            from_version: directory.version,
            now_us: inner.clock.now_us(),
            entry: entry.row().map_err(Fault::internal)?,
            remember,
        };
        match inner.store.write(&write).await {
            Ok(true) => {
                inner.orgs.publish(organization, next);
                if !answer.displaced.is_empty() {
                    displaced::reconcile(inner, organization).await;
                }
                return Ok(rpc::respond(answer, &revision, false));
            }
            Ok(false) => inner.reload(organization).await.map_err(failure)?,
            // The key was used at the same moment: the other's answer counts.
            Err(sql::Failure::Duplicate(_)) if ctx.idempotency.is_some() => {
                return replay(inner, ctx, route).await?.ok_or_else(|| Fault::internal("a replay has no answer"));
            }
            Err(other) => return Err(failure(other)),
        }
    }
    Err(Fault::new(Code::Overloaded, "the directory is being changed by many at once; try again"))
}

async fn replay(
    inner: &Inner,
    ctx: &Context,
    route: &'static str,
) -> Result<Option<Response<WriteEntryResponse>>, Fault> {
    let Some(idempotency) = &ctx.idempotency else { return Ok(None) };
    let kept = inner.store.replay(ctx.organization.uuid(), &ctx.caller, route, &idempotency.key).await;
    let Some(kept) = kept.map_err(failure)? else { return Ok(None) };
    if kept.fingerprint != idempotency.fingerprint {
        let detail = "this key came with another request before; use a new key for a new request";
        return Err(Fault::new(Code::IdempotencyKeyReused, detail));
    }
    let message = WriteEntryResponse::decode(kept.response.as_slice()).map_err(Fault::internal)?;
    Ok(Some(rpc::respond(message, &kept.revision, true)))
}

fn decide(inner: &Inner, directory: &Directory, change: &Change) -> Result<Entry, Fault> {
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let entry = match change {
        Change::Create { parent, body } => {
            parent_in_use(directory, body.kind(), *parent)?;
            Entry {
                id: inner.ids.uuid(now),
                parent: *parent,
                version: 1,
                created_at_us: now_us,
                updated_at_us: now_us,
                archived_at_us: None,
                body: body.clone(),
            }
        }
        Change::Update { kind, id, parent, body, if_version } => {
            let old = find(directory, *kind, *id, *parent, *if_version)?;
            if !old.live() {
                return Err(Fault::new(Code::Archived, "an archived entry cannot be changed; make a new one"));
            }
            Entry { version: old.version + 1, updated_at_us: now_us, body: body.clone(), ..old }
        }
        Change::Archive { kind, id, parent, if_version } => {
            let old = find(directory, *kind, *id, *parent, *if_version)?;
            if !old.live() {
                return Ok(old);
            }
            return Ok(Entry { version: old.version + 1, updated_at_us: now_us, archived_at_us: Some(now_us), ..old });
        }
    };
    let mut faults = Faults::new();
    directory.check(&entry, &mut faults);
    faults.result()?;
    Ok(entry)
}

fn parent_in_use(directory: &Directory, kind: Kind, parent: Option<Uuid>) -> Result<(), Fault> {
    match (kind.parent(), parent) {
        (None, None) => Ok(()),
        (Some(parent_kind), Some(id)) => {
            let found = directory.get(parent_kind, id).ok_or_else(Fault::not_found)?;
            if found.live() {
                return Ok(());
            }
            Err(Fault::new(Code::Archived, format!("the {} is archived", parent_kind.as_str())))
        }
        _ => Err(Fault::not_found()),
    }
}

fn find(directory: &Directory, kind: Kind, id: Uuid, parent: Option<Uuid>, if_version: i64) -> Result<Entry, Fault> {
    let found = directory.get(kind, id).filter(|entry| entry.parent == parent).ok_or_else(Fault::not_found)?;
    if if_version != 0 && if_version != found.version {
        let detail = "it has changed since it was read; read it again and decide anew";
        return Err(Fault::new(Code::VersionMismatch, detail));
    }
    Ok(found.as_ref().clone())
}
