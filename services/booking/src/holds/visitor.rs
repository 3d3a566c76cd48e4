//! The limits of the holds that front ends make for their visitors.

use std::time::Duration;

use rpc::{Code, Context, Fault, Visitor};
use uuid::Uuid;

use crate::{
    config::Holds,
    slots::check::CheckedSlot,
    store::visitors::{HeldSlot, HoldLimit, VisitorHold},
};

/// The part of a batch that stores a visitor's hold and keeps its limits. `hold` is its id and its expiry.
pub(super) fn hold(
    limits: &Holds,
    ctx: &Context,
    visitor: &Visitor,
    (hold_id, expires_at_us): (Uuid, i64),
    slots: &[CheckedSlot],
) -> VisitorHold {
    VisitorHold {
        hold_id,
        caller: ctx.caller.clone(),
        visitor: visitor.to_string(),
        expires_at_us,
        holds_max: i64::from(limits.per_visitor),
        slots: slots.iter().map(|slot| held_slot(limits, slot)).collect(),
    }
}

fn held_slot(limits: &Holds, slot: &CheckedSlot) -> HeldSlot {
    let day = slot.day.unwrap_or_default();
    let (starts_at_us, ends_at_us) = (slot.busy.start().as_microsecond(), slot.busy.end().as_microsecond());
    let minutes = (ends_at_us - starts_at_us) / 60_000_000;
    let places = if slot.is_shared() { i64::from(slot.capacity.max(1)) } else { 1 };
    HeldSlot {
        practitioner_id: slot.slot.practitioner.uuid(),
        starts_at_us,
        ends_at_us,
        location_id: slot.slot.location.uuid(),
        day_us: day.starts_at_us,
        minutes: (minutes + places - 1) / places,
        minutes_max: i64::from(day.open_minutes) * i64::from(limits.share_percent) / 100,
    }
}

/// The fault of a hold beyond a limit.
pub(super) fn refused(limit: HoldLimit, until_us: i64, now_us: i64) -> Fault {
    let (name, detail) = match limit {
        HoldLimit::Visitor => ("visitor_holds", "you hold as much as one visitor may; book or release a hold first"),
        HoldLimit::Slot => ("same_slot", "you have just held this time; book it without a hold, or hold it later"),
        HoldLimit::Share => ("key_share", "too much of this day is held at this location; try again when a hold ends"),
    };
    metrics::counter!("bookings_limited_total", "limit" => name).increment(1);
    let wait_us = until_us.saturating_sub(now_us).max(0).unsigned_abs();
    Fault::new(Code::HoldLimit, detail).retry_after(Duration::from_secs(wait_us.div_ceil(1_000_000).max(1)))
}
