//! Checks slots with availability before they are reserved.

use domain::{
    fault::Faults,
    id::{AppointmentId, EquipmentId, LocationId, RoomId, ServiceId},
    slot::Slot,
    time::{Interval, from_micros},
};
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::{
    availability::{self, CheckSlotsRequest, Decided, EquipmentUnit, LocationDay, NearestSlotsRequest},
    booking::SlotTaken,
    convert::claim::{interval_from_wire, interval_to_wire},
};

use crate::{
    Inner,
    store::{appointments::AppointmentRow, batch::Limit},
};

/// A slot to book or hold, and what is decided of its appointment already.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SlotRequest {
    pub(crate) slot_id: String,
    /// The appointment that moves to the slot.
    pub(crate) moving: Option<MovingAppointment>,
    /// The resources that a hold keeps for the slot.
    pub(crate) held: Option<HeldResources>,
    /// Whether the day of the slot is asked for.
    pub(crate) with_day: bool,
}

/// An appointment that moves. It keeps its length, whatever its service says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MovingAppointment {
    pub(crate) id: Uuid,
    pub(crate) minutes: u32,
}

/// The resources that a hold keeps for one slot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeldResources {
    /// The practitioner's time.
    pub(crate) busy: Interval,
    pub(crate) room: Option<Uuid>,
    /// The equipment pool and the unit of it.
    pub(crate) unit: Option<(Uuid, i16)>,
    /// The place in a group session.
    pub(crate) place: Option<i16>,
}

impl SlotRequest {
    /// A slot of which nothing is decided.
    pub(crate) fn new(slot_id: &str) -> Self {
        Self { slot_id: slot_id.to_owned(), ..Self::default() }
    }

    fn decided(&self) -> Decided {
        Decided {
            minutes: self.moving.map_or(0, |moving| moving.minutes),
            kept: self.held.as_ref().map(|held| availability::Kept {
                claim: Some(interval_to_wire(held.busy)),
                room_id: held.room.map(|room| RoomId::new(room).to_string()).unwrap_or_default(),
                unit: held.unit.map(|(pool, unit)| EquipmentUnit {
                    equipment_id: EquipmentId::new(pool).to_string(),
                    unit: u32::from(unit.unsigned_abs()),
                }),
            }),
        }
    }
}

impl MovingAppointment {
    pub(crate) fn of(row: &AppointmentRow) -> Self {
        let minutes = (row.ends_at_us - row.starts_at_us) / 60_000_000;
        Self { id: row.id, minutes: u32::try_from(minutes).unwrap_or(0) }
    }
}

/// A slot that availability allows: its times, and the resources to choose from.
#[derive(Debug, Clone)]
pub(crate) struct CheckedSlot {
    pub(crate) request: SlotRequest,
    pub(crate) slot: Slot,
    pub(crate) wire: availability::Slot,
    /// The appointment itself.
    pub(crate) interval: Interval,
    /// The appointment with preparation and clean-up.
    pub(crate) busy: Interval,
    pub(crate) capacity: i16,
    /// The group session that availability knows at this slot; empty for none.
    pub(crate) group_id: String,
    pub(crate) needling: bool,
    /// The service of which the patient must have had an appointment before.
    pub(crate) requires_prior: Option<Uuid>,
    /// Rooms to choose from, best first; empty where none is needed.
    pub(crate) rooms: Vec<Uuid>,
    /// Equipment units to choose from, best first; empty where none is needed.
    pub(crate) units: Vec<(Uuid, i16)>,
    pub(crate) time_zone: String,
    /// The day of the slot, where it was asked for.
    pub(crate) day: Option<LocationDay>,
    /// Limits on the practitioner's claims after the booking.
    pub(crate) limits: Vec<Limit>,
}

impl CheckedSlot {
    /// Whether the appointment is a place in a group session.
    pub(crate) fn is_shared(&self) -> bool {
        self.slot.shared
    }

    /// The place that a hold keeps in a group session.
    pub(crate) fn held_place(&self) -> Option<i16> {
        self.request.held.as_ref().and_then(|held| held.place)
    }
}

