//! Entries of the waitlist: joined, read, left, expired.

use std::sync::Arc;

use domain::{
    appointment::Status,
    fault::Faults,
    id::{PlanSessionId, ServiceId, WaitlistId},
    waitlist::EntryStatus,
};
use rpc::{Code, Context, Fault};
use service::{db_error, idempotency::Begun, page};
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{GetEntryRequest, JoinWaitlistRequest, ListWaitlistRequest, ListWaitlistResponse, WaitlistEntry},
    convert,
};

use super::{changes, criteria::Criteria, offers, view};
use crate::{
    Inner,
    commit::{self, Attempt, begin, revision},
    plans::{on_visit, stored},
    store::{batch::Batch, waitlist_entries::EntryRow},
};

const ROUTE: &str = "JoinWaitlist";
/// Live entries of one patient.
const ENTRIES_MAX: i16 = 5;
/// Most tries to join while the same patient joins elsewhere. In each of them another request has won a number.
const JOIN_TRIES_MAX: usize = 16;
/// Most tries to leave while the entry changes.
const LEAVE_TRIES_MAX: usize = 5;

pub(crate) async fn join(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: JoinWaitlistRequest,
) -> Result<Response<WaitlistEntry>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let (patient, service, mut criteria) = Criteria::from_wire(&request, now_us)?;
    let organization = ctx.organization.uuid();
    let known = inner.store.patient(organization, patient).await.map_err(db_error::fault)?;
    known.ok_or_else(|| Fault::violation("/patient_id", "unknown_reference", "there is no patient with this id"))?;
    inner.availability.clone().check_references(ctx.request(criteria.references(service))).await?;
    check_session(inner, organization, patient, service, &mut criteria).await?;
    check_appointment(inner, organization, patient, service, &mut criteria).await?;
    let row = EntryRow {
        organization_id: organization,
        id: inner.ids.uuid(now),
        version: 1,
        status: "waiting".to_owned(),
        patient_id: patient,
        service_id: service,
        criteria: serde_json::to_string(&criteria).map_err(Fault::internal)?,
        criteria_key: criteria.key(service, now_us)?,
        number: 0,
        ends_at_us: criteria.to_us,
        cool_down_until_us: now_us,
        created_at_us: now_us,
        updated_at_us: now_us,
    };
    match insert(inner, row, now_us).await? {
        Inserted::New(row) => publish_joined(inner, ctx, &row, &criteria).await,
        Inserted::Known(known) => joined_before(inner, ctx, &known).await,
    }
}

/// The outcome of inserting an entry.
enum Inserted {
    New(EntryRow),
    /// An entry of the same patient with the same criteria waits already.
    Known(EntryRow),
}

/// Inserts an entry with the first number that its patient has free. The indexes let one request win each set of criteria and
/// each number; the others read again.
///
/// # Errors
/// `waitlist_limit` where every number has a live entry.
async fn insert(inner: &Arc<Inner>, mut row: EntryRow, now_us: i64) -> Result<Inserted, Fault> {
    for _ in 0..JOIN_TRIES_MAX {
        let mut live = inner.store.live_entries(row.organization_id, row.patient_id).await.map_err(db_error::fault)?;
        let expired: Vec<EntryRow> =
            live.extract_if(.., |entry| entry.ends_at_us <= now_us && entry.status == "waiting").collect();
        for entry in expired {
            expire(inner, &entry).await?;
        }
        for entry in &live {
            // Both keys as of now: criteria that began in the past begin now.
            if criteria(entry)?.key(entry.service_id, now_us)? == row.criteria_key {
                return Ok(Inserted::Known(entry.clone()));
            }
        }
        let free = (1..=ENTRIES_MAX).find(|number| live.iter().all(|entry| entry.number != *number));
        row.number = free.ok_or_else(|| limit_reached(&live))?;
        if inner.store.insert_entry(&row).await.map_err(db_error::fault)? {
            return Ok(Inserted::New(row));
        }
    }
    Err(commit::contended())
}

