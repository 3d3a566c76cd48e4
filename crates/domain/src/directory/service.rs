use serde::{Deserialize, Serialize};

use super::check_code;
use crate::{
    fault::{Faults, check_text},
    id::ServiceId,
};

/// A treatment that can be booked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The chain's own code, such as `dry-needling`; unique among services in use.
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub code: String,
    /// The name that patients read.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 200))]
    pub name: String,
    /// The length in minutes, 5 to 480, a multiple of 5.
    #[cfg_attr(feature = "schema", schema(minimum = 5, maximum = 480, multiple_of = 5))]
    pub duration_minutes: u32,
    /// Minutes of preparation, 0 to 120, a multiple of 5.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 120, multiple_of = 5))]
    pub prep_minutes: u32,
    /// Minutes of clean-up, 0 to 120, a multiple of 5.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 120, multiple_of = 5))]
    pub cleanup_minutes: u32,
    /// Places, 1 to 100; above 1 it is a group session.
    #[serde(default = "default_capacity")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100))]
    pub capacity: u32,
    /// The code of the practitioner's required certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9_-]{1,64}$", nullable = false))]
    pub required_certificate: Option<String>,
    /// The type of its room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9_-]{1,64}$", nullable = false))]
    pub room_type: Option<String>,
    /// The type of equipment of which it needs one unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9_-]{1,64}$", nullable = false))]
    pub equipment_type: Option<String>,
    /// Starts are multiples of this many minutes after the local hour: 5, 10, 15, 20, 30 or 60.
    #[serde(default = "default_alignment")]
    #[cfg_attr(feature = "schema", schema(minimum = 5, maximum = 60, multiple_of = 5))]
    pub start_alignment_minutes: u32,
    /// The least minutes between an online booking and the start, 0 to 43200.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 43200))]
    pub min_notice_minutes: u32,
    /// The most days between a booking and the start, 1 to 400.
    #[serde(default = "default_horizon")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 400))]
    pub horizon_days: u32,
    /// Whether patients may book it online.
    #[serde(default = "default_online")]
    pub online: bool,
    /// The service that a patient must have had, or have booked for an earlier time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub requires_prior: Option<ServiceId>,
    /// Whether it is needling: two needling sessions of a patient are at least 48 hours apart.
    #[serde(default)]
    pub needling: bool,
}

fn default_capacity() -> u32 {
    1
}

fn default_alignment() -> u32 {
    15
}

fn default_horizon() -> u32 {
    365
}

fn default_online() -> bool {
    true
}

impl Service {
    pub(super) fn check(&self, faults: &mut Faults) {
        check_code(faults, "/code", &self.code);
        check_text(faults, "/name", &self.name, 200);
        for (pointer, minutes, min, max) in [
            ("/duration_minutes", self.duration_minutes, 5, 480),
            ("/prep_minutes", self.prep_minutes, 0, 120),
            ("/cleanup_minutes", self.cleanup_minutes, 0, 120),
        ] {
            faults.check(
                (min..=max).contains(&minutes) && minutes.is_multiple_of(5),
                pointer,
                "out_of_range",
                format!("must be a multiple of 5 between {min} and {max}"),
            );
        }
        faults.check((1..=100).contains(&self.capacity), "/capacity", "out_of_range", "must lie between 1 and 100");
        for (pointer, code) in [
            ("/required_certificate", &self.required_certificate),
            ("/room_type", &self.room_type),
            ("/equipment_type", &self.equipment_type),
        ] {
            if let Some(code) = code {
                check_code(faults, pointer, code);
            }
        }
        faults.check(
            [5, 10, 15, 20, 30, 60].contains(&self.start_alignment_minutes),
            "/start_alignment_minutes",
            "out_of_range",
            "must be one of 5, 10, 15, 20, 30, 60",
        );
        faults.check(
            self.min_notice_minutes <= 43_200,
            "/min_notice_minutes",
            "out_of_range",
            "at most 43200 minutes (30 days)",
        );
        faults.check(
            (1..=400).contains(&self.horizon_days),
            "/horizon_days",
            "out_of_range",
            "must lie between 1 and 400",
        );
    }
}
