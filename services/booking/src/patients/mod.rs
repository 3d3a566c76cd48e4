//! Patients, as far as booking must know them.

pub(crate) mod change;
pub(crate) mod consents;
pub(crate) mod document;
pub(crate) mod list;
pub(crate) mod many;
pub(crate) mod matching;
mod search;
mod telephone;
pub(crate) mod view;

use domain::id::PatientId;
use rpc::{Context, Fault};
use service::db_error;

use crate::{Inner, store::patients::PatientRow};

/// Loads a patient of the caller's organisation.
pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<PatientRow, Fault> {
    let id: PatientId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.patient(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
    found.ok_or_else(Fault::not_found)
}
