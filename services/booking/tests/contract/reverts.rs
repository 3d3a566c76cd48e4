//! Transitions that are taken back: what is left of them, and what has become of the time meanwhile.

use prost::Message;
use rpc::Code;
use testkit::database::Database;
use wire::{
    booking::{Appointment, RevertAppointmentRequest, SlotTaken, Transition, change::Owner},
    common::{Claim, KeepAppointments},
};

use crate::{
    harness::{ALAN, CLASS, EVALUATION, GRACE, Harness, NEEDLING, PLACES, PLAIN, after, code, fault, slot, visit},
    rezone::rezone,
};

testkit::engines!(
    each_transition_is_taken_back_and_nothing_is_left_of_it,
    a_time_that_someone_else_has_is_refused,
    of_two_reverts_for_one_time_one_wins,
    the_last_member_brings_the_group_session_back,
    a_member_takes_another_place_while_one_is_free,
    a_booking_and_a_move_are_not_taken_back,
    an_hour_of_the_zone_before_is_not_brought_back,
    a_revert_keeps_versions_and_keys,
    after_a_day_only_a_caller_of_any_age_reverts,
);

/// The claims of an appointment, or of its group session, as the feed's snapshot has them.
async fn claims_of(harness: &Harness, id: &str) -> Vec<Claim> {
    let (changes, _) = harness.snapshot().await;
    let owner = changes.into_iter().find(|change| match &change.owner {
        Some(Owner::Appointment(appointment)) => appointment.id == id,
        Some(Owner::Group(group)) => group.id == id,
        _ => false,
    });
    owner.map(|change| change.claims).unwrap_or_default()
}

/// An appointment without the numbers that rise with each write.
fn content(appointment: &Appointment) -> Appointment {
    Appointment { version: 0, updated_at_us: 0, reverted: String::new(), ..appointment.clone() }
}

async fn each_transition_is_taken_back_and_nothing_is_left_of_it(database: Database) {
    use Transition as T;
    let harness = Harness::over(&database).await;
    let histories: [&[T]; 7] = [
        &[T::Confirm, T::Arrive, T::Start, T::Complete],
        &[T::Start, T::Complete],
        &[T::Arrive, T::Complete],
        &[T::Confirm, T::Arrive, T::Cancel],
        &[T::Confirm, T::Cancel],
        &[T::NoShow],
        &[T::Confirm, T::NoShow],
    ];
    let mut visits = Vec::new();
    for number in 0..7 {
        visits.push(harness.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await);
    }
    // On the day of the visits, after the last of them has begun.
    harness.advance(39 * 60);
    for (history, booked) in histories.iter().zip(&visits) {
        let mut past = vec![];
        for transition in *history {
            past.push((harness.read(&booked.id).await, claims_of(&harness, &booked.id).await));
            harness.transition(&booked.id, *transition).await.unwrap();
            harness.advance(1);
        }
        for ((before, claims), transition) in past.into_iter().zip(*history).rev() {
            let reverted = harness.revert(&booked.id).await.unwrap();
            assert_eq!(
                reverted.reverted.to_uppercase(),
                format!("{transition:?}").to_uppercase().replace("NOSHOW", "NO_SHOW")
            );
            assert_eq!(content(&reverted), content(&before), "{history:?}: {transition:?}");
            assert_eq!(content(&harness.read(&booked.id).await), content(&before));
            assert_eq!(claims_of(&harness, &booked.id).await, claims, "{history:?}: {transition:?}");
            assert!(reverted.version > before.version);
        }
        assert_eq!(code(harness.revert(&booked.id).await), Code::InvalidTransition, "nothing is left");
    }
    // The time is guarded again.
    let again = harness.try_book(visit(&slot(PLAIN, GRACE, after(0)), 50)).await;
    assert_eq!(code(again), Code::SlotTaken);
}

