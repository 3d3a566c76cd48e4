//! Many patients at once, for those who show names beside ids.

use domain::{fault::Faults, id::PatientId};
use rpc::{Context, Fault};
use service::db_error;
use wire::booking::{GetPatientsRequest, GetPatientsResponse};

use super::view;
use crate::Inner;

/// Most patients of one call.
const PATIENTS_MAX: usize = 500;

pub(crate) async fn get(
    inner: &Inner,
    ctx: &Context,
    request: GetPatientsRequest,
) -> Result<GetPatientsResponse, Fault> {
    let mut faults = Faults::new();
    let detail = format!("at most {PATIENTS_MAX} patients at once");
    faults.check(request.ids.len() <= PATIENTS_MAX, "/ids", "too_many", detail);
    faults.result()?;
    let ids: Vec<_> = request.ids.iter().filter_map(|id| id.parse::<PatientId>().ok()).map(PatientId::uuid).collect();
    let rows = inner.store.patients_by_id(ctx.organization.uuid(), &ids).await.map_err(db_error::fault)?;
    Ok(GetPatientsResponse { patients: rows.iter().map(view::to_wire).collect::<Result<_, _>>()? })
}
