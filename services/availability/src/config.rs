//! The section `availability`.

use careplan::series::Weights;
use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};

/// The highest cost of a departure, in points.
const WEIGHT_MAX: u32 = 100_000;

/// The section `availability`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The costs of a plan's departures from its ideal.
    #[serde(default)]
    pub plan_weights: PlanWeights,
    /// How long practitioners travel from one location to another.
    #[serde(default)]
    pub travel: Travel,
    /// Calendars that are fetched from other servers.
    #[serde(default)]
    pub calendars: Calendars,
}

/// The section `availability.calendars`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calendars {
    /// Minutes between two fetches of a calendar, 1 to 1440.
    pub poll_minutes: u32,
    /// Whether calendars may be fetched from private addresses. Everyone who may change the directory can then reach every
    /// server that this process can.
    pub allow_private_addresses: bool,
}

impl Default for Calendars {
    fn default() -> Self {
        Self { poll_minutes: 15, allow_private_addresses: false }
    }
}

/// The section `availability.travel`. A location's own `travel_times` come first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Travel {
    /// Travel speed over the great-circle distance, 1 to 1000 km/h.
    pub speed_kmh: u32,
    /// The least minutes between visits at two locations, 0 to 1440; the only estimate where one has no coordinates.
    pub floor_minutes: u32,
}

impl Default for Travel {
    fn default() -> Self {
        Self { speed_kmh: 30, floor_minutes: 10 }
    }
}

/// The section `availability.plan_weights`: costs in points, each 0 to 100000; `careplan::series` documents the formula.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanWeights {
    /// Each day between a gap and its ideal.
    pub gap_day: u32,
    /// Each change of practitioner.
    pub practitioner: u32,
    /// Each change of location.
    pub location: u32,
    /// Each hour outside the preferred hours.
    pub hour: u32,
    /// Each session on a day that is not preferred.
    pub day: u32,
    /// Each day after the earliest.
    pub late_day: u32,
    /// A start at the chain's hour of the highest demand.
    pub demand: u32,
}

impl Default for PlanWeights {
    fn default() -> Self {
        let Weights { gap_day, practitioner, location, hour, day, late_day, demand, .. } = Weights::default();
        Self { gap_day, practitioner, location, hour, day, late_day, demand }
    }
}

impl PlanWeights {
    /// The weights. The cost of a move is fixed, so that the fewest sessions move.
    pub(crate) fn weights(&self) -> Weights {
        let Self { gap_day, practitioner, location, hour, day, late_day, demand } = *self;
        Weights { gap_day, practitioner, location, hour, day, late_day, demand, ..Weights::default() }
    }
}

impl Section for Config {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        let Travel { speed_kmh, floor_minutes } = self.travel;
        let mut within = |key: &str, value: u32, least: u32, most: u32| {
            if !(least..=most).contains(&value) {
                let problem = format!("must lie between {least} and {most}");
                faults.push(Fault { key: format!("{at}{key}"), problem });
            }
        };
        within("travel.speed_kmh", speed_kmh, 1, 1000);
        within("travel.floor_minutes", floor_minutes, 0, 1440);
        within("calendars.poll_minutes", self.calendars.poll_minutes, 1, 1440);
        let PlanWeights { gap_day, practitioner, location, hour, day, late_day, demand } = self.plan_weights;
        for (key, weight) in [
            ("gap_day", gap_day),
            ("practitioner", practitioner),
            ("location", location),
            ("hour", hour),
            ("day", day),
            ("late_day", late_day),
            ("demand", demand),
        ] {
            if weight > WEIGHT_MAX {
                let problem = "must lie between 0 and 100000 points".to_owned();
                faults.push(Fault { key: format!("{at}plan_weights.{key}"), problem });
            }
        }
    }
}