async fn a_time_that_someone_else_has_is_refused(database: Database) {
    let harness = Harness::over(&database).await;
    let at = slot(PLAIN, GRACE, after(0));
    let first = harness.book(visit(&at, 1)).await;
    harness.cancel(&first.id).await;
    let other = harness.book(visit(&at, 2)).await;
    let before = harness.read(&first.id).await;
    let refused = harness.revert(&first.id).await.unwrap_err();
    assert_eq!(refused.code, Code::SlotTaken, "{refused:?}");
    let taken = SlotTaken::decode(refused.extra.as_ref().expect("the alternatives").value.as_slice()).unwrap();
    assert_eq!((taken.slot_ids, taken.alternatives.len()), (vec![first.slot_id.clone()], 3));
    assert_eq!(harness.read(&first.id).await, before, "nothing has changed");
    harness.cancel(&other.id).await;
    harness.revert(&first.id).await.unwrap();
    assert_eq!(code(harness.revert(&other.id).await), Code::SlotTaken, "now the first has it again");

    // The patient is elsewhere by now.
    harness.cancel(&first.id).await;
    let elsewhere = harness.book(visit(&slot(PLAIN, ALAN, after(15)), 1)).await;
    assert_eq!(code(harness.revert(&first.id).await), Code::PatientBusy);
    harness.cancel(&elsewhere.id).await;
    // A needling session of the day after keeps its two days.
    harness.book(visit(&slot(EVALUATION, ALAN, after(-120)), 1)).await;
    let needling = harness.book(visit(&slot(NEEDLING, ALAN, after(60)), 1)).await;
    harness.cancel(&needling.id).await;
    harness.book(visit(&slot(NEEDLING, ALAN, after(24 * 60)), 1)).await;
    assert_eq!(code(harness.revert(&needling.id).await), Code::TooSoonAfterNeedling);
}

async fn of_two_reverts_for_one_time_one_wins(database: Database) {
    let harness = Harness::over(&database).await;
    for round in 0..5 {
        let at = slot(PLAIN, GRACE, after(round * 60));
        let mut cancelled = vec![];
        for number in 0..4 {
            let booked = harness.book(visit(&at, number)).await;
            harness.cancel(&booked.id).await;
            cancelled.push(booked.id);
        }
        let answers = futures::future::join_all(cancelled.iter().map(|id| harness.revert(id))).await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "{answers:?}");
        let lost = answers.into_iter().filter_map(Result::err);
        assert!(lost.into_iter().all(|fault| fault.code == Code::SlotTaken));
    }
}

async fn the_last_member_brings_the_group_session_back(database: Database) {
    let harness = Harness::over(&database).await;
    let class = slot(CLASS, GRACE, after(0));
    let single = visit(&slot(PLAIN, GRACE, after(0)), 9);
    let (first, second) = (harness.book(visit(&class, 1)).await, harness.book(visit(&class, 2)).await);
    let claims = claims_of(&harness, &first.group_id).await;
    assert!(!claims.is_empty());
    for id in [&first.id, &second.id] {
        harness.cancel(id).await;
    }
    let alone = harness.book(single.clone()).await;
    assert_eq!(code(harness.revert(&second.id).await), Code::SlotTaken, "the practitioner is another's");
    harness.cancel(&alone.id).await;
    for id in [&second.id, &first.id] {
        let back = harness.revert(id).await.unwrap();
        assert_eq!((back.status.as_str(), &back.group_id, &back.room_id), ("booked", &first.group_id, &first.room_id));
        assert_eq!(claims_of(&harness, &first.group_id).await, claims);
    }
    assert_eq!(code(harness.try_book(single).await), Code::SlotTaken);
    // Both leave and come back in the same moment: the session is made once.
    harness.cancel(&first.id).await;
    harness.cancel(&second.id).await;
    let (one, other) = tokio::join!(harness.revert(&first.id), harness.revert(&second.id));
    assert_eq!((one.unwrap().status, other.unwrap().status), ("booked".to_owned(), "booked".to_owned()));
}

