//! Calendars to subscribe to: the appointments of one practitioner, location or patient.

use std::collections::HashMap;

use axum::http::Method;
use domain::{
    appointment::Status,
    id::{LocationId, OrganizationId, PatientId, PractitionerId},
};
use jiff::SignedDuration;
use rpc::{Code, Context, Fault};
use serde::Serialize;
use service::db_error;
use utoipa::ToSchema;
use wire::{
    availability::{DescribeVisitRequest, DescribeVisitResponse, EntryKind, GetEntryRequest},
    booking::{Appointment, GetPatientRequest, ListAppointmentsRequest},
    common::Page,
};

use crate::{
    auth::Scope,
    calendar_link::{self, Kind, Subject},
    call::Call,
    ics::{self, Event},
    operation::{Access, Content, Handler, Operation, handler},
    reply::Reply,
};

/// The days before and after the present that a calendar covers.
const DAYS_BEHIND: i64 = 30;
const DAYS_AHEAD: i64 = 400;
const PAGE_SIZE: u32 = 200;

/// A link to subscribe to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CalendarLink {
    /// Everyone who has it can read the appointments: give it to nobody else.
    url: String,
}

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "calendars", summary, access, handler)
    };
    let read = Access::Scopes(&[Scope::PatientsRead]);
    let links: [(&str, &str, Handler, Handler); 3] = [
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
            "Returns appointments as an iCalendar file; `{file}` is a link's token and `.ics`",
            Access::Open,
            handler!(calendar),
        )
        .content(Content::Calendar),
    ];
    for (name, path, open, close) in links {
        let open_summary =
            format!("Creates a link to the calendar of one {name}, which stays the same until it is revoked");
        let close_summary = format!("Revokes the link to the calendar of one {name}");
        operations.push(
            operation(&format!("open_{name}_calendar"), Method::POST, path, &open_summary, read, open)
                .answer(200, "CalendarLink")
                .replayed_by_gateway(),
        );
        operations.push(
            operation(&format!("close_{name}_calendar"), Method::DELETE, path, &close_summary, read, close)
                .no_content(),
        );
    }
    operations
}

async fn open(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let subject = subject(&call, kind).await?;
    let generation = call.inner.store.open_calendar(subject.key()).await.map_err(db_error::fault)?;
    let token = calendar_link::sign(&call.inner.calendar_key, &subject, generation);
    let link = CalendarLink { url: format!("{}/v1/calendars/{token}.ics", call.inner.public_url) };
    with_subject(Reply::json(200, &link)?, &call, kind)
}

async fn close(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let subject = subject(&call, kind).await?;
    if call.inner.store.close_calendar(subject.key()).await.map_err(db_error::fault)? {
        with_subject(Reply::empty(204), &call, kind)
    } else {
        Err(Fault::not_found())
    }
}

/// Names the subject for the audit log.
fn with_subject(reply: Reply, call: &Call, kind: Kind) -> Result<Reply, Fault> {
    let id = call.path_param("id");
    let reply = reply.target(&id);
    Ok(if kind == Kind::Patient { reply.patient(&id) } else { reply })
}

