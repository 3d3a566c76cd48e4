//! What availability says of a slot before it is taken.

use domain::{
    fault::Faults,
    id::LocationId,
    slot::Slot,
    time::{Interval, from_micros},
};
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::{
    availability::{self, CheckSlotsRequest, CheckedSlot, NearestSlotsRequest},
    booking::SlotTaken,
    convert::claim::interval_from_wire,
};

use crate::{Inner, store::batch::Limit};

/// The ground under one slot: what it takes and what it may choose from.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) slot_id: String,
    pub(crate) slot: Slot,
    pub(crate) shown: availability::Slot,
    /// The visit itself.
    pub(crate) visit: Interval,
    /// The visit with preparation and clean-up.
    pub(crate) busy: Interval,
    pub(crate) capacity: i16,
    pub(crate) needling: bool,
    pub(crate) requires_prior: Option<Uuid>,
    /// Rooms to choose from, best first; empty where none is needed.
    pub(crate) rooms: Vec<Uuid>,
    /// Equipment units to choose from, best first; empty where none is needed.
    pub(crate) units: Vec<(Uuid, i16)>,
    pub(crate) time_zone: String,
    /// What must hold of the practitioner's claims once this one is laid.
    pub(crate) limits: Vec<Limit>,
}

/// Asks availability about slots; refuses with the first rule that any of them breaks.
pub(crate) async fn check(
    inner: &Inner,
    ctx: &Context,
    slot_ids: &[String],
    pointer: &str,
    channel: i32,
    ignore_owners: Vec<String>,
) -> Result<Vec<Ground>, Fault> {
    let mut faults = Faults::new();
    let slots: Vec<Slot> = slot_ids
        .iter()
        .enumerate()
        .filter_map(|(at, text)| {
            let pointer = if slot_ids.len() == 1 { pointer.to_owned() } else { format!("{pointer}/{at}") };
            text.parse().map_err(|error| faults.push(pointer, "invalid_slot", format!("{error}"))).ok()
        })
        .collect();
    faults.result()?;
    let request = CheckSlotsRequest { slot_ids: slot_ids.to_vec(), channel, ignore_owners };
    let answer = inner.availability.clone().check_slots(ctx.request(request)).await?.into_inner();
    let (mut grounds, mut gone) = (Vec::with_capacity(slots.len()), Vec::new());
    for (slot, checked) in slots.into_iter().zip(answer.slots) {
        match checked.refusals.first().map(|refusal| (Code::from_name(&refusal.code), &refusal.detail)) {
            Some((Some(Code::SlotTaken), _)) => gone.push(slot.to_string()),
            Some((code, detail)) => return Err(Fault::new(code.unwrap_or(Code::NotOffered), detail.clone())),
            None => {
                let found = ground(slot, checked);
                grounds.push(found.ok_or_else(|| Fault::internal("availability answered half a slot"))?);
            }
        }
    }
    if !gone.is_empty() {
        return Err(taken(inner, ctx, gone, channel).await);
    }
    if grounds.len() != slot_ids.len() {
        return Err(Fault::internal("availability left a slot out"));
    }
    Ok(grounds)
}

fn ground(slot: Slot, checked: CheckedSlot) -> Option<Ground> {
    let (shown, service, claim) = (checked.slot?, checked.service?, checked.claim?);
    let rooms = checked.room_ids.iter().map(|id| id.parse::<domain::id::RoomId>().map(Into::into));
    let units = checked.equipment.iter().map(|unit| {
        let id = unit.equipment_id.parse::<domain::id::EquipmentId>().ok()?;
        Some((id.uuid(), i16::try_from(unit.unit).ok()?))
    });
    let requires_prior = match service.requires_prior.as_str() {
        "" => None,
        text => Some(text.parse::<domain::id::ServiceId>().ok()?.uuid()),
    };
    Some(Ground {
        slot_id: slot.to_string(),
        slot,
        visit: Interval::new(from_micros(shown.starts_at_us)?, from_micros(shown.ends_at_us)?)?,
        busy: interval_from_wire(claim.starts_at_us, claim.ends_at_us)?,
        capacity: i16::try_from(service.capacity.max(1)).ok()?,
        needling: service.needling,
        requires_prior,
        rooms: rooms.collect::<Result<_, _>>().ok()?,
        units: units.collect::<Option<_>>()?,
        time_zone: shown.time_zone.clone(),
        limits: checked.limits.iter().map(|limit| self::limit(slot, limit)).collect::<Option<_>>()?,
        shown,
    })
}

fn limit(slot: Slot, limit: &availability::Limit) -> Option<Limit> {
    let location: Option<LocationId> = match limit.location_id.as_str() {
        "" => None,
        text => Some(text.parse().ok()?),
    };
    Some(Limit {
        code: Code::from_name(&limit.code)?.as_str(),
        practitioner: slot.practitioner.uuid(),
        location_id: location.map(LocationId::uuid),
        needling: limit.needling,
        from_us: limit.starts_at_us,
        to_us: limit.ends_at_us,
        most: i64::from(limit.most),
    })
}

/// A `slot_taken` that names what is gone, with the three open slots that are nearest to the first of it.
pub(crate) async fn taken(inner: &Inner, ctx: &Context, gone: Vec<String>, channel: i32) -> Fault {
    let request = NearestSlotsRequest { slot_id: gone.first().cloned().unwrap_or_default(), limit: 3, channel };
    // The alternatives are a courtesy: without them the answer is still right.
    let alternatives = match inner.availability.clone().nearest_slots(ctx.request(request)).await {
        Ok(answer) => answer.into_inner().slots,
        Err(_) => vec![],
    };
    let detail = SlotTaken { slot_ids: gone, alternatives };
    Fault::new(Code::SlotTaken, "someone else has this time; `alternatives` are the nearest open slots")
        .with_extra(&detail)
}
