//! The next and the last appointment of patients.

use std::collections::HashMap;

use domain::id::PatientId;
use rpc::{Context, Fault};
use service::db_error;
use uuid::Uuid;
use wire::booking::{Appointment, Patient};

use super::view;
use crate::{Inner, store::appointments::AppointmentRow};

/// Adds to patients their next and their last appointment.
pub(crate) async fn add_adjacent(inner: &Inner, ctx: &Context, patients: &mut [Patient]) -> Result<(), Fault> {
    let ids: Vec<Uuid> =
        patients.iter().filter_map(|patient| patient.id.parse::<PatientId>().ok()).map(PatientId::uuid).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let now_us = inner.clock.now_us();
    let rows = inner.store.adjacent_appointments(ctx.organization.uuid(), &ids, now_us).await;
    let rows = rows.map_err(db_error::fault)?;
    let (next, last): (Vec<AppointmentRow>, Vec<AppointmentRow>) =
        rows.into_iter().partition(|row| row.starts_at_us >= now_us);
    let by_patient = |rows: &[AppointmentRow]| -> HashMap<String, Appointment> {
        rows.iter().map(|row| (PatientId::new(row.patient_id).to_string(), view::to_wire(row))).collect()
    };
    let (mut next, mut last) = (by_patient(&next), by_patient(&last));
    for patient in patients {
        patient.next_visit = next.remove(&patient.id);
        patient.last_visit = last.remove(&patient.id);
    }
    Ok(())
}
