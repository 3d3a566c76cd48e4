//! Matches open slots with entries that wait, and makes the offers.
//!
//! The matcher asks the search, as any front end does: whatever freed a slot (a cancellation, a move, a roster, a declined
//! offer), the search finds it. Several processes may match at once: the database allows one open offer a patient and one
//! a slot, so only one of them makes it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use domain::{
    id::{LocationId, OfferId, OrganizationId, PatientId, PlanSessionId, PractitionerId, ServiceId, WaitlistId},
    slot,
    time::from_micros,
};
use jiff::{Timestamp, tz::TimeZone};
use rpc::{Code, Context, Fault};
use service::db_error;
use uuid::Uuid;
use wire::{
    availability::{SearchSlotsRequest, Slot},
    booking::CreateHoldRequest,
    common::BookingChannel,
};

use super::{
    assign::{FreeSlot, GapTarget, WaitingEntry, assign},
    changes,
    criteria::Criteria,
    entries, offers, view,
};
use crate::{
    Inner, holds, manage_links,
    plans::stored,
    slots::check::MovingAppointment,
    store::{offers::OfferRow, waitlist_entries::EntryRow},
};

const CALL_WITHIN: Duration = Duration::from_secs(10);
/// Entries in one round, the longest wait first.
const ENTRIES_MAX: i64 = 1000;
/// Open slots that are read for each entry.
const SLOTS_MAX: u32 = 20;
/// Offers and entries that end in one round.
const ENDED_MAX: i64 = 200;

/// Passes on expired offers, finishes offers whose acceptance broke off, and ends entries whose time is over.
pub(crate) async fn end_expired(inner: &Arc<Inner>) -> Result<(), Fault> {
    let now_us = inner.clock.now_us();
    for row in inner.store.expired_offers(now_us, ENDED_MAX).await.map_err(db_error::fault)? {
        if row.status != "accepting" {
            offers::pass_on(inner, &row, &row.status, "expired", "offer_expired").await?;
        } else {
            let ctx = context(row.organization_id);
            if let Err(fault) = offers::finish_accepting(inner, &ctx, &row).await {
                let (code, offer) = (fault.code.as_str(), OfferId::new(row.id));
                tracing::info!(code, organization = %ctx.organization, %offer, "an accepted offer was not booked");
            }
        }
    }
    for row in inner.store.expired_entries(now_us, ENDED_MAX).await.map_err(db_error::fault)? {
        entries::expire(inner, &row).await?;
    }
    Ok(())
}

fn context(organization: Uuid) -> Context {
    Context::new(OrganizationId::new(organization), "waitlist", CALL_WITHIN)
}

/// One round through all entries that wait.
pub(crate) async fn match_all(inner: &Arc<Inner>) -> Result<(), Fault> {
    let now_us = inner.clock.now_us();
    let rows = inner.store.waiting_entries(now_us, ENTRIES_MAX).await.map_err(db_error::fault)?;
    metrics::gauge!("waitlist_waiting").set(rows.len() as f64);
    let mut by_organization = BTreeMap::<Uuid, Vec<EntryRow>>::new();
    for row in rows {
        by_organization.entry(row.organization_id).or_default().push(row);
    }
    for (organization, rows) in by_organization {
        match_organization(inner, organization, &rows, now_us).await?;
    }
    Ok(())
}

