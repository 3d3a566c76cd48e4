//! Changes of one entry: each is checked against a version of the directory and written only if that is still the version.

use std::sync::Arc;

use domain::{
    directory::{Body, Kind},
    fault::Faults,
};
use rpc::{Code, Context, Fault};
use service::{
    db_error,
    idempotency::{self, Begun},
};
use sql::Failure;
use tonic::Response;
use tracing::Instrument;
use uuid::Uuid;
use wire::{
    availability::{Skipped, WriteEntryResponse},
    common::KeepAppointments,
};

use super::{
    commit::{self, EntryWrite},
    impact,
    rezone::{self, Rezoned},
    stored,
    wire_ids::entry_to_wire,
};
use crate::{
    Inner, displacement,
    index::{
        Index,
        directory::{Directory, Entry},
    },
    organisations::Organisation,
    revision::Revision,
};

/// How often a change is checked again after another process has changed the directory.
const TRIES_MAX: usize = 8;

/// A change of one entry.
#[derive(Debug, Clone)]
pub(crate) enum EntryChange {
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
        /// How upcoming appointments follow a change of their location's time zone.
        keep: KeepAppointments,
    },
    Archive {
        kind: Kind,
        id: Uuid,
        parent: Option<Uuid>,
        if_version: i64,
    },
    /// Replaces the practitioner's entry from the same source, or creates one.
    Import {
        parent: Uuid,
        body: Body,
        /// The parts of the file that were left out.
        skipped: Vec<Skipped>,
    },
}

