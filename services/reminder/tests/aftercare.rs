//! What patients are told after their visits.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use common::{Running, World, organization, us};
use testkit::database::Database;
use wire::reminder::{CreateRuleRequest, RuleBody};

/// A hundred hours before the visits.
const NOW: &str = "2026-03-04T11:00:00Z";
/// 09:00 in Edmonton.
const START: &str = "2026-03-08T15:00:00Z";

async fn what_follows_a_visit_tells_of_how_it_ended(database: Database) {
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
    // Booking knows that it was a mistake, and the feed has not told it yet.
    world.booking.hold_back();
    world.booking.change(&mistaken, "entered_in_error", us(START), |visit| visit.status = "entered-in-error".into());
    world.seconds(36 * 3600);
    let text = service.becomes(&given, "after_completed", "sms", "delivered").await.text;
    assert_eq!(
        text,
        "Northside Physio: thank you for your visit on Sun, Mar 8 at 9:00 AM. Questions, or worse? Call +17805550100"
    );
    let text = service.becomes(&missed, "missed", "sms", "delivered").await.text;
    assert_eq!(text, "Northside Physio: we missed you on Sun, Mar 8 at 9:00 AM. For a new time, call +17805550100");
    assert_eq!(service.becomes(&mistaken, "after_completed", "sms", "suppressed").await.reason, "superseded");
    world.booking.release();
    service.stop().await;
}

async fn what_follows_a_visit_is_not_sent_days_late(database: Database) {
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

on_both! {
    what_follows_a_visit_tells_of_how_it_ended
    what_follows_a_visit_is_not_sent_days_late
}
