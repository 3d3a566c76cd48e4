//! Offers to patients on the waitlist, and their answers.

use crate::common::{Running, World, organization, patient, replies::say, us};
use domain::id::{LocationId, OfferId, PatientId, PractitionerId, ServiceId, WaitlistId};
use testkit::database::Database;
use uuid::Uuid;
use wire::{availability::Slot, booking::Offer, reminder::Message};

/// 09:00 in Edmonton.
const NOW: &str = "2026-03-04T16:00:00Z";
/// 14:30 there, two days later.
const START: &str = "2026-03-06T21:30:00Z";
const PHONE: &str = "+15005550009";

/// An offer that lasts an hour.
fn offer(world: &World, number: u128) -> String {
    let id = OfferId::new(Uuid::from_u128(700 + number)).to_string();
    let slot = Slot {
        service_id: ServiceId::new(Uuid::from_u128(20)).to_string(),
        practitioner_id: PractitionerId::new(Uuid::from_u128(21)).to_string(),
        location_id: LocationId::new(Uuid::from_u128(22)).to_string(),
        starts_at_us: us(START),
        ends_at_us: us(START) + 1_800_000_000,
        time_zone: "America/Edmonton".into(),
        ..Slot::default()
    };
    let offer = Offer {
        id: id.clone(),
        version: 1,
        waitlist_id: WaitlistId::new(Uuid::from_u128(600 + number)).to_string(),
        patient_id: PatientId::new(Uuid::from_u128(500)).to_string(),
        status: "open".into(),
        slot: Some(slot),
        expires_at_us: world.clock.now_us() + 3_600_000_000,
        token: format!("token-of-offer-{number:07}"),
        ..Offer::default()
    };
    world.booking.offers(organization(1), world.clock.now_us(), offer, patient());
    id
}

/// The text message about an offer, once it is in this status.
async fn offer_message(service: &Running, offer: &str, status: &str) -> Message {
    // Its messages hang on the offer's own id.
    let visit = domain::id::AppointmentId::new(offer.parse::<OfferId>().unwrap().uuid()).to_string();
    service.becomes(&visit, "waitlist_offer", "sms", status).await
}

async fn an_offer_is_sent_and_accepted_by_a_letter(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let first = offer(&world, 1);
    assert_eq!(
        offer_message(&service, &first, "sent").await.text,
        "Northside Physio: a time is free on Fri, Mar 6 at 2:30 PM, kept until 10:00 AM on Wed, Mar 4. Answer A to take it, \
         N if not. Tel +17805550100"
    );
    say(&service, PHONE, "A", 1).await;
    assert_eq!(world.booking.offer_status(&first), "accepted");
    // The next one is left to others.
    let second = offer(&world, 2);
    offer_message(&service, &second, "sent").await;
    say(&service, PHONE, "n", 2).await;
    assert_eq!(world.booking.offer_status(&second), "declined");
    let answered = async |count| {
        testkit::poll::until("the answer", crate::common::WITHIN, || async {
            Some(world.texts()).filter(|texts| texts.len() == count)
        })
        .await
    };
    // Answers that wait side by side leave in any order.
    answered(3).await;
    say(&service, PHONE, "a", 3).await;
    assert_eq!(world.booking.offer_status(&second), "declined");
    let texts = answered(4).await;
    assert_eq!(
        texts[2..],
        [
            "Northside Physio: thank you. The time goes to the next; you stay on the list.",
            "Northside Physio: that time is gone. You stay on the list, and we write when another one is free.",
        ]
    );
    service.stop().await;
}

async fn an_offer_must_be_open_just_before_it_is_sent(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    // The feed tells that it was made, and never that it ended.
    world.booking.hold_back();
    let gone = offer(&world, 1);
    world.booking.offer_ends_unpublished(&gone, "expired");
    world.booking.release();
    assert_eq!(offer_message(&service, &gone, "suppressed").await.reason, "superseded");
    service.stop().await;
}

async fn an_offer_that_has_ended_is_not_sent(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    // Booking knows that it ended; the feed does not have it yet.
    let position = offer(&world, 1);
    let sent = offer_message(&service, &position, "delivered").await;
    assert!(sent.text.ends_with("https://book.example.org/o/[token]"), "{}", sent.text);
    world.booking.hold_back();
    let gone = offer(&world, 2);
    world.booking.offer_ends(organization(1), &gone, "expired", world.clock.now_us());
    world.booking.release();
    let reason = offer_message(&service, &gone, "suppressed").await.reason;
    assert_eq!(reason, "superseded");
    service.stop().await;
}

testkit::engines!(
    an_offer_is_sent_and_accepted_by_a_letter,
    an_offer_that_has_ended_is_not_sent,
    an_offer_must_be_open_just_before_it_is_sent,
);
