//! Changes of booking's feed, as planning reads them.

use domain::id::{
    AppointmentId, LocationId, OfferId, OrganizationId, PatientId, PlanId, PlanSessionId, PractitionerId, ServiceId,
};
use jiff::civil::Date;
use wire::booking::{AppointmentState, Change as Wire, OfferState, PlanState, change::Owner};

use super::{Change, Event, OfferChange, PlanAtRisk};
use crate::appointment::{Appointment, Visit};

/// The changes of appointments. `state` replaces the event when the changes say how appointments stand.
pub(crate) fn appointment_changes(changes: &[Wire], state: Option<Event>) -> Vec<Change> {
    let appointments = changes.iter().filter_map(|change| match &change.owner {
        Some(Owner::Appointment(appointment)) => Some((change, appointment)),
        _ => None,
    });
    let read = |(change, appointment): (&Wire, &AppointmentState)| {
        let read = appointment_change(change, appointment, state);
        if read.is_none() {
            tracing::error!(
                organization = change.organization_id,
                appointment = appointment.id,
                version = change.version,
                "a change of the feed is unreadable and skipped"
            );
        }
        read
    };
    appointments.filter_map(read).collect()
}

/// One change of an appointment; `None` when it is unreadable.
pub(crate) fn appointment_change(
    change: &Wire,
    appointment: &AppointmentState,
    state: Option<Event>,
) -> Option<Change> {
    let event = match (state, change.event.as_str()) {
        (Some(event), _) => event,
        (None, "booked") => Event::Booked,
        (None, "clock_corrected") => Event::Corrected,
        (None, _) => Event::Other,
    };
    Some(Change {
        organization: change.organization_id.parse::<OrganizationId>().ok()?.uuid(),
        event,
        changed_at_us: change.changed_at_us,
        appointment: Appointment {
            id: appointment.id.parse::<AppointmentId>().ok()?.uuid(),
            version: change.version,
            status: appointment.status.parse().ok()?,
            service: appointment.service_id.parse::<ServiceId>().ok()?.uuid(),
            practitioner: appointment.practitioner_id.parse::<PractitionerId>().ok()?.uuid(),
            patient: appointment.patient_id.parse::<PatientId>().ok()?.uuid(),
            visit: Visit {
                starts_at_us: appointment.starts_at_us,
                location: appointment.location_id.parse::<LocationId>().ok()?.uuid(),
            },
            ends_at_us: appointment.ends_at_us,
            time_zone: appointment.time_zone.clone(),
            plan_session: appointment.plan_session_id.parse::<PlanSessionId>().ok().map(PlanSessionId::uuid),
            confirmed_at_us: (appointment.confirmed_at_us != 0).then_some(appointment.confirmed_at_us),
        },
        moved_from_us: (appointment.previous_starts_at_us != 0).then_some(appointment.previous_starts_at_us),
    })
}

/// The plans that came to be at risk; with the instant of a snapshot, all plans at risk in it.
pub(crate) fn plans_at_risk(changes: &[Wire], snapshot_us: Option<i64>) -> Vec<PlanAtRisk> {
    let plans = changes.iter().filter_map(|change| match &change.owner {
        Some(Owner::Plan(plan)) => Some((change, plan)),
        _ => None,
    });
    let at_risk =
        plans.filter(|(change, plan)| plan.at_risk && (snapshot_us.is_some() || change.event == "plan_at_risk"));
    let read = |(change, plan): (&Wire, &PlanState)| {
        Some(PlanAtRisk {
            organization: change.organization_id.parse::<OrganizationId>().ok()?.uuid(),
            plan: plan.id.parse::<PlanId>().ok()?.uuid(),
            last_appointment: plan.last_appointment_id.parse::<AppointmentId>().ok()?.uuid(),
            service: plan.next_service_id.parse::<ServiceId>().ok()?.uuid(),
            book_by: plan.book_by.parse::<Date>().ok()?.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24,
            since_us: snapshot_us.unwrap_or(change.changed_at_us),
        })
    };
    at_risk.filter_map(read).collect()
}

/// The offers that were made or have ended.
pub(crate) fn offer_changes(changes: &[Wire]) -> Vec<OfferChange> {
    let offers = changes.iter().filter_map(|change| match &change.owner {
        Some(Owner::Offer(offer)) => Some((change, offer)),
        _ => None,
    });
    let read = |(change, offer): (&Wire, &OfferState)| {
        Some(OfferChange {
            organization: change.organization_id.parse::<OrganizationId>().ok()?.uuid(),
            id: offer.id.parse::<OfferId>().ok()?.uuid(),
            version: change.version,
            open: offer.status == "open",
            patient: offer.patient_id.parse::<PatientId>().ok()?.uuid(),
            service: offer.service_id.parse::<ServiceId>().ok()?.uuid(),
            practitioner: offer.practitioner_id.parse::<PractitionerId>().ok()?.uuid(),
            visit: Visit {
                starts_at_us: offer.starts_at_us,
                location: offer.location_id.parse::<LocationId>().ok()?.uuid(),
            },
            ends_at_us: offer.ends_at_us,
            time_zone: offer.time_zone.clone(),
            since_us: change.changed_at_us,
        })
    };
    offers.filter_map(read).collect()
}
