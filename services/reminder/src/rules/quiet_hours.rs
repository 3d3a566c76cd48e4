//! Quiet hours: the instants that they cover, by the location's clock. No I/O.

use domain::time::WallTime;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

use super::QuietHours;

/// How long before the quiet hours a message leaves that cannot wait for their end, in microseconds.
const LEAD_US: i64 = 5 * 60_000_000;

/// The quiet interval `[from, to)` around an instant, in microseconds.
pub(crate) fn interval(quiet: QuietHours, at_us: i64, zone: &TimeZone) -> Option<(i64, i64)> {
    let today = Timestamp::from_microsecond(at_us).ok()?.to_zoned(zone.clone()).date();
    // An interval that spans midnight may have begun yesterday.
    [today.yesterday().ok()?, today].into_iter().find_map(|day| {
        let ends_on = if quiet.from < quiet.to { day } else { day.tomorrow().ok()? };
        let (from, to) = (instant(day, quiet.from, zone)?, instant(ends_on, quiet.to, zone)?);
        (from..to).contains(&at_us).then_some((from, to))
    })
}

/// The instant at which a message that is due at `due_at_us` leaves: the end of the quiet hours, or shortly before them
/// when the appointment starts earlier.
pub(crate) fn before_start(quiet: Option<QuietHours>, due_at_us: i64, starts_at_us: i64, zone: &TimeZone) -> i64 {
    match quiet.and_then(|quiet| interval(quiet, due_at_us, zone)) {
        Some((_, to)) if to < starts_at_us => to,
        Some((from, _)) => from - LEAD_US,
        None => due_at_us,
    }
}

/// The instant at which a message about an event leaves: the end of the quiet hours, or at once when the appointment
/// starts earlier, since a message cannot leave before its event.
pub(crate) fn after_event(quiet: Option<QuietHours>, due_at_us: i64, starts_at_us: i64, zone: &TimeZone) -> i64 {
    match quiet.and_then(|quiet| interval(quiet, due_at_us, zone)) {
        Some((_, to)) if to < starts_at_us => to,
        _ => due_at_us,
    }
}

/// The instant of a wall-clock time: in a gap it moves forward by the gap, in a fold the earlier one counts.
fn instant(date: Date, time: WallTime, zone: &TimeZone) -> Option<i64> {
    let at = date.at(0, 0, 0, 0).checked_add(i64::from(time.minutes()).minutes()).ok()?;
    Some(at.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    fn quiet(from: &str, to: &str) -> Option<QuietHours> {
        Some(QuietHours { from: from.parse().unwrap(), to: to.parse().unwrap() })
    }

    fn edmonton() -> TimeZone {
        domain::time::zone("America/Edmonton").unwrap()
    }

    #[test]
    fn quiet_hours_end_at_the_locations_own_eight_o_clock_on_both_sides_of_a_clock_change() {
        let zone = edmonton();
        // 23:00 on the evening before the clocks go forward; 08:00 is one hour earlier in UTC after it.
        let due = us("2026-03-08T06:00:00Z");
        let start = us("2026-03-08T20:00:00Z");
        assert_eq!(before_start(quiet("21:00", "08:00"), due, start, &zone), us("2026-03-08T14:00:00Z"));
        let due = us("2026-03-07T06:00:00Z");
        assert_eq!(before_start(quiet("21:00", "08:00"), due, start, &zone), us("2026-03-07T15:00:00Z"));
        // 07:59 is quiet, 08:00 is not.
        let end = us("2026-03-08T14:00:00Z");
        assert_eq!(before_start(quiet("21:00", "08:00"), end - 60_000_000, start, &zone), end);
        assert_eq!(before_start(quiet("21:00", "08:00"), end, start, &zone), end);
    }

    #[test]
    fn a_message_that_cannot_wait_leaves_before_quiet_hours_or_at_once() {
        let zone = edmonton();
        let start = us("2026-06-10T13:00:00Z"); // 07:00
        let due = us("2026-06-10T11:00:00Z"); // 05:00
        let evening = us("2026-06-10T02:55:00Z"); // 20:55
        assert_eq!(before_start(quiet("21:00", "08:00"), due, start, &zone), evening);
        assert_eq!(after_event(quiet("21:00", "08:00"), due, start, &zone), due);
        assert_eq!(after_event(quiet("21:00", "06:00"), due, start, &zone), us("2026-06-10T12:00:00Z"));
    }

    #[test]
    fn hours_within_one_day_do_not_reach_into_the_night() {
        let zone = edmonton();
        let noon = us("2026-06-10T18:30:00Z"); // 12:30
        let start = us("2026-06-11T18:00:00Z");
        assert_eq!(before_start(quiet("12:00", "13:00"), noon, start, &zone), us("2026-06-10T19:00:00Z"));
        let night = us("2026-06-10T08:00:00Z");
        assert_eq!(before_start(quiet("12:00", "13:00"), night, start, &zone), night);
        assert_eq!(
            before_start(quiet("20:00", "24:00"), us("2026-06-10T05:00:00Z"), start, &zone),
            us("2026-06-10T06:00:00Z")
        );
        assert_eq!(before_start(None, night, start, &zone), night);
    }
}
