//! `CheckReferences`: whether ids in other services' requests belong to entries in use.

use domain::fault::Faults;
use rpc::{Context, Fault};
use wire::availability::CheckReferencesRequest;

use super::wire_ids::{read_id, read_kind};
use crate::Inner;

const REFERENCES_MAX: usize = 1000;

/// # Errors
/// Every unknown id, by its pointer. An id of another organisation is unknown like any other.
pub(crate) async fn check(inner: &Inner, ctx: &Context, request: &CheckReferencesRequest) -> Result<(), Fault> {
    let organization = ctx.organization.uuid();
    let known = inner.organisations.directory(organization).map(|directory| directory.version);
    match check_known(inner, ctx, request) {
        // An entry may have been made by another process, just now.
        Err(_) if inner.load_newer_directory(organization, known).await? => check_known(inner, ctx, request),
        outcome => outcome,
    }
}

fn check_known(inner: &Inner, ctx: &Context, request: &CheckReferencesRequest) -> Result<(), Fault> {
    if request.references.len() > REFERENCES_MAX {
        let detail = format!("at most {REFERENCES_MAX} at a time");
        return Err(Fault::violation("/references", "too_many", &detail));
    }
    let directory = inner.organisations.directory(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let mut faults = Faults::new();
    for reference in &request.references {
        let kind = read_kind(reference.kind)?;
        let found = read_id(kind, &reference.id).ok().and_then(|id| directory.get(kind, id));
        let known = found.is_some_and(|entry| reference.archived || entry.live());
        let detail = format!("there is no {} in use with this id", kind.as_str().replace('_', " "));
        faults.check(known, reference.pointer.clone(), "unknown_reference", detail);
    }
    Ok(faults.result()?)
}
