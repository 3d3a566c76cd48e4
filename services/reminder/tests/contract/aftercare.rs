//! Messages after appointments.

use crate::common::{Running, World, organization, us};
use domain::id::ServiceId;
use testkit::database::Database;
use uuid::Uuid;
use wire::reminder::{CreateRuleRequest, QuietHours, RuleBody};

/// A hundred hours before the visits.
const NOW: &str = "2026-03-04T11:00:00Z";
/// 09:00 in Edmonton.
const START: &str = "2026-03-08T15:00:00Z";

async fn a_message_after_an_appointment_depends_on_its_status(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    for trigger in ["after_completed", "missed"] {
        let body = RuleBody {
            trigger: trigger.into(),
            offset_minutes: 36 * 60,
            channels: vec!["sms".into()],
            ..RuleBody::default()
        };
        let request = Running::context(organization(1)).request(CreateRuleRequest { body: Some(body) });
        service.client.clone().create_rule(request).await.unwrap();
    }
    let [given, missed, mistaken] = [(); 3].map(|()| world.book(START));
    for visit in [&given, &missed, &mistaken] {
        service.becomes(visit, "booked", "sms", "delivered").await;
    }
    world.until(START);
    for (visit, event, status) in
        [(&given, "completed", "fulfilled"), (&missed, "no_show", "noshow"), (&mistaken, "completed", "fulfilled")]
    {
        world.booking.change(visit, event, us(START), |visit| visit.status = status.into());
    }
    for (visit, trigger) in [(&given, "after_completed"), (&missed, "missed"), (&mistaken, "after_completed")] {
        let planned = service.becomes(visit, trigger, "sms", "scheduled").await;
        assert_eq!(planned.due_at_us, us(START) + 36 * 3_600_000_000);
    }
    // Booking knows that it was a mistake; the feed does not have it yet.
    world.booking.hold_back();
    world.booking.change(&mistaken, "entered_in_error", us(START), |visit| visit.status = "entered-in-error".into());
    world.seconds(36 * 3600);
    let text = service.becomes(&given, "after_completed", "sms", "delivered").await.text;
    assert_eq!(
        text,
        "Northside Physio: thank you for your visit on Sun, Mar 8 at 9:00 AM. Some soreness is normal: drink water, move \
         gently. Worse? +17805550100"
    );
    let text = service.becomes(&missed, "missed", "sms", "delivered").await.text;
    assert_eq!(text, "Northside Physio: we missed you on Sun, Mar 8 at 9:00 AM. For a new time, call +17805550100");
    assert_eq!(service.becomes(&mistaken, "after_completed", "sms", "suppressed").await.reason, "superseded");
    world.booking.release();
    service.stop().await;
}

async fn a_message_after_an_appointment_is_not_sent_days_late(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let body = RuleBody { trigger: "after_completed".into(), channels: vec!["sms".into()], ..RuleBody::default() };
    let request = Running::context(organization(1)).request(CreateRuleRequest { body: Some(body) });
    service.client.clone().create_rule(request).await.unwrap();
    let [soon, late] = [(); 2].map(|()| world.book(START));
    for visit in [&soon, &late] {
        service.becomes(visit, "booked", "sms", "delivered").await;
    }
    service.stop().await;
    // Nobody looked for two days.
    world.until(START);
    world.booking.change(&late, "completed", us(START), |visit| visit.status = "fulfilled".into());
    world.seconds(48 * 3600 - 1);
    world.booking.change(&soon, "completed", world.clock.now_us(), |visit| visit.status = "fulfilled".into());
    world.seconds(1);
    let service = world.start().await;
    service.becomes(&soon, "after_completed", "sms", "delivered").await;
    assert_eq!(service.becomes(&late, "after_completed", "sms", "suppressed").await.reason, "too_late");
    service.stop().await;
}

async fn a_plan_whose_next_session_nobody_books_invites_once(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let needling = ServiceId::new(Uuid::from_u128(30)).to_string();
    let body = RuleBody {
        trigger: "plan_session_unbooked".into(),
        channels: vec!["sms".into()],
        service_ids: vec![needling.clone()],
        quiet_hours: Some(QuietHours { from: "21:00".into(), to: "08:00".into() }),
        ..RuleBody::default()
    };
    let request = Running::context(organization(1)).request(CreateRuleRequest { body: Some(body) });
    service.client.clone().create_rule(request).await.unwrap();
    let [invited, mended, other] = [(); 3].map(|()| world.book(START));
    for visit in [&invited, &mended, &other] {
        service.becomes(visit, "booked", "sms", "delivered").await;
    }
    // 04:00 in Edmonton: the invitation waits for the morning. The feed holds one plan twice.
    let at_risk = |visit: &str, service: &str| {
        world.booking.puts_at_risk(visit, service, "2026-03-12", world.clock.now_us());
    };
    at_risk(&invited, &needling);
    world.seconds(1);
    at_risk(&invited, &needling);
    at_risk(&mended, &needling);
    at_risk(&other, &ServiceId::new(Uuid::from_u128(31)).to_string());
    for visit in [&invited, &mended] {
        let planned = service.becomes(visit, "plan_session_unbooked", "sms", "scheduled").await;
        assert_eq!(planned.due_at_us, us("2026-03-04T15:00:00Z"));
    }
    world.booking.is_booked_again(&mended);
    world.until("2026-03-04T15:00:00Z");
    let sent = service.becomes(&invited, "plan_session_unbooked", "sms", "delivered").await;
    assert_eq!(
        sent.text,
        "Northside Physio: it is time for your next visit. Please book it by Thu, Mar 12. Call +17805550100"
    );
    let reason = service.becomes(&mended, "plan_session_unbooked", "sms", "suppressed").await.reason;
    assert_eq!(reason, "superseded");
    let invitations = async |visit: &str| {
        service.messages(visit).await.iter().filter(|one| one.trigger == "plan_session_unbooked").count()
    };
    assert_eq!((invitations(&invited).await, invitations(&other).await), (1, 0));
    service.stop().await;
}

async fn a_plan_whose_last_visit_had_ended_before_the_service_began_invites_too(database: Database) {
    let world = World::new(database, NOW).await;
    let needling = ServiceId::new(Uuid::from_u128(30)).to_string();
    // Longer ago than the history reaches.
    let visit = world.book("2025-01-02T15:00:00Z");
    world.booking.has_ended(&visit);
    let service = world.start().await;
    let body = RuleBody {
        trigger: "plan_session_unbooked".into(),
        channels: vec!["sms".into()],
        service_ids: vec![needling.clone()],
        ..RuleBody::default()
    };
    let request = Running::context(organization(1)).request(CreateRuleRequest { body: Some(body) });
    service.client.clone().create_rule(request).await.unwrap();
    world.booking.puts_at_risk(&visit, &needling, "2026-03-12", world.clock.now_us());
    service.becomes(&visit, "plan_session_unbooked", "sms", "delivered").await;
    service.stop().await;
}

testkit::engines!(
    a_plan_whose_last_visit_had_ended_before_the_service_began_invites_too,
    a_plan_whose_next_session_nobody_books_invites_once,
    a_message_after_an_appointment_depends_on_its_status,
    a_message_after_an_appointment_is_not_sent_days_late,
);
