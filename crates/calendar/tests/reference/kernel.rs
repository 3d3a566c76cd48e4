//! The same chain for the kernel, put together from this crate's parts as its callers do.

use calendar::{
    Bits, Span, Taken, Zone, roster,
    search::{Candidate, Place, Query},
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
    taken: Vec<Taken<usize>>,
    rooms: Vec<Option<Vec<Bits>>>,
    units: Vec<Option<Vec<Bits>>>,
    certified: Vec<Option<Vec<Span>>>,
}

impl<'s> Chain<'s> {
    pub fn new(scenario: &'s Scenario) -> Self {
        // As long as shown starts can be, and no longer: what lies outside must count for nothing.
        let (from, to) = (scenario.window.0.div_euclid(5), scenario.window.1.div_euclid(5));
        let span = Span::new(from - 60, to + 300);
        let zone = |name: &str| Zone::new(TimeZone::get(name).unwrap(), span);
        let zones: Vec<Zone> = scenario.places.iter().map(|place| zone(&place.zone)).collect();
        let pool = |pool: &Option<Vec<Vec<(i64, i64)>>>| {
            pool.as_ref().map(|pool| pool.iter().map(|claims| taken(span, claims, &[]).bits().clone()).collect())
        };
        Self {
            rosters: scenario.pairs.iter().map(|pair| works(scenario, pair, &zones[pair.place], span)).collect(),
            certified: scenario.pairs.iter().map(|pair| certified(scenario, pair, &zones[pair.place])).collect(),
            taken: scenario.practitioners.iter().map(|who| taken(span, &who.claims, &who.passing)).collect(),
            rooms: scenario.places.iter().map(|place| pool(&place.rooms)).collect(),
            units: scenario.places.iter().map(|place| pool(&place.units)).collect(),
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

    pub fn with<T>(&self, ask: impl FnOnce(&[Place<'_>], &[Candidate<'_>]) -> T) -> T {
        let rooms: Vec<Option<Vec<&Bits>>> =
            self.rooms.iter().map(|pool| pool.as_ref().map(|pool| pool.iter().collect())).collect();
        let units: Vec<Option<Vec<&Bits>>> =
            self.units.iter().map(|pool| pool.as_ref().map(|pool| pool.iter().collect())).collect();
        let places: Vec<Place<'_>> = self
            .zones
            .iter()
            .zip(rooms.iter().zip(&units))
            .map(|(zone, (rooms, units))| Place { zone, rooms: rooms.as_deref(), units: units.as_deref() })
            .collect();
        let pairs = self.scenario.pairs.iter().zip(self.rosters.iter().zip(&self.certified));
        let candidates: Vec<Candidate<'_>> = pairs
            .map(|(pair, (roster, allowed))| Candidate {
                place: pair.place as u32,
                practitioner: pair.practitioner as u32,
                roster,
                taken: self.taken[pair.practitioner].bits(),
                allowed: allowed.as_deref(),
            })
            .collect();
        ask(&places, &candidates)
    }
}

fn taken(span: Span, claims: &[(i64, i64)], passing: &[(i64, i64)]) -> Taken<usize> {
    let mut taken = Taken::new(span);
    let ticks = |(from, to): &(i64, i64)| Span::new(from.div_euclid(5), to.div_euclid(5));
    for (owner, claim) in passing.iter().chain(claims).enumerate() {
        taken.insert(ticks(claim), owner);
    }
    for (owner, claim) in passing.iter().enumerate() {
        taken.remove(ticks(claim), &owner);
    }
    taken
}

fn works(scenario: &Scenario, pair: &Pair, zone: &Zone, span: Span) -> Bits {
    let mut bits = Bits::new(span);
    let place = &scenario.places[pair.place];
    for pattern in &pair.patterns {
        roster::work(&mut bits, zone, &roster_of(pattern));
    }
    let hours: Vec<DayHours> = place
        .hours
        .iter()
        .map(|(day, from, to)| DayHours { day: Day::ALL[usize::from(*day)], from: wall(*from), to: wall(*to) })
        .collect();
    roster::open(&mut bits, zone, &hours);
    for (first, last) in &place.closures {
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
