//! Holds: kept, taken over by a booking, let go, and gone when their time is up.

use prost::Message;
use rpc::{Code, Fault};
use testkit::database::Database;
use wire::booking::{CreateHoldRequest, Hold, ReleaseHoldRequest, SlotTaken};

use crate::harness::{ALAN, GRACE, Harness, PLAIN, after, code, fault, of_hold, slot, visit};

testkit::engines!(
    only_the_taken_one_of_several_slots_is_named,
    a_hold_keeps_its_slots_and_becomes_a_booking,
    an_expired_hold_blocks_no_booking,
    concurrent_holds_of_one_slot_have_one_winner,
    a_released_hold_frees_its_time_once,
    a_hold_is_booked_once,
);

async fn hold(harness: &Harness, slots: &[String], ttl_seconds: u32) -> Result<Hold, Fault> {
    let request = CreateHoldRequest { slot_ids: slots.to_vec(), ttl_seconds, channel: 0 };
    let answer = harness.booking.clone().create_hold(harness.request(request)).await;
    answer.map(tonic::Response::into_inner).map_err(|status| fault(&status))
}

async fn a_hold_keeps_its_slots_and_becomes_a_booking(database: Database) {
    let harness = Harness::over(&database).await;
    let slots = [slot(PLAIN, GRACE, after(0)), slot(PLAIN, GRACE, after(60))];
    let kept = hold(&harness, &slots[..1], 0).await.unwrap();
    assert_eq!(kept.expires_at_us, harness.clock.now_us() + 600_000_000, "ten minutes where nothing is said");
    assert_eq!(code(harness.try_book(visit(&slots[0], 1)).await), Code::SlotTaken);
    let booked = harness.book(of_hold(&kept.id, 1)).await;
    assert_eq!(booked.starts_at_us, after(0).as_microsecond());
    assert_eq!(code(harness.try_book(visit(&slots[0], 2)).await), Code::SlotTaken);
    let (changes, _) = harness.snapshot().await;
    assert_eq!(changes.len(), 1, "the hold is gone, the visit is there");
    // Several slots are kept together or not at all.
    assert_eq!(code(hold(&harness, &slots, 0).await), Code::SlotTaken);
    harness.book(visit(&slots[1], 2)).await;
}

async fn an_expired_hold_blocks_no_booking(database: Database) {
    let harness = Harness::over(&database).await;
    let place = slot(PLAIN, GRACE, after(0));
    let kept = hold(&harness, std::slice::from_ref(&place), 60).await.unwrap();
    harness.clock.advance(jiff::SignedDuration::from_secs(59));
    assert_eq!(code(harness.try_book(visit(&place, 1)).await), Code::SlotTaken);
    harness.clock.advance(jiff::SignedDuration::from_secs(1));
    harness.book(visit(&place, 1)).await;
    assert_eq!(code(harness.try_book(of_hold(&kept.id, 2)).await), Code::HoldExpired);
}

async fn concurrent_holds_of_one_slot_have_one_winner(database: Database) {
    let harness = Harness::over(&database).await;
    for round in 0..10 {
        let place = [slot(PLAIN, GRACE, after(round * 60))];
        let answers = futures::future::join_all((0..8).map(|_| hold(&harness, &place, 0))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(answers.into_iter().filter_map(Result::err).all(|fault| fault.code == Code::SlotTaken));
    }
}

async fn a_released_hold_frees_its_time_once(database: Database) {
    let harness = Harness::over(&database).await;
    let kept = hold(&harness, &[slot(PLAIN, GRACE, after(0))], 0).await.unwrap();
    let release = async || {
        let request = harness.request(ReleaseHoldRequest { id: kept.id.clone() });
        harness.booking.clone().release_hold(request).await
    };
    let answers = futures::future::join_all((0..5).map(|_| release())).await;
    assert!(answers.iter().all(Result::is_ok), "letting go what is gone is no fault");
    let published =
        answers.into_iter().flatten().filter(|answer| answer.metadata().contains_key("meridian-revision")).count();
    assert_eq!(published, 1, "one of them ended it and published it");
    harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
}

async fn a_hold_is_booked_once(database: Database) {
    let harness = Harness::over(&database).await;
    let kept = hold(&harness, &[slot(PLAIN, ALAN, after(0))], 0).await.unwrap();
    let answers = futures::future::join_all((0..6).map(|number| harness.try_book(of_hold(&kept.id, number)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for fault in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(fault.code, Code::HoldExpired | Code::SlotTaken), "{fault:?}");
    }
}

async fn only_the_taken_one_of_several_slots_is_named(database: Database) {
    let harness = Harness::over(&database).await;
    let slots: Vec<String> = (0..3).map(|hours| slot(PLAIN, GRACE, after(hours * 60))).collect();
    harness.book(visit(&slots[1], 1)).await;
    // Availability finds all of them free: booking's own transaction finds the clash.
    let refused = hold(&harness, &slots, 0).await.unwrap_err();
    assert_eq!(refused.code, Code::SlotTaken);
    let extra = refused.extra.as_ref().unwrap();
    let taken = SlotTaken::decode(extra.value.as_slice()).unwrap();
    assert_eq!(taken.slot_ids, [slots[1].clone()], "the others are free, though they are the same practitioner's");
}
