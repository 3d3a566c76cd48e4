//! Lists of patients: newest first, or the best match first.

use domain::fault::Faults;
use rpc::{Context, Fault};
use service::{db_error, page};
use uuid::Uuid;
use wire::booking::{ListPatientsRequest, ListPatientsResponse};

use super::{search, view};
use crate::{
    Inner,
    store::{
        patient_search::{Fit, PatientFilter},
        patients::PatientRow,
    },
};

const QUERY_CHARS_MAX: usize = 100;

pub(crate) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListPatientsRequest,
) -> Result<ListPatientsResponse, Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, page.limit);
    let after = page::cursor(&mut faults, &page.cursor);
    let is_short = request.query.chars().count() <= QUERY_CHARS_MAX;
    faults.check(is_short, "query", "too_long", "at most 100 characters");
    faults.result()?;
    let mut terms = search::terms(&request.query);
    if !request.external_id.is_empty() {
        terms.push(search::with_external_id(&request.external_id));
    }
    let ranks = ranks(request.best_first, terms.len());
    let filter = PatientFilter { terms, proposed_changes: request.proposed_changes, ..PatientFilter::default() };
    let mut rows = ranked(inner, ctx, filter, ranks, after, limit + 1).await?;
    let next_cursor = page::cut(&mut rows, limit, |(rank, row)| (*rank, row.id));
    let patients = rows.iter().map(|(_, row)| view::to_wire(row)).collect::<Result<_, _>>()?;
    Ok(ListPatientsResponse { patients, next_cursor })
}

/// The fits that are listed one after the other.
fn ranks(best_first: bool, terms: usize) -> &'static [Fit] {
    match terms {
        0 => &[Fit::Any],
        _ if !best_first => &[Fit::Any],
        // A single term has no patients between those of the whole word and those of its beginning.
        1 => &[Fit::All, Fit::None],
        _ => &Fit::RANKED,
    }
}

/// The patients of these fits, one fit after the other, each with the number of its fit.
async fn ranked(
    inner: &Inner,
    ctx: &Context,
    mut filter: PatientFilter,
    ranks: &[Fit],
    after: Option<(i64, Uuid)>,
    limit: i64,
) -> Result<Vec<(i64, PatientRow)>, Fault> {
    let mut rows = Vec::new();
    let begun = after.map_or(0, |(rank, _)| rank);
    for (rank, fit) in (0..).zip(ranks).skip_while(|(rank, _)| *rank < begun) {
        filter.fit = *fit;
        filter.before = after.filter(|(of, _)| *of == rank).map(|(_, id)| id);
        filter.limit = limit - i64::try_from(rows.len()).unwrap_or(limit);
        if filter.limit == 0 {
            break;
        }
        let found = inner.store.list_patients(ctx.organization.uuid(), &filter).await.map_err(db_error::fault)?;
        rows.extend(found.into_iter().map(|row| (rank, row)));
    }
    Ok(rows)
}
