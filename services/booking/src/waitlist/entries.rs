//! Entries of the waitlist: joined, read, left.

use std::sync::Arc;

use domain::{
    appointment::Status,
    fault::Faults,
    id::{ServiceId, WaitlistId},
};
use rpc::{Code, Context, Fault};
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{GetEntryRequest, JoinWaitlistRequest, ListWaitlistRequest, ListWaitlistResponse, WaitlistEntry},
    convert,
};

use super::{Wish, entry_change, offers, tell};
use crate::{
    Inner, appointments,
    commit::{self, Begun, begin, remember, revision},
    plans::on_visit,
    store::{
        batch::{Batch, Refusal},
        rows::EntryRow,
    },
};

const ROUTE: &str = "JoinWaitlist";
const STATUSES: [&str; 5] = ["waiting", "offered", "booked", "left", "expired"];
/// Offers that an entry shows.
const OFFERS_MAX: i64 = 20;
/// Entries that one patient may have at a time.
const ENTRIES_MAX: i16 = 5;
/// How often joining looks again where the same patient joins meanwhile; each time another request has won a place.
const JOIN_TRIES_MAX: usize = 16;
/// How often leaving begins anew where the entry changes meanwhile.
const LEAVE_TRIES_MAX: usize = 5;

pub(super) async fn join(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: JoinWaitlistRequest,
) -> Result<Response<WaitlistEntry>, Fault> {
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let (patient, service, mut wish) = Wish::read(&request, now_us)?;
    let organization = ctx.organization.uuid();
    let known = inner.store.patient(organization, patient).await.map_err(commit::failure)?;
    known.ok_or_else(|| Fault::violation("/patient_id", "unknown_reference", "there is no patient with this id"))?;
    inner.availability.clone().check_references(ctx.request(wish.references(service))).await?;
    reaches_back(inner, ctx, patient, service, &mut wish).await?;
    let wish_key = wish.key(service, now_us)?;
    let row = EntryRow {
        organization_id: organization,
        id: inner.ids.uuid(now),
        version: 1,
        status: "waiting".to_owned(),
        patient_id: patient,
        service_id: service,
        wish: serde_json::to_string(&wish).map_err(Fault::internal)?,
        wish_key,
        place: 0,
        ends_at_us: wish.to_us,
        rests_until_us: now_us,
        created_at_us: now_us,
        updated_at_us: now_us,
    };
    let row = match enter(inner, row, now_us).await? {
        Entered::New(row) => row,
        Entered::Known(known) => return joined_before(inner, ctx, &known).await,
    };
    let answer = entry_shown(&row, &wish);
    let batch = Batch {
        changes: vec![entry_change(&row, &wish, "waitlisted")],
        // The feed's entry carries the key: of two requests with one key, the second finds its answer.
        idempotency: remember(ctx, ROUTE, &answer),
        ..Batch { organization_id: organization, now_us: inner.clock.now_us(), ..Batch::default() }
    };
    let told = Batch { idempotency: None, ..batch.clone() };
    match commit::commit(inner, batch).await {
        Ok(position) => {
            inner.freed.notify_waiters();
            Ok(rpc::respond(answer, &revision(position), false))
        }
        Err(Refusal::Replay) => {
            let replay: Response<WaitlistEntry> = commit::replayed(inner, ctx, ROUTE).await?;
            if replay.get_ref().id == answer.id {
                // The request that was faster found this very entry: it stands, and the feed is still to say so.
                commit::commit(inner, told).await.map_err(commit::refused)?;
                inner.freed.notify_waiters();
            } else {
                inner.store.unjoin(organization, row.id).await.map_err(commit::failure)?;
            }
            Ok(replay)
        }
        Err(refusal) => {
            inner.store.unjoin(organization, row.id).await.map_err(commit::failure)?;
            Err(commit::refused(refusal))
        }
    }
}

/// What became of a wish.
enum Entered {
    New(EntryRow),
    /// The same wish of the same patient waits already.
    Known(EntryRow),
}

