//! The public event of a change in booking's feed.

use domain::{
    event::{AppointmentData, CancellationData, Data, Event, Kind, OfferData, PlanData, WaitlistData},
    id::OrganizationId,
    time::{from_micros, rfc3339},
};

use crate::booking::{AppointmentState, Change, OfferState, PlanState, WaitlistState, change::Owner};

/// The event of a change; `None` for a change without one (of a hold, a group session or a snapshot) and for a malformed
/// change.
pub fn from_change(change: &Change) -> Option<Event> {
    let organization = change.organization_id.parse().ok()?;
    let (kind, data) = match change.owner.as_ref()? {
        Owner::Appointment(state) => {
            let kind: Kind = format!("appointment.{}", change.event).parse().ok()?;
            (kind, Data::Appointment(appointment(organization, change.version, state)?))
        }
        Owner::Plan(state) => {
            let kind: Kind = format!("plan.{}", change.event.strip_prefix("plan_")?).parse().ok()?;
            (kind, Data::Plan(plan(organization, change.version, state)?))
        }
        Owner::Waitlist(state) => {
            let name = if change.event == "waitlisted" { "joined" } else { change.event.strip_prefix("waitlist_")? };
            (format!("waitlist.{name}").parse().ok()?, Data::Waitlist(waitlist(organization, change.version, state)?))
        }
        Owner::Offer(state) => {
            let name = if change.event == "offered" { "made" } else { change.event.strip_prefix("offer_")? };
            (format!("offer.{name}").parse().ok()?, Data::Offer(offer(organization, change.version, state)?))
        }
        Owner::Hold(_) | Owner::Group(_) => return None,
    };
    Some(Event { kind, timestamp: from_micros(change.changed_at_us)?.to_string(), data })
}

fn appointment(organization_id: OrganizationId, version: i64, state: &AppointmentState) -> Option<AppointmentData> {
    let at = |us: i64| from_micros(us).map(|at| rfc3339(at, &state.time_zone));
    Some(AppointmentData {
        organization_id,
        appointment_id: state.id.parse().ok()?,
        version,
        status: state.status.parse().ok()?,
        starts_at: at(state.starts_at_us)?,
        ends_at: at(state.ends_at_us)?,
        time_zone: state.time_zone.clone(),
        service_id: state.service_id.parse().ok()?,
        practitioner_id: state.practitioner_id.parse().ok()?,
        location_id: state.location_id.parse().ok()?,
        room_id: state.room_id.parse().ok(),
        patient_id: state.patient_id.parse().ok()?,
        plan_session_id: state.plan_session_id.parse().ok(),
        group_id: state.group_id.parse().ok(),
        displaced: state.displaced,
        previous_starts_at: (state.previous_starts_at_us != 0).then(|| at(state.previous_starts_at_us)).flatten(),
        cancellation: (!state.cancel_by.is_empty()).then(|| CancellationData {
            reason_code: super::optional_text(&state.cancel_reason_code),
            by: state.cancel_by.clone(),
            late: state.cancel_late,
        }),
    })
}

fn plan(organization_id: OrganizationId, version: i64, state: &PlanState) -> Option<PlanData> {
    Some(PlanData {
        organization_id,
        plan_id: state.id.parse().ok()?,
        version,
        status: state.status.clone(),
        patient_id: state.patient_id.parse().ok()?,
        at_risk: state.at_risk,
        next_plan_session_id: state.next_plan_session_id.parse().ok(),
        next_service_id: state.next_service_id.parse().ok(),
        location_id: state.location_id.parse().ok(),
        book_by: state.book_by.parse().ok(),
    })
}

fn waitlist(organization_id: OrganizationId, version: i64, state: &WaitlistState) -> Option<WaitlistData> {
    Some(WaitlistData {
        organization_id,
        waitlist_id: state.id.parse().ok()?,
        version,
        status: state.status.clone(),
        patient_id: state.patient_id.parse().ok()?,
        service_id: state.service_id.parse().ok()?,
        plan_session_id: state.plan_session_id.parse().ok(),
    })
}

fn offer(organization_id: OrganizationId, version: i64, state: &OfferState) -> Option<OfferData> {
    let at = |us: i64| from_micros(us).map(|at| rfc3339(at, &state.time_zone));
    Some(OfferData {
        organization_id,
        offer_id: state.id.parse().ok()?,
        version,
        status: state.status.clone(),
        waitlist_id: state.waitlist_id.parse().ok()?,
        patient_id: state.patient_id.parse().ok()?,
        service_id: state.service_id.parse().ok()?,
        practitioner_id: state.practitioner_id.parse().ok()?,
        location_id: state.location_id.parse().ok()?,
        starts_at: at(state.starts_at_us)?,
        expires_at: at(state.expires_at_us)?,
        time_zone: state.time_zone.clone(),
    })
}

#[cfg(test)]
mod tests {
    use domain::id::{Id, Kind as Named};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::booking::{GroupState, HoldState};

    fn id<K: Named>(number: u128) -> String {
        Id::<K>::new(Uuid::from_u128(number)).to_string()
    }

