//! Appointments and pending messages as the store keeps them.

use sql::Failure;
use uuid::Uuid;

use super::{LeftMessage, PendingMessage, StoredAppointment};
use crate::{
    appointment::{Appointment, Arrangement, Visit},
    store::{
        appointments::AppointmentRow,
        planned_messages::{LeftRow, PendingRow},
    },
};

impl StoredAppointment {
    /// Reads a row.
    ///
    /// # Errors
    /// When its status is unknown.
    pub(crate) fn from_row(row: AppointmentRow) -> Result<Self, Failure> {
        Ok(Self {
            appointment: Appointment {
                id: row.id,
                version: row.version,
                status: row.status.parse().map_err(undecodable)?,
                service: row.service_id,
                practitioner: row.practitioner_id,
                patient: row.patient_id,
                visit: Visit { starts_at_us: row.starts_at_us, location: row.location_id },
                ends_at_us: row.ends_at_us,
                time_zone: row.time_zone,
                plan_session: row.plan_session_id,
                confirmed_at_us: row.confirmed_at_us,
            },
            visit_version: row.visit_version,
            booked_at_us: row.booked_at_us,
            announced: Arrangement {
                visit: Visit { starts_at_us: row.announced_starts_at_us, location: row.announced_location_id },
                practitioner: row.announced_practitioner_id,
                service: row.announced_service_id,
            },
        })
    }

    pub(super) fn to_row(&self, organization: Uuid) -> AppointmentRow {
        let appointment = &self.appointment;
        AppointmentRow {
            organization_id: organization,
            id: appointment.id,
            version: appointment.version,
            status: appointment.status.as_str().to_owned(),
            service_id: appointment.service,
            practitioner_id: appointment.practitioner,
            patient_id: appointment.patient,
            location_id: appointment.visit.location,
            starts_at_us: appointment.visit.starts_at_us,
            ends_at_us: appointment.ends_at_us,
            time_zone: appointment.time_zone.clone(),
            visit_version: self.visit_version,
            announced_starts_at_us: self.announced.visit.starts_at_us,
            announced_location_id: self.announced.visit.location,
            announced_practitioner_id: self.announced.practitioner,
            announced_service_id: self.announced.service,
            plan_session_id: appointment.plan_session,
            booked_at_us: self.booked_at_us,
            confirmed_at_us: appointment.confirmed_at_us,
        }
    }
}

impl PendingMessage {
    pub(super) fn from_row(row: PendingRow) -> Result<Self, Failure> {
        Ok(Self {
            trigger: row.trigger.parse().map_err(undecodable)?,
            channel: row.channel.parse().map_err(undecodable)?,
            base_at_us: row.base_at_us,
            due_at_us: row.due_at_us,
            service: row.service_id,
            starts_at_us: row.starts_at_us,
            time_zone: row.time_zone,
            is_fallback: row.fallback_for.is_some(),
        })
    }
}

impl LeftMessage {
    pub(super) fn from_row(row: LeftRow) -> Result<Self, Failure> {
        Ok(Self {
            rule: row.rule_id,
            trigger: row.trigger.parse().map_err(undecodable)?,
            channel: row.channel.parse().map_err(undecodable)?,
            version: row.subject_version,
        })
    }
}

/// The failure to read a stored word.
fn undecodable(detail: &'static str) -> Failure {
    sqlx::Error::Decode(detail.into()).into()
}
