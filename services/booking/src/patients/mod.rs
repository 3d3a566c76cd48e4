//! Patients, as far as booking must know them.

pub(crate) mod consents;
pub(crate) mod document;
pub(crate) mod matching;
mod search;
mod telephone;

use std::{collections::HashMap, sync::Arc};

use document::{Document, Hand};
use domain::{
    id::{AppointmentId, PatientId, ProposedChangeId},
    patient::{Channel, ConsentSource, Details, ProposedChange},
};
use matching::match_key;
use rpc::{Context, Fault};
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{
        self, CreatePatientRequest, DecideProposedChangeRequest, GetContactRequest, GetContactResponse,
        GetContactsRequest, GetContactsResponse, GetPatientRequest, ListPatientsRequest, ListPatientsResponse, Patient,
        UpdatePatientRequest,
    },
    common::BookingChannel,
    convert::patient as convert,
};

use crate::{
    Inner, appointments,
    commit::{self, Begun, begin, remember, revision, stale},
    plans,
    store::{
        PatientFilter,
        batch::{Batch, ChangedPatient, NewPatient},
        rows::PatientRow,
    },
};

const ROUTE: &str = "CreatePatient";
const DECIDE_ROUTE: &str = "DecideProposedChange";
/// Contacts in one answer.
const CONTACTS_MAX: usize = 500;

pub(crate) async fn create(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: CreatePatientRequest,
) -> Result<Response<Patient>, Fault> {
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let details = telephone::read_details(inner, ctx, &request.details.unwrap_or_default(), "", None).await?;
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let hand = Hand { at_us: now_us, by: &ctx.caller, how: ConsentSource::Details };
    let new = new_patient(inner.ids.uuid(now), &Document::new(details.clone(), hand))?;
    let answer = Patient {
        id: PatientId::new(new.id).to_string(),
        version: 1,
        details: Some(convert::to_wire(&details)),
        created_at_us: now_us,
        updated_at_us: now_us,
        ..Patient::default()
    };
    let batch = Batch {
        organization_id: ctx.organization.uuid(),
        now_us,
        patients: vec![new],
        idempotency: remember(ctx, ROUTE, &answer),
        ..Batch::default()
    };
    commit::finish(inner, ctx, ROUTE, batch, answer).await
}

pub(crate) async fn get(inner: &Inner, ctx: &Context, request: GetPatientRequest) -> Result<Patient, Fault> {
    let mut patients = vec![shown(&load(inner, ctx, &request.id).await?)?];
    appointments::of_patients::add(inner, ctx, &mut patients).await?;
    patients.pop().ok_or_else(Fault::not_found)
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
    let details = telephone::read_details(inner, ctx, &request.details.unwrap_or_default(), "", None).await?;
    let now_us = inner.clock.now_us();
    let hand = Hand { at_us: now_us, by: &ctx.caller, how: ConsentSource::Details };
    let new = Document::read(&old.details)?.with(details, hand);
    let changed = changed(&old, &new)?;
    let answer = after(&old, &new, now_us);
    let batch =
        Batch { organization_id: ctx.organization.uuid(), now_us, change_patients: vec![changed], ..Batch::default() };
    let position = commit::commit(inner, batch).await.map_err(commit::refused)?;
    Ok(rpc::respond(answer, &revision(position), false))
}

