//! What availability says of a slot before it is taken.

use domain::{
    fault::Faults,
    id::{AppointmentId, EquipmentId, LocationId, RoomId},
    slot::Slot,
    time::{Interval, from_micros},
};
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::{
    availability::{self, CheckSlotsRequest, CheckedSlot, Decided, EquipmentUnit, NearestSlotsRequest},
    booking::SlotTaken,
    convert::claim::{interval_from_wire, interval_to_wire},
};

use crate::{
    Inner,
    store::{batch::Limit, rows::AppointmentRow},
};

/// A slot that is to be booked or held, and what is decided of its visit already.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) slot_id: String,
    /// The appointment that moves there.
    pub(crate) moving: Option<Moving>,
    /// What a hold keeps for it.
    pub(crate) kept: Option<Kept>,
}

/// An appointment that moves: it keeps its length, whatever its service says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moving {
    pub(crate) appointment: Uuid,
    pub(crate) minutes: u32,
}

/// What a hold keeps for a slot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    /// The practitioner's time.
    pub(crate) claim: Interval,
    pub(crate) room: Option<Uuid>,
    pub(crate) unit: Option<(Uuid, i16)>,
    /// Its place, where it is one in a group session.
    pub(crate) place: Option<i16>,
}

impl Wanted {
    /// A slot of which nothing is decided.
    pub(crate) fn new(slot_id: &str) -> Self {
        Self { slot_id: slot_id.to_owned(), ..Self::default() }
    }

    fn decided(&self) -> Decided {
        Decided {
            minutes: self.moving.map_or(0, |moving| moving.minutes),
            kept: self.kept.as_ref().map(|kept| availability::Kept {
                claim: Some(interval_to_wire(kept.claim)),
                room_id: kept.room.map(|room| RoomId::new(room).to_string()).unwrap_or_default(),
                unit: kept.unit.map(|(pool, unit)| EquipmentUnit {
                    equipment_id: EquipmentId::new(pool).to_string(),
                    unit: u32::from(unit.unsigned_abs()),
                }),
            }),
        }
    }
}

impl Moving {
    pub(crate) fn of(row: &AppointmentRow) -> Self {
        let minutes = (row.ends_at_us - row.starts_at_us) / 60_000_000;
        Self { appointment: row.id, minutes: u32::try_from(minutes).unwrap_or(0) }
    }
}

/// The ground under one slot: what it takes and what it may choose from.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) wanted: Wanted,
    pub(crate) slot: Slot,
    pub(crate) shown: availability::Slot,
    /// The visit itself.
    pub(crate) visit: Interval,
    /// The visit with preparation and clean-up.
    pub(crate) busy: Interval,
    pub(crate) capacity: i16,
    /// The group session that it joins, as availability knows it; empty for none.
    pub(crate) joins: String,
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

impl Ground {
    /// Whether the visit is a place in a group session.
    pub(crate) fn shared(&self) -> bool {
        self.slot.shared
    }

    /// The place that a hold keeps in a group session.
    pub(crate) fn kept_place(&self) -> Option<i16> {
        self.wanted.kept.as_ref().and_then(|kept| kept.place)
    }
}

/// Asks availability about slots; refuses with the first rule that any of them breaks.
pub(crate) async fn check(
    inner: &Inner,
    ctx: &Context,
    wanted: Vec<Wanted>,
    pointer: &str,
    channel: i32,
    ignore_owners: Vec<String>,
) -> Result<Vec<Ground>, Fault> {
    let mut faults = Faults::new();
    let one = wanted.len() == 1;
    let slots: Vec<Slot> = wanted
        .iter()
        .enumerate()
        .filter_map(|(at, wanted)| {
            let pointer = if one { pointer.to_owned() } else { format!("{pointer}/{at}") };
            wanted.slot_id.parse().map_err(|error| faults.push(pointer, "invalid_slot", format!("{error}"))).ok()
        })
        .collect();
    faults.result()?;
    let decided = wanted.iter().any(|wanted| wanted.moving.is_some() || wanted.kept.is_some());
    let request = CheckSlotsRequest {
        slot_ids: wanted.iter().map(|wanted| wanted.slot_id.clone()).collect(),
        channel,
        ignore_owners,
        decided: if decided { wanted.iter().map(Wanted::decided).collect() } else { vec![] },
    };
    let answer = inner.availability.clone().check_slots(ctx.request(request)).await?.into_inner();
    let (mut grounds, mut gone, mut changed) = (Vec::with_capacity(slots.len()), Vec::new(), Vec::new());
    let count = wanted.len();
    for ((slot, wanted), checked) in slots.into_iter().zip(wanted).zip(answer.slots) {
        match checked.refusals.first().map(|refusal| (Code::from_name(&refusal.code), &refusal.detail)) {
            Some((Some(Code::SlotTaken), _)) => gone.push(wanted),
            Some((Some(Code::SlotChanged), _)) => changed.push(wanted),
            Some((code, detail)) => return Err(Fault::new(code.unwrap_or(Code::NotOffered), detail.clone())),
            None => {
                let found = ground(slot, wanted, checked);
                grounds.push(found.ok_or_else(|| Fault::internal("availability answered half a slot"))?);
            }
        }
    }
    if !changed.is_empty() {
        return Err(lost(inner, ctx, Code::SlotChanged, &changed, channel).await);
    }
    if !gone.is_empty() {
        return Err(lost(inner, ctx, Code::SlotTaken, &gone, channel).await);
    }
    if grounds.len() != count {
        return Err(Fault::internal("availability left a slot out"));
    }
    Ok(grounds)
}

fn ground(asked: Slot, wanted: Wanted, checked: CheckedSlot) -> Option<Ground> {
    let (shown, service, claim) = (checked.slot?, checked.service?, checked.claim?);
    // A visit that keeps its length is not as long as its slot says.
    let slot: Slot = shown.slot_id.parse().ok().filter(|shown: &Slot| shown.service == asked.service)?;
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
        wanted,
        slot,
        visit: Interval::new(from_micros(shown.starts_at_us)?, from_micros(shown.ends_at_us)?)?,
        busy: interval_from_wire(claim.starts_at_us, claim.ends_at_us)?,
        capacity: i16::try_from(service.capacity.max(1)).ok()?,
        joins: checked.group_id,
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

/// A `slot_taken` or a `slot_changed` that names the slots, with the three open slots that are nearest to the first.
pub(crate) async fn lost(inner: &Inner, ctx: &Context, code: Code, slots: &[Wanted], channel: i32) -> Fault {
    let first = slots.first().cloned().unwrap_or_default();
    let moving = first.moving.map(|moving| AppointmentId::new(moving.appointment).to_string()).unwrap_or_default();
    let request = NearestSlotsRequest { slot_id: first.slot_id, limit: 3, channel, moving };
    // The alternatives are a courtesy: without them the answer is still right.
    let alternatives = match inner.availability.clone().nearest_slots(ctx.request(request)).await {
        Ok(answer) => answer.into_inner().slots,
        Err(_) => vec![],
    };
    let words = match code {
        Code::SlotChanged => {
            "the service or its location has changed since this slot was shown; `alternatives` are as it is now"
        }
        _ => "someone else has this time; `alternatives` are the nearest open slots",
    };
    let slot_ids = slots.iter().map(|wanted| wanted.slot_id.clone()).collect();
    Fault::new(code, words).with_extra(&SlotTaken { slot_ids, alternatives })
}
