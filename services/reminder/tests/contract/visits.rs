//! Messages about appointments that are booked, come near, move and are cancelled.

use crate::common::{Running, World, booking::appointment_id, organization, patient, rows::Rows, summaries, us};
use testkit::database::Database;
use wire::{
    booking::PatientDetails,
    reminder::{ListMessagesRequest, Message},
};

/// A hundred hours before the visit that most tests are about.
const NOW: &str = "2026-03-04T11:00:00Z";
/// 09:00 on the morning on which Edmonton's clocks have gone forward.
const START: &str = "2026-03-08T15:00:00Z";

async fn a_booking_is_announced_at_once_and_reminded_of_before_the_start(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    let sms = service.becomes(&visit, "booked", "sms", "delivered").await;
    assert_eq!(
        sms.text,
        "Northside Physio: you are booked on Sun, Mar 8 at 9:00 AM. Change: \
         https://book.example.org/m/[token] Tel +17805550100"
    );
    assert_eq!((sms.to.as_str(), sms.provider.as_str(), sms.attempts.len()), ("+15005550009", "sandbox", 1));
    let email = service.becomes(&visit, "booked", "email", "delivered").await;
    assert_eq!((email.to.as_str(), email.subject.as_str()), ("canary@example.org", "Your visit on Sunday, March 8"));
    // 24 hours before 09:00 daylight time it is 08:00 standard time.
    let due: Vec<_> = service
        .messages(&visit)
        .await
        .iter()
        .filter(|one| one.trigger == "before_start")
        .map(|one| one.due_at_us)
        .collect();
    assert_eq!(due, ["2026-03-05T15:00:00Z", "2026-03-07T15:00:00Z", "2026-03-08T13:00:00Z"].map(us));
    world.until("2026-03-07T14:59:59Z");
    service.becomes(&visit, "before_start", "email", "delivered").await;
    assert_eq!(summaries(&service.messages(&visit).await)[1..3], ["before_start sms scheduled"; 2]);
    world.until("2026-03-07T15:00:00Z");
    let day_before = service.becomes(&visit, "before_start", "sms", "delivered").await;
    assert!(day_before.text.contains("Sun, Mar 8 at 9:00 AM"), "{}", day_before.text);
    assert_eq!(day_before.sent_at_us, us("2026-03-07T15:00:00Z"));
    world.until("2026-03-08T13:00:00Z");
    assert!(service.settled(&visit).await.iter().all(|one| one.status == "delivered"));
    service.stop().await;
}

async fn messages_that_came_due_during_a_move_are_sent_after_the_move_back(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "sent").await;
    // Dragged away and back before the day's reminder is due, and once more around that time.
    let moves = [("14:57:00", "14:57:30"), ("14:59:30", "15:00:30")];
    let moved = |all: &[Message], status| summaries(all).iter().filter(|line| line.contains(status)).count();
    for (count, (away, back)) in (1..).zip(moves) {
        world.until(&format!("2026-03-07T{away}Z"));
        world.reschedule(&visit, "2026-03-09T15:00:00Z");
        service.when("the move", &visit, |all| moved(all, "rescheduled sms scheduled") == 1).await;
        world.until(&format!("2026-03-07T{back}Z"));
        world.reschedule(&visit, START);
        service.when("the return", &visit, |all| moved(all, "rescheduled sms suppressed") == count).await;
    }
    world.until("2026-03-07T15:02:30Z");
    let late = service.becomes(&visit, "before_start", "sms", "sent").await;
    assert_eq!(late.sent_at_us, us("2026-03-07T15:02:30Z"));
    // A repetition after it has left plans nothing.
    world.reschedule(&visit, "2026-03-09T15:00:00Z");
    world.seconds(30);
    world.reschedule(&visit, START);
    service.when("the last return", &visit, |all| moved(all, "rescheduled sms suppressed") == 3).await;
    world.until("2026-03-08T13:00:00Z");
    service.settled(&visit).await;
    let texts = world.texts();
    assert_eq!(texts.iter().filter(|text| text.contains("Sun, Mar 8")).count(), 3, "{texts:?}");
    assert_eq!(texts.len(), 3, "booked, a day before, two hours before");
    service.stop().await;
}