/// Checks slots with availability.
///
/// # Errors
/// `validation_failed` for malformed slot ids; `slot_changed` and `slot_taken` with alternatives; otherwise the code of
/// the first rule that a slot breaks.
pub(crate) async fn check(
    inner: &Inner,
    ctx: &Context,
    requests: Vec<SlotRequest>,
    pointer: &str,
    channel: i32,
    ignore_owners: Vec<String>,
) -> Result<Vec<CheckedSlot>, Fault> {
    let slots = parse(&requests, pointer)?;
    let is_decided = requests.iter().any(|request| request.moving.is_some() || request.held.is_some());
    let message = CheckSlotsRequest {
        slot_ids: requests.iter().map(|request| request.slot_id.clone()).collect(),
        channel,
        ignore_owners,
        with_day: requests.iter().any(|request| request.with_day),
        decided: if is_decided { requests.iter().map(SlotRequest::decided).collect() } else { vec![] },
    };
    let answer = inner.availability.clone().check_slots(ctx.request(message)).await?.into_inner();
    let count = requests.len();
    let (mut checked, mut taken, mut changed) = (Vec::with_capacity(count), Vec::new(), Vec::new());
    for ((slot, request), answer) in slots.into_iter().zip(requests).zip(answer.slots) {
        match answer.refusals.first().map(|refusal| (Code::from_name(&refusal.code), &refusal.detail)) {
            Some((Some(Code::SlotTaken), _)) => taken.push(request),
            Some((Some(Code::SlotChanged), _)) => changed.push(request),
            Some((code, detail)) => return Err(Fault::new(code.unwrap_or(Code::NotOffered), detail.clone())),
            None => {
                let slot = checked_slot(slot, request, answer);
                checked.push(slot.ok_or_else(|| Fault::internal("availability answered an incomplete slot"))?);
            }
        }
    }
    if !changed.is_empty() {
        return Err(unavailable(inner, ctx, Code::SlotChanged, &changed, channel).await);
    }
    if !taken.is_empty() {
        return Err(unavailable(inner, ctx, Code::SlotTaken, &taken, channel).await);
    }
    if checked.len() != count {
        return Err(Fault::internal("availability answered fewer slots than it was asked about"));
    }
    Ok(checked)
}

/// Checks one slot.
pub(crate) async fn check_one(
    inner: &Inner,
    ctx: &Context,
    request: SlotRequest,
    channel: i32,
    ignore_owners: Vec<String>,
) -> Result<CheckedSlot, Fault> {
    let mut checked = check(inner, ctx, vec![request], "/slot_id", channel, ignore_owners).await?;
    checked.pop().ok_or_else(|| Fault::internal("availability answered no slot"))
}

fn parse(requests: &[SlotRequest], pointer: &str) -> Result<Vec<Slot>, Fault> {
    let mut faults = Faults::new();
    let slots = requests.iter().enumerate().filter_map(|(at, request)| {
        let pointer = if requests.len() == 1 { pointer.to_owned() } else { format!("{pointer}/{at}") };
        request.slot_id.parse().map_err(|error| faults.push(pointer, "invalid_slot", format!("{error}"))).ok()
    });
    let slots = slots.collect();
    faults.result()?;
    Ok(slots)
}

fn checked_slot(requested: Slot, request: SlotRequest, answer: availability::CheckedSlot) -> Option<CheckedSlot> {
    let (wire, service, claim) = (answer.slot?, answer.service?, answer.claim?);
    // An appointment that keeps its length is not as long as its slot says.
    let slot: Slot = wire.slot_id.parse().ok().filter(|slot: &Slot| slot.service == requested.service)?;
    let rooms = answer.room_ids.iter().map(|id| id.parse::<RoomId>().map(Into::into));
    let units = answer.equipment.iter().map(|unit| {
        let id = unit.equipment_id.parse::<EquipmentId>().ok()?;
        Some((id.uuid(), i16::try_from(unit.unit).ok()?))
    });
    let requires_prior = match service.requires_prior.as_str() {
        "" => None,
        text => Some(text.parse::<ServiceId>().ok()?.uuid()),
    };
    Some(CheckedSlot {
        request,
        slot,
        interval: Interval::new(from_micros(wire.starts_at_us)?, from_micros(wire.ends_at_us)?)?,
        busy: interval_from_wire(claim.starts_at_us, claim.ends_at_us)?,
        capacity: i16::try_from(service.capacity.max(1)).ok()?,
        group_id: answer.group_id,
        needling: service.needling,
        requires_prior,
        rooms: rooms.collect::<Result<_, _>>().ok()?,
        units: units.collect::<Option<_>>()?,
        time_zone: wire.time_zone.clone(),
        day: answer.day,
        limits: answer.limits.iter().map(|limit| limit_from_wire(slot, limit)).collect::<Option<_>>()?,
        wire,
    })
}

fn limit_from_wire(slot: Slot, limit: &availability::Limit) -> Option<Limit> {
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

/// The fault `slot_taken` or `slot_changed`: it names the slots and the three open slots that are nearest to the first.
pub(crate) async fn unavailable(
    inner: &Inner,
    ctx: &Context,
    code: Code,
    slots: &[SlotRequest],
    channel: i32,
) -> Fault {
    let first = slots.first().cloned().unwrap_or_default();
    let moving = first.moving.map(|moving| AppointmentId::new(moving.id).to_string()).unwrap_or_default();
    let request = NearestSlotsRequest { slot_id: first.slot_id, limit: 3, channel, moving };
    // The alternatives are a courtesy: without them the answer is still right.
    let alternatives = match inner.availability.clone().nearest_slots(ctx.request(request)).await {
        Ok(answer) => answer.into_inner().slots,
        Err(_) => vec![],
    };
    let detail = match code {
        Code::SlotChanged => {
            "the service or its location has changed since this slot was shown; `alternatives` are as it is now"
        }
        _ => "someone else has this time; `alternatives` are the nearest open slots",
    };
    let slot_ids = slots.iter().map(|slot| slot.slot_id.clone()).collect();
    Fault::new(code, detail).with_extra(&SlotTaken { slot_ids, alternatives })
}
