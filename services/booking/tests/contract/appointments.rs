//! One visit: booked, refused, moved, and every transition.

use domain::appointment::{Status, Transition as Rule};
use prost::Message;
use rpc::Code;
use testkit::database::Database;
use wire::booking::{ListAppointmentsRequest, SlotTaken, Transition, book_appointment_request::Who};

use crate::{
    fake_availability::Offer,
    harness::{ALAN, ELECTRO, EVALUATION, GRACE, Harness, NEEDLING, PLAIN, ROOMS, after, code, slot, visit},
};

testkit::engines!(
    a_taken_slot_is_refused_with_alternatives_and_a_free_room_is_found,
    a_refusal_of_availability_keeps_its_code,
    the_one_unit_of_equipment_is_taken_once,
    a_patient_has_one_appointment_at_a_time_and_is_recognised,
    needling_needs_an_evaluation_before_it_and_two_days_between,
    a_visit_moves_whole_or_not_at_all,
    every_transition_is_what_the_status_allows,
    lists_are_paged_and_filtered,
);

async fn a_taken_slot_is_refused_with_alternatives_and_a_free_room_is_found(database: Database) {
    let harness = Harness::over(&database).await;
    let first = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let refused = harness.try_book(visit(&slot(PLAIN, GRACE, after(15)), 2)).await.unwrap_err();
    assert_eq!(refused.code, Code::SlotTaken);
    let extra = refused.extra.as_ref().expect("the alternatives");
    let taken = SlotTaken::decode(extra.value.as_slice()).unwrap();
    assert_eq!((taken.slot_ids.len(), taken.alternatives.len()), (1, 3));
    // Another practitioner at the same time: the first room is another's, so the second is taken; there is no third.
    let second = harness.book(visit(&slot(PLAIN, ALAN, after(0)), 2)).await;
    assert_ne!(first.room_id, second.room_id);
    let third = slot(PLAIN, uuid::Uuid::from_u128(0x63), after(10));
    assert_eq!(code(harness.try_book(visit(&third, 3)).await), Code::SlotTaken, "both rooms are another's");
    // Buffers are part of the claim: 5 minutes after one visit and 5 before the next.
    assert_eq!(code(harness.try_book(visit(&slot(PLAIN, GRACE, after(35)), 3)).await), Code::SlotTaken);
    harness.book(visit(&slot(PLAIN, GRACE, after(40)), 3)).await;
}

async fn a_refusal_of_availability_keeps_its_code(database: Database) {
    let harness = Harness::over(&database).await;
    let codes = [
        ("outside_roster", Code::OutsideRoster),
        ("certificate_missing", Code::CertificateMissing),
        ("certificate_expired", Code::CertificateExpired),
        ("min_notice", Code::MinNotice),
        ("beyond_horizon", Code::BeyondHorizon),
        ("daily_cap", Code::DailyCap),
        ("weekly_cap", Code::WeeklyCap),
        ("travel_time", Code::TravelTime),
        ("location_closed", Code::LocationClosed),
        ("slot_taken", Code::SlotTaken),
    ];
    for (name, expected) in codes {
        let offer = Offer { refused: Some(name), ..Offer::default() };
        harness.availability.offer(PLAIN, offer);
        assert_eq!(code(harness.try_book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await), expected, "{name}");
    }
    let (changes, _) = harness.snapshot().await;
    assert!(changes.is_empty(), "a refused booking leaves nothing");
}

async fn the_one_unit_of_equipment_is_taken_once(database: Database) {
    let harness = Harness::over(&database).await;
    harness.book(visit(&slot(ELECTRO, GRACE, after(0)), 1)).await;
    assert_eq!(code(harness.try_book(visit(&slot(ELECTRO, ALAN, after(0)), 2)).await), Code::SlotTaken);
    harness.book(visit(&slot(ELECTRO, ALAN, after(40)), 2)).await;
}

async fn a_patient_has_one_appointment_at_a_time_and_is_recognised(database: Database) {
    let harness = Harness::over(&database).await;
    let first = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let elsewhere = harness.try_book(visit(&slot(PLAIN, ALAN, after(15)), 1)).await;
    assert_eq!(code(elsewhere), Code::PatientBusy);
    let mut shouted = visit(&slot(PLAIN, ALAN, after(60)), 1);
    if let Some(Who::Patient(details)) = &mut shouted.who {
        details.family_name = details.family_name.to_uppercase();
    }
    let again = harness.book(shouted).await;
    assert_eq!(again.patient_id, first.patient_id, "the same name, telephone and date of birth: the same patient");
    let by_id = wire::booking::BookAppointmentRequest {
        who: Some(Who::PatientId(first.patient_id.clone())),
        ..visit(&slot(PLAIN, GRACE, after(120)), 1)
    };
    assert_eq!(harness.book(by_id).await.patient_id, first.patient_id);
}

async fn needling_needs_an_evaluation_before_it_and_two_days_between(database: Database) {
    const DAY: i64 = 24 * 60;
    let harness = Harness::over(&database).await;
    let needling = |minutes: i64| visit(&slot(NEEDLING, GRACE, after(minutes)), 1);
    assert_eq!(code(harness.try_book(needling(DAY)).await), Code::EvaluationRequired);
    let evaluation = harness.book(visit(&slot(EVALUATION, ALAN, after(DAY)), 1)).await;
    assert_eq!(code(harness.try_book(needling(0)).await), Code::EvaluationRequired, "it comes before, not after");
    harness.book(needling(2 * DAY)).await;
    // Whatever comes closer than 48 h from end to start is refused, on either side.
    for minutes in [2 * DAY + 60, 4 * DAY + 15, DAY + 60] {
        let refused = harness.try_book(needling(minutes)).await;
        assert_eq!(code(refused), Code::TooSoonAfterNeedling, "{minutes} minutes after the start");
    }
    harness.book(needling(4 * DAY + 30)).await;
    harness.cancel(&evaluation.id).await;
    assert_eq!(
        code(harness.try_book(needling(7 * DAY)).await),
        Code::EvaluationRequired,
        "one that is called off counts for nothing"
    );
}

