//! What booking must know to lay the claims of slots, and every rule that refuses them.

use calendar::{Span, tick};
use domain::{
    fault::Faults,
    id::{AppointmentId, EquipmentId, GroupId, HoldId, RoomId},
    slot::Slot,
};
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::{
    availability::{self, CheckSlotsRequest, CheckSlotsResponse, CheckedSlot, Decided, EquipmentUnit, Refusal},
    common::{BookingChannel, Interval},
    convert::{claim::interval_from_wire, directory::service_to_wire},
};

use super::{
    checks::{self, Kept, Terms},
    query::shown,
};
use crate::{Inner, index::Model, occupancy::Projection};

const SLOTS_MAX: usize = 200;
const CANDIDATES_MAX: usize = 8;

pub(crate) fn check(inner: &Inner, ctx: &Context, request: &CheckSlotsRequest) -> Result<CheckSlotsResponse, Fault> {
    let mut faults = Faults::new();
    faults.check(request.slot_ids.len() <= SLOTS_MAX, "/slot_ids", "too_many", "at most 200 slots");
    let slots: Vec<Slot> = request
        .slot_ids
        .iter()
        .filter_map(|text| {
            text.parse().map_err(|error| faults.push("/slot_ids", "invalid_slot", format!("{error}"))).ok()
        })
        .collect();
    faults.result()?;
    let now = inner.clock.now();
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let model = org.model(now).ok_or_else(Fault::not_found)?;
    let projection = org.projection(now);
    let ignored: Vec<Uuid> = request.ignore_owners.iter().filter_map(|text| owner(text)).collect();
    let online = request.channel != BookingChannel::Staff as i32;
    let ignored = projection.with_own_sessions(&ignored);
    let terms = |at: usize| terms(request.decided.get(at), &ignored);
    let slots = slots.iter().enumerate().map(|(at, slot)| one(&model, &projection, slot, terms(at), online, now));
    Ok(CheckSlotsResponse { slots: slots.collect() })
}

/// What is decided of a slot's visit already.
fn terms<'a>(decided: Option<&Decided>, ignored: &'a [Uuid]) -> Terms<'a> {
    let Some(decided) = decided else { return Terms { ignored, ..Terms::default() } };
    let minutes = Some(decided.minutes).filter(|minutes| *minutes > 0);
    Terms { ignored, minutes, kept: decided.kept.as_ref().and_then(kept) }
}

fn kept(kept: &availability::Kept) -> Option<Kept> {
    let claim = kept.claim?;
    let unit = kept.unit.as_ref().and_then(|unit| {
        let id = unit.equipment_id.parse::<EquipmentId>().ok()?;
        Some((id.uuid(), i16::try_from(unit.unit).ok()?))
    });
    Some(Kept {
        claim: Span::touching(interval_from_wire(claim.starts_at_us, claim.ends_at_us)?),
        room: kept.room_id.parse::<RoomId>().ok().map(RoomId::uuid),
        unit,
    })
}

fn one(
    model: &Model,
    projection: &Projection,
    slot: &Slot,
    terms: Terms<'_>,
    online: bool,
    now: jiff::Timestamp,
) -> CheckedSlot {
    let Some(ground) = checks::ground(model, projection, slot, terms) else {
        return CheckedSlot {
            refusals: vec![refusal(Code::NotOffered, "this is no longer offered; search again")],
            ..CheckedSlot::default()
        };
    };
    let broken = ground.rules(slot, online, now).into_iter().filter(|rule| !rule.passed).map(|rule| rule.code);
    let broken = ground.differs(slot).then_some(Code::SlotChanged).into_iter().chain(broken);
    let minutes = u16::try_from(ground.minutes).unwrap_or(u16::MAX);
    let visit = Slot { minutes, shared: ground.shared, ..*slot };
    CheckedSlot {
        refusals: broken.map(|code| refusal(code, words(code))).collect(),
        slot: Some(shown(&visit, ground.place, &ground.person.shown_id, ground.places_left())),
        service: Some(service_to_wire(ground.service)),
        claim: Some(Interval {
            starts_at_us: tick::instant(ground.claim.start).as_microsecond(),
            ends_at_us: tick::instant(ground.claim.end).as_microsecond(),
        }),
        room_ids: ground.rooms().iter().take(CANDIDATES_MAX).map(|(id, _)| RoomId::new(*id).to_string()).collect(),
        equipment: ground
            .units()
            .iter()
            .take(CANDIDATES_MAX)
            .map(|(id, unit, _)| EquipmentUnit {
                equipment_id: EquipmentId::new(*id).to_string(),
                unit: u32::from(unit.unsigned_abs()),
            })
            .collect(),
        limits: ground.limits(),
        group_id: ground.group_id().map(|id| GroupId::new(id).to_string()).unwrap_or_default(),
    }
}

fn refusal(code: Code, detail: &str) -> Refusal {
    Refusal { code: code.as_str().to_owned(), detail: detail.to_owned() }
}

/// What to do about a broken rule.
fn words(code: Code) -> &'static str {
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

fn owner(text: &str) -> Option<Uuid> {
    let appointment = text.parse::<AppointmentId>().map(AppointmentId::uuid);
    let hold = || text.parse::<HoldId>().map(HoldId::uuid);
    appointment.or_else(|_| hold()).or_else(|_| text.parse::<GroupId>().map(GroupId::uuid)).ok()
}