fn limit_reached(live: &[EntryRow]) -> Fault {
    let ids: Vec<String> = live.iter().map(|row| WaitlistId::new(row.id).to_string()).collect();
    let detail =
        format!("a patient waits with at most {ENTRIES_MAX} entries; take one of these off first: {}", ids.join(", "));
    Fault::new(Code::WaitlistLimit, detail)
}

/// Publishes an inserted entry and answers it. The change and the answer for the request's key are committed together; an
/// entry whose change is refused is deleted.
async fn publish_joined(
    inner: &Arc<Inner>,
    ctx: &Context,
    row: &EntryRow,
    criteria: &Criteria,
) -> Result<Response<WaitlistEntry>, Fault> {
    let organization = row.organization_id;
    let change = changes::of_entry(row, criteria, "waitlisted");
    let batch = Batch { changes: vec![change.clone()], ..Batch::new(organization, inner.clock.now_us()) };
    let answer = view::entry_to_wire(row, criteria);
    let id = answer.id.clone();
    match commit::attempt(inner, ctx, ROUTE, batch, answer).await? {
        Attempt::Answered(response) => {
            inner.time_freed.notify_waiters();
            Ok(response)
        }
        Attempt::Replayed(response) => {
            if response.get_ref().id == id {
                // The request that was faster found this entry: it stays, and its change is still to be published.
                changes::publish(inner, organization, change).await?;
                inner.time_freed.notify_waiters();
            } else {
                inner.store.delete_entry(organization, row.id).await.map_err(db_error::fault)?;
            }
            Ok(response)
        }
        Attempt::Refused(error) => {
            inner.store.delete_entry(organization, row.id).await.map_err(db_error::fault)?;
            Err(commit::refused(error))
        }
    }
}

/// Answers the entry that waits for the same criteria, and stores that answer under the request's key.
async fn joined_before(inner: &Arc<Inner>, ctx: &Context, known: &EntryRow) -> Result<Response<WaitlistEntry>, Fault> {
    let answer = WaitlistEntry { joined_before: true, ..view::entry_with_offers(inner, known).await? };
    let batch = Batch::new(known.organization_id, inner.clock.now_us());
    commit::answer(inner, ctx, ROUTE, batch, answer).await
}

/// Ends an entry whose time is over, and publishes it.
pub(super) async fn expire(inner: &Arc<Inner>, row: &EntryRow) -> Result<(), Fault> {
    if let Some(row) = end(inner, row, row.version, "expired").await? {
        let change = changes::of_entry(&row, &criteria(&row)?, "waitlist_expired");
        changes::publish(inner, row.organization_id, change).await?;
    }
    Ok(())
}

/// Refuses a plan session that is not the patient's own. A booked session stands for its appointment; one that is not
/// booked must be bookable with the service.
async fn check_session(
    inner: &Inner,
    organization: Uuid,
    patient: Uuid,
    service: Uuid,
    criteria: &mut Criteria,
) -> Result<(), Fault> {
    let pointer = "/plan_session_id";
    let Some(session) = criteria.plan_session else { return Ok(()) };
    let unknown = || Fault::violation(pointer, "unknown_reference", "there is no plan session with this id");
    let stored = stored::of_session(inner, organization, session).await?.ok_or_else(unknown)?;
    if stored.plan.order.patient.uuid() != patient {
        return Err(Fault::violation(pointer, "other_patient", "the plan is another patient's"));
    }
    let found = stored.plan.sessions.iter().find(|known| known.id.uuid() == session);
    let booked = found.filter(|session| session.status == careplan::plan::SessionStatus::Booked);
    match booked.and_then(|session| session.visit) {
        Some(visit) => {
            criteria.appointment = criteria.appointment.or(Some(visit.appointment.uuid()));
            Ok(())
        }
        None => {
            let (session, service) = (PlanSessionId::new(session), ServiceId::new(service));
            on_visit::require_bookable(&stored.plan, session, service, pointer)
        }
    }
}

