//! `CheckSlots`: the claims that booking needs for some slots, and every check that refuses one.

use calendar::{Span, tick};
use domain::{
    fault::Faults,
    id::{AppointmentId, EquipmentId, GroupId, HoldId, RoomId},
    slot::Slot,
};
use jiff::Timestamp;
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::{
    availability::{
        self as proto, CheckSlotsRequest, CheckSlotsResponse, CheckedSlot, Decided, EquipmentUnit, Refusal,
    },
    common::Interval,
    convert::{claim::interval_from_wire, directory::service_to_wire},
};

use super::{
    checks::{CheckOptions, HeldClaims, SlotFacts},
    location_day::location_day,
    query::slot_to_wire,
    request::is_online,
};
use crate::{Inner, index::Index, occupancy::Occupancy};

const SLOTS_MAX: usize = 200;
/// The most rooms, and the most units of equipment, that are offered to booking for a slot.
const CANDIDATES_MAX: usize = 8;

pub(crate) fn check(inner: &Inner, ctx: &Context, request: &CheckSlotsRequest) -> Result<CheckSlotsResponse, Fault> {
    let mut faults = Faults::new();
    let detail = format!("at most {SLOTS_MAX} slots");
    faults.check(request.slot_ids.len() <= SLOTS_MAX, "/slot_ids", "too_many", detail);
    let slots: Vec<Slot> = request
        .slot_ids
        .iter()
        .filter_map(|text| {
            text.parse().map_err(|error| faults.push("/slot_ids", "invalid_slot", format!("{error}"))).ok()
        })
        .collect();
    faults.result()?;
    let now = inner.clock.now();
    let organisation = inner.organisations.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let index = organisation.index(now).ok_or_else(Fault::not_found)?;
    let occupancy = organisation.occupancy(now);
    let ignored: Vec<Uuid> = request.ignore_owners.iter().filter_map(|text| owner_id(text)).collect();
    let ignored = occupancy.with_emptied_sessions(&ignored);
    let online = is_online(request.channel);
    let checked = slots.iter().enumerate().map(|(at, slot)| {
        let options = check_options(request.decided.get(at), &ignored);
        let checked = check_slot(&index, &occupancy, slot, options, online, now);
        let day = if request.with_day { location_day(&index, &occupancy, slot) } else { None };
        CheckedSlot { day, ..checked }
    });
    Ok(CheckSlotsResponse { slots: checked.collect() })
}

fn check_options<'a>(decided: Option<&Decided>, ignored: &'a [Uuid]) -> CheckOptions<'a> {
    let Some(decided) = decided else { return CheckOptions { ignored, ..CheckOptions::default() } };
    let minutes = Some(decided.minutes).filter(|minutes| *minutes > 0);
    CheckOptions { ignored, minutes, held: decided.kept.as_ref().and_then(held_claims) }
}

fn held_claims(kept: &proto::Kept) -> Option<HeldClaims> {
    let claim = kept.claim?;
    let unit = kept.unit.as_ref().and_then(|unit| {
        let id = unit.equipment_id.parse::<EquipmentId>().ok()?;
        Some((id.uuid(), i16::try_from(unit.unit).ok()?))
    });
    Some(HeldClaims {
        claim: Span::touching(interval_from_wire(claim.starts_at_us, claim.ends_at_us)?),
        room: kept.room_id.parse::<RoomId>().ok().map(RoomId::uuid),
        unit,
    })
}

fn check_slot(
    index: &Index,
    occupancy: &Occupancy,
    slot: &Slot,
    options: CheckOptions<'_>,
    online: bool,
    now: Timestamp,
) -> CheckedSlot {
    let Some(facts) = SlotFacts::gather(index, occupancy, slot, options) else {
        return CheckedSlot {
            refusals: vec![refusal(Code::NotOffered, "this is no longer offered; search again")],
            ..CheckedSlot::default()
        };
    };
    let failed = facts.checks(slot, online, now).into_iter().filter(|check| !check.passed).map(|check| check.code);
    let failed = facts.differs_from(slot).then_some(Code::SlotChanged).into_iter().chain(failed);
    let minutes = u16::try_from(facts.minutes).unwrap_or(u16::MAX);
    let visit = Slot { minutes, shared: facts.shared, ..*slot };
    let (rooms, units) = (facts.rooms(), facts.units());
    CheckedSlot {
        refusals: failed.map(|code| refusal(code, remedy(code))).collect(),
        slot: Some(slot_to_wire(&visit, facts.location, &facts.practitioner.public_id, facts.places_left())),
        service: Some(service_to_wire(facts.service)),
        claim: Some(Interval {
            starts_at_us: tick::instant(facts.claim.start).as_microsecond(),
            ends_at_us: tick::instant(facts.claim.end).as_microsecond(),
        }),
        room_ids: rooms.iter().take(CANDIDATES_MAX).map(|(id, _)| RoomId::new(*id).to_string()).collect(),
        equipment: units
            .iter()
            .take(CANDIDATES_MAX)
            .map(|(id, unit, _)| EquipmentUnit {
                equipment_id: EquipmentId::new(*id).to_string(),
                unit: u32::from(unit.unsigned_abs()),
            })
            .collect(),
        limits: facts.limits(),
        group_id: facts.group_id().map(|id| GroupId::new(id).to_string()).unwrap_or_default(),
        day: None,
    }
}

fn refusal(code: Code, detail: &str) -> Refusal {
    Refusal { code: code.as_str().to_owned(), detail: detail.to_owned() }
}

/// The public text of a refusal: the reason, and what to do about it.
fn remedy(code: Code) -> &'static str {
    match code {
        Code::SlotChanged => "the service has changed since this slot was shown; choose another slot",
        Code::NotOffered => "this cannot be booked online; call the clinic",
        Code::MinNotice => "the start is past or too near; choose a later one",
        Code::BeyondHorizon => "the start is too far ahead; choose an earlier one",
        Code::LocationClosed => "the location is closed on that day; choose another day",
        Code::OutsideRoster => {
            "the practitioner does not work there for the whole visit, or no visit starts at this minute; choose a slot that search shows"
        }
        Code::CertificateMissing => {
            "the practitioner lacks the certificate that the service needs; choose another practitioner"
        }
        Code::CertificateExpired => {
            "the practitioner's certificate is not valid on that day; choose another practitioner or day"
        }
        Code::DailyCap => "the practitioner's day has no room for one more such visit; choose another day",
        Code::WeeklyCap => "the practitioner's week has no room for one more such visit; choose another week",
        Code::TravelTime => {
            "the practitioner is at another location too shortly before or after; choose a slot that search shows"
        }
        _ => "someone else has this time; choose another slot",
    }
}

/// The id of an owner of claims: an appointment, a hold or a group session.
fn owner_id(text: &str) -> Option<Uuid> {
    let appointment = text.parse::<AppointmentId>().map(AppointmentId::uuid);
    let hold = || text.parse::<HoldId>().map(HoldId::uuid);
    appointment.or_else(|_| hold()).or_else(|_| text.parse::<GroupId>().map(GroupId::uuid)).ok()
}
