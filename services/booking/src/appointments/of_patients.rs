//! The next and the last visit of patients who are shown.

use std::collections::HashMap;

use domain::id::PatientId;
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::booking::Patient;

use crate::{Inner, appointments, commit, store::rows::AppointmentRow};

/// Adds their next and their last visit to patients.
pub(crate) async fn add(inner: &Inner, ctx: &Context, patients: &mut [Patient]) -> Result<(), Fault> {
    let ids: Vec<Uuid> =
        patients.iter().filter_map(|patient| patient.id.parse::<PatientId>().ok()).map(PatientId::uuid).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let now_us = inner.clock.now_us();
    let rows = inner.store.visits_around(ctx.organization.uuid(), &ids, now_us).await.map_err(commit::failure)?;
    let (next, last): (Vec<AppointmentRow>, Vec<AppointmentRow>) =
        rows.into_iter().partition(|row| row.starts_at_us >= now_us);
    let by_patient = |rows: &[AppointmentRow]| -> HashMap<String, wire::booking::Appointment> {
        rows.iter().map(|row| (PatientId::new(row.patient_id).to_string(), appointments::listed(row))).collect()
    };
    let (mut next, mut last) = (by_patient(&next), by_patient(&last));
    for patient in patients {
        patient.next_visit = next.remove(&patient.id);
        patient.last_visit = last.remove(&patient.id);
    }
    Ok(())
}