/// Refuses an appointment that is not ahead, or not the patient's own, or of another service. Only an earlier time helps.
async fn check_appointment(
    inner: &Inner,
    organization: Uuid,
    patient: Uuid,
    service: Uuid,
    criteria: &mut Criteria,
) -> Result<(), Fault> {
    let Some(appointment) = criteria.appointment else { return Ok(()) };
    let found = inner.store.appointment(organization, appointment).await.map_err(db_error::fault)?;
    let wrong = |code, detail: &str| Fault::violation("/appointment_id", code, detail);
    let row = found.ok_or_else(|| wrong("unknown_reference", "there is no appointment with this id"))?;
    if row.patient_id != patient {
        return Err(wrong("other_patient", "the appointment is another patient's"));
    }
    if row.service_id != service {
        return Err(wrong("other_service", "the appointment is of another service"));
    }
    if !row.status.parse().is_ok_and(Status::is_upcoming) {
        return Err(wrong("not_ahead", "the appointment is over or called off"));
    }
    criteria.to_us = criteria.to_us.min(row.starts_at_us);
    Ok(())
}

pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<EntryRow, Fault> {
    let id: WaitlistId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.entry(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
    found.ok_or_else(Fault::not_found)
}

pub(crate) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListWaitlistRequest,
) -> Result<ListWaitlistResponse, Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, page.limit);
    let before = page::cursor(&mut faults, &page.cursor).map(|(_, id)| id);
    let patient = convert::optional_id::<domain::id::Patient>(&mut faults, "patient_id", &request.patient_id);
    for status in &request.statuses {
        if let Err(expected) = status.parse::<EntryStatus>() {
            faults.push("status", "invalid_value", expected);
        }
    }
    faults.result()?;
    let patient = patient.map(domain::id::Id::uuid);
    let found = inner.store.list_entries(ctx.organization.uuid(), patient, &request.statuses, before, limit + 1).await;
    let mut rows = found.map_err(db_error::fault)?;
    let next_cursor = page::cut(&mut rows, limit, |row| (0, row.id));
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        entries.push(view::entry_with_offers(inner, row).await?);
    }
    Ok(ListWaitlistResponse { entries, next_cursor })
}

pub(crate) async fn leave(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: GetEntryRequest,
) -> Result<Response<WaitlistEntry>, Fault> {
    for _ in 0..LEAVE_TRIES_MAX {
        let row = load(inner, ctx, &request.id).await?;
        if !matches!(row.status.as_str(), "waiting" | "offered") {
            return Ok(Response::new(view::entry_with_offers(inner, &row).await?));
        }
        // The offer is read after the entry: an offer that is made later gives the entry another version.
        if offers::withdraw(inner, &row).await? {
            continue;
        }
        if let Some(row) = end(inner, &row, row.version, "left").await? {
            let change = changes::of_entry(&row, &criteria(&row)?, "waitlist_left");
            let position = changes::publish(inner, row.organization_id, change).await?;
            let answer = view::entry_with_offers(inner, &row).await?;
            return Ok(rpc::respond(answer, &revision(position), false));
        }
    }
    Err(commit::contended())
}

/// Ends an entry of this version, 0 for any; `None` where it has ended already, or has another version.
pub(super) async fn end(
    inner: &Inner,
    row: &EntryRow,
    version: i64,
    status: &'static str,
) -> Result<Option<EntryRow>, Fault> {
    let ended = inner.store.end_entry(row.organization_id, row.id, version, status, inner.clock.now_us()).await;
    ended.map_err(db_error::fault)
}

/// The criteria of an entry.
pub(super) fn criteria(row: &EntryRow) -> Result<Criteria, Fault> {
    serde_json::from_str(&row.criteria).map_err(|_| Fault::internal("stored criteria cannot be read"))
}
