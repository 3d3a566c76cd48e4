//! Patients, as far as booking must know them.

use std::{collections::HashMap, sync::Arc};

use domain::{
    id::{AppointmentId, PatientId},
    patient::{Channel, ConsentWay, Details},
};
use rpc::{Context, Fault};
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{
        CreatePatientRequest, GetContactRequest, GetContactResponse, GetContactsRequest, GetContactsResponse,
        GetPatientRequest, ListPatientsRequest, ListPatientsResponse, Patient, UpdatePatientRequest,
        book_appointment_request::Who,
    },
    convert::patient as convert,
};

use crate::{
    Inner, appointments,
    consents::{Document, Hand},
    plans,
    store::{
        batch::{Batch, ChangedPatient, NewPatient},
        rows::PatientRow,
    },
    write::{self, Begun, begin, remember, revision, stale},
};

const ROUTE: &str = "CreatePatient";
/// Contacts in one answer.
const CONTACTS_MAX: usize = 500;

/// For whom a booking is.
pub(crate) struct Chosen {
    pub(crate) id: Uuid,
    /// Where the patient is new.
    pub(crate) new: Option<NewPatient>,
}

/// The patient whom a booking names: one that is known by id, one with the same name, telephone and date of birth,
/// or a new one.
pub(crate) async fn choose(inner: &Inner, ctx: &Context, who: Option<&Who>) -> Result<Chosen, Fault> {
    let organization = ctx.organization.uuid();
    match who {
        Some(Who::PatientId(text)) => {
            let unknown = || Fault::violation("/patient_id", "unknown_reference", "there is no patient with this id");
            let id: PatientId = text.parse().map_err(|_| unknown())?;
            let found = inner.store.patient(organization, id.uuid()).await.map_err(write::failure)?;
            Ok(Chosen { id: found.ok_or_else(unknown)?.id, new: None })
        }
        Some(Who::Patient(details)) => {
            let details = convert::from_wire(details, "/patient")?;
            let key = match_key(&details);
            if let Some(known) = inner.store.patient_like(organization, &key).await.map_err(write::failure)? {
                return Ok(Chosen { id: known.id, new: None });
            }
            let now = inner.clock.now();
            let id = inner.ids.uuid(now);
            let hand = Hand { at_us: now.as_microsecond(), by: &ctx.caller, how: ConsentWay::Details };
            Ok(Chosen { id, new: Some(new_patient(id, &Document::new(details, hand))?) })
        }
        None => Err(Fault::violation("/patient", "missing", "give a patient_id or a patient")),
    }
}

pub(crate) async fn create(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: CreatePatientRequest,
) -> Result<Response<Patient>, Fault> {
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let details = convert::from_wire(&request.details.unwrap_or_default(), "")?;
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let hand = Hand { at_us: now_us, by: &ctx.caller, how: ConsentWay::Details };
    let new = new_patient(inner.ids.uuid(now), &Document::new(details.clone(), hand))?;
    let answer = Patient {
        id: PatientId::new(new.id).to_string(),
        version: 1,
        details: Some(convert::to_wire(&details)),
        created_at_us: now_us,
        updated_at_us: now_us,
    };
    let batch = Batch {
        organization_id: ctx.organization.uuid(),
        now_us,
        patients: vec![new],
        idempotency: remember(ctx, ROUTE, &answer),
        ..Batch::default()
    };
    write::finish(inner, ctx, ROUTE, batch, answer).await
}

pub(crate) async fn get(inner: &Inner, ctx: &Context, request: GetPatientRequest) -> Result<Patient, Fault> {
    shown(&load(inner, ctx, &request.id).await?)
}

pub(crate) async fn update(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: UpdatePatientRequest,
) -> Result<Response<Patient>, Fault> {
    let old = load(inner, ctx, &request.id).await?;
    if request.if_version != 0 && request.if_version != old.version {
        return Err(stale());
    }
    let details = convert::from_wire(&request.details.unwrap_or_default(), "")?;
    let now_us = inner.clock.now_us();
    let hand = Hand { at_us: now_us, by: &ctx.caller, how: ConsentWay::Details };
    let changed = changed(&old, &Document::read(&old.details)?.with(details.clone(), hand))?;
    let answer = Patient {
        id: PatientId::new(old.id).to_string(),
        version: old.version + 1,
        details: Some(convert::to_wire(&details)),
        created_at_us: old.created_at_us,
        updated_at_us: now_us,
    };
    let batch =
        Batch { organization_id: ctx.organization.uuid(), now_us, change_patients: vec![changed], ..Batch::default() };
    let position = write::commit(inner, batch).await.map_err(write::refused)?;
    Ok(rpc::respond(answer, &revision(position), false))
}

