//! The rules of open slots, applied minute by minute. Slow, and independent of the kernel.

use std::collections::HashSet;

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};

use crate::scenario::{Location, Pair, Pattern, Scenario, Shift};

/// A start that the search must return; `minute` counts minutes since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub minute: i64,
    pub location: u32,
    pub practitioner: u32,
}

/// Every start that fits, in the order of the answer.
pub fn starts(scenario: &Scenario) -> Vec<Start> {
    let query = &scenario.query;
    let working: Vec<HashSet<i64>> = scenario.pairs.iter().map(|pair| working_minutes(scenario, pair)).collect();
    let mut found = Vec::new();
    for minute in scenario.window.0.max(query.earliest)..scenario.window.1.min(query.latest) {
        if minute % 5 != 0 {
            continue;
        }
        for (location_at, location) in scenario.locations.iter().enumerate() {
            if !clock_allows(scenario, location, minute) {
                continue;
            }
            let claim: Vec<i64> = (minute - query.prep..minute + query.duration + query.cleanup).collect();
            let free = |claims: &[(i64, i64)]| {
                claim.iter().all(|minute| claims.iter().all(|(from, to)| minute < from || to <= minute))
            };
            let any_free = |pool: &Option<Vec<Vec<(i64, i64)>>>| match pool {
                Some(pool) => pool.iter().any(|claims| free(claims)),
                None => true,
            };
            if !any_free(&location.rooms) || !any_free(&location.units) {
                continue;
            }
            let mut here: Vec<(i64, u32)> = Vec::new();
            for (pair, works) in scenario.pairs.iter().zip(&working) {
                let practitioner = &scenario.practitioners[pair.practitioner];
                if pair.location == location_at
                    && claim.iter().all(|minute| works.contains(minute))
                    && free(&practitioner.claims)
                    && certified(scenario, pair, minute)
                {
                    // The order of practitioners rotates by one each day of UTC.
                    let (number, count) = (pair.practitioner as i64, scenario.ranked());
                    here.push(((number - minute.div_euclid(1440)).rem_euclid(count), pair.practitioner as u32));
                }
            }
            here.sort_unstable();
            found.extend(here.into_iter().map(|(_, practitioner)| Start {
                minute,
                location: location_at as u32,
                practitioner,
            }));
        }
    }
    found
}

/// Days since 1970-01-01 of the local date on which a minute begins.
pub fn local_day(zone: &str, minute: i64) -> i64 {
    let date = at(minute).to_zoned(tz(zone)).date();
    let epoch = jiff::civil::date(1970, 1, 1);
    i64::from(epoch.until(date).unwrap().get_days())
}

