//! The parts of an appointment that other rows say: whether it is the patient's first, the places of its group session, its
//! part in a plan. Looked up for a whole page at once.

use std::collections::HashMap;

use domain::id::PlanSessionId;
use rpc::Fault;
use service::db_error;
use uuid::Uuid;
use wire::booking::{Appointment, Places, PlanPart};

use crate::{Inner, plans::view::course_word, store::appointments::AppointmentRow};

/// Adds to appointments of one organisation what other rows say of them.
pub(crate) async fn add(
    inner: &Inner,
    organization: Uuid,
    rows: &[AppointmentRow],
    appointments: &mut [Appointment],
) -> Result<(), Fault> {
    let patients = distinct(rows.iter().map(|row| row.patient_id));
    let groups = distinct(rows.iter().filter_map(|row| row.group_id));
    let sessions = distinct(rows.iter().filter_map(|row| row.plan_session_id));
    let store = &inner.store;
    let (first_visits, places, plans) = tokio::try_join!(
        store.first_visits(organization, &patients),
        store.group_places(organization, &groups, inner.clock.now_us()),
        store.plans_of_sessions(organization, &sessions),
    )
    .map_err(db_error::fault)?;
    let first_visits: HashMap<Uuid, Option<i64>> =
        first_visits.into_iter().map(|first| (first.patient_id, first.starts_at_us)).collect();
    let places: HashMap<Uuid, Places> = places
        .into_iter()
        .map(|places| {
            let taken = u32::try_from(places.taken).unwrap_or(u32::MAX);
            (places.group_id, Places { taken, capacity: u32::try_from(places.capacity).unwrap_or(0) })
        })
        .collect();
    let mut parts: HashMap<PlanSessionId, PlanPart> = HashMap::new();
    for row in plans {
        let plan = row.plan().map_err(|_| Fault::internal("a stored plan cannot be read"))?;
        let of = u32::try_from(plan.sessions.len()).unwrap_or(u32::MAX);
        for session in &plan.sessions {
            let part = PlanPart {
                id: plan.id.to_string(),
                ordinal: session.ordinal,
                of,
                status: plan.status.as_str().to_owned(),
                course: course_word(plan.course).to_owned(),
                condition_code: plan.order.condition_code.clone(),
            };
            parts.insert(session.id, part);
        }
    }
    for (row, appointment) in rows.iter().zip(appointments) {
        let first = first_visits.get(&row.patient_id).copied().flatten();
        appointment.first_visit = Some(first.is_none_or(|first| row.starts_at_us <= first));
        appointment.places = row.group_id.and_then(|group| places.get(&group).cloned());
        appointment.plan = row.plan_session_id.and_then(|session| parts.get(&PlanSessionId::new(session)).cloned());
    }
    Ok(())
}

fn distinct(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
