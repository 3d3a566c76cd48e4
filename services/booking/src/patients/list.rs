//! Lists of patients, newest first.

use domain::fault::Faults;
use rpc::{Context, Fault};
use service::{db_error, page};
use wire::booking::{ListPatientsRequest, ListPatientsResponse};

use super::{search, view};
use crate::{Inner, store::patients::PatientFilter};

const QUERY_CHARS_MAX: usize = 100;

pub(crate) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListPatientsRequest,
) -> Result<ListPatientsResponse, Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, page.limit);
    let before = page::cursor(&mut faults, &page.cursor).map(|(_, id)| id);
    let is_short = request.query.chars().count() <= QUERY_CHARS_MAX;
    faults.check(is_short, "query", "too_long", "at most 100 characters");
    faults.result()?;
    let words = search::spans(&request.query);
    let filter = PatientFilter { words, proposed_changes: request.proposed_changes, before, limit: limit + 1 };
    let mut rows = inner.store.list_patients(ctx.organization.uuid(), &filter).await.map_err(db_error::fault)?;
    let next_cursor = page::cut(&mut rows, limit, |row| (0, row.id));
    Ok(ListPatientsResponse { patients: rows.iter().map(view::to_wire).collect::<Result<_, _>>()?, next_cursor })
}
