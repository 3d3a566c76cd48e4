//! Appointments, as they were seen in the feed.

use sqlx::FromRow;
use uuid::Uuid;

use crate::planning::{Appointment, Arrangement, Known, Visit};

/// An appointment, as it was seen in the feed.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct AppointmentRow {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) status: String,
    pub(crate) service_id: Uuid,
    pub(crate) practitioner_id: Uuid,
    pub(crate) patient_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) time_zone: String,
    pub(crate) visit_version: i64,
    pub(crate) told_starts_at_us: i64,
    pub(crate) told_location_id: Uuid,
    pub(crate) told_practitioner_id: Uuid,
    pub(crate) told_service_id: Uuid,
    pub(crate) plan_session_id: Option<Uuid>,
    pub(crate) booked_at_us: Option<i64>,
    pub(crate) confirmed_at_us: Option<i64>,
}

/// An appointment with its organisation.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct OwnedAppointmentRow {
    pub(crate) organization_id: Uuid,
    #[sqlx(flatten)]
    pub(crate) row: AppointmentRow,
}

impl AppointmentRow {
    pub(crate) fn read(self) -> Result<Known, sqlx::Error> {
        Ok(Known {
            appointment: Appointment {
                id: self.id,
                version: self.version,
                status: self.status.parse().map_err(|text: &str| sqlx::Error::Decode(text.into()))?,
                service: self.service_id,
                practitioner: self.practitioner_id,
                patient: self.patient_id,
                visit: Visit { starts_at_us: self.starts_at_us, location: self.location_id },
                ends_at_us: self.ends_at_us,
                time_zone: self.time_zone,
                plan_session: self.plan_session_id,
                confirmed_at_us: self.confirmed_at_us,
            },
            visit_version: self.visit_version,
            booked_at_us: self.booked_at_us,
            told: Arrangement {
                visit: Visit { starts_at_us: self.told_starts_at_us, location: self.told_location_id },
                practitioner: self.told_practitioner_id,
                service: self.told_service_id,
            },
        })
    }
}
