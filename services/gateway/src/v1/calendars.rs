//! Calendars that other programs subscribe to: the visits of one practitioner, location or patient.

use std::collections::HashMap;

use axum::http::Method;
use domain::{
    appointment::Status,
    id::{LocationId, PatientId, PractitionerId},
};
use jiff::SignedDuration;
use rpc::{Code, Context, Fault};
use serde::Serialize;
use utoipa::ToSchema;
use wire::{
    availability::{DescribeVisitRequest, DescribeVisitResponse, EntryKind, GetEntryRequest},
    booking::{Appointment, GetPatientRequest, ListAppointmentsRequest},
    common::Page,
};

use crate::{
    auth::Scope,
    calendar_link::{self, Kind, Subject},
    call::{Call, Reply},
    failure,
    ics::{self, Event},
    operation::{Access, Handler, Operation, handler},
};

/// What a calendar shows of the past and of what is to come.
const DAYS_BEHIND: i64 = 30;
const DAYS_AHEAD: i64 = 400;
const PAGE: u32 = 200;

/// A link to subscribe to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CalendarLink {
    /// Whoever has it can read these visits: give it to nobody else.
    url: String,
}

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "calendars", summary, access, handler)
    };
    let read = Access::Scopes(&[Scope::PatientsRead]);
    let opened: [(&str, &str, Handler, Handler); 3] = [
        (
            "practitioner",
            "/v1/practitioners/{id}/calendar",
            |call| Box::pin(open(call, Kind::Practitioner)),
            |call| Box::pin(close(call, Kind::Practitioner)),
        ),
        (
            "location",
            "/v1/locations/{id}/calendar",
            |call| Box::pin(open(call, Kind::Location)),
            |call| Box::pin(close(call, Kind::Location)),
        ),
        (
            "patient",
            "/v1/patients/{id}/calendar",
            |call| Box::pin(open(call, Kind::Patient)),
            |call| Box::pin(close(call, Kind::Patient)),
        ),
    ];
    let mut operations = vec![
        operation(
            "calendar",
            Method::GET,
            "/v1/calendars/{file}",
            "Visits as an iCalendar file; `{file}` is a link's token and `.ics`",
            Access::Open,
            handler!(calendar),
        )
        .answer(200, "Calendar"),
    ];
    for (name, path, open, close) in opened {
        let make = format!("Makes a link to the calendar of one {name}, the same one until it is taken back");
        let end = format!("Takes the link to the calendar of one {name} back");
        operations.push(
            operation(&format!("open_{name}_calendar"), Method::POST, path, &make, read, open)
                .answer(200, "CalendarLink")
                .keeps(),
        );
        operations
            .push(operation(&format!("close_{name}_calendar"), Method::DELETE, path, &end, read, close).no_content());
    }
    operations
}

async fn open(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let subject = subject(&call, kind).await?;
    let generation = call.inner.store.open_calendar(&subject).await.map_err(failure)?;
    let token = calendar_link::token(&call.inner.calendar_key, &subject, generation);
    let link = CalendarLink { url: format!("{}/v1/calendars/{token}.ics", call.inner.public_url) };
    noted(Reply::json(200, &link)?, &call, kind)
}

async fn close(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let subject = subject(&call, kind).await?;
    if call.inner.store.close_calendar(&subject).await.map_err(failure)? {
        noted(Reply::empty(204), &call, kind)
    } else {
        Err(Fault::not_found())
    }
}

fn noted(reply: Reply, call: &Call, kind: Kind) -> Result<Reply, Fault> {
    let id = call.part("id");
    let reply = reply.target(&id);
    Ok(if kind == Kind::Patient { reply.patient(&id) } else { reply })
}

/// Whom the path names, of the caller's own organisation.
async fn subject(call: &Call, kind: Kind) -> Result<Subject, Fault> {
    let text = call.part("id");
    let entry = async |kind: EntryKind| {
        let request = GetEntryRequest { kind: kind as i32, id: text.clone(), parent_id: String::new() };
        call.inner.directory.clone().get_entry(call.context().request(request)).await.map(drop)
    };
    let id = match kind {
        Kind::Practitioner => {
            entry(EntryKind::Practitioner).await?;
            text.parse::<PractitionerId>().map(Into::into)
        }
        Kind::Location => {
            entry(EntryKind::Location).await?;
            text.parse::<LocationId>().map(Into::into)
        }
        Kind::Patient => {
            let request = GetPatientRequest { id: text.clone() };
            call.inner.booking.clone().get_patient(call.context().request(request)).await?;
            text.parse::<PatientId>().map(Into::into)
        }
    };
    let id = id.map_err(|_| Fault::not_found())?;
    Ok(Subject { organization: call.caller.organization, kind, id })
}