async fn a_visit_cancelled_in_the_last_minute_is_not_reminded_of(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "sent").await;
    world.until("2026-03-07T14:59:30Z");
    service.becomes(&visit, "before_start", "email", "delivered").await;
    // Booking knows of the cancellation; the feed does not have it yet.
    world.booking.hold_back();
    world.cancel(&visit);
    world.until("2026-03-07T15:00:00Z");
    let reminder = service.becomes(&visit, "before_start", "sms", "suppressed").await;
    assert_eq!(reminder.reason, "cancelled");
    assert_eq!(world.texts().len(), 1, "only the booking was announced");
    world.booking.release();
    service.becomes(&visit, "cancelled", "sms", "sent").await;
    world.until(START);
    let all = service.settled(&visit).await;
    assert_eq!(
        summaries(&all).iter().filter(|line| line.contains("sms suppressed cancelled")).count(),
        2,
        "{:?}",
        summaries(&all)
    );
    let texts = world.texts();
    assert_eq!(texts.len(), 2);
    assert_eq!(
        texts[1],
        "Northside Physio: your visit on Sun, Mar 8 at 9:00 AM is cancelled. For a new time, call +17805550100"
    );
    service.stop().await;
}

async fn a_move_is_announced_when_it_has_settled(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "email", "delivered").await;
    service.becomes(&visit, "booked", "sms", "delivered").await;
    world.reschedule(&visit, "2026-03-10T20:30:00Z");
    let moved = service.becomes(&visit, "rescheduled", "sms", "scheduled").await;
    assert_eq!(moved.due_at_us, world.clock.now_us() + 120_000_000);
    assert_eq!(
        summaries(&service.messages(&visit).await).iter().filter(|line| line.ends_with("superseded")).count(),
        3
    );
    world.seconds(120);
    let moved = service.becomes(&visit, "rescheduled", "sms", "delivered").await;
    assert!(moved.text.contains("your visit is now Tue, Mar 10 at 2:30 PM"), "{}", moved.text);
    service.becomes(&visit, "rescheduled", "email", "delivered").await;
    // A drag in the diary and back: nothing is said, and the reminders are for the time that holds.
    world.reschedule(&visit, "2026-03-12T20:30:00Z");
    world.seconds(60);
    world.reschedule(&visit, "2026-03-10T20:30:00Z");
    let back = |all: &[wire::reminder::Message]| all.iter().any(|one| one.appointment_version == 4);
    service.when("the way back", &visit, back).await;
    world.until("2026-03-10T20:30:00Z");
    let all = service.settled(&visit).await;
    let said = all.iter().filter(|one| one.trigger == "rescheduled" && one.status == "delivered").count();
    assert_eq!(said, 2, "{:?}", summaries(&all));
    // Overdue by days when the clock leapt, and past the start: taken back, not sent.
    let last: Vec<_> = all.iter().filter(|one| one.appointment_version == 4).cloned().collect();
    assert_eq!(
        summaries(&last),
        [
            "before_start email suppressed too_late",
            "before_start sms suppressed too_late",
            "before_start sms suppressed too_late",
        ]
    );
    service.stop().await;
}

async fn a_snapshot_that_broke_off_is_taken_again(database: Database) {
    let world = World::new(database, NOW).await;
    let rows = Rows::open(&world.database.admin_for_service("reminder")).await;
    let service = world.start().await;
    let first = world.book(START);
    service.becomes(&first, "booked", "sms", "delivered").await;
    service.stop().await;
    // As a process leaves it that ends between two parts.
    rows.move_position("snapshot 0195 1000").await;
    let second = world.book(START);
    let service = world.start().await;
    service.becomes(&second, "before_start", "sms", "scheduled").await;
    assert_eq!(world.booking.snapshots(), 2);
    assert!(rows.position().await.is_some_and(|place| !place.starts_with("snapshot")), "and it goes on from its end");
    service.stop().await;
}

async fn a_restart_resumes_without_doubles(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let first = world.book(START);
    service.becomes(&first, "booked", "sms", "delivered").await;
    service.becomes(&first, "booked", "email", "delivered").await;
    service.stop().await;
    let second = world.book(START);
    world.reschedule(&first, "2026-03-09T15:00:00Z");
    let service = world.start().await;
    service.becomes(&second, "booked", "sms", "delivered").await;
    assert_eq!(world.booking.snapshots(), 1, "it went on from where it stood");
    // Fallen off the feed: a new snapshot, which holds a move that the feed never had.
    service.becomes(&first, "rescheduled", "sms", "scheduled").await;
    world.seconds(120);
    service.becomes(&first, "rescheduled", "sms", "delivered").await;
    service.becomes(&first, "rescheduled", "email", "delivered").await;
    world.booking.hold_back();
    world.reschedule(&first, "2026-03-10T15:00:00Z");
    world.booking.lose_positions();
    world.booking.release();
    let third = |all: &[wire::reminder::Message]| all.iter().any(|one| one.appointment_version == 3);
    service.when("the move in the snapshot", &first, third).await;
    assert_eq!(world.booking.snapshots(), 2);
    world.seconds(120);
    let said = |all: &[wire::reminder::Message]| {
        all.iter().filter(|one| one.trigger == "rescheduled" && one.status == "delivered").count() == 4
    };
    service.when("both moves to be announced", &first, said).await;
    let booked = |all: Vec<wire::reminder::Message>| all.iter().filter(|one| one.trigger == "booked").count();
    assert_eq!((booked(service.messages(&first).await), booked(service.messages(&second).await)), (2, 2));
    service.stop().await;
}

