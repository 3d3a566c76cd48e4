//! `ListEntries`, `GetEntry` and `GetEntries`: reading the directory.

use domain::{directory::Kind, fault::Faults};
use rpc::{Context, Fault};
use wire::availability::{
    Entry, GetEntriesRequest, GetEntriesResponse, GetEntryRequest, ListEntriesRequest, ListEntriesResponse,
};

use super::wire_ids::{entry_to_wire, read_id, read_kind, read_optional_parent, read_parent};
use crate::Inner;

/// Most entries of one look-up.
const ENTRIES_MAX: usize = 1000;
/// The kinds whose entries are looked up beside others: the rest may hold personal reasons.
const PUBLIC_KINDS: [Kind; 6] =
    [Kind::Practitioner, Kind::Service, Kind::Location, Kind::Room, Kind::Equipment, Kind::PlanTemplate];

/// Lists a page of the entries of a kind and a parent, oldest first.
pub(crate) fn list(inner: &Inner, ctx: &Context, request: &ListEntriesRequest) -> Result<ListEntriesResponse, Fault> {
    let kind = read_kind(request.kind)?;
    let parent = read_parent(kind, &request.parent_id)?;
    let directory = inner.organisations.directory(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    if let Some((parent_kind, id)) = kind.parent().zip(parent) {
        directory.get(parent_kind, id).ok_or_else(Fault::not_found)?;
    }
    let mut faults = Faults::new();
    let limit = service::page::limit(&mut faults, request.limit);
    let after = service::page::cursor(&mut faults, &request.cursor).map(|(_, id)| id);
    faults.result()?;
    let mut entries: Vec<_> = directory
        .list(kind, after)
        .filter(|entry| entry.parent == parent && (request.archived || entry.live()))
        .take(usize::try_from(limit).unwrap_or(usize::MAX) + 1)
        .collect();
    let next_cursor = service::page::cut(&mut entries, limit, |entry| (0, entry.id));
    Ok(ListEntriesResponse { next_cursor, entries: entries.into_iter().map(|entry| entry_to_wire(entry)).collect() })
}

/// An entry of a kind, and of a parent where the request names one.
pub(crate) fn get(inner: &Inner, ctx: &Context, request: &GetEntryRequest) -> Result<Entry, Fault> {
    let kind = read_kind(request.kind)?;
    let (id, parent) = (read_id(kind, &request.id)?, read_optional_parent(kind, &request.parent_id)?);
    let directory = inner.organisations.directory(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let entry = directory.get(kind, id).filter(|entry| parent.is_none() || entry.parent == parent);
    Ok(entry_to_wire(entry.ok_or_else(Fault::not_found)?))
}

/// Entries of any public kind by their ids; unknown ids are left out.
pub(crate) fn get_many(inner: &Inner, ctx: &Context, request: &GetEntriesRequest) -> Result<GetEntriesResponse, Fault> {
    let mut faults = Faults::new();
    faults.check(
        request.ids.len() <= ENTRIES_MAX,
        "/ids",
        "too_many",
        format!("at most {ENTRIES_MAX} entries at once"),
    );
    faults.result()?;
    let directory = inner.organisations.directory(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let found = request.ids.iter().filter_map(|text| {
        let (kind, id) = PUBLIC_KINDS.into_iter().find_map(|kind| Some((kind, read_id(kind, text).ok()?)))?;
        directory.get(kind, id).map(|entry| entry_to_wire(entry))
    });
    Ok(GetEntriesResponse { entries: found.collect() })
}
