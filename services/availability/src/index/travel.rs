//! How long practitioners travel from one location to another.

use std::{collections::HashMap, sync::Arc};

use calendar::tick::{MINUTES, Tick};
use domain::directory;

use super::{Location, Shift};
use crate::config::Travel;

const EARTH_RADIUS_KM: f64 = 6371.0;

/// Travel times between locations that share a practitioner.
#[derive(Default)]
pub(crate) struct TravelTimes {
    /// By the numbers of two locations, in both directions.
    ticks: HashMap<(u32, u32), Tick>,
    /// For each practitioner whether they work at several locations.
    travels: Vec<bool>,
    longest: Tick,
}

impl TravelTimes {
    pub(super) fn new(travel: Travel, locations: &[Arc<Location>], practitioners: usize, shifts: &[Shift]) -> Self {
        let mut times = Self { travels: vec![false; practitioners], ..Self::default() };
        let mut locations_of: HashMap<u32, Vec<u32>> = HashMap::new();
        for shift in shifts {
            locations_of.entry(shift.practitioner).or_default().push(shift.location);
        }
        for (practitioner, own) in locations_of.into_iter().filter(|(_, own)| own.len() > 1) {
            times.travels[practitioner as usize] = true;
            for (from, to) in own.iter().flat_map(|from| own.iter().map(move |to| (*from, *to))) {
                if from != to {
                    let ticks = travel_ticks(travel, &locations[from as usize], &locations[to as usize]);
                    times.longest = times.longest.max(ticks);
                    times.ticks.insert((from, to), ticks);
                }
            }
        }
        times
    }

    /// Whether a practitioner works at several locations.
    #[inline]
    pub(crate) fn travels(&self, practitioner: u32) -> bool {
        self.travels[practitioner as usize]
    }

    /// The travel time between two locations; `None` where no practitioner works at both.
    pub(crate) fn between(&self, from: u32, to: u32) -> Option<Tick> {
        self.ticks.get(&(from, to)).copied()
    }

    /// The longest of all travel times.
    pub(crate) fn longest(&self) -> Tick {
        self.longest
    }
}

/// The longer of both directions, in whole ticks: the next booking decides which one is driven first.
fn travel_ticks(travel: Travel, from: &Location, to: &Location) -> Tick {
    let configured = |from: &Location, to: &Location| {
        let mut own = from.body.travel_times.iter();
        own.find(|time| time.location_id.uuid() == to.id).map(|time| time.minutes)
    };
    let minutes = match (configured(from, to), configured(to, from)) {
        (None, None) => estimated_minutes(travel, &from.body, &to.body),
        (there, back) => there.max(back).unwrap_or(0),
    };
    (i64::from(minutes) + MINUTES - 1) / MINUTES
}

/// The great-circle distance at the configured speed, never below the floor.
fn estimated_minutes(travel: Travel, from: &directory::Location, to: &directory::Location) -> u32 {
    let point = |location: &directory::Location| location.latitude.zip(location.longitude);
    let Some((from, to)) = point(from).zip(point(to)) else { return travel.floor_minutes };
    let minutes = distance_km(from, to) / f64::from(travel.speed_kmh) * 60.0;
    // Half the Earth's circumference at walking pace is far below the limit of the type.
    (minutes.ceil() as u32).max(travel.floor_minutes)
}

/// The great-circle distance between two points (latitude, longitude in degrees), in kilometres, by the haversine formula
/// (R. W. Sinnott, Sky and Telescope 68, 1984).
pub(crate) fn distance_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (from_latitude, from_longitude) = (from.0.to_radians(), from.1.to_radians());
    let (to_latitude, to_longitude) = (to.0.to_radians(), to.1.to_radians());
    let haversine = |angle: f64| (angle / 2.0).sin().powi(2);
    let chord = haversine(to_latitude - from_latitude)
        + from_latitude.cos() * to_latitude.cos() * haversine(to_longitude - from_longitude);
    2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_match_the_map() {
        let (calgary, edmonton) = ((51.045, -114.057), (53.546, -113.491));
        assert!((distance_km(calgary, edmonton) - 281.0).abs() < 2.0);
        assert!((distance_km((0.0, 179.9), (0.0, -179.9)) - 22.2).abs() < 0.1);
    }
}
