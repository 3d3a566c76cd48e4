//! Random chains around a date on which the clocks change. Times are minutes, wall-clock or since the Unix epoch.

use jiff::{ToSpan, civil::Date, tz::TimeZone};
use proptest::{collection::vec, option, prelude::*, sample::select};

#[derive(Debug, Clone)]
pub struct Scenario {
    /// The minutes to search.
    pub window: (i64, i64),
    pub query: QuerySpec,
    pub locations: Vec<Location>,
    pub practitioners: Vec<Practitioner>,
    pub pairs: Vec<Pair>,
}

#[derive(Debug, Clone)]
pub struct QuerySpec {
    pub prep: i64,
    pub duration: i64,
    pub cleanup: i64,
    pub alignment: i64,
    pub weekdays: Vec<u8>,
    pub not_before: i64,
    pub not_after: i64,
    /// The minutes at which the notice and the horizon end.
    pub earliest: i64,
    pub latest: i64,
    pub limit: usize,
}

#[derive(Debug, Clone)]
pub struct Location {
    pub zone: String,
    /// Weekday, from, to.
    pub hours: Vec<(u8, i64, i64)>,
    pub closures: Vec<(Date, Date)>,
    pub rooms: Option<Vec<Vec<(i64, i64)>>>,
    pub units: Option<Vec<Vec<(i64, i64)>>>,
}

#[derive(Debug, Clone)]
pub struct Practitioner {
    pub claims: Vec<(i64, i64)>,
    /// Claims that are removed again; they overlap the others.
    pub removed: Vec<(i64, i64)>,
    pub time_off: Vec<(i64, i64)>,
    /// Dates from and to; `None` where the treatment needs none.
    pub certificates: Option<Vec<(Date, Date)>>,
}

/// A practitioner at a location.
#[derive(Debug, Clone)]
pub struct Pair {
    pub location: usize,
    pub practitioner: usize,
    pub patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
pub struct Pattern {
    pub effective_from: Date,
    pub effective_to: Option<Date>,
    pub cycle_weeks: u32,
    pub shifts: Vec<Shift>,
}

#[derive(Debug, Clone)]
pub struct Shift {
    pub day: u8,
    pub from: i64,
    pub to: i64,
    pub breaks: Vec<(i64, i64)>,
    pub week: Option<u32>,
}

impl Scenario {
    /// One more than the last practitioner who works anywhere: the number that ranks rotate over.
    pub fn ranked(&self) -> i64 {
        self.pairs.iter().map(|pair| pair.practitioner as i64 + 1).max().unwrap_or(1)
    }
}

/// Chains around one of these local dates.
pub fn around(zone: &'static str, dates: &[&'static str]) -> impl Strategy<Value = Scenario> + use<> {
    let second = select(vec![zone, zone, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]);
    let change = select(dates.iter().map(|date| date.parse::<Date>().unwrap()).collect::<Vec<_>>());
    (change, second, 1usize..=2, 1usize..=3).prop_flat_map(move |(change, second, locations, practitioners)| {
        let midnight = change.to_zoned(TimeZone::get(zone).unwrap()).unwrap().timestamp().as_second() / 300 * 5;
        let zones = [zone, second];
        let locations: Vec<_> = (0..locations).map(|at| location(zones[at], change, midnight)).collect();
        let pairs: Vec<_> = (0..practitioners)
            .flat_map(|practitioner| (0..locations.len()).map(move |location| (location, practitioner)))
            .map(|(location, practitioner)| pair(location, practitioner, change))
            .collect();
        let practitioners = vec(practitioner(change, midnight), practitioners);
        (window(midnight), query(midnight), locations, practitioners, pairs).prop_map(
            |(window, query, locations, practitioners, pairs)| Scenario {
                window,
                query,
                locations,
                practitioners,
                pairs: pairs.into_iter().flatten().collect(),
            },
        )
    })
}

/// From up to a day and a half before the change to up to a day and a half after it.
fn window(midnight: i64) -> impl Strategy<Value = (i64, i64)> {
    (-432i64..0, 200i64..600).prop_map(move |(from, ticks)| (midnight + from * 5, midnight + (from + ticks) * 5))
}

fn query(midnight: i64) -> impl Strategy<Value = QuerySpec> {
    let length = (0i64..4, prop_oneof![8 => 1i64..13, 1 => 13i64..100], 0i64..4);
    let alignment = select(vec![5i64, 10, 15, 20, 30, 60]);
    let weekdays = prop_oneof![5 => Just((0..7).collect::<Vec<u8>>()), 1 => vec(0u8..7, 1..5)];
    let before = prop_oneof![4 => Just(0i64), 1 => (0i64..160).prop_map(|tick| tick * 5)];
    let after = prop_oneof![4 => Just(1440i64), 1 => (24i64..=288).prop_map(|tick| tick * 5)];
    let earliest = prop_oneof![4 => Just(i64::MIN), 1 => (-2000i64..1000).prop_map(move |at| midnight + at)];
    let latest = prop_oneof![4 => Just(i64::MAX), 1 => (-500i64..2000).prop_map(move |at| midnight + at)];
    (length, alignment, weekdays, before, after, earliest, latest, 1usize..40).prop_map(
        |((prep, duration, cleanup), alignment, weekdays, not_before, not_after, earliest, latest, limit)| QuerySpec {
            prep: prep * 5,
            duration: duration * 5,
            cleanup: cleanup * 5,
            alignment,
            weekdays,
            not_before,
            not_after,
            earliest,
            latest,
            limit,
        },
    )
}

