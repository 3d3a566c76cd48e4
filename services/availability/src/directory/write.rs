//! A change of the directory: checked against one version of it, and written only if that is still the version.

use std::sync::Arc;

use domain::{
    directory::{Body, Kind},
    fault::Faults,
};
use prost::Message;
use rpc::{Code, Context, Fault};
use tonic::Response;
use tracing::Instrument;
use uuid::Uuid;
use wire::{
    availability::{Skipped, WriteEntryResponse},
    common::KeepAppointments,
};

use super::rezone::{self, Rezoned};
use crate::{
    Inner, displacement, failure,
    grpc::directory::shown,
    index::{
        Model,
        directory::{Directory, Entry},
    },
    revision::Revision,
    store::{Remember, Write},
};

/// How often a change that lost to another one is checked again.
const TRIES_MAX: usize = 8;

/// A change of one entry.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Create {
        parent: Option<Uuid>,
        body: Body,
    },
    Update {
        kind: Kind,
        id: Uuid,
        parent: Option<Uuid>,
        body: Body,
        if_version: i64,
        /// What becomes of the appointments ahead where a location's time zone changes.
        keep: KeepAppointments,
    },
    Archive {
        kind: Kind,
        id: Uuid,
        parent: Option<Uuid>,
        if_version: i64,
    },
    /// Takes the place of what the practitioner has from the same source, where there is any.
    Import {
        parent: Uuid,
        body: Body,
        /// What was left out of the file.
        skipped: Vec<Skipped>,
    },
}

impl Change {
    fn skipped(&self) -> Vec<Skipped> {
        if let Self::Import { skipped, .. } = self { skipped.clone() } else { vec![] }
    }

    fn keep(&self) -> KeepAppointments {
        match self {
            Self::Update { keep, .. } => *keep,
            _ => KeepAppointments::Unspecified,
        }
    }
}

/// What a change comes to.
enum Decision {
    Write(Entry),
    /// It is so already.
    Nothing(Entry),
}

/// Makes a change, or with `dry_run` only says what it would displace.
pub(crate) async fn make(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    change: Change,
    dry_run: bool,
) -> Result<Response<WriteEntryResponse>, Fault> {
    let (inner, ctx) = (inner.clone(), ctx.clone());
    // In a task of its own: what is committed is also published and told, even where the caller hangs up.
    let work = async move { run(&inner, &ctx, route, &change, dry_run).await };
    tokio::spawn(work.in_current_span()).await.map_err(Fault::internal)?
}