/// The subject that the path names, in the caller's organisation.
async fn subject(call: &Call, kind: Kind) -> Result<Subject, Fault> {
    let text = call.path_param("id");
    let find_entry = async |kind: EntryKind| {
        let request = GetEntryRequest { kind: kind as i32, id: text.clone(), parent_id: String::new() };
        call.inner.directory.clone().get_entry(call.context().request(request)).await.map(drop)
    };
    let id = match kind {
        Kind::Practitioner => {
            find_entry(EntryKind::Practitioner).await?;
            text.parse::<PractitionerId>().map(Into::into)
        }
        Kind::Location => {
            find_entry(EntryKind::Location).await?;
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
    let file = call.path_param("file");
    let token = file.strip_suffix(".ics").ok_or_else(Fault::not_found)?;
    let (subject, generation) = calendar_link::verify(&call.inner.calendar_key, token).ok_or_else(Fault::not_found)?;
    let live = call.inner.store.live_generation(subject.key()).await.map_err(db_error::fault)?;
    if live != Some(generation) {
        return Err(Fault::new(Code::LinkExpired, "the link has been taken back; ask the clinic for another one"));
    }
    call.act_as_patient(subject.organization);
    let ctx = call.context();
    let appointments = appointments(&call, &ctx, &subject).await?;
    let mut descriptions: HashMap<(String, String, String), DescribeVisitResponse> = HashMap::new();
    let mut events = Vec::with_capacity(appointments.len());
    for appointment in appointments {
        let Appointment { service_id, location_id, practitioner_id, .. } = appointment.clone();
        let key = (service_id, location_id, practitioner_id);
        if !descriptions.contains_key(&key) {
            let (service_id, location_id, practitioner_id) = key.clone();
            let request = DescribeVisitRequest { service_id, location_id, practitioner_id };
            let answer = call.inner.search.clone().describe_visit(ctx.request(request)).await?.into_inner();
            descriptions.insert(key.clone(), answer);
        }
        events.extend(descriptions.get(&key).map(|description| event(&appointment, description, &subject)));
    }
    let name = descriptions.values().next().map(|description| name(description, subject.kind)).unwrap_or_default();
    let name = if name.is_empty() { "Appointments".to_owned() } else { name };
    let reply = Reply::calendar(ics::write(&name, &events));
    let patient = (subject.kind == Kind::Patient).then(|| PatientId::new(subject.id).to_string());
    Ok(Reply { patient, ..reply.rows(events.len()) })
}

/// The subject's appointments, `DAYS_BEHIND` and `DAYS_AHEAD` of the present.
async fn appointments(call: &Call, ctx: &Context, subject: &Subject) -> Result<Vec<Appointment>, Fault> {
    let now = call.inner.clock.now();
    let days = |days: i64| now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(now).as_microsecond();
    let mut request =
        ListAppointmentsRequest { from_us: days(-DAYS_BEHIND), to_us: days(DAYS_AHEAD), ..Default::default() };
    match subject.kind {
        Kind::Practitioner => request.practitioner_ids = vec![PractitionerId::new(subject.id).to_string()],
        Kind::Location => request.location_ids = vec![LocationId::new(subject.id).to_string()],
        Kind::Patient => request.patient_id = PatientId::new(subject.id).to_string(),
    }
    let (mut appointments, mut cursor) = (Vec::new(), String::new());
    loop {
        request.page = Some(Page { limit: PAGE_SIZE, cursor });
        let page = call.inner.booking.clone().list_appointments(ctx.request(request.clone())).await?.into_inner();
        appointments.extend(page.appointments);
        // A calendar program takes an event that the file lacks for cancelled, so all pages are read. The days bound them.
        if page.next_cursor.is_empty() {
            return Ok(appointments);
        }
        cursor = page.next_cursor;
    }
}

/// An event without the patient's name, and for a patient without the treatment: other people may see the calendar.
fn event(appointment: &Appointment, description: &DescribeVisitResponse, subject: &Subject) -> Event {
    let practitioner = format!("{} {}", description.practitioner_given_name, description.practitioner_family_name);
    let summary = match subject.kind {
        Kind::Practitioner => description.service_name.clone(),
        Kind::Location => format!("{}, {practitioner}", description.service_name),
        Kind::Patient => format!("Appointment at {}", description.location_name),
    };
    titled_event(appointment, description, subject.organization, summary)
}

/// An event with this title. Of one appointment it is the same in every calendar.
pub(crate) fn titled_event(
    appointment: &Appointment,
    description: &DescribeVisitResponse,
    organization: OrganizationId,
    summary: String,
) -> Event {
    let status = appointment.status.parse::<Status>();
    let cancelled = matches!(status, Ok(Status::Cancelled | Status::EnteredInError) | Err(_));
    let location = [description.location_name.as_str(), description.location_address.as_str()];
    Event {
        // Availability skips its own organisation's events, which it recognises by this suffix, in imported busy time.
        uid: format!("{}@{organization}.meridian-scheduling.org", appointment.id),
        sequence: appointment.version - 1,
        cancelled,
        starts_at_us: appointment.starts_at_us,
        ends_at_us: appointment.ends_at_us,
        created_at_us: appointment.created_at_us,
        updated_at_us: appointment.updated_at_us,
        summary,
        location: location.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "),
    }
}

fn name(description: &DescribeVisitResponse, kind: Kind) -> String {
    match kind {
        Kind::Practitioner => {
            format!("{} {}", description.practitioner_given_name, description.practitioner_family_name)
        }
        Kind::Location => description.location_name.clone(),
        Kind::Patient => description.organization_name.clone(),
    }
}
