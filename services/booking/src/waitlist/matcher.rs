//! Looks for open slots that somebody waits for, and offers them.
//!
//! It asks the search, as any front end does: whatever freed a slot (a cancellation, a move, a roster that was opened, an
//! offer that was declined), the search shows it. Several processes may look side by side: the hold, and the one open offer
//! a patient and a slot that the database allows, let only one of them offer.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use domain::{
    id::{HoldId, LocationId, OrganizationId, PatientId, PlanSessionId, PractitionerId, ServiceId},
    slot,
    time::from_micros,
};
use jiff::{Timestamp, tz::TimeZone};
use rpc::{Code, Context, Fault};
use runtime::Shutdown;
use uuid::Uuid;
use wire::{
    availability::{SearchSlotsRequest, Slot},
    booking::CreateHoldRequest,
    common::BookingChannel,
};

use super::{
    Wish,
    assign::{Free, Place, Waiting, choose},
    entries, offer_change, offers,
};
use crate::{
    Inner, commit, holds,
    plans::of_session,
    slots::check::Moving,
    store::rows::{EntryRow, OfferRow},
};

/// How often it looks in real time where nothing rings, and how long it waits after a ring, so that one look serves many.
const EVERY: Duration = Duration::from_secs(5);
const GATHER: Duration = Duration::from_millis(200);
const CALL_WITHIN: Duration = Duration::from_secs(10);
/// Entries that are looked at in one round; those who have waited longest come first.
const ENTRIES_MAX: i64 = 1000;
/// Open slots that are looked at for each.
const SLOTS_MAX: u32 = 20;
const SWEPT_MAX: i64 = 200;

pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    loop {
        let freed = inner.freed.notified();
        let round = async {
            if let Err(fault) = sweep(inner).await {
                tracing::warn!(
                    code = fault.code.as_str(),
                    "offers that ran out could not be passed on; it is tried again"
                );
            }
            if let Err(fault) = look(inner).await {
                tracing::warn!(
                    code = fault.code.as_str(),
                    "the waitlist could not be looked through; it is tried again"
                );
            }
        };
        if shutdown.until(round).await.is_none() {
            return;
        }
        let rest = async {
            let _ = tokio::time::timeout(EVERY, freed).await;
            pause(GATHER).await;
        };
        if shutdown.until(rest).await.is_none() {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "other processes and their databases work in real time")]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Passes on what ran out, finishes what broke off while it was accepted, ends what nobody can have any more.
async fn sweep(inner: &Arc<Inner>) -> Result<(), Fault> {
    let now_us = inner.clock.now_us();
    for row in inner.store.offers_over(now_us, SWEPT_MAX).await.map_err(commit::failure)? {
        if row.status != "accepting" {
            offers::pass_on(inner, &row, &row.status, "expired", "offer_expired").await?;
        } else {
            let ctx = context(row.organization_id);
            if let Err(fault) = offers::finish(inner, &ctx, &row).await {
                tracing::info!(code = fault.code.as_str(), "an offer that was being taken could not be booked");
            }
        }
    }
    for row in inner.store.entries_over(now_us, SWEPT_MAX).await.map_err(commit::failure)? {
        entries::expire(inner, &row).await?;
    }
    Ok(())
}

fn context(organization: Uuid) -> Context {
    Context::new(OrganizationId::new(organization), "waitlist", CALL_WITHIN)
}

/// One round through everybody who waits.
async fn look(inner: &Arc<Inner>) -> Result<(), Fault> {
    let now_us = inner.clock.now_us();
    let rows = inner.store.waiting(now_us, ENTRIES_MAX).await.map_err(commit::failure)?;
    metrics::gauge!("waitlist_waiting").set(rows.len() as f64);
    let mut of = BTreeMap::<Uuid, Vec<EntryRow>>::new();
    for row in rows {
        of.entry(row.organization_id).or_default().push(row);
    }
    for (organization, rows) in of {
        offer(inner, organization, &rows, now_us).await?;
    }
    Ok(())
}

