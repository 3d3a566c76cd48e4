//! The effects of a directory change on appointments.

use serde::Serialize;
use utoipa::ToSchema;
use wire::common::{KeepAppointments, RezonedAppointment};

use super::super::{busy::SkippedComponent, time};

/// The effects of a write, beside the entry.
#[derive(Serialize, ToSchema)]
pub(crate) struct Impact {
    /// Appointments that the change displaces, earliest first.
    pub(super) displaced: Vec<String>,
    /// For a service: the appointments beyond the places of its group sessions, the ones that were booked last. They stay
    /// booked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) over_capacity: Option<Vec<String>>,
    /// In a dry run: the starts in the next four weeks that only the changed directory lets staff book.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) opened: Option<Vec<Opening>>,
    /// For a changed time zone of a location: its upcoming appointments, earliest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) appointments: Option<Vec<Rezoned>>,
    /// Of a lenient import: the skipped components by their lines, at most 500.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) skipped: Vec<SkippedComponent>,
}

/// An upcoming appointment whose location's time zone changes, with its start for each choice.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rezoned {
    appointment_id: String,
    /// Its start in the previous zone.
    #[schema(format = DateTime)]
    before: String,
    /// Its start for the requested choice; none in a dry run without a choice.
    #[schema(format = DateTime)]
    after: Option<String>,
    /// Its start for `keep_wall_time`.
    #[schema(format = DateTime)]
    keep_wall_time: String,
    /// Its start for `keep_instant`.
    #[schema(format = DateTime)]
    keep_instant: String,
}

impl Rezoned {
    pub(super) fn new(appointment: &RezonedAppointment, time_zone: &str, keep: KeepAppointments) -> Self {
        let keep_wall_time = time::local(appointment.wall_time_starts_at_us, time_zone);
        let keep_instant = time::local(appointment.starts_at_us, time_zone);
        let after = match keep {
            KeepAppointments::Unspecified => None,
            KeepAppointments::WallTime => Some(keep_wall_time.clone()),
            KeepAppointments::Instant => Some(keep_instant.clone()),
        };
        let before = time::local(appointment.starts_at_us, &appointment.time_zone);
        Self { appointment_id: appointment.appointment_id.clone(), before, after, keep_wall_time, keep_instant }
    }
}

/// The number of starts of a service that a day at a location gains.
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
