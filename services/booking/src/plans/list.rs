//! Lists of plans, newest first.

use careplan::plan::Status;
use domain::{fault::Faults, id::Patient};
use rpc::{Context, Fault};
use service::{db_error, page};
use uuid::Uuid;
use wire::{
    booking::{ListPlansRequest, ListPlansResponse},
    convert,
};

use super::{stored::StoredPlan, view};
use crate::Inner;

pub(crate) async fn list(inner: &Inner, ctx: &Context, request: ListPlansRequest) -> Result<ListPlansResponse, Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, page.limit);
    let before: Option<Uuid> = page::cursor(&mut faults, &page.cursor).map(|(_, id)| id);
    let patient = convert::optional_id::<Patient>(&mut faults, "patient_id", &request.patient_id);
    for status in &request.statuses {
        if let Err(expected) = status.parse::<Status>() {
            faults.push("status", "invalid_value", expected);
        }
    }
    faults.result()?;
    let patient = patient.map(domain::id::Id::uuid);
    let found = inner.store.list_plans(ctx.organization.uuid(), patient, &request.statuses, before, limit + 1).await;
    let mut rows = found.map_err(db_error::fault)?;
    let next_cursor = page::cut(&mut rows, limit, |row| (0, row.id));
    let plans = rows.into_iter().map(|row| Ok(view::to_wire(inner, &StoredPlan::from_row(row)?)));
    Ok(ListPlansResponse { next_cursor, plans: plans.collect::<Result<_, Fault>>()? })
}