async fn a_visit_moves_whole_or_not_at_all(database: Database) {
    let harness = Harness::over(&database).await;
    let mine = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    harness.book(visit(&slot(PLAIN, ALAN, after(120)), 2)).await;
    assert_eq!(code(harness.reschedule(&mine.id, slot(PLAIN, ALAN, after(120))).await), Code::SlotTaken);
    assert_eq!(harness.read(&mine.id).await, mine, "a move that fails changes nothing");
    assert_eq!(
        code(harness.try_book(visit(&slot(PLAIN, GRACE, after(0)), 3)).await),
        Code::SlotTaken,
        "the time is still taken"
    );
    let other = harness.reschedule(&mine.id, slot(ELECTRO, GRACE, after(240))).await.unwrap_err();
    assert_eq!(other.violations[0].code, "other_service");

    // It may overlap itself.
    let moved = harness.reschedule(&mine.id, slot(PLAIN, GRACE, after(15))).await.unwrap();
    assert_eq!((&moved.id, moved.version, moved.starts_at_us), (&mine.id, 2, after(15).as_microsecond()));
    let away = harness.reschedule(&mine.id, slot(PLAIN, ALAN, after(240))).await.unwrap();
    assert_eq!(away.version, 3);
    harness.book(visit(&slot(PLAIN, GRACE, after(0)), 3)).await;
    let (changes, _) = harness.snapshot().await;
    let claims: usize = changes.iter().map(|change| change.claims.len()).sum();
    assert_eq!(claims, 3 * 3, "practitioner, room and patient of three visits, and nothing else");
}

async fn every_transition_is_what_the_status_allows(database: Database) {
    let harness = Harness::over(&database).await;
    let rules = [
        (Rule::Confirm, Transition::Confirm),
        (Rule::Cancel, Transition::Cancel),
        (Rule::Arrive, Transition::Arrive),
        (Rule::Start, Transition::Start),
        (Rule::Complete, Transition::Complete),
        (Rule::NoShow, Transition::NoShow),
    ];
    let ways: [(Status, &[Transition]); 6] = [
        (Status::Booked, &[]),
        (Status::Arrived, &[Transition::Arrive]),
        (Status::CheckedIn, &[Transition::Start]),
        (Status::Fulfilled, &[Transition::Arrive, Transition::Complete]),
        (Status::Cancelled, &[Transition::Cancel]),
        (Status::Noshow, &[Transition::NoShow]),
    ];
    let mut number = 0;
    let mut booked = Vec::new();
    for (status, way) in ways {
        for (rule, transition) in rules {
            number += 1;
            let visit = harness.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await;
            booked.push((status, way, rule, transition, visit.id));
        }
    }
    let early = harness.transition(&booked[0].4, Transition::NoShow).await;
    assert_eq!(code(early), Code::InvalidTransition, "nobody has missed what has not begun");
    harness.advance(10 * 24 * 60);
    for (status, way, rule, transition, id) in booked {
        for step in way {
            harness.transition(&id, *step).await.unwrap();
        }
        match (rule.from(status), harness.transition(&id, transition).await) {
            (Some(expected), Ok(after)) => assert_eq!(after.status, expected.as_str(), "{status} {}", rule.as_str()),
            (None, Err(fault)) => {
                assert_eq!(fault.code, Code::InvalidTransition, "{status} {}", rule.as_str());
                let allowed: Vec<&str> = status.allowed().into_iter().map(Rule::as_str).collect();
                assert!(fault.detail.contains(&allowed.join(", ")), "it says what is allowed: {}", fault.detail);
            }
            (expected, found) => panic!("{status} {}: {expected:?} expected, {found:?} found", rule.as_str()),
        }
    }
}

async fn lists_are_paged_and_filtered(database: Database) {
    let harness = Harness::over(&database).await;
    for number in 0..7 {
        harness
            .book(visit(
                &slot(PLAIN, if number % 2 == 0 { GRACE } else { ALAN }, after(i64::from(number) * 60)),
                number,
            ))
            .await;
    }
    let list = async |request: ListAppointmentsRequest| {
        harness.booking.clone().list_appointments(harness.request(request)).await.unwrap().into_inner()
    };
    let (mut starts, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = Some(wire::common::Page { limit: 3, cursor });
        let answer = list(ListAppointmentsRequest { page, ..ListAppointmentsRequest::default() }).await;
        assert!(answer.appointments.len() <= 3);
        starts.extend(answer.appointments.iter().map(|visit| visit.starts_at_us));
        cursor = answer.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(starts, (0..7).map(|number| after(number * 60).as_microsecond()).collect::<Vec<_>>());
    let practitioner_ids = vec![domain::id::PractitionerId::new(ALAN).to_string()];
    let of_alan = list(ListAppointmentsRequest { practitioner_ids, ..ListAppointmentsRequest::default() }).await;
    assert_eq!(of_alan.appointments.len(), 3);
    let window = ListAppointmentsRequest {
        from_us: after(60).as_microsecond(),
        to_us: after(180).as_microsecond(),
        ..ListAppointmentsRequest::default()
    };
    assert_eq!(list(window).await.appointments.len(), 2, "from is in, to is out");
    let rooms: std::collections::HashSet<String> =
        of_alan.appointments.into_iter().map(|visit| visit.room_id).collect();
    assert!(rooms.iter().all(|room| ROOMS.iter().any(|id| domain::id::RoomId::new(*id).to_string() == *room)));
}