fn tz(zone: &str) -> TimeZone {
    TimeZone::get(zone).unwrap()
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

/// The minute of a wall-clock time on a date; minute 1440 is the next date's midnight.
fn minute_of(zone: &TimeZone, date: Date, wall: i64) -> i64 {
    let (date, wall) = if wall == 1440 { (date.tomorrow().unwrap(), 0) } else { (date, wall) };
    let clock = date.at((wall / 60) as i8, (wall % 60) as i8, 0, 0);
    clock.to_zoned(zone.clone()).unwrap().timestamp().as_second().div_euclid(60)
}

fn clock_allows(scenario: &Scenario, location: &Location, minute: i64) -> bool {
    let query = &scenario.query;
    let zone = tz(&location.zone);
    let local = at(minute).to_zoned(zone.clone());
    let aligned = i64::from(local.minute()) % query.alignment == 0;
    let weekday = query.weekdays.contains(&(local.weekday().to_monday_zero_offset() as u8));
    let late_enough = query.not_before == 0 || minute >= minute_of(&zone, local.date(), query.not_before);
    let early_enough =
        query.not_after == 1440 || minute + query.duration <= minute_of(&zone, local.date(), query.not_after);
    aligned && weekday && late_enough && early_enough
}

fn certified(scenario: &Scenario, pair: &Pair, minute: i64) -> bool {
    let Some(certificates) = &scenario.practitioners[pair.practitioner].certificates else { return true };
    let zone = tz(&scenario.locations[pair.location].zone);
    certificates.iter().any(|(from, to)| {
        let begins = minute_of(&zone, *from, 0);
        let ends = minute_of(&zone, *to, 1440);
        begins <= minute && minute < ends
    })
}

fn working_minutes(scenario: &Scenario, pair: &Pair) -> HashSet<i64> {
    let location = &scenario.locations[pair.location];
    let zone = tz(&location.zone);
    let mut working = HashSet::new();
    for pattern in &pair.patterns {
        working.extend(pattern_minutes(scenario, &zone, pattern));
    }
    if !location.hours.is_empty() {
        let mut open = HashSet::new();
        for date in dates(scenario, &zone) {
            for (day, from, to) in &location.hours {
                if weekday(date) == *day {
                    open.extend(minute_of(&zone, date, *from)..minute_of(&zone, date, *to));
                }
            }
        }
        working.retain(|minute| open.contains(minute));
    }
    for (from, to) in &location.closures {
        let (from, to) = (minute_of(&zone, *from, 0), minute_of(&zone, *to, 1440));
        working.retain(|minute| *minute < from || to <= *minute);
    }
    for (from, to) in &scenario.practitioners[pair.practitioner].time_off {
        working.retain(|minute| minute < from || to <= minute);
    }
    working
}

fn pattern_minutes(scenario: &Scenario, zone: &TimeZone, pattern: &Pattern) -> HashSet<i64> {
    let mut working = HashSet::new();
    for date in dates(scenario, zone) {
        if date < pattern.effective_from || pattern.effective_to.is_some_and(|last| last < date) {
            continue;
        }
        let week = cycle_week(pattern, date);
        for shift in &pattern.shifts {
            if shift.day == weekday(date) && shift.week.is_none_or(|wanted| wanted == week) {
                working.extend(shift_minutes(zone, date, shift));
            }
        }
    }
    working
}

fn shift_minutes(zone: &TimeZone, date: Date, shift: &Shift) -> Vec<i64> {
    let interval = |date: Date, from: i64, to: i64| {
        let ends = if to <= from { date.tomorrow().unwrap() } else { date };
        (minute_of(zone, date, from), minute_of(zone, ends, to))
    };
    let (from, to) = interval(date, shift.from, shift.to);
    let breaks: Vec<(i64, i64)> = shift
        .breaks
        .iter()
        .map(|(pause, until)| {
            let on = if *pause < shift.from { date.tomorrow().unwrap() } else { date };
            interval(on, *pause, *until)
        })
        .collect();
    (from..to).filter(|minute| breaks.iter().all(|(from, to)| minute < from || to <= minute)).collect()
}

/// The number of a date's week in its cycle, counted Monday by Monday from the week of `effective_from`.
fn cycle_week(pattern: &Pattern, date: Date) -> u32 {
    let mut monday = pattern.effective_from;
    while monday.weekday() != Weekday::Monday {
        monday = monday.yesterday().unwrap();
    }
    let mut week = 1;
    while monday.saturating_add(7.days()) <= date {
        monday = monday.saturating_add(7.days());
        week = if week == pattern.cycle_weeks { 1 } else { week + 1 };
    }
    week
}

/// The dates around the window that exist in the zone: nobody works on a date that it skips.
fn dates(scenario: &Scenario, zone: &TimeZone) -> Vec<Date> {
    let mut date = at(scenario.window.0 - 5 * 1440).to_zoned(TimeZone::UTC).date();
    let last = at(scenario.window.1 + 5 * 1440).to_zoned(TimeZone::UTC).date();
    let mut dates = Vec::new();
    while date <= last {
        let noon = date.at(12, 0, 0, 0).to_zoned(zone.clone()).unwrap();
        if noon.date() == date {
            dates.push(date);
        }
        date = date.tomorrow().unwrap();
    }
    dates
}

fn weekday(date: Date) -> u8 {
    date.weekday().to_monday_zero_offset() as u8
}