/// Stores an entry in the first place that its patient has free. The indexes let one request win each wish and each
/// place; the others look again.
///
/// # Errors
/// `waitlist_limit` where every place has a live entry.
async fn enter(inner: &Arc<Inner>, mut row: EntryRow, now_us: i64) -> Result<Entered, Fault> {
    for _ in 0..JOIN_TRIES_MAX {
        let mut live = inner.store.live_entries(row.organization_id, row.patient_id).await.map_err(commit::failure)?;
        let over: Vec<EntryRow> =
            live.extract_if(.., |one| one.ends_at_us <= now_us && one.status == "waiting").collect();
        for one in over {
            expire(inner, &one).await?;
        }
        for one in &live {
            // Both as of now: a wish that began at its own time then begins now.
            if read(one)?.key(one.service_id, now_us)? == row.wish_key {
                return Ok(Entered::Known(one.clone()));
            }
        }
        let free = (1..=ENTRIES_MAX).find(|place| live.iter().all(|one| one.place != *place));
        row.place = free.ok_or_else(|| limit_reached(&live))?;
        if inner.store.join(&row).await.map_err(commit::failure)? {
            return Ok(Entered::New(row));
        }
    }
    Err(Fault::new(Code::Overloaded, "others wrote at the same moment; try again"))
}

fn limit_reached(live: &[EntryRow]) -> Fault {
    let ids: Vec<String> = live.iter().map(|row| WaitlistId::new(row.id).to_string()).collect();
    let detail =
        format!("a patient waits with at most {ENTRIES_MAX} entries; take one of these off first: {}", ids.join(", "));
    Fault::new(Code::WaitlistLimit, detail)
}

/// Answers the entry that waits for the same wish, and keeps that answer for the request's key, where it has one.
async fn joined_before(inner: &Arc<Inner>, ctx: &Context, known: &EntryRow) -> Result<Response<WaitlistEntry>, Fault> {
    let answer = WaitlistEntry { joined_before: true, ..shown(inner, known).await? };
    let batch = Batch {
        organization_id: known.organization_id,
        now_us: inner.clock.now_us(),
        idempotency: remember(ctx, ROUTE, &answer),
        ..Batch::default()
    };
    commit::finish(inner, ctx, ROUTE, batch, answer).await
}

/// Ends an entry whose time is over, and says so.
pub(super) async fn expire(inner: &Arc<Inner>, row: &EntryRow) -> Result<(), Fault> {
    if let Some(row) = end(inner, row, row.version, "expired").await? {
        tell(inner, row.organization_id, entry_change(&row, &read(&row)?, "waitlist_expired")).await?;
    }
    Ok(())
}

/// What a wish says of a visit or a session must be the patient's own, and of this service. A session that is booked
/// stands for its visit.
async fn reaches_back(
    inner: &Inner,
    ctx: &Context,
    patient: Uuid,
    service: Uuid,
    wish: &mut Wish,
) -> Result<(), Fault> {
    let organization = ctx.organization.uuid();
    if let Some(session) = wish.plan_session {
        let unknown =
            || Fault::violation("/plan_session_id", "unknown_reference", "there is no plan session with this id");
        let stored = crate::plans::of_session(inner, organization, session).await?.ok_or_else(unknown)?;
        if stored.plan.order.patient.uuid() != patient {
            return Err(Fault::violation("/plan_session_id", "other_patient", "the plan is another patient's"));
        }
        let of_plan = stored.plan.sessions.iter().find(|one| one.id.uuid() == session);
        match of_plan.filter(|one| one.status == careplan::plan::SessionStatus::Booked).and_then(|one| one.visit) {
            Some(visit) => wish.appointment = wish.appointment.or(Some(visit.appointment.uuid())),
            None => on_visit::may_book(
                &stored.plan,
                domain::id::PlanSessionId::new(session),
                ServiceId::new(service),
                "/plan_session_id",
            )?,
        }
    }
    if let Some(appointment) = wish.appointment {
        let found = inner.store.appointment(organization, appointment).await.map_err(commit::failure)?;
        let wrong = |code, detail: &str| Fault::violation("/appointment_id", code, detail);
        let row = found.ok_or_else(|| wrong("unknown_reference", "there is no appointment with this id"))?;
        if row.patient_id != patient {
            return Err(wrong("other_patient", "the appointment is another patient's"));
        }
        if row.service_id != service {
            return Err(wrong("other_service", "the appointment is of another service"));
        }
        if !row.status.parse().is_ok_and(Status::is_ahead) {
            return Err(wrong("not_ahead", "the appointment is over or called off"));
        }
        // Only an earlier time helps.
        wish.to_us = wish.to_us.min(row.starts_at_us);
    }
    Ok(())
}