async fn offer(inner: &Arc<Inner>, organization: Uuid, rows: &[EntryRow], now_us: i64) -> Result<(), Fault> {
    let ctx = context(organization);
    let (mut waiting, mut found) = (Vec::new(), BTreeMap::<String, (Slot, Vec<usize>)>::new());
    for (at, row) in rows.iter().enumerate() {
        let wish = entries::read(row)?;
        let place = place(inner, organization, &wish).await?;
        waiting.push(Waiting { entry: row.id, patient: row.patient_id, since_us: row.created_at_us, place });
        for slot in open(inner, &ctx, row, &wish, now_us).await? {
            found.entry(slot.slot_id.clone()).or_insert_with(|| (slot, vec![])).1.push(at);
        }
    }
    let slots: Vec<(Slot, Vec<usize>)> = found.into_values().collect();
    let mut free: Vec<Free> = slots
        .iter()
        .map(|(slot, wished_by)| Free {
            slot_id: slot.slot_id.clone(),
            starts_at_us: slot.starts_at_us,
            day: day(slot.starts_at_us, &slot.time_zone),
            wished_by: wished_by.clone(),
        })
        .collect();
    let mut missed = true;
    while std::mem::take(&mut missed) {
        for (one, at) in choose(&waiting, &free) {
            match make(inner, &ctx, &rows[one], &slots[at].0).await {
                Ok(()) => free.iter_mut().for_each(|slot| slot.wished_by.retain(|other| *other != one)),
                // Someone was faster, or another place of a group is being offered: the next best will do.
                Err(fault) if matches!(fault.code, Code::SlotTaken | Code::SlotChanged | Code::Duplicate) => {
                    missed = true;
                }
                Err(fault) => tracing::info!(code = fault.code.as_str(), "a slot could not be offered"),
            }
            free[at].wished_by.clear();
        }
    }
    Ok(())
}

/// The open slots that would do, in hours in which a patient may be asked; none that was offered to this
/// entry before, or that the patient declined through another one.
async fn open(inner: &Inner, ctx: &Context, row: &EntryRow, wish: &Wish, now_us: i64) -> Result<Vec<Slot>, Fault> {
    let wall = |time: Option<domain::time::WallTime>| time.map(|time| time.to_string()).unwrap_or_default();
    let moving = moving(inner, row, wish).await?;
    let request = SearchSlotsRequest {
        service_id: ServiceId::new(row.service_id).to_string(),
        from_us: wish.from_us.max(now_us),
        to_us: wish.to_us,
        location_ids: wish.locations.iter().map(ToString::to_string).collect(),
        practitioner_ids: wish.practitioner.iter().map(ToString::to_string).collect(),
        days: wish.days.iter().map(|day| day.as_str().to_owned()).collect(),
        not_before: wall(wish.not_before),
        not_after: wall(wish.not_after),
        limit: SLOTS_MAX,
        channel: BookingChannel::Online.into(),
        patient_id: PatientId::new(row.patient_id).to_string(),
        minutes: moving.map_or(0, |moving| moving.minutes),
        ..SearchSlotsRequest::default()
    };
    let answer = match inner.availability.clone().search_slots(ctx.request(request)).await.map_err(Fault::from) {
        Ok(answer) => answer.into_inner(),
        // A service, place or person that is no longer there: nothing is open, and nobody else need wait for it.
        Err(fault) if matches!(fault.code, Code::ValidationFailed | Code::NotFound | Code::InvalidParameter) => {
            return Ok(vec![]);
        }
        Err(fault) => return Err(fault),
    };
    let before = inner.store.slots_offered(row).await.map_err(commit::failure)?;
    let before: HashSet<_> = before.iter().filter_map(|slot| hour_of(slot)).collect();
    let known = |slot: &Slot| hour_of(&slot.slot_id).is_some_and(|hour| before.contains(&hour));
    let asked_now = |slot: &Slot| inner.config.waitlist.may_ask(now_us, &slot.time_zone);
    Ok(answer.slots.into_iter().filter(|slot| !known(slot) && asked_now(slot)).collect())
}

/// What a patient is asked about with a slot, whatever else its id says.
fn hour_of(slot_id: &str) -> Option<(ServiceId, LocationId, PractitionerId, Timestamp)> {
    let slot: slot::Slot = slot_id.parse().ok()?;
    Some((slot.service, slot.location, slot.practitioner, slot.starts_at))
}

