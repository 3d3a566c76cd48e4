//! Weekly wall-clock hours, turned into ticks date by date.

use domain::{
    directory::{DayHours, Roster, RosterDay},
    time::{Day, WallTime},
};
use jiff::{
    Timestamp,
    civil::{Date, Weekday},
};

use crate::{
    bits::Bits,
    tick::{self, Span},
    zone::Zone,
};

/// Sets the working ticks of a roster without its breaks.
///
/// A shift belongs to the date on which it begins. A date that the zone skips (Apia had no 30 December 2011) has no
/// shifts.
pub fn set_working_hours(bits: &mut Bits, zone: &Zone, roster: &Roster) {
    let first_monday = monday(roster.effective_from);
    for date in dates(zone, bits.span()) {
        if date < roster.effective_from || roster.effective_to.is_some_and(|last| last < date) {
            continue;
        }
        let day = Day::from(date.weekday());
        let weeks = (monday(date) - first_monday).get_days() / 7;
        let week = u32::try_from(weeks).unwrap_or(0) % roster.cycle_weeks.max(1) + 1;
        let today = |shift: &&RosterDay| shift.day == day && shift.week.is_none_or(|wanted| wanted == week);
        for shift in roster.weekly.iter().filter(today) {
            set_shift(bits, zone, date, shift);
        }
    }
}

fn set_shift(bits: &mut Bits, zone: &Zone, date: Date, shift: &RosterDay) {
    // A break belongs to its own shift: an overlapping shift may work through it.
    let mut pieces = vec![whole_ticks(interval(zone, date, shift.from, shift.to))];
    for pause in &shift.breaks {
        // A break of an overnight shift that begins before the shift's own start is after midnight.
        let on = if pause.from < shift.from { date.tomorrow().unwrap_or(date) } else { date };
        let pause = touched_ticks(interval(zone, on, pause.from, pause.to));
        if pause.is_empty() {
            continue;
        }
        pieces = pieces
            .into_iter()
            .flat_map(|piece| {
                [Span::new(piece.start, piece.end.min(pause.start)), Span::new(piece.start.max(pause.end), piece.end)]
            })
            .filter(|piece| !piece.is_empty())
            .collect();
    }
    for piece in pieces {
        bits.set(piece);
    }
}

/// The instants of two wall-clock times; an end at or before the start is on the next day. Where a clock change skips
/// the whole interval, the second instant is not after the first.
fn interval(zone: &Zone, date: Date, from: WallTime, to: WallTime) -> (Timestamp, Timestamp) {
    let ends_on = if to <= from { date.tomorrow().unwrap_or(date) } else { date };
    (zone.instant(date, from), zone.instant(ends_on, to))
}

/// The ticks that lie wholly within an interval: working time.
fn whole_ticks((from, to): (Timestamp, Timestamp)) -> Span {
    Span::new(tick::ceil(from), tick::floor(to))
}

/// The ticks that an interval touches: a break.
fn touched_ticks((from, to): (Timestamp, Timestamp)) -> Span {
    if from < to { Span::new(tick::floor(from), tick::ceil(to)) } else { Span::new(0, 0) }
}

/// Keeps only the ticks within opening hours; a location without opening hours is always open.
pub fn keep_opening_hours(bits: &mut Bits, zone: &Zone, hours: &[DayHours]) {
    if hours.is_empty() {
        return;
    }
    let mut opening = Bits::new(bits.span());
    for date in dates(zone, bits.span()) {
        let day = Day::from(date.weekday());
        for open in hours.iter().filter(|open| open.day == day) {
            opening.set(whole_ticks(interval(zone, date, open.from, open.to)));
        }
    }
    bits.and(&opening);
}

/// The dates whose hours may reach into these ticks, without the dates that the zone skips.
fn dates(zone: &Zone, span: Span) -> impl Iterator<Item = Date> {
    // A shift of the previous day may reach into the first day, and the zone may skip the day before that one. Where
    // the clock goes back over midnight, a later date than the last tick's has begun.
    let first = zone.date(span.start).saturating_sub(jiff::Span::new().days(2));
    let last = zone.date(span.end).saturating_add(jiff::Span::new().days(1));
    let next = |date: &Date| date.tomorrow().ok();
    std::iter::successors(Some(first), next)
        .take_while(move |date| *date <= last)
        .filter(move |date| !zone.dates(*date, *date).is_empty())
}

fn monday(date: Date) -> Date {
    let back = i64::from(date.weekday().since(Weekday::Monday));
    date.checked_sub(jiff::Span::new().days(back)).unwrap_or(Date::MIN)
}