pub(super) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<EntryRow, Fault> {
    let id: WaitlistId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.entry(ctx.organization.uuid(), id.uuid()).await.map_err(commit::failure)?;
    found.ok_or_else(Fault::not_found)
}

pub(super) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListWaitlistRequest,
) -> Result<ListWaitlistResponse, Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = appointments::list::limit(&mut faults, page.limit);
    let before = appointments::list::cursor(&mut faults, &page.cursor).map(|(_, id)| id);
    let patient = convert::optional_id::<domain::id::Patient>(&mut faults, "patient_id", &request.patient_id);
    for status in &request.statuses {
        let known = STATUSES.contains(&status.as_str());
        faults.check(known, "status", "invalid_value", format!("expected one of {}", STATUSES.join(", ")));
    }
    faults.result()?;
    let patient = patient.map(domain::id::Id::uuid);
    let found = inner.store.entries(ctx.organization.uuid(), patient, &request.statuses, before, limit + 1).await;
    let mut rows = found.map_err(commit::failure)?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let next_cursor = rows.last().filter(|_| more).map(|row| sql::cursor::encode(0, row.id.as_u128()));
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        entries.push(shown(inner, row).await?);
    }
    Ok(ListWaitlistResponse { entries, next_cursor: next_cursor.unwrap_or_default() })
}

pub(super) async fn leave(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: GetEntryRequest,
) -> Result<Response<WaitlistEntry>, Fault> {
    for _ in 0..LEAVE_TRIES_MAX {
        let row = load(inner, ctx, &request.id).await?;
        if !matches!(row.status.as_str(), "waiting" | "offered") {
            return Ok(Response::new(shown(inner, &row).await?));
        }
        // The offer is looked for after the entry was read: one that is made later gives the entry another version.
        if offers::withdraw(inner, &row).await? {
            continue;
        }
        if let Some(row) = end(inner, &row, row.version, "left").await? {
            let wish = read(&row)?;
            let position = tell(inner, row.organization_id, entry_change(&row, &wish, "waitlist_left")).await?;
            return Ok(rpc::respond(shown(inner, &row).await?, &revision(position), false));
        }
    }
    Err(Fault::new(Code::Overloaded, "others wrote at the same moment; try again"))
}

/// Ends an entry of this version, 0 for any; `None` where it has ended already, or has another.
pub(super) async fn end(
    inner: &Inner,
    row: &EntryRow,
    version: i64,
    status: &'static str,
) -> Result<Option<EntryRow>, Fault> {
    let ended = inner.store.end_entry(row.organization_id, row.id, version, status, inner.clock.now_us()).await;
    ended.map_err(commit::failure)
}

/// What an entry wishes for.
pub(super) fn read(row: &EntryRow) -> Result<Wish, Fault> {
    serde_json::from_str(&row.wish).map_err(|_| Fault::internal("a stored wish cannot be read"))
}

/// An entry with its offers, for the wire.
pub(super) async fn shown(inner: &Inner, row: &EntryRow) -> Result<WaitlistEntry, Fault> {
    let offers = inner.store.offers_of(row.organization_id, row.id, OFFERS_MAX).await.map_err(commit::failure)?;
    let offers = offers.iter().map(offers::listed).collect::<Result<_, _>>()?;
    Ok(WaitlistEntry { offers, ..entry_shown(row, &read(row)?) })
}

fn entry_shown(row: &EntryRow, wish: &Wish) -> WaitlistEntry {
    WaitlistEntry {
        id: WaitlistId::new(row.id).to_string(),
        version: row.version,
        status: row.status.clone(),
        wish: Some(wish.shown(row.patient_id, row.service_id)),
        created_at_us: row.created_at_us,
        updated_at_us: row.updated_at_us,
        offers: vec![],
        joined_before: false,
    }
}
