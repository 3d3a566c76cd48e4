//! Lists of appointments, earliest first.

use domain::{
    appointment::Status,
    fault::Faults,
    id::{Id, Kind, Location, Patient, Practitioner},
};
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::booking::{ListAppointmentsRequest, ListAppointmentsResponse};

use super::listed;
use crate::{Inner, commit, store::Filter};

pub(crate) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListAppointmentsRequest,
) -> Result<ListAppointmentsResponse, Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = limit(&mut faults, page.limit);
    let filter = Filter {
        locations: ids::<Location>(&mut faults, "location_id", &request.location_ids),
        practitioners: ids::<Practitioner>(&mut faults, "practitioner_id", &request.practitioner_ids),
        patient: wire::convert::optional_id::<Patient>(&mut faults, "patient_id", &request.patient_id).map(Id::uuid),
        statuses: request.statuses,
        from_us: (request.from_us != 0).then_some(request.from_us),
        to_us: (request.to_us != 0).then_some(request.to_us),
        displaced: request.displaced,
        after: cursor(&mut faults, &page.cursor),
        limit: limit + 1,
    };
    for status in &filter.statuses {
        if let Err(expected) = status.parse::<Status>() {
            faults.push("status", "invalid_value", expected);
        }
    }
    faults.result()?;
    let mut rows = inner.store.appointments(ctx.organization.uuid(), &filter).await.map_err(commit::failure)?;
    let more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let last = rows.last().filter(|_| more);
    Ok(ListAppointmentsResponse {
        next_cursor: last.map(|row| sql::cursor::encode(row.starts_at_us, row.id.as_u128())).unwrap_or_default(),
        appointments: rows.iter().map(listed).collect(),
    })
}

/// A page's size: 50 where none is asked for, at most 200.
pub(crate) fn limit(faults: &mut Faults, asked: u32) -> i64 {
    faults.check(asked <= 200, "limit", "out_of_range", "must lie between 1 and 200");
    if asked == 0 { 50 } else { i64::from(asked) }
}

/// A list's cursor, where one is given.
pub(crate) fn cursor(faults: &mut Faults, text: &str) -> Option<(i64, Uuid)> {
    if text.is_empty() {
        return None;
    }
    let found = sql::cursor::decode(text).map(|(number, id)| (number, Uuid::from_u128(id)));
    faults.check(found.is_some(), "cursor", "invalid_cursor", "use the next_cursor of the page before, as it is");
    found
}

fn ids<K: Kind>(faults: &mut Faults, pointer: &str, texts: &[String]) -> Vec<Uuid> {
    texts.iter().filter_map(|text| wire::convert::id::<K>(faults, pointer, text)).map(Id::uuid).collect()
}
