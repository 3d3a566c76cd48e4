//! The open time of a location on the day of a slot.

use calendar::{Span, tick};
use domain::slot::Slot;
use wire::availability::LocationDay;

use crate::{
    index::{Index, Shift},
    occupancy::Occupancy,
};

/// The day of a slot at its location; `None` where the location is not in use.
///
/// Holds do not shorten the open time: otherwise each hold would make the share of the next one smaller, and a limit that is
/// computed before a hold is known would allow more than one that is computed after it.
pub(super) fn location_day(index: &Index, occupancy: &Occupancy, slot: &Slot) -> Option<LocationDay> {
    let (number, location) = index.location(slot.location.uuid())?;
    let date = location.zone.date(tick::floor(slot.starts_at));
    let day = location.zone.dates(date, date);
    let shifts = index.shifts.iter().filter(|shift| shift.location == number);
    let ticks: usize = shifts.map(|shift| open_ticks(index, occupancy, shift, day)).sum();
    let minutes = ticks.saturating_mul(usize::try_from(tick::MINUTES).unwrap_or(0));
    Some(LocationDay {
        starts_at_us: tick::instant(day.start).as_microsecond(),
        open_minutes: u32::try_from(minutes).unwrap_or(u32::MAX),
    })
}

/// The number of ticks of a day in which a practitioner works and has no appointment.
fn open_ticks(index: &Index, occupancy: &Occupancy, shift: &Shift, day: Span) -> usize {
    let works = |ticks: Span| (ticks.start..ticks.end).filter(|tick| shift.roster().get(*tick)).count();
    let practitioner = index.practitioners[shift.practitioner as usize].id;
    let booked: usize = occupancy.booked(practitioner, day).map(works).sum();
    works(day).saturating_sub(booked)
}
