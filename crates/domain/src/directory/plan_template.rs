use serde::{Deserialize, Serialize};

use super::check_code;
use crate::{
    fault::{Faults, check_text},
    id::ServiceId,
    words::words,
};

/// The template of a course of treatment, from which a patient's plan is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanTemplate {
    /// The chain's own code, such as `acute-needling`; unique among templates in use.
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub code: String,
    /// The name that staff read.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 200))]
    pub name: String,
    /// The length of the course.
    pub course: Course,
    /// The phases in their order, 1 to 20.
    #[cfg_attr(feature = "schema", schema(min_items = 1, max_items = 20))]
    pub phases: Vec<Phase>,
}

words! {
    /// The length of a course of treatment.
    pub enum Course as "Course" {
        /// 1 to 3 sessions.
        Acute = "acute",
        /// Several weeks or months of spaced sessions.
        Chronic = "chronic",
    }
}

/// A phase: evenly spaced sessions of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// The service.
    pub service_id: ServiceId,
    /// The number of sessions.
    pub sessions: SessionRange,
    /// The days to the previous session.
    pub gap_days: GapDays,
    /// A review follows each time after this many sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100, nullable = false))]
    pub review_every: Option<u32>,
    /// Whether each session is paired with a session of the previous phase, on another day of the same week. Its gap is then
    /// to that session.
    #[serde(default)]
    pub paired: bool,
}

/// A count of sessions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionRange {
    /// The minimum.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100))]
    pub least: u32,
    /// The maximum.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100))]
    pub most: u32,
}

/// Days between two sessions, in the location's own dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GapDays {
    /// The minimum.
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 365))]
    pub least: u32,
    /// The best value.
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 365))]
    pub ideal: u32,
    /// The maximum.
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 365))]
    pub most: u32,
}

impl PlanTemplate {
    pub(super) fn check(&self, faults: &mut Faults) {
        check_code(faults, "/code", &self.code);
        check_text(faults, "/name", &self.name, 200);
        faults.check((1..=20).contains(&self.phases.len()), "/phases", "out_of_range", "give 1 to 20 phases");
        for (at, phase) in self.phases.iter().enumerate() {
            let SessionRange { least, most } = phase.sessions;
            faults.check(
                (1..=100).contains(&least) && least <= most && most <= 100,
                format!("/phases/{at}/sessions"),
                "out_of_range",
                "must hold 1 <= least <= most <= 100",
            );
            let gap = phase.gap_days;
            faults.check(
                gap.least <= gap.ideal && gap.ideal <= gap.most && gap.most <= 365,
                format!("/phases/{at}/gap_days"),
                "out_of_range",
                "must hold 0 <= least <= ideal <= most <= 365",
            );
            faults.check(
                phase.review_every.is_none_or(|every| (1..=100).contains(&every)),
                format!("/phases/{at}/review_every"),
                "out_of_range",
                "must lie between 1 and 100, or be left out",
            );
        }
    }
}
