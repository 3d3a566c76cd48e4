//! How long practitioners take from one location to another.

use std::collections::HashMap;

use calendar::tick::{MINUTES, Tick};
use domain::directory::Location;

use super::{Place, Seat};
use crate::{config::Travel, slots::near::distance_km};

/// The roads between locations at which one practitioner works.
#[derive(Default)]
pub(crate) struct Roads {
    /// By the locations' places in the model; both ways.
    ticks: HashMap<(u32, u32), Tick>,
    /// For each practitioner whether they work at several locations.
    roams: Vec<bool>,
    longest: Tick,
}

impl Roads {
    pub(super) fn new(travel: Travel, places: &[std::sync::Arc<Place>], people: usize, seats: &[Seat]) -> Self {
        let mut roads = Self { roams: vec![false; people], ..Self::default() };
        let mut seats_of: HashMap<u32, Vec<u32>> = HashMap::new();
        for seat in seats {
            seats_of.entry(seat.person).or_default().push(seat.place);
        }
        for (person, own) in seats_of.into_iter().filter(|(_, own)| own.len() > 1) {
            roads.roams[person as usize] = true;
            for (from, to) in own.iter().flat_map(|from| own.iter().map(move |to| (*from, *to))) {
                if from != to {
                    let ticks = road(travel, &places[from as usize], &places[to as usize]);
                    roads.longest = roads.longest.max(ticks);
                    roads.ticks.insert((from, to), ticks);
                }
            }
        }
        roads
    }

    /// Whether a practitioner works at several locations.
    pub(crate) fn roams(&self, person: u32) -> bool {
        self.roams[person as usize]
    }

    /// The way from one location to another at which one practitioner works; `None` where none does.
    pub(crate) fn between(&self, from: u32, to: u32) -> Option<Tick> {
        self.ticks.get(&(from, to)).copied()
    }

    /// No road is longer.
    pub(crate) fn longest(&self) -> Tick {
        self.longest
    }
}

/// The longer of both ways, in whole ticks: which one is driven first depends on what is booked next.
fn road(travel: Travel, one: &Place, other: &Place) -> Tick {
    let said = |from: &Place, to: &Place| {
        from.location.travel_times.iter().find(|road| road.location_id.uuid() == to.id).map(|road| road.minutes)
    };
    let minutes = match (said(one, other), said(other, one)) {
        (None, None) => far(travel, &one.location, &other.location),
        (there, back) => there.max(back).unwrap_or(0),
    };
    (i64::from(minutes) + MINUTES - 1) / MINUTES
}

/// The distance as the crow flies at the configured speed, never below the floor.
fn far(travel: Travel, one: &Location, other: &Location) -> u32 {
    let point = |location: &Location| location.latitude.zip(location.longitude);
    let Some((from, to)) = point(one).zip(point(other)) else { return travel.floor_minutes };
    let minutes = distance_km(from, to) / f64::from(travel.speed_kmh) * 60.0;
    // Half the Earth at a walking pace is far below the limit of the type.
    (minutes.ceil() as u32).max(travel.floor_minutes)
}