async fn an_old_booking_in_the_first_snapshot_is_not_announced(database: Database) {
    let world = World::new(database, NOW).await;
    let old = world.book(START);
    world.seconds(3600);
    let service = world.start().await;
    let planned = service.when("the snapshot", &old, |all| !all.is_empty()).await;
    assert_eq!(
        summaries(&planned),
        ["before_start email scheduled", "before_start sms scheduled", "before_start sms scheduled"]
    );
    service.stop().await;
}

async fn one_patient_without_a_telephone_stops_nobody_else(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let start = us(START);
    let none = world.book_for(organization(1), start, PatientDetails { phone: String::new(), ..patient() });
    let silent = world.book_for(organization(1), start, PatientDetails { consents: vec![], ..patient() });
    let prefers = PatientDetails { reminder_channel: "email".into(), ..patient() };
    let prefers = world.book_for(organization(1), start, prefers);
    let odd = PatientDetails { given_name: "{{ boom }}{% raise %}".into(), ..patient() };
    let odd = world.book_for(organization(1), start, odd);
    let plain = world.book(START);
    let booked = |all: Vec<wire::reminder::Message>| {
        summaries(&all.into_iter().filter(|one| one.trigger == "booked").collect::<Vec<_>>())
    };
    service.becomes(&plain, "booked", "sms", "delivered").await;
    for (visit, expected) in [
        (&none, ["booked email delivered", "booked sms suppressed no_phone"]),
        (&silent, ["booked email suppressed no_consent", "booked sms suppressed no_consent"]),
        (&prefers, ["booked email delivered", "booked sms suppressed other_channel_preferred"]),
        (&odd, ["booked email delivered", "booked sms delivered"]),
    ] {
        let done = |all: &[wire::reminder::Message]| {
            all.iter()
                .filter(|one| one.trigger == "booked" && one.status != "scheduled" && one.status != "sending")
                .count()
                == 2
        };
        assert_eq!(booked(service.when("both", visit, done).await), expected);
    }
    service.stop().await;
}

async fn a_french_speaking_patient_reads_french(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let french = PatientDetails { language: "fr-CA".into(), ..patient() };
    let visit = world.book_for(organization(1), us("2026-03-10T20:30:00Z"), french);
    let sms = service.becomes(&visit, "booked", "sms", "delivered").await;
    assert_eq!(
        sms.text,
        "Northside Physio : RDV prévu le mar. 10 mars à 14 h 30. Modifier : \
         https://book.example.org/m/[token] Tél. +17805550100"
    );
    let email = service.becomes(&visit, "booked", "email", "delivered").await;
    assert_eq!(email.subject, "Votre rendez-vous du mardi 10 mars");
    service.stop().await;
}

async fn a_visit_that_has_begun_is_not_reminded_of(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "delivered").await;
    service.becomes(&visit, "booked", "email", "delivered").await;
    world.booking.change(&visit, "arrived", world.clock.now_us(), |one| one.status = "arrived".into());
    let all = service.settled(&visit).await;
    assert_eq!(summaries(&all).iter().filter(|line| line.ends_with("suppressed visit_begun")).count(), 3);
    service.stop().await;
}

async fn while_booking_is_down_messages_wait(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    world.booking.set_down(true);
    let visit = world.book(START);
    testkit::poll::until("a question in vain", crate::common::WITHIN, || async {
        (world.booking.asked() >= 1).then_some(())
    })
    .await;
    assert!(service.messages(&visit).await.iter().all(|one| one.status == "scheduled" && one.attempts.is_empty()));
    world.booking.set_down(false);
    // Its patience is of the clock's time.
    testkit::poll::until("the message", crate::common::WITHIN, || async {
        world.seconds(10);
        let all = service.messages(&visit).await;
        (all.iter().filter(|one| one.status == "delivered").count() == 2).then_some(())
    })
    .await;
    service.stop().await;
}

