//! What a change of the directory does to what is booked.

use serde::Serialize;
use utoipa::ToSchema;
use wire::common::{KeepAppointments, RezonedAppointment};

use crate::v1::{busy::SkippedComponent, time};

/// What a write answers beside the entry.
#[derive(Serialize, ToSchema)]
pub(crate) struct Impact {
    /// Appointments that lose their ground, earliest first.
    pub(super) displaced: Vec<String>,
    /// For a service: the appointments that its group sessions have beyond its places, those that were booked last. They
    /// stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) over_capacity: Option<Vec<String>>,
    /// In a dry run: starts that staff could book in the next four weeks and cannot now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) opened: Option<Vec<Opening>>,
    /// For a location's other time zone: its appointments ahead, earliest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) appointments: Option<Vec<Rezoned>>,
    /// Of a lenient import: what was left out of the file, by its lines; the first 500 of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) skipped: Vec<SkippedComponent>,
}

/// An appointment ahead whose location's time zone changes, with its start by each choice.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rezoned {
    appointment_id: String,
    /// Its start, by the zone before.
    #[schema(format = DateTime)]
    before: String,
    /// Its start by the choice that was made; none in a dry run without one.
    #[schema(format = DateTime)]
    after: Option<String>,
    /// Its start by `keep_wall_time`.
    #[schema(format = DateTime)]
    keep_wall_time: String,
    /// Its start by `keep_instant`.
    #[schema(format = DateTime)]
    keep_instant: String,
}

impl Rezoned {
    pub(super) fn new(it: &RezonedAppointment, time_zone: &str, keep: KeepAppointments) -> Self {
        let keep_wall_time = time::shown(it.wall_time_starts_at_us, time_zone);
        let keep_instant = time::shown(it.starts_at_us, time_zone);
        let after = match keep {
            KeepAppointments::Unspecified => None,
            KeepAppointments::WallTime => Some(keep_wall_time.clone()),
            KeepAppointments::Instant => Some(keep_instant.clone()),
        };
        let before = time::shown(it.starts_at_us, &it.time_zone);
        Self { appointment_id: it.appointment_id.clone(), before, after, keep_wall_time, keep_instant }
    }
}

/// So many more starts of a service at a location on one of its days.
#[derive(Serialize, ToSchema)]
pub(crate) struct Opening {
    service_id: String,
    location_id: String,
    #[schema(format = Date)]
    date: String,
    slots: u32,
}

impl From<wire::availability::Opening> for Opening {
    fn from(opening: wire::availability::Opening) -> Self {
        let wire::availability::Opening { service_id, location_id, date, slots } = opening;
        Self { service_id, location_id, date, slots }
    }
}
