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
    pub plan_weights: PlanWeights,
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