async fn calendar(mut call: Call) -> Result<Reply, Fault> {
    let file = call.part("file");
    let token = file.strip_suffix(".ics").ok_or_else(Fault::not_found)?;
    let (subject, generation) = calendar_link::read(&call.inner.calendar_key, token).ok_or_else(Fault::not_found)?;
    let live = call.inner.store.calendar(&subject).await.map_err(failure)?;
    if live != Some(generation) {
        return Err(Fault::new(Code::LinkExpired, "the link has been taken back; ask the clinic for another one"));
    }
    call.by_link(subject.organization);
    let ctx = call.context();
    let visits = visits(&call, &ctx, &subject).await?;
    let mut described: HashMap<(String, String, String), DescribeVisitResponse> = HashMap::new();
    let mut events = Vec::with_capacity(visits.len());
    for visit in visits {
        let key = (visit.service_id.clone(), visit.location_id.clone(), visit.practitioner_id.clone());
        if !described.contains_key(&key) {
            let (service_id, location_id, practitioner_id) = key.clone();
            let request = DescribeVisitRequest { service_id, location_id, practitioner_id };
            let answer = call.inner.search.clone().describe_visit(ctx.request(request)).await?.into_inner();
            described.insert(key.clone(), answer);
        }
        events.extend(described.get(&key).map(|described| event(&visit, described, &subject)));
    }
    let name = described.values().next().map(|described| name(described, subject.kind)).unwrap_or_default();
    let name = if name.is_empty() { "Appointments".to_owned() } else { name };
    let body = ics::file(&name, &events).into_bytes();
    let reply = Reply { body: Some(body), media: "text/calendar; charset=utf-8", ..Reply::empty(200) };
    let patient = (subject.kind == Kind::Patient).then(|| PatientId::new(subject.id).to_string());
    Ok(Reply { patient, ..reply })
}

async fn visits(call: &Call, ctx: &Context, subject: &Subject) -> Result<Vec<Appointment>, Fault> {
    let now = call.inner.clock.now();
    let days = |days: i64| now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(now).as_microsecond();
    let mut request =
        ListAppointmentsRequest { from_us: days(-DAYS_BEHIND), to_us: days(DAYS_AHEAD), ..Default::default() };
    match subject.kind {
        Kind::Practitioner => request.practitioner_ids = vec![PractitionerId::new(subject.id).to_string()],
        Kind::Location => request.location_ids = vec![LocationId::new(subject.id).to_string()],
        Kind::Patient => request.patient_id = PatientId::new(subject.id).to_string(),
    }
    let (mut visits, mut cursor) = (Vec::new(), String::new());
    loop {
        request.page = Some(Page { limit: PAGE, cursor });
        let page = call.inner.booking.clone().list_appointments(ctx.request(request.clone())).await?.into_inner();
        visits.extend(page.appointments);
        // All of them: a calendar program takes what a file lacks for cancelled. The days bound it.
        if page.next_cursor.is_empty() {
            return Ok(visits);
        }
        cursor = page.next_cursor;
    }
}

/// No name of a patient, and for a patient no treatment: a calendar is seen by more eyes than it is made for.
fn event(visit: &Appointment, described: &DescribeVisitResponse, subject: &Subject) -> Event {
    let (kind, organization) = (subject.kind, subject.organization);
    let status = visit.status.parse::<Status>();
    let cancelled = matches!(status, Ok(Status::Cancelled | Status::EnteredInError) | Err(_));
    let practitioner = format!("{} {}", described.practitioner_given_name, described.practitioner_family_name);
    let summary = match kind {
        Kind::Practitioner => described.service_name.clone(),
        Kind::Location => format!("{}, {practitioner}", described.service_name),
        Kind::Patient => format!("Appointment at {}", described.location_name),
    };
    let place = [described.location_name.as_str(), described.location_address.as_str()];
    Event {
        // Availability knows its own organisation's visits by it when a feed comes back as busy time.
        uid: format!("{}@{organization}.meridian-scheduling.org", visit.id),
        sequence: visit.version - 1,
        cancelled,
        starts_at_us: visit.starts_at_us,
        ends_at_us: visit.ends_at_us,
        created_at_us: visit.created_at_us,
        updated_at_us: visit.updated_at_us,
        summary,
        location: place.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "),
    }
}

fn name(described: &DescribeVisitResponse, kind: Kind) -> String {
    match kind {
        Kind::Practitioner => {
            format!("{} {}", described.practitioner_given_name, described.practitioner_family_name)
        }
        Kind::Location => described.location_name.clone(),
        Kind::Patient => described.organization_name.clone(),
    }
}
