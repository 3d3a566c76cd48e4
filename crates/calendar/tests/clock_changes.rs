//! Rosters and searches on the days when clocks change: a table that can be checked by hand.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use calendar::{
    Bits, Span, Zone, roster,
    search::{Answer, Candidate, HiddenBy, Location, Query, Scratch, fits, search},
    tick,
};
use domain::{
    directory::{DayHours, Roster, RosterDay, WallInterval},
    id::LocationId,
    time::{Day, WallTime},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// The documented table is the test's data.
const TABLE: &str = include_str!("../CLOCK_CHANGES.md");

fn wall(text: &str) -> WallTime {
    text.parse().unwrap()
}

fn at(text: &str) -> tick::Tick {
    tick::floor(text.parse::<Timestamp>().unwrap())
}

/// The same hours on every day from `date` on, for so many days.
fn daily(date: &str, days: i64, hours: &str, breaks: &[&str]) -> Roster {
    let halves = |text: &str| text.split_once('-').map(|(from, to)| (wall(from), wall(to))).unwrap();
    let (from, to) = halves(hours);
    let breaks = breaks.iter().map(|text| halves(text)).map(|(from, to)| WallInterval { from, to });
    let breaks: Vec<WallInterval> = breaks.collect();
    let effective_from: Date = date.parse().unwrap();
    Roster {
        location_id: LocationId::new(uuid::Uuid::nil()),
        effective_from,
        effective_to: Some(effective_from.saturating_add(jiff::Span::new().days(days - 1))),
        weekly: Day::ALL.map(|day| RosterDay { day, from, to, breaks: breaks.clone(), week: None }).to_vec(),
        cycle_weeks: 1,
    }
}

fn zone(name: &str, date: &str) -> Zone {
    Zone::new(TimeZone::get(name).unwrap(), around(date))
}

fn around(date: &str) -> Span {
    let noon = at(&format!("{date}T12:00Z"));
    Span::new(noon - 4 * tick::PER_DAY, noon + 4 * tick::PER_DAY)
}

/// The spans of set ticks as text.
fn spans_text(bits: &Bits) -> String {
    let mut spans: Vec<Span> = Vec::new();
    for tick in bits.ticks() {
        match spans.last_mut() {
            Some(last) if last.end == tick => last.end = tick + 1,
            _ => spans.push(Span::new(tick, tick + 1)),
        }
    }
    let minute = |tick| tick::instant(tick).to_string()[..16].to_owned();
    let texts: Vec<String> = spans.iter().map(|span| format!("{} {}", minute(span.start), minute(span.end))).collect();
    texts.join(", ")
}

#[test]
fn shifts_keep_to_the_wall_clock() {
    let mut rows = 0;
    for row in TABLE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| zone")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, date, hours, breaks, worked, _] = cells[..] else { panic!("six cells: {row}") };
        let breaks: Vec<&str> = breaks.split(", ").filter(|text| !text.is_empty()).collect();
        let mut bits = Bits::new(around(date));
        roster::set_working_hours(&mut bits, &zone(name, date), &daily(date, 1, hours, &breaks));
        let expected = if worked == "nothing" { "" } else { worked };
        assert_eq!(spans_text(&bits), expected, "{row}");
        rows += 1;
    }
    assert!(rows > 20, "the table has been read: {rows}");
}

#[test]
fn alternate_weeks_count_from_the_monday_of_the_first_one() {
    let mut roster = daily("2025-02-27", 40, "09:00-10:00", &[]);
    roster.cycle_weeks = 2;
    roster.weekly.retain(|shift| matches!(shift.day, Day::Mo | Day::Su));
    roster.weekly.iter_mut().for_each(|shift| shift.week = Some(2));
    let span = Span::new(at("2025-02-20T00:00Z"), at("2025-04-20T00:00Z"));
    let mut bits = Bits::new(span);
    roster::set_working_hours(&mut bits, &Zone::new(TimeZone::UTC, span), &roster);
    // 27 February is a Thursday of week 1; Monday 3 March begins week 2, and so every fourteen days.
    let days: Vec<String> = spans_text(&bits).split(", ").map(|text| text[5..10].to_owned()).collect();
    assert_eq!(days, ["03-03", "03-09", "03-17", "03-23", "03-31", "04-06"]);
}

#[test]
fn a_shift_that_began_before_the_first_tick_reaches_in() {
    // The horizon begins at 01:00 local, in the night shift of the day before.
    let (name, span) = ("Europe/London", Span::new(at("2025-01-15T01:00Z"), at("2025-01-15T12:00Z")));
    let zone = Zone::new(TimeZone::get(name).unwrap(), span);
    let mut bits = Bits::new(span);
    roster::set_working_hours(&mut bits, &zone, &daily("2025-01-01", 60, "22:00-04:00", &[]));
    assert!(bits.all(Span::new(at("2025-01-15T01:00Z"), at("2025-01-15T04:00Z"))));
    let opening = Day::ALL.map(|day| DayHours { day, from: wall("20:00"), to: wall("03:00") });
    roster::keep_opening_hours(&mut bits, &zone, &opening);
    assert!(bits.all(Span::new(at("2025-01-15T01:00Z"), at("2025-01-15T03:00Z"))));
    assert!(bits.none(Span::new(at("2025-01-15T03:00Z"), at("2025-01-15T12:00Z"))));
}

