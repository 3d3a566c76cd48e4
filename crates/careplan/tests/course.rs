//! What becomes of a plan: its chain, what needs attention, its ledger and the report, under whatever happens to it.

use careplan::{
    adherence::{GroupBy, Question, Report},
    chain::{Link, Trouble},
    ledger::{Balance, Entry, Kind, entries},
    plan::{Contradiction, Event, Order, Plan, Preferences, Reverted, SessionStatus, Status, Visit},
    review::{Decision, Review},
};
use domain::{
    directory::{Course, GapDays, Phase, PlanTemplate, SessionRange},
    id::{AppointmentId, LocationId, PatientId, PlanId, PlanSessionId, PlanTemplateId, PractitionerId, ServiceId},
};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use proptest::prelude::*;
use uuid::Uuid;

/// Day 0 of every plan here, a Monday.
const START: Date = jiff::civil::date(2026, 3, 2);

fn date(days: i32) -> Date {
    START.checked_add(jiff::Span::new().days(days)).unwrap()
}

fn instant(days: i32, hour: i8) -> Timestamp {
    date(days).at(hour, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp()
}

fn session_id(number: u128) -> PlanSessionId {
    PlanSessionId::new(Uuid::from_u128(number))
}

/// A plan of some sessions, 6 to 8 days apart; with a second phase beside the first, 1 to 3 days after its partner.
fn plan(sessions: u32, paired: bool) -> Plan {
    let phase = |service: u128, gap: (u32, u32, u32), paired| Phase {
        service_id: ServiceId::new(Uuid::from_u128(service)),
        sessions: SessionRange { least: sessions, most: sessions },
        gap_days: GapDays { least: gap.0, ideal: gap.1, most: gap.2 },
        review_every: None,
        paired,
    };
    let mut phases = vec![phase(1, (6, 7, 8), false)];
    phases.extend(paired.then(|| phase(2, (1, 2, 3), true)));
    let template = PlanTemplate { code: "x".into(), name: "X".into(), course: Course::Chronic, phases };
    let order = Order {
        patient: PatientId::new(Uuid::from_u128(2)),
        template: PlanTemplateId::new(Uuid::from_u128(3)),
        condition_code: "neck-pain".into(),
        practitioner: None,
        locations: vec![LocationId::new(Uuid::from_u128(6))],
        preferences: Preferences::default(),
        start_on: START,
    };
    let mut next = 0;
    let id = || {
        next += 1;
        session_id(next)
    };
    Plan::new(PlanId::new(Uuid::from_u128(4)), order, &template, None, id).unwrap()
}

/// The appointment of a session has its number.
fn visit(number: u128, days: i32) -> Visit {
    Visit {
        appointment: AppointmentId::new(Uuid::from_u128(number)),
        starts_at: instant(days, 16),
        ends_at: instant(days, 16) + SignedDuration::from_mins(30),
        practitioner: PractitionerId::new(Uuid::from_u128(5)),
        location: LocationId::new(Uuid::from_u128(6)),
        on: date(days),
        displaced: false,
    }
}

/// A plan whose sessions are booked on these days; those before today are done.
fn course(days: &[i32], today: i32) -> Plan {
    let mut plan = plan(days.len() as u32, false);
    for (number, on) in (1..).zip(days) {
        plan = plan.after(session_id(number), Event::Booked(visit(number, *on))).unwrap();
        if *on < today {
            plan = plan.after(session_id(number), Event::Completed(visit(number, 0).appointment)).unwrap();
        }
    }
    plan
}

fn troubles(plan: &Plan, today: i32) -> Vec<(PlanSessionId, Trouble)> {
    plan.attention(instant(today, 8), date(today)).into_iter().map(|it| (it.session, it.trouble)).collect()
}

#[test]
fn a_gap_that_broke_is_named_until_it_is_kept_again() {
    let kept = course(&[0, 7, 14, 21], 10);
    assert_eq!(troubles(&kept, 10), []);
    let late = kept.after(session_id(3), Event::Booked(visit(3, 17))).unwrap();
    let (third, fourth) = (session_id(3), session_id(4));
    let expected =
        [(third, Trouble::GapTooLong { days: 10, most: 8 }), (fourth, Trouble::GapTooShort { days: 4, least: 6 })];
    assert_eq!(troubles(&late, 10), expected);
    assert_eq!(troubles(&late, 18), [(fourth, Trouble::GapTooShort { days: 4, least: 6 })], "what is past is past");
    let moved = late.after(third, Event::Booked(visit(3, 15))).unwrap();
    assert_eq!(troubles(&moved, 10), []);
    let gone = moved.after(fourth, Event::Displaced { appointment: visit(4, 0).appointment, displaced: true }).unwrap();
    assert_eq!(troubles(&gone, 10), [(fourth, Trouble::Displaced)]);
    let called_off = Event::Cancelled { appointment: visit(3, 0).appointment, forfeits: false };
    let open = kept.after(third, called_off).unwrap();
    assert_eq!(troubles(&open, 15), [], "the third can still be given today");
    assert_eq!(troubles(&open, 16), [(third, Trouble::Overdue(date(15)))]);
}

#[test]
fn a_missed_session_is_given_back_in_its_place_or_used_up() {
    let plan = course(&[0, 7, 14, 21], 10);
    let missed = |given_back| Event::Missed { appointment: visit(3, 0).appointment, given_back };
    let back = plan.after(session_id(3), missed(Some(session_id(9)))).unwrap();
    let chain = back.chain(instant(15, 8));
    let ids: Vec<_> = chain.iter().map(|link| back.sessions[link.session].id).collect();
    assert_eq!(ids, [session_id(1), session_id(2), session_id(9), session_id(4)]);
    assert_eq!(back.sessions.iter().map(|session| session.ordinal).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(back.session(session_id(9)).unwrap().instead_of, Some(session_id(3)));
    assert_eq!(troubles(&back, 16), [(session_id(9), Trouble::Overdue(date(15)))]);

    let used_up = plan.after(session_id(3), missed(None)).unwrap();
    assert!(used_up.session(session_id(3)).unwrap().forfeited);
    assert_eq!(used_up.chain(instant(15, 8)).len(), 4, "it counts as if it had been given");
    assert_eq!(troubles(&used_up, 16), []);
}

#[test]
fn what_is_done_comes_before_what_is_open_whatever_was_planned() {
    // The second of three was called off; then the third took place.
    let plan = course(&[0, 7, 14], 6);
    let open = plan.after(session_id(2), Event::Cancelled { appointment: visit(2, 0).appointment, forfeits: false });
    let chain = open.as_ref().unwrap().chain(instant(15, 8));
    let order: Vec<_> = chain.iter().map(|link| (link.session, link.back, link.fixed)).collect();
    assert_eq!(order, [(0, 1, true), (2, 1, true), (1, 1, false)]);
    let of_two = plan.after(session_id(2), Event::Booked(visit(2, 16))).unwrap();
    let order: Vec<_> = of_two.chain(instant(10, 8)).iter().map(|link| link.session).collect();
    assert_eq!(order, [0, 2, 1], "booked ones come in the order of their time");
}

#[test]
fn a_pair_that_is_torn_apart_keeps_a_day_between() {
    // A1 B1 A2 B2 A3 B3: A2 is missed and given back when B2 is done already.
    let mut plan = plan(3, true);
    for (number, on) in (1..).zip([0, 2, 7, 9, 14, 16]) {
        plan = plan.after(session_id(number), Event::Booked(visit(number, on))).unwrap();
    }
    for number in [1, 2, 4] {
        plan = plan.after(session_id(number), Event::Completed(visit(number, 0).appointment)).unwrap();
    }
    let missed = Event::Missed { appointment: visit(3, 0).appointment, given_back: Some(session_id(9)) };
    let plan = plan.after(session_id(3), missed).unwrap();
    let chain = plan.chain(instant(10, 8));
    let make_up = chain.iter().find(|link| plan.sessions[link.session].id == session_id(9)).unwrap();
    assert_eq!((make_up.back, make_up.paired, make_up.gap.map(|gap| gap.least)), (1, false, Some(1)));
    let next = chain.iter().find(|link| plan.sessions[link.session].id == session_id(5)).unwrap();
    assert_eq!(next.back, 1, "the third of the first kind follows the one that makes up for the second");
}

#[test]
fn a_plan_is_at_risk_when_the_last_day_for_its_next_session_is_near() {
    let plan = course(&[0, 7, 14], 10);
    let now = |today| (instant(today, 8), date(today));
    assert_eq!(plan.book_by(now(10).0), None, "a session is booked");
    let open = plan.after(session_id(3), Event::Cancelled { appointment: visit(3, 0).appointment, forfeits: false });
    let open = open.unwrap();
    assert_eq!(open.book_by(now(10).0), Some(date(15)));
    assert!(!open.at_risk(now(11).0, now(11).1, 3));
    assert!(open.at_risk(now(12).0, now(12).1, 3));

    let question =
        |today| Question { group_by: GroupBy::Week, now: now(today).0, today: now(today).1, at_risk_days: 3 };
    let mut report = Report::new(question(20));
    [&open, &course(&[0, 9, 16], 18), &Plan { status: Status::Revoked, ..open.clone() }]
        .into_iter()
        .for_each(|plan| report.add(plan));
    assert_eq!(report.drop_off, [(2, 2)].into(), "two of them stopped after their second session");
    assert_eq!(report.at_risk, [open.id]);
    let row = &report.rows["2026-03-02"];
    assert_eq!((row.plans, row.planned, row.done, row.booked, row.to_book), (3, 9, 7, 0, 2));
    assert_eq!(row.gap_deviation_days(), Some(0.5), "gaps of 7, 9, 7 and 7 days, all to be 7");
}

/// Something that happens to a plan.
#[derive(Debug, Clone)]
enum Step {
    Book(usize, i32),
    Cancel(usize, bool),
    Complete(usize),
    Miss(usize, bool),
    Displace(usize, bool),
    Review(Decision),
}

fn step() -> impl Strategy<Value = Step> {
    let decisions = [Decision::Continue, Decision::Extend(1), Decision::Taper, Decision::Pause, Decision::Discharge];
    prop_oneof![
        4 => (0..8_usize, 0..60).prop_map(|(at, days)| Step::Book(at, days)),
        1 => (0..8_usize, any::<bool>()).prop_map(|(at, forfeits)| Step::Cancel(at, forfeits)),
        2 => (0..8_usize).prop_map(Step::Complete),
        1 => (0..8_usize, any::<bool>()).prop_map(|(at, back)| Step::Miss(at, back)),
        1 => (0..8_usize, any::<bool>()).prop_map(|(at, displaced)| Step::Displace(at, displaced)),
        1 => prop::sample::select(decisions.to_vec()).prop_map(Step::Review),
    ]
}

/// What booking lets happen: a visit that is over stays over.
fn apply(plan: &Plan, step: &Step, next: &mut u128, at: Timestamp) -> Option<Plan> {
    *next += 1;
    let number = *next;
    let booked = |at: usize| {
        let session = plan.sessions.get(at).filter(|session| session.status == SessionStatus::Booked)?;
        Some((session.id, session.visit?.appointment))
    };
    match step {
        Step::Book(at, days) => {
            let session = plan.sessions.get(*at)?;
            let appointment = match session.status {
                SessionStatus::ToBook => AppointmentId::new(Uuid::from_u128(number)),
                SessionStatus::Booked => session.visit?.appointment,
                _ => return None,
            };
            let on = if plan.may_book(session.id, session.service).is_ok() || session.visit.is_some() {
                *days
            } else {
                return None;
            };
            plan.after(session.id, Event::Booked(Visit { appointment, ..visit(0, on) }))
        }
        Step::Cancel(at, forfeits) => booked(*at)
            .and_then(|(id, appointment)| plan.after(id, Event::Cancelled { appointment, forfeits: *forfeits })),
        Step::Complete(at) => booked(*at).and_then(|(id, appointment)| plan.after(id, Event::Completed(appointment))),
        Step::Miss(at, back) => booked(*at).and_then(|(id, appointment)| {
            let given_back = back.then(|| session_id(1000 + number));
            plan.after(id, Event::Missed { appointment, given_back })
        }),
        Step::Displace(at, displaced) => booked(*at)
            .and_then(|(id, appointment)| plan.after(id, Event::Displaced { appointment, displaced: *displaced })),
        Step::Review(decision) => {
            let review = Review { at, nprs: 3, psfs: vec![], decision: *decision, note: String::new() };
            plan.reviewed(review, || session_id(2000 + number)).ok().map(|reviewed| reviewed.plan)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_ledger_reconciles_after_whatever_happens(
        sessions in 1..5_u32, paired in any::<bool>(), steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut current = plan(sessions, paired);
        let mut ledger: Vec<Entry> = entries(None, &current, instant(0, 8));
        let mut next = 100;
        for (number, step) in steps.iter().enumerate() {
            let at = instant(0, 8) + SignedDuration::from_hours(12 * number as i64);
            let Some(changed) = apply(&current, step, &mut next, at) else { continue };
            ledger.extend(entries(Some(&current), &changed, at));
            current = changed;
            let balance = Balance::of(&ledger);
            prop_assert_eq!(balance, Balance::of_plan(&current));
            let standing = balance.to_book + balance.booked + balance.done + balance.missed + balance.forfeited
                + balance.skipped;
            prop_assert_eq!(balance.planned + balance.given_back, standing);
            let missed = ledger.iter().filter(|entry| entry.kind == Kind::Missed).count();
            prop_assert_eq!(balance.given_back, missed, "what is missed and not used up is given back");

            // The chain has each session that counts once, what has begun first and in the order of its time.
            let chain = current.chain(at);
            let fixed: Vec<_> = chain.iter().filter(|link| link.fixed)
                .map(|link| current.sessions[link.session].visit.unwrap().starts_at).collect();
            prop_assert!(fixed.is_sorted());
            prop_assert!(chain.iter().map(|link| link.fixed).is_sorted_by(|one, other| one >= other));
            let measured = |link: &Link| link.gap.is_some() || current.sessions[link.session].gap_days.is_none();
            prop_assert!(chain.iter().skip(1).all(measured));
            prop_assert!(chain.iter().enumerate().all(|(place, link)| link.gap.is_none() || link.back <= place));
        }
    }
    #[test]
    fn what_is_taken_back_has_not_been(
        sessions in 1..5_u32, paired in any::<bool>(), steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut current = plan(sessions, paired);
        let mut ledger: Vec<Entry> = entries(None, &current, instant(0, 8));
        let mut next = 100;
        for (number, step) in steps.iter().enumerate() {
            let at = instant(0, 8) + SignedDuration::from_hours(12 * number as i64);
            let Some(changed) = apply(&current, step, &mut next, at) else { continue };
            let undone = match step {
                Step::Cancel(place, _) => Some((*place, Reverted::Cancelled)),
                Step::Complete(place) => Some((*place, Reverted::Completed)),
                Step::Miss(place, _) => Some((*place, Reverted::Missed)),
                _ => None,
            };
            if let Some((place, event)) = undone {
                let own = &current.sessions[place];
                let before = changed.reverted(own.id, own.visit.unwrap(), own.service, event);
                let is_discharged = current.reviews.last().is_some_and(|last| last.decision == Decision::Discharge);
                if event == Reverted::Cancelled && (is_discharged || current.status == Status::OnHold) {
                    prop_assert_eq!(before, Err(Contradiction::Closed(changed.status)));
                } else {
                    let before = before.unwrap().unwrap();
                    prop_assert_eq!(&before.sessions, &current.sessions);
                    prop_assert!(is_discharged || before == current);
                    ledger.extend(entries(Some(&current), &changed, at));
                    ledger.extend(entries(Some(&changed), &before, at));
                    prop_assert_eq!(Balance::of(&ledger), Balance::of_plan(&current));
                    if number % 2 == 0 {
                        continue;
                    }
                }
            }
            ledger.extend(entries(Some(&current), &changed, at));
            current = changed;
        }
    }
}

#[test]
fn what_a_plan_has_become_since_forbids_to_take_back() {
    let plan = course(&[0, 7, 14, 21], 10);
    let (third, own) = (session_id(3), visit(3, 14));
    let service = plan.session(third).unwrap().service;
    let appointment = own.appointment;
    let review = |plan: &Plan, decision| {
        let review = Review { at: instant(11, 8), nprs: 3, psfs: vec![], decision, note: String::new() };
        plan.reviewed(review, || session_id(90)).unwrap().plan
    };
    let undo = |plan: &Plan, event| plan.reverted(third, own, service, event).map(drop);
    let open = plan.after(third, Event::Cancelled { appointment, forfeits: false }).unwrap();
    let other = open.after(third, Event::Booked(Visit { appointment: visit(8, 0).appointment, ..own })).unwrap();
    assert_eq!(undo(&other, Reverted::Cancelled), Err(Contradiction::OtherAppointment));
    let paused = review(&open, Decision::Pause);
    assert_eq!(undo(&paused, Reverted::Cancelled), Err(Contradiction::Closed(Status::OnHold)));
    assert_eq!(undo(&review(&open, Decision::Discharge), Reverted::Cancelled), Err(Contradiction::Dropped));
    let changed = review(&open, Decision::ChangeService(ServiceId::new(Uuid::from_u128(77))));
    assert_eq!(undo(&changed, Reverted::Cancelled), Err(Contradiction::OtherService));
    let missed = plan.after(third, Event::Missed { appointment, given_back: Some(session_id(9)) }).unwrap();
    let used = missed.after(session_id(9), Event::Booked(visit(9, 16))).unwrap();
    assert_eq!(undo(&used, Reverted::Missed), Err(Contradiction::GivenBackUsed(SessionStatus::Booked)));
    assert_eq!(missed.reverted(session_id(9), own, service, Reverted::Missed), Ok(None), "not its appointment");
}