/// Takes a proposed change into the record, or leaves it.
pub(crate) async fn decide(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: DecideProposedChangeRequest,
) -> Result<Response<Patient>, Fault> {
    let _running = match begin(inner, ctx, DECIDE_ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let id: ProposedChangeId = request.change_id.parse().map_err(|_| Fault::not_found())?;
    commit::again(|| async {
        let old = load(inner, ctx, &request.patient_id).await?;
        let now_us = inner.clock.now_us();
        let hand = Hand { at_us: now_us, by: &ctx.caller, how: ConsentSource::Details };
        let new = Document::read(&old.details)?.decided(id, request.accept, hand).ok_or_else(Fault::not_found)?;
        let answer = after(&old, &new, now_us);
        let batch = Batch {
            organization_id: ctx.organization.uuid(),
            now_us,
            change_patients: vec![changed(&old, &new)?],
            idempotency: remember(ctx, DECIDE_ROUTE, &answer),
            ..Batch::default()
        };
        commit::finish(inner, ctx, DECIDE_ROUTE, batch, answer).await
    })
    .await
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
    let words = search::spans(&request.query);
    let filter = PatientFilter { words, proposed_changes: request.proposed_changes, before, limit: limit + 1 };
    let mut rows = inner.store.patients(ctx.organization.uuid(), &filter).await.map_err(commit::failure)?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let mut patients = rows.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
    appointments::of_patients::add(inner, ctx, &mut patients).await?;
    Ok(ListPatientsResponse {
        patients,
        next_cursor: rows
            .last()
            .filter(|_| more)
            .map(|row| sql::cursor::encode(0, row.id.as_u128()))
            .unwrap_or_default(),
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
    let rows = inner.store.appointments_of(organization, &ids).await.map_err(commit::failure)?;
    if rows.is_empty() {
        return Ok(GetContactsResponse::default());
    }
    let people: Vec<_> = rows.iter().map(|row| row.patient_id).collect();
    let people = inner.store.patients_of(organization, &people).await.map_err(commit::failure)?;
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
            patient: Some(reached(patient)?),
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
    let filter = PatientFilter { words: search::at_address(address), limit, ..PatientFilter::default() };
    let mut rows = inner.store.patients(ctx.organization.uuid(), &filter).await.map_err(commit::failure)?;
    let same = |details: &Details| match channel {
        Channel::Sms => details.phone == address,
        Channel::Email => details.email.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(address)),
    };
    rows.retain(|row| Document::read(&row.details).is_ok_and(|document| same(&document.details)));
    Ok(rows)
}

pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<PatientRow, Fault> {
    let id: PatientId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.patient(ctx.organization.uuid(), id.uuid()).await.map_err(commit::failure)?;
    found.ok_or_else(Fault::not_found)
}

fn shown(row: &PatientRow) -> Result<Patient, Fault> {
    let document = Document::read(&row.details)?;
    Ok(Patient { version: row.version, ..after(row, &document, row.updated_at_us) })
}

/// A patient as messages need them: what is proposed is for staff alone.
pub(crate) fn reached(row: &PatientRow) -> Result<Patient, Fault> {
    Ok(Patient { proposed_changes: vec![], ..shown(row)? })
}

/// A patient after a change that is about to be written.
fn after(old: &PatientRow, document: &Document, now_us: i64) -> Patient {
    Patient {
        id: PatientId::new(old.id).to_string(),
        version: old.version + 1,
        details: Some(convert::to_wire(&document.details)),
        created_at_us: old.created_at_us,
        updated_at_us: now_us,
        proposed_changes: document.proposed.iter().map(proposed).collect(),
        ..Patient::default()
    }
}

fn proposed(change: &ProposedChange) -> booking::ProposedChange {
    let channel = if change.by_staff { BookingChannel::Staff } else { BookingChannel::Online };
    booking::ProposedChange {
        id: change.id.to_string(),
        field: change.field.as_str().to_owned(),
        value: change.value.clone(),
        proposed_at_us: change.at_us,
        channel: channel as i32,
    }
}

fn new_patient(id: Uuid, document: &Document) -> Result<NewPatient, Fault> {
    Ok(NewPatient {
        id,
        match_key: match_key(&document.details),
        open_changes: open_changes(document),
        details: document.write()?,
        words: search::words(&document.details),
    })
}

/// A patient's next version.
pub(crate) fn changed(row: &PatientRow, document: &Document) -> Result<ChangedPatient, Fault> {
    let before = search::words(&Document::read(&row.details)?.details);
    let words = search::words(&document.details);
    let only = |of: &[String], not: &[String]| of.iter().filter(|word| !not.contains(word)).cloned().collect();
    Ok(ChangedPatient {
        id: row.id,
        version: row.version + 1,
        match_key: match_key(&document.details),
        open_changes: open_changes(document),
        details: document.write()?,
        words_added: only(&words, &before),
        words_removed: only(&before, &words),
    })
}

fn open_changes(document: &Document) -> i32 {
    i32::try_from(document.proposed.len()).unwrap_or(i32::MAX)
}
