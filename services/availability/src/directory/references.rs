//! Whether ids that other services were given are those of entries in use.

use domain::fault::Faults;
use rpc::{Context, Fault};
use wire::availability::CheckReferencesRequest;

use crate::{
    Inner,
    grpc::directory::{id_of, kind_of},
};

const REFERENCES_MAX: usize = 1000;

/// Refuses with every id that leads nowhere. One of another organisation is unknown like any other.
pub(crate) fn check(inner: &Inner, ctx: &Context, request: &CheckReferencesRequest) -> Result<(), Fault> {
    if request.references.len() > REFERENCES_MAX {
        return Err(Fault::violation("/references", "too_many", "at most 1000 at a time"));
    }
    let directory = inner.orgs.directory(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let mut faults = Faults::new();
    for reference in &request.references {
        let kind = kind_of(reference.kind)?;
        let found = id_of(kind, &reference.id).ok().and_then(|id| directory.get(kind, id));
        let known = found.is_some_and(|entry| reference.archived || entry.live());
        let detail = format!("there is no {} in use with this id", kind.as_str().replace('_', " "));
        faults.check(known, reference.pointer.clone(), "unknown_reference", detail);
    }
    Ok(faults.result()?)
}
