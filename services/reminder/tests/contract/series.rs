//! A series is announced once, and the daily limit of a patient.

use crate::common::{Running, World, organization, us};
use testkit::database::Database;
use wire::reminder::{ListRulesRequest, QuietHours, Rule, UpdateRuleRequest};

/// 04:00 in Edmonton, a hundred hours before the first visit.
const NOW: &str = "2026-03-04T11:00:00Z";
const STARTS: [&str; 3] = ["2026-03-08T15:00:00Z", "2026-03-12T15:00:00Z", "2026-03-16T15:00:00Z"];
/// As it is stored.
const LINK: &str = "https://book.example.org/m/[token]";

async fn booked_statuses(service: &Running, visit: &str) -> Vec<String> {
    let all = service.messages(visit).await;
    all.iter().filter(|one| one.trigger == "booked").map(|one| one.status.clone()).collect()
}

async fn a_series_is_announced_in_one_message(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let visits = world.book_series(&STARTS);
    let text = service.becomes(&visits[0], "booked", "sms", "delivered").await.text;
    assert_eq!(
        text,
        format!(
            "Northside Physio: 3 visits booked, the first on Sun, Mar 8 at 9:00 AM. Change: {LINK} Tel +17805550100"
        )
    );
    let mail = service.becomes(&visits[0], "booked", "email", "delivered").await;
    assert_eq!(mail.subject, "3 visits to Northside Physio");
    let days = "Sunday, March 8 9:00 AM\nThursday, March 12 9:00 AM\nMonday, March 16 9:00 AM";
    assert!(mail.text.contains(days), "{}", mail.text);
    for visit in &visits[1..] {
        // Each has its reminders.
        service.becomes(visit, "before_start", "sms", "scheduled").await;
        assert_eq!(booked_statuses(&service, visit).await, [""; 0]);
    }
    // A visit of its own, in the same moment and for another patient.
    let other = world.book(STARTS[1]);
    service.becomes(&other, "booked", "sms", "delivered").await;
    service.stop().await;
}

async fn the_announcement_of_a_series_moves_to_its_next_appointment(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let ctx = Running::context(organization(1));
    let rules = service.client.clone().list_rules(ctx.request(ListRulesRequest::default())).await.unwrap();
    let is = |rule: &Rule| rule.body.as_ref().is_some_and(|body| body.trigger == "booked");
    let rule = rules.into_inner().rules.into_iter().find(is).unwrap();
    let mut body = rule.body.unwrap();
    body.quiet_hours = Some(QuietHours { from: "21:00".into(), to: "08:00".into() });
    let update = UpdateRuleRequest { id: rule.id, body: Some(body), if_version: 0 };
    service.client.clone().update_rule(ctx.request(update)).await.unwrap();

    let visits = world.book_series(&STARTS);
    service.becomes(&visits[0], "booked", "sms", "scheduled").await;
    world.cancel(&visits[0]);
    service.becomes(&visits[1], "booked", "sms", "scheduled").await;
    world.until("2026-03-04T15:00:00Z");
    let text = service.becomes(&visits[1], "booked", "sms", "delivered").await.text;
    assert!(text.contains("2 visits booked, the first on Thu, Mar 12 at 9:00 AM"), "{text}");
    assert_eq!(booked_statuses(&service, &visits[0]).await, ["suppressed", "suppressed"]);
    assert_eq!(booked_statuses(&service, &visits[2]).await, [""; 0]);
    service.stop().await;
}

async fn a_patient_gets_no_more_messages_a_day_than_the_limit(database: Database) {
    let mut world = World::new(database, NOW).await;
    world.config.daily_max = 2;
    let service = world.start().await;
    let mut visits = Vec::new();
    for starts_at in STARTS {
        world.seconds(1);
        let visit = world.book_series(&[starts_at]).remove(0);
        if visits.len() < 2 {
            service.becomes(&visit, "booked", "sms", "delivered").await;
        }
        visits.push(visit);
    }
    let third = service.becomes(&visits[2], "booked", "sms", "scheduled").await;
    // What must not wait does not.
    world.cancel(&visits[1]);
    service.becomes(&visits[1], "cancelled", "sms", "delivered").await;
    // 09:00 on the next day there.
    world.until("2026-03-05T15:59:59Z");
    service.becomes(&visits[2], "booked", "sms", "scheduled").await;
    world.seconds(1);
    let sent = service.becomes(&visits[2], "booked", "sms", "delivered").await;
    assert_eq!((sent.id, sent.sent_at_us), (third.id, us("2026-03-05T16:00:00Z")));
    service.stop().await;
}

testkit::engines!(
    a_series_is_announced_in_one_message,
    the_announcement_of_a_series_moves_to_its_next_appointment,
    a_patient_gets_no_more_messages_a_day_than_the_limit,
);
