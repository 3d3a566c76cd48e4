//! Lists of appointments, earliest start first.

use domain::{
    appointment::Status,
    fault::Faults,
    id::{Id, Kind, Location, Patient, Practitioner},
};
use rpc::{Context, Fault};
use service::{db_error, page};
use uuid::Uuid;
use wire::booking::{ListAppointmentsRequest, ListAppointmentsResponse};

use super::view;
use crate::{Inner, store::appointments::AppointmentFilter};

pub(crate) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListAppointmentsRequest,
) -> Result<ListAppointmentsResponse, Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, page.limit);
    let filter = AppointmentFilter {
        locations: ids::<Location>(&mut faults, "location_id", &request.location_ids),
        practitioners: ids::<Practitioner>(&mut faults, "practitioner_id", &request.practitioner_ids),
        patient: wire::convert::optional_id::<Patient>(&mut faults, "patient_id", &request.patient_id).map(Id::uuid),
        statuses: request.statuses,
        from_us: (request.from_us != 0).then_some(request.from_us),
        to_us: (request.to_us != 0).then_some(request.to_us),
        displaced: request.displaced,
        after: page::cursor(&mut faults, &page.cursor),
        limit: limit + 1,
    };
    for status in &filter.statuses {
        if let Err(expected) = status.parse::<Status>() {
            faults.push("status", "invalid_value", expected);
        }
    }
    faults.result()?;
    let mut rows = inner.store.list_appointments(ctx.organization.uuid(), &filter).await.map_err(db_error::fault)?;
    let next_cursor = page::cut(&mut rows, limit, |row| (row.starts_at_us, row.id));
    Ok(ListAppointmentsResponse { next_cursor, appointments: rows.iter().map(view::to_wire).collect() })
}

fn ids<K: Kind>(faults: &mut Faults, pointer: &str, texts: &[String]) -> Vec<Uuid> {
    texts.iter().filter_map(|text| wire::convert::id::<K>(faults, pointer, text)).map(Id::uuid).collect()
}