async fn run(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    change: &Change,
    dry_run: bool,
) -> Result<Response<WriteEntryResponse>, Fault> {
    if let Some(response) = replay(inner, ctx, route).await? {
        return Ok(response);
    }
    // What it displaces is told of the bookings that the caller knows of.
    if ctx.revision.is_some() {
        inner.fresh(ctx).await?;
    }
    let organization = ctx.organization.uuid();
    for _ in 0..TRIES_MAX {
        let org = inner.orgs.get(organization).ok_or_else(Fault::not_found)?;
        let turn = org.turn.lock().await;
        let present = org.present().ok_or_else(Fault::not_found)?;
        let entry = match decide(inner, &present.directory, change)? {
            Decision::Write(entry) => entry,
            Decision::Nothing(entry) => {
                let skipped = change.skipped();
                let answer =
                    WriteEntryResponse { entry: Some(shown(&entry)), skipped, ..WriteEntryResponse::default() };
                return Ok(rpc::respond(answer, &revision(&present.directory, &Rezoned::default()), false));
            }
        };
        let rezoned = match rezone::zone(&present.directory, &entry) {
            Some(zone) => rezone::ask(inner, ctx, entry.id, zone, change.keep(), dry_run).await?,
            None => Rezoned::default(),
        };
        let next = Arc::new(present.directory.with(entry.clone()));
        let next = Arc::new(Model::new(next, present.span, present.travel, Some(&present)));
        let now = inner.clock.now();
        let answer = WriteEntryResponse {
            entry: Some(shown(&entry)),
            displaced: org.displaced_by(&present, &next, &rezoned.starts, now),
            skipped: change.skipped(),
            over_capacity: org.beyond(&entry, now),
            rezoned: rezoned.appointments.clone(),
            ..WriteEntryResponse::default()
        };
        if dry_run {
            let opened = org.opened_by(&present, &next, now);
            return Ok(Response::new(WriteEntryResponse { opened, ..answer }));
        }
        let revision = revision(&next.directory, &rezoned);
        let write = Write {
            organization,
            from_version: present.directory.version,
            now_us: inner.clock.now_us(),
            entry: entry.row().map_err(Fault::internal)?,
            remember: remember(ctx, route, &answer, &revision),
        };
        match inner.store.write(&write).await {
            Ok(true) => {
                org.install(next);
                drop(turn);
                displacement::settle(inner, organization).await;
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

fn revision(directory: &Directory, rezoned: &Rezoned) -> String {
    Revision { directory: Some(directory.version), ..rezoned.revision.clone() }.to_string()
}

/// What to keep for the request's idempotency key, with its answer.
pub(crate) fn remember(ctx: &Context, route: &'static str, answer: &impl Message, revision: &str) -> Option<Remember> {
    ctx.idempotency.as_ref().map(|idempotency| Remember {
        organization: ctx.organization.uuid(),
        caller: ctx.caller.clone(),
        route,
        key: idempotency.key.clone(),
        fingerprint: idempotency.fingerprint.clone(),
        response: answer.encode_to_vec(),
        revision: revision.to_owned(),
    })
}

/// The kept answer of the request's idempotency key, where there is one.
///
/// # Errors
/// `idempotency_key_reused` where the key came with another request.
pub(crate) async fn replay<T: Message + Default>(
    inner: &Inner,
    ctx: &Context,
    route: &'static str,
) -> Result<Option<Response<T>>, Fault> {
    let Some(idempotency) = &ctx.idempotency else { return Ok(None) };
    let kept = inner.store.replay(ctx.organization.uuid(), &ctx.caller, route, &idempotency.key).await;
    let Some(kept) = kept.map_err(failure)? else { return Ok(None) };
    if kept.fingerprint != idempotency.fingerprint {
        let detail = "this key came with another request before; use a new key for a new request";
        return Err(Fault::new(Code::IdempotencyKeyReused, detail));
    }
    let message = T::decode(kept.response.as_slice()).map_err(Fault::internal)?;
    Ok(Some(rpc::respond(message, &kept.revision, true)))
}

fn decide(inner: &Inner, directory: &Directory, change: &Change) -> Result<Decision, Fault> {
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let entry = match change {
        Change::Create { parent, body } => {
            parent_in_use(directory, body.kind(), *parent)?;
            new_entry(inner, *parent, body)
        }
        Change::Import { parent, body, .. } => {
            parent_in_use(directory, body.kind(), Some(*parent))?;
            let fresh = new_entry(inner, Some(*parent), body);
            match directory.same_source(&fresh) {
                Some(old) if old.body == *body => return Ok(Decision::Nothing(old.as_ref().clone())),
                Some(old) => Entry { version: old.version + 1, body: body.clone(), updated_at_us: now_us, ..**old },
                None => fresh,
            }
        }
        Change::Update { kind, id, parent, body, if_version, .. } => {
            let old = find(directory, *kind, *id, *parent, *if_version)?;
            if !old.live() {
                return Err(Fault::new(Code::Archived, "an archived entry cannot be changed; make a new one"));
            }
            parent_in_use(directory, *kind, old.parent)?;
            Entry { version: old.version + 1, updated_at_us: now_us, body: body.clone(), ..old }
        }
        Change::Archive { kind, id, parent, if_version } => {
            let old = find(directory, *kind, *id, *parent, *if_version)?;
            if !old.live() {
                return Ok(Decision::Nothing(old));
            }
            let version = old.version + 1;
            return Ok(Decision::Write(Entry { version, updated_at_us: now_us, archived_at_us: Some(now_us), ..old }));
        }
    };
    let mut faults = Faults::new();
    directory.check(&entry, &mut faults);
    faults.result()?;
    Ok(Decision::Write(entry))
}

fn new_entry(inner: &Inner, parent: Option<Uuid>, body: &Body) -> Entry {
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    Entry {
        id: inner.ids.uuid(now),
        parent,
        version: 1,
        created_at_us: now_us,
        updated_at_us: now_us,
        archived_at_us: None,
        body: body.clone(),
    }
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

/// An entry of this kind, and of this parent where one is named.
fn find(directory: &Directory, kind: Kind, id: Uuid, parent: Option<Uuid>, if_version: i64) -> Result<Entry, Fault> {
    let of_parent = |entry: &&Arc<Entry>| parent.is_none() || entry.parent == parent;
    let found = directory.get(kind, id).filter(of_parent).ok_or_else(Fault::not_found)?;
    if if_version != 0 && if_version != found.version {
        let detail = "it has changed since it was read; read it again and decide anew";
        return Err(Fault::new(Code::VersionMismatch, detail));
    }
    Ok(found.as_ref().clone())
}