fn location(zone: &'static str, change: Date, midnight: i64) -> impl Strategy<Value = Location> {
    let hours = prop_oneof![
        5 => Just(vec![]),
        1 => vec((0u8..7, 0i64..120, 100i64..289), 10..20).prop_map(|hours| hours
            .into_iter()
            .map(|(day, from, ticks)| (day, from * 5, (from + ticks).min(288) * 5))
            .collect()),
    ];
    let closures = prop_oneof![5 => Just(vec![]), 1 => vec(days(change), 1..2)];
    let pool = move || option::weighted(0.4, prop_oneof![1 => Just(vec![]), 9 => vec(claims(midnight, 5), 1..4)]);
    (hours, closures, pool(), pool()).prop_map(move |(hours, closures, rooms, units)| Location {
        zone: zone.to_owned(),
        hours,
        closures,
        rooms,
        units,
    })
}

fn practitioner(change: Date, midnight: i64) -> impl Strategy<Value = Practitioner> {
    // Time off is not on the grid: it removes every tick that it touches.
    let off = vec((-2000i64..2000, 1i64..400), 0..2);
    let off = off.prop_map(move |off| off.iter().map(|(at, long)| (midnight + at, midnight + at + long)).collect());
    let certificates = prop_oneof![4 => Just(None), 1 => vec(days(change), 0..4).prop_map(Some)];
    (claims(midnight, 6), claims(midnight, 4), off, certificates)
        .prop_map(|(claims, removed, time_off, certificates)| Practitioner { claims, removed, time_off, certificates })
}

/// Claims on the grid; they may overlap.
fn claims(midnight: i64, most: usize) -> impl Strategy<Value = Vec<(i64, i64)>> {
    vec((-500i64..500, 1i64..30), 0..most).prop_map(move |claims| {
        claims.iter().map(|(at, ticks)| (midnight + at * 5, midnight + (at + ticks) * 5)).collect()
    })
}

fn days(change: Date) -> impl Strategy<Value = (Date, Date)> {
    (-3i32..3, 0i32..3).prop_map(move |(from, days)| {
        let first = change.saturating_add(from.days());
        (first, first.saturating_add(days.days()))
    })
}

fn pair(location: usize, practitioner: usize, change: Date) -> impl Strategy<Value = Option<Pair>> {
    let pattern = prop_oneof![3 => vec(pattern(change), 1..2), 1 => vec(pattern(change), 2..3)];
    (prop::bool::weighted(0.85), pattern)
        .prop_map(move |(works, patterns)| works.then_some(Pair { location, practitioner, patterns }))
}

fn pattern(change: Date) -> impl Strategy<Value = Pattern> {
    (-30i32..1, option::weighted(0.15, -2i32..4), 1u32..4, vec(shift(), 8..24)).prop_map(
        move |(from, to, cycle_weeks, mut shifts)| {
            for shift in &mut shifts {
                shift.week = shift.week.map(|week| (week - 1) % cycle_weeks + 1);
            }
            let effective_from = change.saturating_add(from.days());
            Pattern {
                effective_from,
                effective_to: to.map(|to| change.saturating_add(to.days()).max(effective_from)),
                cycle_weeks,
                shifts,
            }
        },
    )
}

/// Shifts that often begin or end where clocks change, often pass midnight, and may end at 24:00.
fn shift() -> impl Strategy<Value = Shift> {
    let from = prop_oneof![2 => 0i64..60, 1 => 60i64..288];
    let to = prop_oneof![2 => 0i64..60, 5 => 140i64..=288];
    // Clocks change on weekends.
    let day = prop_oneof![1 => 0u8..7, 1 => 4u8..7];
    let breaks = vec((0i64..300, 1i64..20), 0..3);
    (day, from, to, breaks, option::weighted(0.3, 1u32..4)).prop_map(|(day, from, to, breaks, week)| {
        let overnight = to <= from;
        let length = if overnight { to + 288 - from } else { to - from };
        let breaks = breaks
            .into_iter()
            .filter(|(at, ticks)| at + ticks <= length)
            .map(|(at, ticks)| ((from + at) % 288 * 5, (from + at + ticks) % 288 * 5))
            // A break of a day shift that ends at midnight ends at 24:00.
            .map(|(pause, until)| (pause, if until == 0 { 1440 } else { until }))
            .collect();
        Shift { day, from: from * 5, to: to * 5, breaks, week }
    })
}