async fn match_organization(
    inner: &Arc<Inner>,
    organization: Uuid,
    rows: &[EntryRow],
    now_us: i64,
) -> Result<(), Fault> {
    let ctx = context(organization);
    let (mut waiting, mut found) = (Vec::new(), BTreeMap::<String, (Slot, Vec<usize>)>::new());
    // The last in line is searched first: a slot that opens meanwhile is then found for those before it, too.
    for (at, row) in rows.iter().enumerate().rev() {
        let criteria = entries::criteria(row)?;
        let gap = gap_target(inner, organization, &criteria).await?;
        waiting.push(WaitingEntry { id: row.id, patient: row.patient_id, since_us: row.created_at_us, gap });
        for slot in open_slots(inner, &ctx, row, &criteria, now_us).await? {
            found.entry(slot.slot_id.clone()).or_insert_with(|| (slot, vec![])).1.push(at);
        }
    }
    waiting.reverse();
    let (slots, fits): (Vec<Slot>, Vec<Vec<usize>>) = found.into_values().unzip();
    let free = slots.iter().zip(fits).map(|(slot, fits)| FreeSlot {
        slot_id: slot.slot_id.clone(),
        starts_at_us: slot.starts_at_us,
        day: day_of(slot.starts_at_us, &slot.time_zone),
        fits,
    });
    let mut free: Vec<FreeSlot> = free.collect();
    let mut missed = true;
    while std::mem::take(&mut missed) {
        for (entry, slot) in assign(&waiting, &free) {
            match make_offer(inner, &ctx, &rows[entry], &slots[slot]).await {
                Ok(()) => free.iter_mut().for_each(|slot| slot.fits.retain(|at| *at != entry)),
                // Another process was faster, or another place of a group is offered: the entry tries its next slot.
                Err(fault) if matches!(fault.code, Code::SlotTaken | Code::SlotChanged | Code::Duplicate) => {
                    missed = true;
                }
                Err(fault) => {
                    let (code, entry) = (fault.code.as_str(), WaitlistId::new(rows[entry].id));
                    tracing::info!(code, organization = %ctx.organization, %entry, "a slot could not be offered");
                }
            }
            free[slot].fits.clear();
        }
    }
    Ok(())
}

/// The open slots that fit an entry, in hours in which a patient may be asked; none that was offered to the entry before,
/// or that its patient declined through another entry.
async fn open_slots(
    inner: &Inner,
    ctx: &Context,
    row: &EntryRow,
    criteria: &Criteria,
    now_us: i64,
) -> Result<Vec<Slot>, Fault> {
    let moving = moving_appointment(inner, row, criteria).await?;
    let request = SearchSlotsRequest {
        service_id: ServiceId::new(row.service_id).to_string(),
        from_us: criteria.from_us.max(now_us),
        to_us: criteria.to_us,
        filters: Some(wire::convert::slot_filters(
            &criteria.locations,
            criteria.practitioner,
            &criteria.days,
            (criteria.not_before, criteria.not_after),
        )),
        limit: SLOTS_MAX,
        channel: BookingChannel::Online.into(),
        patient_id: PatientId::new(row.patient_id).to_string(),
        minutes: moving.map_or(0, |moving| moving.minutes),
        ..SearchSlotsRequest::default()
    };
    let answer = match inner.availability.clone().search_slots(ctx.request(request)).await.map_err(Fault::from) {
        Ok(answer) => answer.into_inner(),
        // The service, a location or the practitioner is gone: nothing is open, and no other entry need wait for this one.
        Err(fault) if matches!(fault.code, Code::ValidationFailed | Code::NotFound | Code::InvalidParameter) => {
            return Ok(vec![]);
        }
        Err(fault) => return Err(fault),
    };
    let excluded = inner.store.excluded_slots(row).await.map_err(db_error::fault)?;
    let excluded: HashSet<_> = excluded.iter().filter_map(|slot| appointment_key(slot)).collect();
    let is_excluded = |slot: &Slot| appointment_key(&slot.slot_id).is_some_and(|key| excluded.contains(&key));
    let may_ask = |slot: &Slot| inner.config.waitlist.may_ask(now_us, &slot.time_zone);
    Ok(answer.slots.into_iter().filter(|slot| !is_excluded(slot) && may_ask(slot)).collect())
}

/// The parts of a slot that its patient decides on, whatever else its id says.
fn appointment_key(slot_id: &str) -> Option<(ServiceId, LocationId, PractitionerId, Timestamp)> {
    let slot: slot::Slot = slot_id.parse().ok()?;
    Some((slot.service, slot.location, slot.practitioner, slot.starts_at))
}