pub(crate) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListPatientsRequest,
) -> Result<ListPatientsResponse, Fault> {
    let mut faults = domain::fault::Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = appointments::list::limit(&mut faults, page.limit);
    let before = appointments::list::cursor(&mut faults, &page.cursor).map(|(_, id)| id);
    faults.check(request.query.chars().count() <= 100, "query", "too_long", "at most 100 characters");
    faults.result()?;
    let like = like(&request.query);
    let found = inner.store.patients(ctx.organization.uuid(), &like, before, limit + 1).await;
    let mut rows = found.map_err(write::failure)?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    Ok(ListPatientsResponse {
        next_cursor: rows
            .last()
            .filter(|_| more)
            .map(|row| sql::cursor::encode(0, row.id.as_u128()))
            .unwrap_or_default(),
        patients: rows.iter().map(shown).collect::<Result<_, _>>()?,
    })
}

/// The present truth about an appointment and how its patient can be reached.
pub(crate) async fn contact(
    inner: &Inner,
    ctx: &Context,
    request: GetContactRequest,
) -> Result<GetContactResponse, Fault> {
    let GetContactRequest { appointment_id, with_plan } = request;
    let all = contacts(inner, ctx, GetContactsRequest { appointment_ids: vec![appointment_id], with_plan }).await?;
    all.contacts.into_iter().next().ok_or_else(Fault::not_found)
}

/// The same of many; an id that leads nowhere is left out.
pub(crate) async fn contacts(
    inner: &Inner,
    ctx: &Context,
    request: GetContactsRequest,
) -> Result<GetContactsResponse, Fault> {
    let ids = request.appointment_ids;
    if ids.len() > CONTACTS_MAX {
        return Err(Fault::violation("/appointment_ids", "too_many", "at most 500 at a time"));
    }
    let ids: Vec<_> = ids.iter().filter_map(|id| id.parse::<AppointmentId>().ok()).map(AppointmentId::uuid).collect();
    if ids.is_empty() {
        return Ok(GetContactsResponse::default());
    }
    let organization = ctx.organization.uuid();
    let rows = inner.store.appointments_of(organization, &ids).await.map_err(write::failure)?;
    if rows.is_empty() {
        return Ok(GetContactsResponse::default());
    }
    let people: Vec<_> = rows.iter().map(|row| row.patient_id).collect();
    let people = inner.store.patients_of(organization, &people).await.map_err(write::failure)?;
    let people: HashMap<_, _> = people.iter().map(|row| (row.id, row)).collect();
    let mut contacts = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(patient) = people.get(&row.patient_id) else { continue };
        let plan = match row.plan_session_id.filter(|_| request.with_plan) {
            Some(session) => plans::of_session(inner, organization, session).await?,
            None => None,
        };
        contacts.push(GetContactResponse {
            plan: plan.map(|stored| plans::now(inner, &stored)),
            appointment: Some(appointments::shown(inner, &row)),
            patient: Some(shown(patient)?),
        });
    }
    Ok(GetContactsResponse { contacts })
}

/// The patients who can be reached at an address.
pub(crate) async fn at_address(
    inner: &Inner,
    ctx: &Context,
    channel: Channel,
    address: &str,
    limit: i64,
) -> Result<Vec<PatientRow>, Fault> {
    let found = inner.store.patients(ctx.organization.uuid(), &like(address), None, limit).await;
    let mut rows = found.map_err(write::failure)?;
    let same = |details: &Details| match channel {
        Channel::Sms => details.phone == address,
        Channel::Email => details.email.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(address)),
    };
    rows.retain(|row| Document::read(&row.details).is_ok_and(|document| same(&document.details)));
    Ok(rows)
}

pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<PatientRow, Fault> {
    let id: PatientId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.patient(ctx.organization.uuid(), id.uuid()).await.map_err(write::failure)?;
    found.ok_or_else(Fault::not_found)
}

pub(crate) fn shown(row: &PatientRow) -> Result<Patient, Fault> {
    let details = Document::read(&row.details)?.details;
    Ok(Patient {
        id: PatientId::new(row.id).to_string(),
        version: row.version,
        details: Some(convert::to_wire(&details)),
        created_at_us: row.created_at_us,
        updated_at_us: row.updated_at_us,
    })
}

fn new_patient(id: Uuid, document: &Document) -> Result<NewPatient, Fault> {
    let details = &document.details;
    Ok(NewPatient { id, match_key: match_key(details), search_text: search_text(details), details: document.write()? })
}

/// A patient's next version.
pub(crate) fn changed(row: &PatientRow, document: &Document) -> Result<ChangedPatient, Fault> {
    let NewPatient { id, match_key, search_text, details } = new_patient(row.id, document)?;
    Ok(ChangedPatient { id, version: row.version + 1, match_key, search_text, details })
}

fn match_key(details: &Details) -> String {
    let born = details.date_of_birth.map(|date| date.to_string()).unwrap_or_default();
    let name = |text: &str| text.trim().to_lowercase();
    format!("{}\u{1f}{}\u{1f}{}\u{1f}{born}", name(&details.given_name), name(&details.family_name), details.phone)
}

fn search_text(details: &Details) -> String {
    let email = details.email.as_deref().unwrap_or_default();
    format!("{} {} {} {email}", details.given_name, details.family_name, details.phone).to_lowercase()
}

/// A LIKE pattern that finds the text anywhere; `!` escapes.
fn like(query: &str) -> String {
    let escaped = query.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}