    fn change(event: &str, owner: Owner) -> Change {
        Change {
            organization_id: id::<domain::id::Organization>(1),
            version: 3,
            changed_at_us: 1_772_000_000_000_000,
            event: event.into(),
            owner: Some(owner),
            ..Change::default()
        }
    }

    fn visit() -> AppointmentState {
        AppointmentState {
            id: id::<domain::id::Appointment>(2),
            status: "booked".into(),
            service_id: id::<domain::id::Service>(3),
            practitioner_id: id::<domain::id::Practitioner>(4),
            location_id: id::<domain::id::Location>(5),
            patient_id: id::<domain::id::Patient>(6),
            starts_at_us: 1_772_000_000_000_000,
            ends_at_us: 1_772_001_800_000_000,
            time_zone: "America/Edmonton".into(),
            ..AppointmentState::default()
        }
    }

    #[test]
    fn an_event_has_ids_and_the_locations_time() {
        let event = from_change(&change("booked", Owner::Appointment(visit()))).unwrap();
        assert_eq!(
            serde_json::to_value(event).unwrap(),
            json!({"type": "appointment.booked", "timestamp": "2026-02-25T06:13:20Z", "data": {
                "organization_id": id::<domain::id::Organization>(1), "appointment_id": id::<domain::id::Appointment>(2),
                "version": 3, "status": "booked", "starts_at": "2026-02-24T23:13:20-07:00",
                "ends_at": "2026-02-24T23:43:20-07:00", "time_zone": "America/Edmonton",
                "service_id": id::<domain::id::Service>(3), "practitioner_id": id::<domain::id::Practitioner>(4),
                "location_id": id::<domain::id::Location>(5), "patient_id": id::<domain::id::Patient>(6),
                "displaced": false}})
        );
        let plan = PlanState {
            id: id::<domain::id::Plan>(7),
            status: "active".into(),
            patient_id: id::<domain::id::Patient>(6),
            at_risk: true,
            book_by: "2026-03-01".into(),
            ..PlanState::default()
        };
        let event = serde_json::to_value(from_change(&change("plan_at_risk", Owner::Plan(plan))).unwrap()).unwrap();
        assert_eq!((&event["type"], &event["data"]["book_by"]), (&json!("plan.at_risk"), &json!("2026-03-01")));
    }

    #[test]
    fn a_cancellation_has_its_reason_its_actor_and_whether_it_was_late() {
        let cancelled = AppointmentState {
            status: "cancelled".into(),
            cancel_reason_code: "patient_ill".into(),
            cancel_by: "patient".into(),
            cancel_late: true,
            ..visit()
        };
        let cancellation = |state| {
            let event = from_change(&change("cancelled", Owner::Appointment(state))).unwrap();
            serde_json::to_value(event).unwrap()["data"]["cancellation"].clone()
        };
        assert_eq!(
            cancellation(cancelled.clone()),
            json!({"reason_code": "patient_ill", "by": "patient", "late": true})
        );
        let without = AppointmentState { cancel_reason_code: String::new(), ..cancelled };
        assert_eq!(cancellation(without), json!({"by": "patient", "late": true}));
        assert_eq!(cancellation(visit()), serde_json::Value::Null);
    }

    #[test]
    fn waitlist_changes_have_events() {
        let state = WaitlistState {
            id: id::<domain::id::Waitlist>(8),
            status: "waiting".into(),
            patient_id: id::<domain::id::Patient>(6),
            service_id: id::<domain::id::Service>(3),
            ..WaitlistState::default()
        };
        let kind_of = |event: &str, owner| from_change(&change(event, owner)).map(|event| event.kind);
        let owner = || Owner::Waitlist(state.clone());
        assert_eq!(kind_of("waitlisted", owner()), Some(Kind::WaitlistJoined));
        assert_eq!(kind_of("waitlist_left", owner()), Some(Kind::WaitlistLeft));
        let offer = OfferState {
            id: id::<domain::id::Offer>(9),
            waitlist_id: state.id.clone(),
            status: "open".into(),
            patient_id: state.patient_id.clone(),
            service_id: state.service_id.clone(),
            practitioner_id: id::<domain::id::Practitioner>(4),
            location_id: id::<domain::id::Location>(5),
            starts_at_us: 1_772_000_000_000_000,
            expires_at_us: 1_771_990_000_000_000,
            time_zone: "America/Edmonton".into(),
            ..OfferState::default()
        };
        for (event, kind) in [("offered", Kind::OfferMade), ("offer_declined", Kind::OfferDeclined)] {
            assert_eq!(kind_of(event, Owner::Offer(offer.clone())), Some(kind));
        }
        assert_eq!(kind_of("offered", owner()), None);
    }

    #[test]
    fn internal_and_malformed_changes_have_no_event() {
        for event in ["held", "snapshot", "plan_changed", ""] {
            assert_eq!(from_change(&change(event, Owner::Appointment(visit()))), None, "{event}");
        }
        assert_eq!(from_change(&change("held", Owner::Hold(HoldState::default()))), None);
        assert_eq!(from_change(&change("group_changed", Owner::Group(GroupState::default()))), None);
        let unreadable = AppointmentState { patient_id: String::new(), ..visit() };
        assert_eq!(from_change(&change("booked", Owner::Appointment(unreadable))), None);
    }
}
