//! Weekly hours on wall clocks, turned into ticks date by date.

use domain::{
    directory::{DayHours, Roster, RosterDay},
    time::{Day, WallTime},
};
use jiff::civil::{Date, Weekday};

use crate::{
    bits::Bits,
    tick::{self, Span},
    zone::Zone,
};

/// Sets the working ticks of a roster, breaks left out.
pub fn work(bits: &mut Bits, zone: &Zone, roster: &Roster) {
    let span = bits.span();
    // A shift that began the day before may reach into the first day.
    let mut date = zone.date(span.start).yesterday().unwrap_or(Date::MIN).max(roster.effective_from);
    let last = roster.effective_to.unwrap_or(Date::MAX).min(zone.date(span.end));
    let first_monday = monday(roster.effective_from);
    while date <= last {
        let day = Day::from(date.weekday());
        let weeks = (monday(date) - first_monday).get_days() / 7;
        let week = u32::try_from(weeks).unwrap_or(0) % roster.cycle_weeks.max(1) + 1;
        let today = |shift: &&RosterDay| shift.day == day && shift.week.is_none_or(|wanted| wanted == week);
        for shift in roster.weekly.iter().filter(today) {
            set_shift(bits, zone, date, shift);
        }
        let Ok(next) = date.tomorrow() else { return };
        date = next;
    }
}

fn set_shift(bits: &mut Bits, zone: &Zone, date: Date, shift: &RosterDay) {
    // Breaks are cut out of this shift only: another one may overlap it and work through.
    let mut pieces = vec![stretch(zone, date, shift.from, shift.to)];
    for pause in &shift.breaks {
        // A break of an overnight shift that begins before the shift's own start is after midnight.
        let on = if pause.from < shift.from { date.tomorrow().unwrap_or(date) } else { date };
        let pause = stretch(zone, on, pause.from, pause.to);
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

/// The whole ticks between two wall-clock times; an end at or before the start is on the next day.
fn stretch(zone: &Zone, date: Date, from: WallTime, to: WallTime) -> Span {
    let ends_on = if to <= from { date.tomorrow().unwrap_or(date) } else { date };
    Span::new(tick::ceil(zone.instant(date, from)), tick::floor(zone.instant(ends_on, to)))
}

/// Keeps only the ticks within opening hours; none given means always open.
pub fn open(bits: &mut Bits, zone: &Zone, hours: &[DayHours]) {
    if hours.is_empty() {
        return;
    }
    let mut doors = Bits::new(bits.span());
    let mut date = zone.date(bits.span().start);
    let last = zone.date(bits.span().end);
    while date <= last {
        let day = Day::from(date.weekday());
        for open in hours.iter().filter(|open| open.day == day) {
            doors.set(stretch(zone, date, open.from, open.to));
        }
        let Ok(next) = date.tomorrow() else { break };
        date = next;
    }
    bits.and(&doors);
}

fn monday(date: Date) -> Date {
    let back = i64::from(date.weekday().since(Weekday::Monday));
    date.checked_sub(jiff::Span::new().days(back)).unwrap_or(Date::MIN)
}