impl EntryChange {
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

/// The entry that a change results in.
enum Decision {
    Write(Entry),
    Unchanged(Entry),
}

/// Applies a change; with `dry_run` only computes its effects.
pub(crate) async fn apply(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    change: EntryChange,
    dry_run: bool,
) -> Result<Response<WriteEntryResponse>, Fault> {
    let (inner, ctx) = (inner.clone(), ctx.clone());
    // In its own task: a committed change is published and sent to booking even where the caller hangs up.
    let work = async move { apply_once(&inner, &ctx, route, &change, dry_run).await };
    tokio::spawn(work.in_current_span()).await.map_err(Fault::internal)?
}

/// Applies a change unless its idempotency key has an answer already.
async fn apply_once(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    change: &EntryChange,
    dry_run: bool,
) -> Result<Response<WriteEntryResponse>, Fault> {
    let (database, keyring) = (&inner.store.database, &inner.keyring);
    let begun = idempotency::begin(&inner.running_keys, database, keyring, ctx, route, idempotency::as_kept).await?;
    let _guard = match begun {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    // The displaced appointments include the bookings that the caller knows of.
    if ctx.revision.is_some() {
        inner.wait_for_revision(ctx).await?;
    }
    for _ in 0..TRIES_MAX {
        if let Some(response) = try_apply(inner, ctx, route, change, dry_run).await? {
            return Ok(response);
        }
    }
    Err(Fault::new(Code::Overloaded, "the directory is being changed by many at once; try again"))
}

/// Checks and writes a change once; `None` where another process has changed the directory meanwhile.
async fn try_apply(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    change: &EntryChange,
    dry_run: bool,
) -> Result<Option<Response<WriteEntryResponse>>, Fault> {
    let organization = ctx.organization.uuid();
    let organisation = inner.organisations.get(organization).ok_or_else(Fault::not_found)?;
    let lock = organisation.write_lock.lock().await;
    let present = organisation.latest_index().ok_or_else(Fault::not_found)?;
    let entry = match decide(inner, &present.directory, change) {
        // Its parent may have been made by another process, just now: then it is decided again.
        Err(refused) => {
            let known = Some(present.directory.version);
            return if inner.load_newer_directory(organization, known).await? { Ok(None) } else { Err(refused) };
        }
        Ok(Decision::Write(entry)) => entry,
        Ok(Decision::Unchanged(entry)) => {
            let entry = Some(entry_to_wire(&entry));
            let answer = WriteEntryResponse { entry, skipped: change.skipped(), ..WriteEntryResponse::default() };
            return Ok(Some(rpc::respond(answer, &revision(&present.directory, &Rezoned::default()), false)));
        }
    };
    let rezoned = match rezone::changed_zone(&present.directory, &entry) {
        Some(zone) => rezone::rezone_appointments(inner, ctx, entry.id, zone, change.keep(), dry_run).await?,
        None => Rezoned::default(),
    };
    let next = Arc::new(present.directory.with(entry.clone()));
    let next = Arc::new(Index::new(next, present.span, present.travel, Some(&present)));
    let answer = answer(inner, &organisation, change, &entry, &rezoned, (&present, &next));
    if dry_run {
        let now = inner.clock.now();
        let opened = impact::openings(&organisation.occupancy(now), &present, &next, now);
        return Ok(Some(Response::new(WriteEntryResponse { opened, ..answer })));
    }
    let revision = revision(&next.directory, &rezoned);
    let write = EntryWrite {
        organization,
        from_version: present.directory.version,
        now_us: inner.clock.now_us(),
        entry: stored::to_row(&inner.keyring, organization, &entry).map_err(Fault::internal)?,
        remember: idempotency::remember(&inner.keyring, ctx, route, &answer, &revision)?,
    };
    match commit::entry(inner, &write).await {
        Ok(true) => {
            organisation.publish(next);
            drop(lock);
            displacement::sync_now(inner, organization).await;
            Ok(Some(rpc::respond(answer, &revision, false)))
        }
        Ok(false) => {
            inner.load_directory(organization).await.map_err(db_error::fault)?;
            Ok(None)
        }
        // Another process used the key in the same moment: its answer counts.
        Err(Failure::Duplicate(_)) if ctx.idempotency.is_some() => {
            let (database, keyring) = (&inner.store.database, &inner.keyring);
            idempotency::replay_winner(database, keyring, ctx, route, idempotency::as_kept).await.map(Some)
        }
        Err(other) => Err(db_error::fault(other)),
    }
}

/// The answer to a change, without the starts that it opens.
fn answer(
    inner: &Inner,
    organisation: &Organisation,
    change: &EntryChange,
    entry: &Entry,
    rezoned: &Rezoned,
    (before, after): (&Index, &Index),
) -> WriteEntryResponse {
    let now = inner.clock.now();
    let occupancy = organisation.occupancy(now);
    WriteEntryResponse {
        entry: Some(entry_to_wire(entry)),
        displaced: displacement::displaced_by_change(&occupancy, before, after, &rezoned.starts, now),
        skipped: change.skipped(),
        over_capacity: impact::over_capacity(&occupancy, entry, now),
        rezoned: rezoned.appointments.clone(),
        ..WriteEntryResponse::default()
    }
}

fn revision(directory: &Directory, rezoned: &Rezoned) -> String {
    Revision { directory: Some(directory.version), ..rezoned.revision.clone() }.to_string()
}

fn decide(inner: &Inner, directory: &Directory, change: &EntryChange) -> Result<Decision, Fault> {
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let entry = match change {
        EntryChange::Create { parent, body } => {
            check_parent(directory, body.kind(), *parent)?;
            new_entry(inner, *parent, body)
        }
        EntryChange::Import { parent, body, .. } => {
            check_parent(directory, body.kind(), Some(*parent))?;
            let new = new_entry(inner, Some(*parent), body);
            match directory.same_source(&new) {
                Some(old) if old.body == *body => return Ok(Decision::Unchanged(old.as_ref().clone())),
                Some(old) => Entry { version: old.version + 1, body: body.clone(), updated_at_us: now_us, ..**old },
                None => new,
            }
        }
        EntryChange::Update { kind, id, parent, body, if_version, .. } => {
            let old = find(directory, *kind, *id, *parent, *if_version)?;
            if !old.live() {
                return Err(Fault::new(Code::Archived, "an archived entry cannot be changed; make a new one"));
            }
            check_parent(directory, *kind, old.parent)?;
            Entry { version: old.version + 1, updated_at_us: now_us, body: body.clone(), ..old }
        }
        EntryChange::Archive { kind, id, parent, if_version } => {
            let old = find(directory, *kind, *id, *parent, *if_version)?;
            if !old.live() {
                return Ok(Decision::Unchanged(old));
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

/// Checks that the parent of an entry is in use.
fn check_parent(directory: &Directory, kind: Kind, parent: Option<Uuid>) -> Result<(), Fault> {
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

/// The entry to change: of this kind, of this parent where one is named, at this version unless it is 0.
fn find(directory: &Directory, kind: Kind, id: Uuid, parent: Option<Uuid>, if_version: i64) -> Result<Entry, Fault> {
    let of_parent = |entry: &&Arc<Entry>| parent.is_none() || entry.parent == parent;
    let found = directory.get(kind, id).filter(of_parent).ok_or_else(Fault::not_found)?;
    if if_version != 0 && if_version != found.version {
        let detail = "it has changed since it was read; read it again and decide anew";
        return Err(Fault::new(Code::VersionMismatch, detail));
    }
    Ok(found.as_ref().clone())
}
