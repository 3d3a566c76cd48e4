//! The same chain for the kernel, built from this crate's parts as its callers do.

use calendar::{
    Bits, Occupancy, Span, Zone, roster,
    search::{Candidate, Location, Query},
    tick,
};
use domain::{
    directory::{DayHours, Roster, RosterDay, WallInterval},
    id::LocationId,
    time::{Day, Interval, WallTime},
};
use jiff::{Timestamp, tz::TimeZone};

use crate::scenario::{Pair, Pattern, Scenario};

pub struct Chain<'s> {
    scenario: &'s Scenario,
    zones: Vec<Zone>,
    rosters: Vec<Bits>,
    occupied: Vec<Occupancy<usize>>,
    rooms: Vec<Option<Vec<Bits>>>,
    units: Vec<Option<Vec<Bits>>>,
    certified: Vec<Option<Vec<Span>>>,
}

impl<'s> Chain<'s> {
    pub fn new(scenario: &'s Scenario) -> Self {
        // Only as long as claims can reach: ticks outside the bitsets must not count.
        let (from, to) = (scenario.window.0.div_euclid(5), scenario.window.1.div_euclid(5));
        let span = Span::new(from - 60, to + 300);
        let zone = |name: &str| Zone::new(TimeZone::get(name).unwrap(), span);
        let zones: Vec<Zone> = scenario.locations.iter().map(|location| zone(&location.zone)).collect();
        let pool = |pool: &Option<Vec<Vec<(i64, i64)>>>| {
            pool.as_ref().map(|pool| pool.iter().map(|claims| occupied(span, claims, &[]).bits().clone()).collect())
        };
        Self {
            rosters: scenario
                .pairs
                .iter()
                .map(|pair| working_ticks(scenario, pair, &zones[pair.location], span))
                .collect(),
            certified: scenario.pairs.iter().map(|pair| certified(scenario, pair, &zones[pair.location])).collect(),
            occupied: scenario
                .practitioners
                .iter()
                .map(|practitioner| occupied(span, &practitioner.claims, &practitioner.removed))
                .collect(),
            rooms: scenario.locations.iter().map(|location| pool(&location.rooms)).collect(),
            units: scenario.locations.iter().map(|location| pool(&location.units)).collect(),
            zones,
            scenario,
        }
    }

    pub fn query(&self) -> Query {
        let query = &self.scenario.query;
        let up = |minute: i64| tick::ceil(Timestamp::from_second(minute.clamp(-(1 << 31), 1 << 31) * 60).unwrap());
        let window = &self.scenario.window;
        Query {
            prep: query.prep / 5,
            cleanup: query.cleanup / 5,
            weekdays: query.weekdays.iter().fold(0, |mask, day| mask | 1 << day),
            not_before: query.not_before,
            not_after: query.not_after,
            ..Query::new(
                Span::new(up(window.0.max(query.earliest)), up(window.1.min(query.latest))),
                query.duration / 5,
                query.alignment,
                query.limit,
            )
        }
    }

    pub fn with<T>(&self, run: impl FnOnce(&[Location<'_>], &[Candidate<'_>]) -> T) -> T {
        let rooms: Vec<Option<Vec<&Bits>>> =
            self.rooms.iter().map(|pool| pool.as_ref().map(|pool| pool.iter().collect())).collect();
        let units: Vec<Option<Vec<&Bits>>> =
            self.units.iter().map(|pool| pool.as_ref().map(|pool| pool.iter().collect())).collect();
        let locations: Vec<Location<'_>> = self
            .zones
            .iter()
            .zip(rooms.iter().zip(&units))
            .map(|(zone, (rooms, units))| Location { zone, rooms: rooms.as_deref(), units: units.as_deref() })
            .collect();
        let pairs = self.scenario.pairs.iter().zip(self.rosters.iter().zip(&self.certified));
        let candidates: Vec<Candidate<'_>> = pairs
            .map(|(pair, (roster, allowed))| Candidate {
                location: pair.location as u32,
                practitioner: pair.practitioner as u32,
                roster,
                occupied: self.occupied[pair.practitioner].bits(),
                allowed: allowed.as_deref(),
            })
            .collect();
        run(&locations, &candidates)
    }
}

fn occupied(span: Span, claims: &[(i64, i64)], removed: &[(i64, i64)]) -> Occupancy<usize> {
    let mut occupied = Occupancy::new(span);
    let ticks = |(from, to): &(i64, i64)| Span::new(from.div_euclid(5), to.div_euclid(5));
    for (owner, claim) in removed.iter().chain(claims).enumerate() {
        occupied.insert(ticks(claim), owner);
    }
    for (owner, claim) in removed.iter().enumerate() {
        occupied.remove(ticks(claim), &owner);
    }
    occupied
}

fn working_ticks(scenario: &Scenario, pair: &Pair, zone: &Zone, span: Span) -> Bits {
    let mut bits = Bits::new(span);
    let location = &scenario.locations[pair.location];
    for pattern in &pair.patterns {
        roster::set_working_hours(&mut bits, zone, &roster_of(pattern));
    }
    let hours: Vec<DayHours> = location
        .hours
        .iter()
        .map(|(day, from, to)| DayHours { day: Day::ALL[usize::from(*day)], from: wall(*from), to: wall(*to) })
        .collect();
    roster::keep_opening_hours(&mut bits, zone, &hours);
    for (first, last) in &location.closures {
        bits.clear(zone.dates(*first, *last));
    }
    for (from, to) in &scenario.practitioners[pair.practitioner].time_off {
        let instant = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        bits.clear(Span::touching(Interval::new(instant(*from), instant(*to)).unwrap()));
    }
    bits
}

fn certified(scenario: &Scenario, pair: &Pair, zone: &Zone) -> Option<Vec<Span>> {
    let certificates = scenario.practitioners[pair.practitioner].certificates.as_ref()?;
    let mut spans: Vec<Span> = certificates.iter().map(|(from, to)| zone.dates(*from, *to)).collect();
    spans.retain(|span| !span.is_empty());
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    Some(merged)
}

fn roster_of(pattern: &Pattern) -> Roster {
    let shift = |shift: &crate::scenario::Shift| RosterDay {
        day: Day::ALL[usize::from(shift.day)],
        from: wall(shift.from),
        to: wall(shift.to),
        breaks: shift.breaks.iter().map(|(from, to)| WallInterval { from: wall(*from), to: wall(*to) }).collect(),
        week: shift.week,
    };
    Roster {
        location_id: LocationId::new(uuid::Uuid::nil()),
        effective_from: pattern.effective_from,
        effective_to: pattern.effective_to,
        weekly: pattern.shifts.iter().map(shift).collect(),
        cycle_weeks: pattern.cycle_weeks,
    }
}

fn wall(minutes: i64) -> WallTime {
    WallTime::from_minutes(u16::try_from(minutes).unwrap()).unwrap()
}