async fn a_member_takes_another_place_while_one_is_free(database: Database) {
    let harness = Harness::over(&database).await;
    let class = slot(CLASS, GRACE, after(0));
    let mut members = vec![];
    for number in 0..PLACES {
        members.push(harness.book(visit(&class, number)).await);
    }
    harness.cancel(&members[0].id).await;
    let late = harness.book(visit(&class, 50)).await;
    assert_eq!(code(harness.revert(&members[0].id).await), Code::SlotTaken, "every place is taken");
    // Another place than its own is free.
    harness.cancel(&members[5].id).await;
    let back = harness.revert(&members[0].id).await.unwrap();
    assert_eq!(back.group_id, late.group_id);
    assert_eq!(code(harness.revert(&members[5].id).await), Code::SlotTaken);
}

async fn a_booking_and_a_move_are_not_taken_back(database: Database) {
    let harness = Harness::over(&database).await;
    let booked = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let refused = harness.revert(&booked.id).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidTransition);
    assert!(refused.metadata["allowed"].contains("cancel"), "{refused:?}");
    harness.transition(&booked.id, Transition::Confirm).await.unwrap();
    let moved = harness.reschedule(&booked.id, slot(PLAIN, GRACE, after(60))).await.unwrap();
    assert_eq!(code(harness.revert(&booked.id).await), Code::InvalidTransition, "a move ends the confirmation");
    assert_eq!(content(&harness.read(&booked.id).await), content(&moved));
    assert_eq!(code(harness.revert("appt_01h45ytscbebyvny4gc8cr8ma2").await), Code::NotFound);
}

async fn an_hour_of_the_zone_before_is_not_brought_back(database: Database) {
    let harness = Harness::over(&database).await;
    let [missed, cancelled] = [0, 600].map(|minutes| visit(&slot(PLAIN, GRACE, after(minutes)), 1));
    let (missed, cancelled) = (harness.book(missed).await, harness.book(cancelled).await);
    harness.advance(33 * 60);
    harness.transition(&missed.id, Transition::NoShow).await.unwrap();
    harness.cancel(&cancelled.id).await;
    rezone(&harness, KeepAppointments::WallTime, false).await.unwrap();
    assert_eq!(code(harness.revert(&cancelled.id).await), Code::SlotChanged);
    let back = harness.revert(&missed.id).await.unwrap();
    assert_eq!(content(&back), content(&missed), "what has passed keeps its zone");
}

async fn a_revert_keeps_versions_and_keys(database: Database) {
    let harness = Harness::over(&database).await;
    let booked = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let cancelled = harness.cancel(&booked.id).await;
    let request = |if_version| RevertAppointmentRequest { id: booked.id.clone(), if_version, any_age: false };
    let stale = harness.booking.clone().revert_appointment(harness.request(request(booked.version))).await;
    assert_eq!(fault(&stale.unwrap_err()).code, Code::VersionMismatch);
    let send = || {
        let call = harness.keyed("undo", "same", request(cancelled.version));
        let mut booking = harness.booking.clone();
        async move { booking.revert_appointment(call).await.unwrap() }
    };
    let (first, again) = (send().await, send().await);
    assert_eq!(again.metadata().get("meridian-replayed").unwrap(), "true");
    assert_eq!(first.into_inner().encode_to_vec(), again.into_inner().encode_to_vec());
}

async fn after_a_day_only_a_caller_of_any_age_reverts(database: Database) {
    let harness = Harness::over(&database).await;
    let booked = harness.book(visit(&slot(PLAIN, GRACE, after(10 * 24 * 60)), 1)).await;
    harness.cancel(&booked.id).await;
    harness.advance(24 * 60);
    harness.revert(&booked.id).await.unwrap();
    harness.cancel(&booked.id).await;
    harness.advance(24 * 60 + 1);
    assert_eq!(code(harness.revert(&booked.id).await), Code::Forbidden);
    let request =
        RevertAppointmentRequest { id: booked.id.clone(), any_age: true, ..RevertAppointmentRequest::default() };
    let back = harness.booking.clone().revert_appointment(harness.request(request)).await.unwrap().into_inner();
    assert_eq!(content(&back), content(&booked));
}