/// A practitioner who works around the clock and has no claims.
fn idle<T>(name: &str, date: &str, run: impl FnOnce(&Location<'_>, &Candidate<'_>) -> T) -> T {
    let zone = zone(name, date);
    let (mut roster, occupied) = (Bits::new(around(date)), Bits::new(around(date)));
    roster.set(around(date));
    let location = Location { zone: &zone, rooms: None, units: None };
    run(&location, &Candidate { location: 0, practitioner: 0, roster: &roster, occupied: &occupied, allowed: None })
}

fn starts(name: &str, query: &Query) -> Vec<String> {
    let date = tick::instant(query.window.start).to_string()[..10].to_owned();
    idle(name, &date, |location, candidate| {
        let starts = search(query, &[*location], &[*candidate], &mut Scratch::default()).starts;
        starts.iter().map(|start| tick::instant(start.tick).to_string()[11..16].to_owned()).collect()
    })
}

#[test]
fn starts_are_aligned_on_the_local_hour() {
    let query = |from, to| Query::new(Span::new(at(from), at(to)), 6, 30, 100);
    // A quarter to the hour in UTC is the hour in Kathmandu.
    let quarters = starts("Asia/Kathmandu", &query("2025-03-30T03:00Z", "2025-03-30T04:30Z"));
    assert_eq!(quarters, ["03:15", "03:45", "04:15"]);
    // Lord Howe goes from 10:30 to 11:00 ahead of UTC at 15:30Z; of half an hour the grid shows nothing, of an hour it
    // does.
    let hourly = Query { alignment_minutes: 60, ..query("2025-10-04T13:00Z", "2025-10-04T18:00Z") };
    assert_eq!(starts("Australia/Lord_Howe", &hourly), ["13:30", "14:30", "16:00", "17:00"]);
}

#[test]
fn a_visit_may_pass_midnight_unless_the_part_of_the_day_says_no() {
    let window = Span::new(at("2025-01-15T23:30Z"), at("2025-01-16T00:15Z"));
    let query = Query::new(window, 6, 15, 100);
    assert_eq!(starts("Europe/London", &query), ["23:30", "23:45", "00:00"]);
    let early = Query { not_after: 23 * 60 + 55, ..query.clone() };
    assert_eq!(starts("Europe/London", &early), ["00:00"]);
    let late = Query { not_before: 23 * 60 + 40, ..query };
    assert_eq!(starts("Europe/London", &late), ["23:45"]);
}

#[test]
fn the_part_of_a_day_is_of_instants_when_the_clock_changes() {
    // 01:00 to 02:00 comes twice in New York, from 05:00Z and from 06:00Z; of 01:30 the earlier counts.
    let window = Span::new(at("2025-11-02T04:00Z"), at("2025-11-02T07:00Z"));
    let query = Query::new(window, 3, 30, 100);
    let late = Query { not_before: 90, ..query.clone() };
    assert_eq!(starts("America/New_York", &late), ["05:30", "06:00", "06:30"]);
    let early = Query { not_after: 90, ..query };
    assert_eq!(starts("America/New_York", &early), ["04:00", "04:30", "05:00"]);
    // The clock goes from 02:00 to 03:00 at 09:00Z in Edmonton: half an hour from 01:45 on ends at 03:15.
    let window = Span::new(at("2025-03-09T08:00Z"), at("2025-03-09T09:00Z"));
    let query = Query { not_after: 180, ..Query::new(window, 6, 15, 100) };
    assert_eq!(starts("America/Edmonton", &query), ["08:00", "08:15", "08:30"]);
}

#[test]
fn a_limit_of_zero_searches_nothing() {
    let window = Span::new(at("2025-01-15T08:00Z"), at("2025-01-15T12:00Z"));
    idle("Europe/London", "2025-01-15", |location, candidate| {
        let run =
            |limit| search(&Query::new(window, 6, 15, limit), &[*location], &[*candidate], &mut Scratch::default());
        assert_eq!(run(0), Answer { starts: vec![], searched_until: window.start });
        assert_eq!(run(2).searched_until, window.start + 3);
        assert_eq!(run(1000).searched_until, window.end);
        let before = fits(&Query::new(window, 6, 15, 1), location, candidate, window.start - 3);
        assert_eq!(before, Err(HiddenBy::TooEarly));
    });
}

#[test]
fn the_first_practitioner_changes_from_day_to_day() {
    let day = |day: i64| Span::new(at("2025-01-13T09:00Z") + day * 288, at("2025-01-13T09:05Z") + day * 288);
    idle("Europe/London", "2025-01-15", |location, candidate| {
        let people: Vec<Candidate<'_>> = (0..3).map(|practitioner| Candidate { practitioner, ..*candidate }).collect();
        let order = |query: &Query, people: &[Candidate<'_>]| -> Vec<u32> {
            let starts = search(query, &[*location], people, &mut Scratch::default()).starts;
            starts.iter().map(|start| start.practitioner).collect()
        };
        let firsts: Vec<u32> = (0..3).map(|at| order(&Query::new(day(at), 6, 15, 9), &people)[0]).collect();
        let mut all = firsts.clone();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2], "each is first on one of three days: {firsts:?}");
        // Told the whole chain's number, the order of two does not hang on whether the third is there.
        for at in 0..6 {
            let query = Query { practitioners: 3, ..Query::new(day(at % 4), 6, 15, 9) };
            let pair: Vec<u32> = order(&query, &people).into_iter().filter(|practitioner| *practitioner < 2).collect();
            assert_eq!(order(&query, &people[..2]), pair);
        }
    });
}
