mod clock;
mod restored;
mod reverted;
mod rule_change;

use proptest::prelude::*;

use super::{
    rule_change::{PendingChange, for_pending},
    *,
};
use crate::rules::{self, QuietHours};

const HOUR: i64 = 3_600_000_000;
const SETTLE: i64 = 120_000_000;

fn us(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

fn rules() -> Vec<Rule> {
    rules::defaults().into_iter().zip(1..).map(|(body, id)| Rule::new(Uuid::from_u128(id), body, 0)).collect()
}

fn at(starts_at_us: i64, version: i64) -> Appointment {
    Appointment {
        id: Uuid::from_u128(7),
        version,
        status: Status::Booked,
        service: Uuid::from_u128(8),
        practitioner: Uuid::from_u128(9),
        patient: Uuid::from_u128(10),
        visit: Visit { starts_at_us, location: Uuid::from_u128(11) },
        ends_at_us: starts_at_us + HOUR,
        time_zone: "America/Edmonton".into(),
        plan_session: None,
        confirmed_at_us: None,
    }
}

fn change(event: Event, changed_at_us: i64, appointment: Appointment) -> Change {
    Change { organization: Uuid::nil(), event, changed_at_us, appointment, moved_from_us: None }
}

/// The plan for a change, of an appointment about which no message has left.
fn plan_messages(
    rules: &[Rule],
    known: Option<&StoredAppointment>,
    change: &Change,
    now_us: i64,
    settle_us: i64,
    series: Series,
) -> Option<MessagePlan> {
    super::plan_messages(rules, known, change, now_us, settle_us, series, &[])
}

/// Trigger, channel and minutes from `from_us` of each planned message, sorted.
fn due_minutes(plan: &MessagePlan, from_us: i64) -> Vec<(&'static str, &'static str, i64)> {
    let mut found: Vec<_> = plan
        .add
        .iter()
        .map(|one| (one.trigger.as_str(), one.channel.as_str(), (one.due_at_us - from_us) / 60_000_000))
        .collect();
    found.sort_unstable();
    found
}

fn booked(starts: i64, now: i64) -> MessagePlan {
    plan_messages(&rules(), None, &change(Event::Booked, now, at(starts, 1)), now, SETTLE, Series::First).unwrap()
}

#[test]
fn a_booking_plans_its_announcement_and_the_messages_before_the_start() {
    let start = us("2026-03-10T15:00:00Z");
    let plan = booked(start, start - 100 * HOUR);
    let expected = [
        ("before_start", "email", -72 * 60),
        ("before_start", "sms", -24 * 60),
        ("before_start", "sms", -2 * 60),
        ("booked", "email", -100 * 60),
        ("booked", "sms", -100 * 60),
    ];
    assert_eq!(due_minutes(&plan, start), expected);
    assert_eq!(plan.suppress, None);
    assert!(plan.add.iter().all(|one| one.version == 1));
    // Booked for tomorrow morning: what would have come before is covered by the news of the booking.
    let near = booked(start, start - 20 * HOUR);
    let expected = [("before_start", "sms", -120), ("booked", "email", -20 * 60), ("booked", "sms", -20 * 60)];
    assert_eq!(due_minutes(&near, start), expected);
    // Booked for a time that has passed: no message is planned.
    assert_eq!(booked(start, start + HOUR).add, []);
}

#[test]
fn a_late_follower_still_plans_messages_that_came_due_meanwhile() {
    let start = us("2026-03-10T15:00:00Z");
    let change = change(Event::Booked, start - 30 * HOUR, at(start, 1));
    let plan = plan_messages(&rules(), None, &change, start - 20 * HOUR, SETTLE, Series::First).unwrap();
    assert!(due_minutes(&plan, start).contains(&("before_start", "sms", -24 * 60)));
}

#[test]
fn a_snapshot_plans_upcoming_reminders_and_no_announcement() {
    let start = us("2026-03-10T15:00:00Z");
    let seen = change(Event::Snapshot, start - 500 * HOUR, at(start, 4));
    let plan = plan_messages(&rules(), None, &seen, start - 30 * HOUR, SETTLE, Series::First).unwrap();
    assert_eq!(due_minutes(&plan, start), [("before_start", "sms", -24 * 60), ("before_start", "sms", -2 * 60)]);
    assert!(plan.add.iter().all(|one| one.version == 4));
}

#[test]
fn a_move_takes_back_the_old_time_and_announces_the_new_one_when_settled() {
    let (a, b) = (us("2026-03-10T15:00:00Z"), us("2026-03-12T15:00:00Z"));
    let now = a - 100 * HOUR;
    let known = booked(a, now).stored;
    let plan = plan_messages(&rules(), Some(&known), &change(Event::Other, now, at(b, 2)), now, SETTLE, Series::First)
        .unwrap();
    assert_eq!(plan.suppress, Some("superseded"));
    let moved: Vec<_> = plan.add.iter().filter(|one| one.trigger == Trigger::Rescheduled).collect();
    assert_eq!(moved.len(), 2);
    assert!(moved.iter().all(|one| one.due_at_us == now + SETTLE && one.version == 2));
    assert_eq!(plan.add.len(), 5);
    assert_eq!((plan.stored.visit_version, plan.stored.announced.visit.starts_at_us), (2, a));
}

#[test]
fn a_drag_and_back_plans_nothing_unless_a_message_left_in_between() {
    let (a, b) = (us("2026-03-10T15:00:00Z"), us("2026-03-12T15:00:00Z"));
    let now = a - 100 * HOUR;
    let dragged = plan_messages(
        &rules(),
        Some(&booked(a, now).stored),
        &change(Event::Other, now, at(b, 2)),
        now,
        SETTLE,
        Series::First,
    )
    .unwrap()
    .stored;
    let back = change(Event::Other, now + 1, at(a, 3));
    let quiet = plan_messages(&rules(), Some(&dragged), &back, now + 1, SETTLE, Series::First).unwrap();
    assert_eq!(quiet.suppress, Some("superseded"));
    assert!(quiet.add.iter().all(|one| one.trigger == Trigger::BeforeStart && one.version == 3));
    assert_eq!(quiet.add.len(), 3);
    assert_eq!(quiet.revive, Some(Revival { until_us: now + 1, due_at_us: now + 1 + SETTLE }));
    let announced = StoredAppointment { announced: dragged.appointment.arrangement(), ..dragged };
    let correction = plan_messages(&rules(), Some(&announced), &back, now + 1, SETTLE, Series::First).unwrap();
    assert_eq!(correction.add.iter().filter(|one| one.trigger == Trigger::Rescheduled).count(), 2);
    assert_eq!(correction.revive, None, "the correction says the same");
}

#[test]
fn another_location_practitioner_or_service_is_announced_and_named() {
    let start = us("2026-03-10T15:00:00Z");
    let now = start - 100 * HOUR;
    let known = booked(start, now).stored;
    let other = Uuid::from_u128(99);
    let same = at(start, 2);
    let moved = Visit { location: other, ..same.visit };
    for (next, letters) in [
        (Appointment { practitioner: other, ..same.clone() }, "p"),
        (Appointment { service: other, ..same.clone() }, "s"),
        (Appointment { visit: moved, ..same.clone() }, "l"),
        (Appointment { visit: moved, practitioner: other, ..same.clone() }, "lp"),
    ] {
        let news = change(Event::Other, now, next);
        let plan1 = plan_messages(&rules(), Some(&known), &news, now, SETTLE, Series::First).unwrap();
        assert_eq!((plan1.suppress, plan1.add.len(), plan1.stored.visit_version), (Some("superseded"), 5, 2));
        let said = plan1.add.iter().filter(|one| one.trigger == Trigger::Rescheduled);
        assert!(said.clone().all(|one| one.changed.letters() == letters) && said.count() == 2, "{letters}");
        // Back again before anybody was announced: it is as if nothing had been.
        let back = change(Event::Other, now + 1, at(start, 3));
        let quiet = plan_messages(&rules(), Some(&plan1.stored), &back, now + 1, SETTLE, Series::First).unwrap();
        assert!(quiet.add.iter().all(|one| one.trigger == Trigger::BeforeStart) && quiet.revive.is_some());
    }
    // Another room, or a note: nobody's news.
    let noted =
        plan_messages(&rules(), Some(&known), &change(Event::Other, now, same), now, SETTLE, Series::First).unwrap();
    assert_eq!((noted.suppress, noted.add.len(), noted.stored.visit_version), (None, 0, 1));
}

#[test]
fn a_cancellation_takes_back_all_messages_and_is_announced_once() {
    let start = us("2026-03-10T15:00:00Z");
    let now = start - HOUR;
    let known = booked(start, start - 100 * HOUR).stored;
    let off = Appointment { status: Status::Cancelled, ..at(start, 2) };
    let plan1 =
        plan_messages(&rules(), Some(&known), &change(Event::Other, now, off.clone()), now, SETTLE, Series::First)
            .unwrap();
    assert_eq!(plan1.suppress, Some("cancelled"));
    assert_eq!(due_minutes(&plan1, start), [("cancelled", "email", -60), ("cancelled", "sms", -60)]);
    let again = change(Event::Other, now, Appointment { version: 3, ..off.clone() });
    assert_eq!(plan_messages(&rules(), Some(&plan1.stored), &again, now, SETTLE, Series::First).unwrap().add, []);
    // Called off in the books after the start, or first seen in a snapshot: no news.
    let late = change(Event::Other, start + HOUR, off.clone());
    assert_eq!(plan_messages(&rules(), Some(&known), &late, start + HOUR, SETTLE, Series::First).unwrap().add, []);
    let seen = change(Event::Snapshot, now, off);
    assert_eq!(plan_messages(&rules(), None, &seen, now, SETTLE, Series::First).unwrap().add, []);
}

#[test]
fn a_visit_that_has_begun_needs_no_message() {
    let start = us("2026-03-10T15:00:00Z");
    let known = booked(start, start - 100 * HOUR).stored;
    for (status, reason) in [
        (Status::Arrived, "visit_begun"),
        (Status::CheckedIn, "visit_begun"),
        (Status::Fulfilled, "visit_begun"),
        (Status::Noshow, "missed"),
        (Status::EnteredInError, "entered_in_error"),
    ] {
        let next = Appointment { status, ..at(start, 2) };
        let plan =
            plan_messages(&rules(), Some(&known), &change(Event::Other, start, next), start, SETTLE, Series::First)
                .unwrap();
        assert_eq!((plan.suppress, plan.add.len()), (Some(reason), 0), "{status}");
    }
}

#[test]
fn an_older_change_changes_nothing() {
    let start = us("2026-03-10T15:00:00Z");
    let now = start - 100 * HOUR;
    let known = plan_messages(&rules(), None, &change(Event::Booked, now, at(start, 5)), now, SETTLE, Series::First)
        .unwrap()
        .stored;
    for version in [4, 5] {
        assert_eq!(
            plan_messages(
                &rules(),
                Some(&known),
                &change(Event::Other, now, at(0, version)),
                now,
                SETTLE,
                Series::First
            ),
            None
        );
    }
    assert_eq!(
        plan_messages(&rules(), Some(&known), &change(Event::Snapshot, now, at(start, 5)), now, SETTLE, Series::First),
        None
    );
    // A restored database: the snapshot is older and still how things stand.
    assert!(
        plan_messages(&rules(), Some(&known), &change(Event::Snapshot, now, at(start, 4)), now, SETTLE, Series::First)
            .is_some()
    );
}

#[test]
fn a_day_before_is_24_hours_before_across_a_clock_change() {
    // 09:00 on the morning after Edmonton's clocks went forward; 24 hours before, their clock showed 08:00.
    let start = us("2026-03-08T15:00:00Z");
    let plan = booked(start, start - 100 * HOUR);
    assert!(plan.add.iter().any(|one| one.due_at_us == us("2026-03-07T15:00:00Z")));
}

#[test]
fn a_rule_is_for_its_services_and_keeps_its_quiet_hours() {
    let start = us("2026-03-10T13:00:00Z"); // 07:00 in Edmonton
    let mut rules = rules();
    for rule in &mut rules {
        rule.body.quiet_hours = Some(QuietHours { from: "21:00".parse().unwrap(), to: "08:00".parse().unwrap() });
    }
    let now = start - 100 * HOUR;
    let plan1 =
        plan_messages(&rules, None, &change(Event::Booked, now, at(start, 1)), now, SETTLE, Series::First).unwrap();
    // 05:00 is quiet and 08:00 too late: the evening before, at 20:55.
    assert!(
        due_minutes(&plan1, start).contains(&("before_start", "sms", -(10 * 60 + 5))),
        "{:?}",
        due_minutes(&plan1, start)
    );
    for rule in &mut rules {
        rule.body.service_ids = vec![Uuid::from_u128(1).into()];
    }
    assert_eq!(
        plan_messages(&rules, None, &change(Event::Booked, now, at(start, 1)), now, SETTLE, Series::First).unwrap().add,
        []
    );
}

fn with_rules_after() -> Vec<Rule> {
    let mut rules = rules();
    for (id, trigger) in [(20, Trigger::AfterCompleted), (21, Trigger::Missed)] {
        let body = rules::Body { trigger, offset_minutes: 36 * 60, ..rules[0].body.clone() };
        rules.push(Rule::new(Uuid::from_u128(id), body, 0));
    }
    rules
}

#[test]
fn messages_after_an_appointment_are_planned_once_by_its_status() {
    let rules = with_rules_after();
    let start = us("2026-03-10T15:00:00Z");
    let over = start + HOUR;
    let known = booked(start, start - 100 * HOUR).stored;
    for (status, trigger) in [(Status::Fulfilled, "after_completed"), (Status::Noshow, "missed")] {
        let ended = Appointment { status, ..at(start, 2) };
        let first = plan_messages(
            &rules,
            Some(&known),
            &change(Event::Other, over, ended.clone()),
            over,
            SETTLE,
            Series::First,
        )
        .unwrap();
        assert_eq!(due_minutes(&first, over), [(trigger, "email", 36 * 60), (trigger, "sms", 36 * 60)]);
        assert!(first.suppress.is_some(), "what was to come before the visit is taken back");
        // A note is added: what was planned stays, and nothing is planned again.
        let noted = change(Event::Other, over + HOUR, Appointment { version: 3, ..ended.clone() });
        let second = plan_messages(&rules, Some(&first.stored), &noted, over + HOUR, SETTLE, Series::First).unwrap();
        assert_eq!((second.suppress, second.add), (None, vec![]));
        // It was a mistake.
        let mistake = Appointment { status: Status::EnteredInError, version: 4, ..ended.clone() };
        let third = plan_messages(
            &rules,
            Some(&first.stored),
            &change(Event::Other, over, mistake),
            over,
            SETTLE,
            Series::First,
        )
        .unwrap();
        assert_eq!((third.suppress, third.add), (Some("entered_in_error"), vec![]));
        // First seen in a snapshot, it is old news; followed before, it is not.
        let seen = change(Event::Snapshot, over, ended);
        assert_eq!(plan_messages(&rules, None, &seen, over, SETTLE, Series::First).unwrap().add, []);
        assert_eq!(plan_messages(&rules, Some(&known), &seen, over, SETTLE, Series::First).unwrap().add.len(), 2);
    }
}

#[test]
fn a_message_after_an_appointment_waits_for_the_end_of_quiet_hours() {
    let mut rules = with_rules_after();
    for rule in &mut rules {
        rule.body.quiet_hours = Some(QuietHours { from: "21:00".parse().unwrap(), to: "08:00".parse().unwrap() });
    }
    let start = us("2026-03-10T15:00:00Z");
    let known = booked(start, start - 100 * HOUR).stored;
    // Completed at 16:00; a day and a half later it is 04:00.
    let over = us("2026-03-10T22:00:00Z");
    let ended = Appointment { status: Status::Fulfilled, ..at(start, 2) };
    let plan =
        plan_messages(&rules, Some(&known), &change(Event::Other, over, ended), over, SETTLE, Series::First).unwrap();
    assert!(plan.add.iter().all(|one| one.due_at_us == us("2026-03-12T14:00:00Z")), "{plan:?}");
    // The rule's change moves it, long after the visit has begun.
    let planned = &plan.add[0];
    let pending = PendingMessage {
        trigger: planned.trigger,
        channel: planned.channel,
        base_at_us: planned.base_at_us,
        due_at_us: planned.due_at_us,
        service: Uuid::from_u128(8),
        starts_at_us: start,
        time_zone: "America/Edmonton".into(),
        is_fallback: false,
    };
    let rule = rules.iter_mut().find(|rule| rule.id == planned.rule).unwrap();
    rule.body.offset_minutes = 44 * 60;
    assert_eq!(for_pending(rule, &pending, over), PendingChange::MoveTo(over + 44 * HOUR));
}

proptest! {
    /// Whatever happens to an appointment: nothing about a visit to come is due at or after its start, the key of every message is new, and
    /// what is planned is about the present time and place.
    #[test]
    fn whatever_happens_no_key_is_planned_twice(steps in prop::collection::vec((0i64..4, 0usize..7, 0i64..72), 1..12)) {
        let rules = with_rules_after();
        let mut known: Option<StoredAppointment> = None;
        let mut keys = std::collections::HashSet::new();
        let mut now = us("2026-03-01T00:00:00Z");
        for (version, (hour, status, later)) in (1i64..).zip(steps) {
            now += later * HOUR;
            let status = [Status::Booked, Status::Booked, Status::Booked, Status::Cancelled, Status::Arrived,
                Status::Noshow, Status::Fulfilled][status];
            let next = Appointment { status, ..at(us("2026-03-08T15:00:00Z") + hour * 24 * HOUR, version) };
            let event = if known.is_none() { Event::Booked } else { Event::Other };
            let found = plan_messages(&rules, known.as_ref(), &change(event, now, next.clone()), now, SETTLE, Series::First).unwrap();
            for one in &found.add {
                prop_assert!(keys.insert((one.version, one.rule, one.channel)));
                let of_use = one.trigger.is_after_visit() || one.due_at_us < next.visit.starts_at_us;
                prop_assert!(of_use && one.due_at_us >= now);
                prop_assert_eq!(one.version, version);
            }
            prop_assert_eq!(&plan_messages(&rules, Some(&found.stored), &change(event, now, next), now, SETTLE, Series::First), &None);
            known = Some(found.stored);
        }
    }
}
