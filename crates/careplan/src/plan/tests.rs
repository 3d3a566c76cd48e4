use domain::directory::{Phase, SessionRange};
use uuid::Uuid;

use super::*;
use crate::review::Decision;

fn plan() -> Plan {
    let phase = |sessions: u32| Phase {
        service_id: ServiceId::new(Uuid::from_u128(1)),
        sessions: SessionRange { least: sessions, most: sessions },
        gap_days: GapDays { least: 3, ideal: 5, most: 7 },
        review_every: None,
        paired: false,
    };
    let template = PlanTemplate { code: "x".into(), name: "X".into(), course: Course::Acute, phases: vec![phase(2)] };
    let order = Order {
        patient: PatientId::new(Uuid::from_u128(2)),
        template: PlanTemplateId::new(Uuid::from_u128(3)),
        condition_code: "neck-pain".into(),
        practitioner: None,
        locations: vec![],
        preferences: Preferences::default(),
        start_on: jiff::civil::date(2026, 3, 2),
    };
    let mut next = 10_u128;
    let id = || {
        next += 1;
        PlanSessionId::new(Uuid::from_u128(next))
    };
    Plan::new(PlanId::new(Uuid::from_u128(4)), order, &template, None, id).unwrap()
}

fn visit(number: u128) -> Visit {
    let starts_at: Timestamp = "2026-03-03T16:00:00Z".parse().unwrap();
    Visit {
        appointment: AppointmentId::new(Uuid::from_u128(number)),
        starts_at,
        ends_at: starts_at + jiff::SignedDuration::from_mins(30),
        practitioner: PractitionerId::new(Uuid::from_u128(5)),
        location: LocationId::new(Uuid::from_u128(6)),
        on: jiff::civil::date(2026, 3, 3),
        displaced: false,
    }
}

#[test]
fn a_plan_follows_what_happens_to_its_appointments() {
    let draft = plan();
    let (first, second) = (draft.sessions[0].id, draft.sessions[1].id);
    assert_eq!(draft.may_book(first, ServiceId::new(Uuid::from_u128(9))), Err(Rejection::OtherService));
    let active = draft.after(first, Event::Booked(visit(20))).unwrap();
    assert_eq!((active.status, active.sessions[0].status), (Status::Active, SessionStatus::Booked));
    let service = active.sessions[0].service;
    assert_eq!(active.may_book(first, service), Err(Rejection::NotToBook(SessionStatus::Booked)));
    assert_eq!(
        active.after(first, Event::Cancelled { appointment: visit(21).appointment, forfeits: false }),
        None,
        "another appointment"
    );
    assert_eq!(
        active.after(first, Event::Cancelled { appointment: visit(20).appointment, forfeits: false }).unwrap(),
        draft
    );
    let missed = active.after(first, Event::Missed { appointment: visit(20).appointment, given_back: None }).unwrap();
    assert_eq!(missed.status, Status::Active);
    let done = active.after(first, Event::Completed(visit(20).appointment)).unwrap();
    let done = done.after(second, Event::Booked(visit(22))).unwrap();
    let done = done.after(second, Event::Completed(visit(22).appointment)).unwrap();
    assert_eq!(done.status, Status::Completed);
    assert_eq!(done.may_book(second, service), Err(Rejection::Closed(Status::Completed)));
}

#[test]
fn the_rest_of_a_plan_follows_the_review() {
    let next = std::cell::Cell::new(100_u128);
    let id = || {
        next.set(next.get() + 1);
        PlanSessionId::new(Uuid::from_u128(next.get()))
    };
    let review = |decision| Review {
        at: "2026-03-03T12:00:00Z".parse().unwrap(),
        nprs: 3,
        psfs: vec![],
        decision,
        note: String::new(),
    };
    let first = plan().sessions[0].id;
    let active = plan().after(first, Event::Booked(visit(20))).unwrap();

    let on = active.reviewed(review(Decision::Continue), id).unwrap();
    assert_eq!((on.cancelled.len(), &on.plan.sessions), (0, &active.sessions));
    let longer = active.reviewed(review(Decision::Extend(2)), id).unwrap().plan;
    assert_eq!(longer.sessions.iter().map(|session| session.ordinal).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(active.reviewed(review(Decision::Extend(99)), id), Err(crate::review::Rejection::TooLong));
    let tapered = active.reviewed(review(Decision::Taper), id).unwrap();
    assert_eq!(tapered.cancelled, [visit(20).appointment]);
    assert_eq!(tapered.plan.sessions[1].gap_days, Some(GapDays { least: 6, ideal: 10, most: 14 }));
    assert_eq!(tapered.plan.status, Status::Draft, "nothing of it is booked any more");
    let paused = active.reviewed(review(Decision::Pause), id).unwrap().plan;
    assert_eq!((paused.status, paused.sessions[0].status), (Status::OnHold, SessionStatus::ToBook));
    assert_eq!(paused.may_book(first, paused.sessions[0].service), Err(Rejection::Closed(Status::OnHold)));
    assert_eq!(paused.reviewed(review(Decision::Continue), id).unwrap().plan.status, Status::Draft, "it goes on");
    let over = active.reviewed(review(Decision::Discharge), id).unwrap();
    assert_eq!((over.plan.status, over.cancelled.len()), (Status::Completed, 1));
    assert!(over.plan.sessions.iter().all(|session| session.status == SessionStatus::Skipped));
    let closed = over.plan.reviewed(review(Decision::Continue), id);
    assert_eq!(closed, Err(crate::review::Rejection::Closed(Status::Completed)));
}

#[test]
fn a_review_is_due_once_the_session_before_it_is_done() {
    let mut plan = plan();
    plan.sessions[0].review_after = true;
    let first = plan.sessions[0].id;
    let booked = plan.after(first, Event::Booked(visit(20))).unwrap();
    assert!(!booked.review_due());
    let done = booked.after(first, Event::Completed(visit(20).appointment)).unwrap();
    assert!(done.review_due());
    let review =
        Review { at: visit(20).ends_at, nprs: 3, psfs: vec![], decision: Decision::Continue, note: String::new() };
    assert!(!done.reviewed(review, || PlanSessionId::new(Uuid::nil())).unwrap().plan.review_due());
}

#[test]
fn a_plan_reads_back_as_it_was_written() {
    let plan = plan().after(plan().sessions[0].id, Event::Booked(visit(20))).unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn a_plan_that_was_written_before_visits_had_a_day_can_still_be_read() {
    let plan = plan().after(plan().sessions[0].id, Event::Booked(visit(20))).unwrap();
    let mut old = serde_json::to_value(&plan).unwrap();
    for session in old["sessions"].as_array_mut().unwrap() {
        for name in ["forfeited", "instead_of"] {
            session.as_object_mut().unwrap().remove(name);
        }
        if let Some(visit) = session["visit"].as_object_mut() {
            visit.remove("on");
            visit.remove("displaced");
        }
    }
    assert_eq!(serde_json::from_value::<Plan>(old).unwrap(), plan);
}