/// The later visit that takes an earlier time: it keeps its length.
async fn moving(inner: &Inner, row: &EntryRow, wish: &Wish) -> Result<Option<Moving>, Fault> {
    let Some(appointment) = wish.appointment else { return Ok(None) };
    let found = inner.store.appointment(row.organization_id, appointment).await.map_err(commit::failure)?;
    Ok(found.as_ref().map(Moving::of))
}

/// Where a session of a plan should come.
async fn place(inner: &Inner, organization: Uuid, wish: &Wish) -> Result<Option<Place>, Fault> {
    let Some(session) = wish.plan_session.map(PlanSessionId::new) else { return Ok(None) };
    let Some(stored) = of_session(inner, organization, session.uuid()).await? else { return Ok(None) };
    let plan = &stored.plan;
    let chain = plan.chain(inner.clock.now());
    let Some(at) = chain.iter().position(|link| plan.sessions[link.session].id == session) else { return Ok(None) };
    let visit = |at: usize| plan.sessions[chain[at].session].visit;
    let (Some(gap), Some(before)) = (chain[at].gap, at.checked_sub(chain[at].back).and_then(visit)) else {
        return Ok(None);
    };
    let days = |number: u32| i32::try_from(number).unwrap_or(i32::MAX / 4);
    Ok(Some(Place {
        from: number(before.on),
        least: days(gap.least),
        ideal: days(gap.ideal),
        most: days(gap.most),
        now: wish.appointment.and(visit(at)).map(|visit| number(visit.on)),
    }))
}

fn number(date: jiff::civil::Date) -> i32 {
    let hours = date.duration_since(jiff::civil::Date::constant(1970, 1, 1)).as_hours();
    i32::try_from(hours / 24).unwrap_or(0)
}

fn day(at_us: i64, time_zone: &str) -> i32 {
    let zone = domain::time::zone(time_zone).unwrap_or(TimeZone::UTC);
    from_micros(at_us).map_or(0, |at| number(at.to_zoned(zone).date()))
}

/// Holds a slot for a patient and says so. The offer is written first, which only one can do; the hold and what the feed
/// tells follow in one transaction, or the offer is taken back.
async fn make(inner: &Arc<Inner>, ctx: &Context, entry: &EntryRow, slot: &Slot) -> Result<(), Fault> {
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let ttl = inner.config.waitlist.offer_minutes * 60;
    let id = inner.ids.uuid(now);
    let row = OfferRow {
        organization_id: entry.organization_id,
        id,
        version: 1,
        waitlist_id: entry.id,
        patient_id: entry.patient_id,
        hold_id: inner.ids.uuid(now),
        status: "making".to_owned(),
        slot_id: slot.slot_id.clone(),
        slot: offers::written(slot)?,
        token_hash: offers::token_hash(&offers::token(inner, entry.organization_id, id)),
        appointment_id: None,
        // It never outlives the time that it is for.
        expires_at_us: (now_us + i64::from(ttl) * 1_000_000).min(slot.starts_at_us),
        created_at_us: now_us,
        decided_at_us: None,
    };
    if !inner.store.make_offer(&row).await.map_err(commit::failure)? {
        return Err(Fault::new(Code::Duplicate, "the slot or the patient has an offer already, or waits no longer"));
    }
    let request = CreateHoldRequest {
        slot_ids: vec![slot.slot_id.clone()],
        ttl_seconds: ttl,
        channel: BookingChannel::Online.into(),
    };
    let change = offer_change(&row, "offered")?;
    let moving = moving(inner, entry, &entries::read(entry)?).await?;
    let terms = holds::Terms { until_us: Some(row.expires_at_us), change: Some(change), moving };
    let made = holds::make(inner, ctx, &request, row.hold_id, terms).await;
    if let Err(fault) = made {
        inner.store.unmake_offer(&row).await.map_err(commit::failure)?;
        return Err(fault);
    }
    if !inner.store.open_offer(&row).await.map_err(commit::failure)? {
        return offers::ended_early(inner, &row).await;
    }
    tracing::info!(offer = %HoldId::new(row.hold_id), "a free slot is offered to the waitlist");
    metrics::counter!("waitlist_offers_total", "outcome" => "offered").increment(1);
    Ok(())
}