async fn organisations_see_nothing_of_each_other(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    let message = service.becomes(&visit, "booked", "sms", "delivered").await;
    let other = Running::context(organization(2));
    let mut client = service.client.clone();
    assert!(service.messages_of(organization(2), &visit).await.is_empty());
    let everything = ListMessagesRequest::default();
    assert!(client.list_messages(other.request(everything)).await.unwrap().into_inner().messages.is_empty());
    let unknown = "msg_01h455vb4pex5vsknk084sn02q".to_owned();
    let mut refusals = Vec::new();
    for id in [message.id, unknown, "nonsense".into()] {
        let get = client.get_message(other.request(wire::reminder::GetMessageRequest { id: id.clone() })).await;
        let retry = client.retry_message(other.request(wire::reminder::RetryMessageRequest { id })).await;
        refusals.push(rpc::Fault::from(get.map(drop).unwrap_err()));
        refusals.push(rpc::Fault::from(retry.map(drop).unwrap_err()));
    }
    assert!(refusals.iter().all(|fault| *fault == rpc::Fault::not_found()), "{refusals:?}");
    service.stop().await;
}

async fn a_client_sees_the_messages_of_its_own_booking(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    for number in 1..=20 {
        world.book(START);
        let mut ctx = Running::context(organization(1));
        ctx.revision = Some(format!("d7,{}", world.booking.revision()));
        let request = ListMessagesRequest { appointment_id: appointment_id(number), ..Default::default() };
        let answer = service.client.clone().list_messages(ctx.request(request)).await.unwrap().into_inner();
        assert_eq!(answer.messages.len(), 5);
    }
    world.booking.hold_back();
    world.book(START);
    let mut ctx = Running::context(organization(1));
    ctx.revision = Some(world.booking.revision());
    let behind = service.client.clone().list_messages(ctx.request(ListMessagesRequest::default())).await;
    assert_eq!(rpc::Fault::from(behind.unwrap_err()).code, rpc::Code::ProjectionBehind);
    service.stop().await;
}

async fn the_list_is_read_page_by_page(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    for _ in 0..7 {
        world.book(START);
    }
    service.when("all plans", &appointment_id(7), |all| all.len() == 5).await;
    let mut page = wire::common::Page { limit: 4, cursor: String::new() };
    let mut seen = Vec::new();
    loop {
        let request = ListMessagesRequest { page: Some(page.clone()), ..Default::default() };
        let ctx = Running::context(organization(1));
        let answer = service.client.clone().list_messages(ctx.request(request)).await.unwrap().into_inner();
        seen.extend(answer.messages.into_iter().map(|one| (one.due_at_us, one.id)));
        if answer.next_cursor.is_empty() {
            break;
        }
        page.cursor = answer.next_cursor;
    }
    assert_eq!(seen.len(), 35);
    assert!(seen.windows(2).all(|pair| pair[0].0 >= pair[1].0 && pair[0].1 != pair[1].1));
    let bad = ListMessagesRequest {
        appointment_id: "loc_x".into(),
        statuses: vec!["lost".into()],
        page: Some(wire::common::Page { limit: 201, cursor: "x".into() }),
    };
    let refused = service.client.clone().list_messages(Running::context(organization(1)).request(bad)).await;
    let fault = rpc::Fault::from(refused.unwrap_err());
    let pointers: Vec<_> = fault.violations.iter().map(|one| one.pointer.as_str()).collect();
    assert_eq!(pointers, ["limit", "appointment_id", "status", "cursor"]);
    service.stop().await;
}

testkit::engines!(
    a_booking_is_announced_at_once_and_reminded_of_before_the_start,
    a_visit_cancelled_in_the_last_minute_is_not_reminded_of,
    messages_that_came_due_during_a_move_are_sent_after_the_move_back,
    a_move_is_announced_when_it_has_settled,
    a_restart_resumes_without_doubles,
    a_snapshot_that_broke_off_is_taken_again,
    an_old_booking_in_the_first_snapshot_is_not_announced,
    one_patient_without_a_telephone_stops_nobody_else,
    a_french_speaking_patient_reads_french,
    a_visit_that_has_begun_is_not_reminded_of,
    while_booking_is_down_messages_wait,
    organisations_see_nothing_of_each_other,
    a_client_sees_the_messages_of_its_own_booking,
    the_list_is_read_page_by_page,
);
