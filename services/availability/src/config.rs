//! The section `availability`.

use careplan::series::Weights;
use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};

/// The most that one departure can cost, in points.
const WEIGHT_MAX: u32 = 100_000;

/// The section `availability`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the departures of a plan's sessions from the best cost.
    #[serde(default)]
    pub plan_weights: PlanWeights,
    /// How long practitioners take from one location to another.
    #[serde(default)]
    pub travel: Travel,
    /// Calendars that are read from other servers.
    #[serde(default)]
    pub calendars: Calendars,
}

/// The section `availability.calendars`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calendars {
    /// How often each is read, 1 to 1440 minutes.
    pub poll_minutes: u32,
    /// Whether addresses that are not on the public internet may be read: for calendars on one's own network, where
    /// everyone who may change the directory may reach everything that this process can.
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
    /// Kilometres an hour on the way, as the crow flies; 1 to 1000.
    pub speed_kmh: u32,
    /// The least minutes between visits at two locations, 0 to 1440; all that is known where one has no coordinates.
    pub floor_minutes: u32,
}

impl Default for Travel {
    fn default() -> Self {
        Self { speed_kmh: 30, floor_minutes: 10 }
    }
}

/// The section `availability.plan_weights`: points, each 0 to 100000; see `careplan::series` for what each is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanWeights {
    /// For each day between a gap and its ideal.
    pub gap_day: u32,
    /// For each change of practitioner.
    pub practitioner: u32,
    /// For each change of location.
    pub location: u32,
    /// For each hour outside the wished ones.
    pub hour: u32,
    /// For a day that is not wished.
    pub day: u32,
    /// For each day after the earliest.
    pub late_day: u32,
    /// For a start at the chain's most wanted hour.
    pub demand: u32,
}

impl Default for PlanWeights {
    fn default() -> Self {
        let Weights { gap_day, practitioner, location, hour, day, late_day, demand, .. } = Weights::default();
        Self { gap_day, practitioner, location, hour, day, late_day, demand }
    }
}

impl PlanWeights {
    /// The weights; what a move costs is no choice, since the fewest move.
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
