//! Creating and changing patients' records.

use std::sync::Arc;

use domain::{
    id::{PatientId, ProposedChangeId},
    patient::{ConsentSource, StaffFields},
};
use rpc::{Context, Fault};
use service::idempotency::Begun;
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{CreatePatientRequest, DecideProposedChangeRequest, Patient, UpdatePatientRequest},
    convert::patient as convert,
};

use super::{
    document::{Author, Document},
    load,
    matching::match_key,
    search, telephone, view,
};
use crate::{
    Inner,
    commit::{self, begin, revision},
    store::{
        batch::{Batch, ChangedPatient, NewPatient},
        patients::PatientRow,
    },
};

const CREATE_ROUTE: &str = "CreatePatient";
const DECIDE_ROUTE: &str = "DecideProposedChange";

pub(crate) async fn create(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: CreatePatientRequest,
) -> Result<Response<Patient>, Fault> {
    let _guard = match begin(inner, ctx, CREATE_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let none = StaffFields::default();
    let record = telephone::read_record(inner, ctx, request.details, request.staff, none).await?;
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let author = Author { at_us: now_us, by: &ctx.caller, how: ConsentSource::Details };
    let new = new_patient(inner.ids.uuid(now), &Document::new(record.clone(), author))?;
    let answer = Patient {
        id: PatientId::new(new.id).to_string(),
        version: 1,
        details: Some(convert::to_wire(&record.details)),
        staff: Some(convert::staff_to_wire(&record.staff)),
        created_at_us: now_us,
        updated_at_us: now_us,
        ..Patient::default()
    };
    let batch = Batch { patients: vec![new], ..Batch::new(ctx.organization.uuid(), now_us) };
    commit::answer(inner, ctx, CREATE_ROUTE, batch, answer).await
}

pub(crate) async fn update(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: UpdatePatientRequest,
) -> Result<Response<Patient>, Fault> {
    let old = load(inner, ctx, &request.id).await?;
    if request.if_version != 0 && request.if_version != old.version {
        return Err(commit::version_mismatch());
    }
    let document = Document::read(&old.details)?;
    let staff = document.record.staff.clone();
    let record = telephone::read_record(inner, ctx, request.details, request.staff, staff).await?;
    let now_us = inner.clock.now_us();
    let author = Author { at_us: now_us, by: &ctx.caller, how: ConsentSource::Details };
    let new = document.with(record, author);
    let change_patients = vec![changed_patient(&old, &new)?];
    let batch = Batch { change_patients, ..Batch::new(ctx.organization.uuid(), now_us) };
    let position = commit::commit(inner, batch).await.map_err(commit::refused)?;
    Ok(rpc::respond(view::next_version(&old, &new, now_us), &revision(position), false))
}

/// Accepts a proposed change into the record, or discards it.
pub(crate) async fn decide(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: DecideProposedChangeRequest,
) -> Result<Response<Patient>, Fault> {
    let _guard = match begin(inner, ctx, DECIDE_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let id: ProposedChangeId = request.change_id.parse().map_err(|_| Fault::not_found())?;
    commit::retry_stale(|| async {
        let old = load(inner, ctx, &request.patient_id).await?;
        let now_us = inner.clock.now_us();
        let author = Author { at_us: now_us, by: &ctx.caller, how: ConsentSource::Details };
        let new = Document::read(&old.details)?.decided(id, request.accept, author).ok_or_else(Fault::not_found)?;
        let change_patients = vec![changed_patient(&old, &new)?];
        let batch = Batch { change_patients, ..Batch::new(ctx.organization.uuid(), now_us) };
        commit::answer(inner, ctx, DECIDE_ROUTE, batch, view::next_version(&old, &new, now_us)).await
    })
    .await
}

pub(super) fn new_patient(id: Uuid, document: &Document) -> Result<NewPatient, Fault> {
    Ok(NewPatient {
        id,
        match_key: match_key(&document.record),
        open_changes: open_changes(document),
        details: document.write()?,
        words: search::words(&document.record),
    })
}

/// The next version of a patient.
pub(super) fn changed_patient(row: &PatientRow, document: &Document) -> Result<ChangedPatient, Fault> {
    let before = search::words(&Document::read(&row.details)?.record);
    let words = search::words(&document.record);
    let without = |of: &[String], not: &[String]| of.iter().filter(|word| !not.contains(word)).cloned().collect();
    Ok(ChangedPatient {
        id: row.id,
        version: row.version + 1,
        match_key: match_key(&document.record),
        open_changes: open_changes(document),
        details: document.write()?,
        words_added: without(&words, &before),
        words_removed: without(&before, &words),
    })
}

fn open_changes(document: &Document) -> i32 {
    i32::try_from(document.proposed.len()).unwrap_or(i32::MAX)
}