/// The later appointment that moves to an earlier time. It keeps its length.
async fn moving_appointment(
    inner: &Inner,
    row: &EntryRow,
    criteria: &Criteria,
) -> Result<Option<MovingAppointment>, Fault> {
    let Some(appointment) = criteria.appointment else { return Ok(None) };
    let found = inner.store.appointment(row.organization_id, appointment).await.map_err(db_error::fault)?;
    Ok(found.as_ref().map(MovingAppointment::of))
}

/// The gap that the criteria's plan session has to keep.
async fn gap_target(inner: &Inner, organization: Uuid, criteria: &Criteria) -> Result<Option<GapTarget>, Fault> {
    let Some(session) = criteria.plan_session.map(PlanSessionId::new) else { return Ok(None) };
    let Some(stored) = stored::of_session(inner, organization, session.uuid()).await? else { return Ok(None) };
    let plan = &stored.plan;
    let chain = plan.chain(inner.clock.now());
    let Some(at) = chain.iter().position(|link| plan.sessions[link.session].id == session) else { return Ok(None) };
    let visit = |at: usize| plan.sessions[chain[at].session].visit;
    let (Some(gap), Some(before)) = (chain[at].gap, at.checked_sub(chain[at].back).and_then(visit)) else {
        return Ok(None);
    };
    let days = |number: u32| i32::try_from(number).unwrap_or(i32::MAX / 4);
    Ok(Some(GapTarget {
        from: day_number(before.on),
        least: days(gap.least),
        ideal: days(gap.ideal),
        most: days(gap.most),
        booked_on: criteria.appointment.and(visit(at)).map(|visit| day_number(visit.on)),
    }))
}

/// Days since 1970-01-01.
fn day_number(date: jiff::civil::Date) -> i32 {
    let hours = date.duration_since(jiff::civil::Date::constant(1970, 1, 1)).as_hours();
    i32::try_from(hours / 24).unwrap_or(0)
}

fn day_of(at_us: i64, time_zone: &str) -> i32 {
    let zone = domain::time::zone(time_zone).unwrap_or(TimeZone::UTC);
    from_micros(at_us).map_or(0, |at| day_number(at.to_zoned(zone).date()))
}

/// Offers a slot to an entry. The offer's row is inserted first, which only one process can do; the hold and its change
/// follow in one transaction, or the row is deleted.
async fn make_offer(inner: &Arc<Inner>, ctx: &Context, entry: &EntryRow, slot: &Slot) -> Result<(), Fault> {
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let ttl_seconds = inner.config.waitlist.offer_minutes * 60;
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
        slot: view::slot_to_json(slot)?,
        token_hash: manage_links::hash(&inner.links.offer_token(entry.organization_id, id)),
        appointment_id: None,
        // An offer never outlives the start of its slot.
        expires_at_us: (now_us + i64::from(ttl_seconds) * 1_000_000).min(slot.starts_at_us),
        created_at_us: now_us,
        decided_at_us: None,
    };
    if !inner.store.insert_offer(&row).await.map_err(db_error::fault)? {
        return Err(Fault::new(Code::Duplicate, "the slot or the patient has an offer already, or waits no longer"));
    }
    let request =
        CreateHoldRequest { slot_ids: vec![slot.slot_id.clone()], ttl_seconds, channel: BookingChannel::Online.into() };
    let change = changes::of_offer(&row, "offered")?;
    let moving = moving_appointment(inner, entry, &entries::criteria(entry)?).await?;
    let terms = holds::Terms {
        expires_at_us: Some(row.expires_at_us),
        change: Some(change),
        moving,
        ..holds::Terms::default()
    };
    if let Err(fault) = holds::create_with(inner, ctx, &request, row.hold_id, terms).await {
        inner.store.delete_offer(&row).await.map_err(db_error::fault)?;
        return Err(fault);
    }
    if !inner.store.open_offer(&row).await.map_err(db_error::fault)? {
        return offers::release_ended(inner, &row).await;
    }
    tracing::info!(organization = %ctx.organization, offer = %OfferId::new(id), "a free slot is offered");
    metrics::counter!("waitlist_offers_total", "outcome" => "offered").increment(1);
    Ok(())
}
