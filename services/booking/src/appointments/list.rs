//! Lists of appointments, by their start or by their last change.

use domain::{
    appointment::Status,
    custom::check_external_id,
    fault::Faults,
    id::{Appointment, Id, Kind, Location, Patient, PlanId, Practitioner, Room, Service},
};
use jiff::{SignedDuration, civil::Date, tz::TimeZone};
use rpc::{Context, Fault};
use service::{db_error, page};
use uuid::Uuid;
use wire::booking::{
    AppointmentOrder, ListAppointmentsRequest, ListAppointmentsResponse, ListDayRequest, ListDayResponse,
};

use super::{derived, view};
use crate::{
    Inner,
    store::appointments::{AppointmentFilter, Order},
};

/// The most hours by which a place's date is ahead of UTC's, and behind it.
const AHEAD_HOURS_MAX: i64 = 14;
const BEHIND_HOURS_MAX: i64 = 12;
/// The most appointments of a day: ten times those of a large location.
const DAY_MAX: i64 = 2000;
/// The most appointments of a day that a request names.
const DAY_IDS_MAX: usize = 200;

pub(crate) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListAppointmentsRequest,
) -> Result<ListAppointmentsResponse, Fault> {
    let organization = ctx.organization.uuid();
    let order = match request.order() {
        AppointmentOrder::UpdatedAt => Order::Change,
        AppointmentOrder::StartsAt | AppointmentOrder::Unspecified => Order::Start,
    };
    let plan_id = request.plan_id.clone();
    let (mut filter, limit) = read(request, order)?;
    if !plan_id.is_empty() && !narrow_to_plan(inner, organization, &plan_id, &mut filter).await? {
        return Ok(ListAppointmentsResponse::default());
    }
    let mut rows = inner.store.list_appointments(organization, &filter).await.map_err(db_error::fault)?;
    let next_cursor = page::cut(&mut rows, limit, |row| (order.key(row), row.id));
    let mut appointments: Vec<_> = rows.iter().map(view::to_wire).collect();
    derived::add(inner, organization, &rows, &mut appointments).await?;
    Ok(ListAppointmentsResponse { next_cursor, appointments })
}

/// The appointments of a local day at a location, in any status.
pub(crate) async fn day(inner: &Inner, ctx: &Context, request: &ListDayRequest) -> Result<ListDayResponse, Fault> {
    let mut faults = Faults::new();
    faults.check(
        request.ids.len() <= DAY_IDS_MAX,
        "id",
        "too_many",
        format!("name at most {DAY_IDS_MAX} appointments"),
    );
    let mut filter = AppointmentFilter {
        ids: ids::<Appointment>(&mut faults, "id", &request.ids),
        locations: ids::<Location>(&mut faults, "location_id", std::slice::from_ref(&request.location_id)),
        limit: DAY_MAX,
        ..AppointmentFilter::default()
    };
    narrow_to_date(&mut faults, &request.date, &mut filter);
    faults.result()?;
    let organization = ctx.organization.uuid();
    // Before the rows, so that no change falls between the two.
    let position = inner.store.feed_end().await.map_err(db_error::fault)?.to_string();
    let rows = inner.store.list_appointments(organization, &filter).await.map_err(db_error::fault)?;
    let mut appointments: Vec<_> = rows.iter().map(view::to_wire).collect();
    derived::add(inner, organization, &rows, &mut appointments).await?;
    Ok(ListDayResponse { appointments, position })
}

/// Reads the filter, with room for one row more than the limit.
fn read(request: ListAppointmentsRequest, order: Order) -> Result<(AppointmentFilter, i64), Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, page.limit);
    let bound = |us: i64| (us != 0).then_some(us);
    let mut filter = AppointmentFilter {
        ids: vec![],
        locations: ids::<Location>(&mut faults, "location_id", &request.location_ids),
        practitioners: ids::<Practitioner>(&mut faults, "practitioner_id", &request.practitioner_ids),
        services: ids::<Service>(&mut faults, "service_id", &request.service_ids),
        rooms: ids::<Room>(&mut faults, "room_id", &request.room_ids),
        patient: wire::convert::optional_id::<Patient>(&mut faults, "patient_id", &request.patient_id).map(Id::uuid),
        plan_sessions: vec![],
        external_id: (!request.external_id.is_empty()).then_some(request.external_id),
        statuses: request.statuses,
        from_us: bound(request.from_us),
        to_us: bound(request.to_us),
        displaced: request.displaced,
        updated_since_us: bound(request.updated_since_us),
        date: None,
        order,
        after: page::cursor(&mut faults, &page.cursor),
        limit: limit + 1,
    };
    for status in &filter.statuses {
        if let Err(expected) = status.parse::<Status>() {
            faults.push("status", "invalid_value", expected);
        }
    }
    check_external_id(&mut faults, "external_id", filter.external_id.as_deref().unwrap_or_default());
    if !request.plan_id.is_empty() {
        let is_plan = request.plan_id.parse::<PlanId>().is_ok();
        faults.check(is_plan, "plan_id", "invalid_id", "give an id of the form plan_…");
    }
    if !request.date.is_empty() {
        narrow_to_date(&mut faults, &request.date, &mut filter);
    }
    faults.result()?;
    Ok((filter, limit))
}

/// Narrows a filter to a local date, with bounds on the start that an index serves.
fn narrow_to_date(faults: &mut Faults, text: &str, filter: &mut AppointmentFilter) {
    let day = text.parse::<Date>().ok().filter(|_| text.len() == 10);
    let starts_at = day.and_then(|day| day.to_zoned(TimeZone::UTC).ok()).map(|midnight| midnight.timestamp());
    let Some(starts_at) = starts_at else {
        faults.push("date", "invalid_date", "write a date as YYYY-MM-DD");
        return;
    };
    let bound = |hours: i64| starts_at.saturating_add(SignedDuration::from_hours(hours)).map(|at| at.as_microsecond());
    let (Ok(from_us), Ok(to_us)) = (bound(-AHEAD_HOURS_MAX), bound(24 + BEHIND_HOURS_MAX)) else { return };
    filter.from_us = Some(filter.from_us.map_or(from_us, |given| given.max(from_us)));
    filter.to_us = Some(filter.to_us.map_or(to_us, |given| given.min(to_us)));
    filter.date = Some(text.to_owned());
}

/// Narrows a filter to the sessions of a plan; false where no appointment can satisfy it.
async fn narrow_to_plan(
    inner: &Inner,
    organization: Uuid,
    text: &str,
    filter: &mut AppointmentFilter,
) -> Result<bool, Fault> {
    let Ok(id) = text.parse::<PlanId>() else { return Ok(false) };
    let Some(row) = inner.store.plan(organization, id.uuid()).await.map_err(db_error::fault)? else { return Ok(false) };
    let plan = row.plan().map_err(|_| Fault::internal("a stored plan cannot be read"))?;
    let patient = plan.order.patient.uuid();
    filter.plan_sessions = plan.sessions.iter().map(|session| session.id.uuid()).collect();
    // The index of a patient's appointments serves the list.
    let is_same = filter.patient.is_none_or(|asked| asked == patient);
    filter.patient = Some(patient);
    Ok(is_same && !filter.plan_sessions.is_empty())
}

fn ids<K: Kind>(faults: &mut Faults, pointer: &str, texts: &[String]) -> Vec<Uuid> {
    texts.iter().filter_map(|text| wire::convert::id::<K>(faults, pointer, text)).map(Id::uuid).collect()
}
