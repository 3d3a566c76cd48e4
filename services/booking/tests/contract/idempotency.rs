//! A retry has one effect, and the same answer.

use prost::Message;
use rpc::Code;
use testkit::database::Database;
use wire::booking::{ListAppointmentsRequest, Transition, TransitionAppointmentRequest};

use crate::harness::{GRACE, Harness, PLAIN, after, fault, slot, visit};

testkit::engines!(
    copies_of_a_request_have_one_effect_and_identical_answers,
    a_key_outlives_a_restart_and_refuses_another_body,
    a_key_is_of_one_caller_and_one_route,
);

const KEYS: u32 = 60;
const COPIES: usize = 5;

async fn copies_of_a_request_have_one_effect_and_identical_answers(database: Database) {
    let harness = Harness::over(&database).await;
    for number in 0..KEYS {
        let request = visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number);
        let send = || {
            let call = harness.keyed(&format!("key {number}"), "same", request.clone());
            let mut booking = harness.booking.clone();
            tokio::spawn(async move { booking.book_appointment(call).await })
        };
        let mut bytes = Vec::new();
        for copy in futures::future::join_all((0..COPIES).map(|_| send())).await {
            match copy.unwrap() {
                Ok(answer) => bytes.push(answer.into_inner().encode_to_vec()),
                Err(status) => assert_eq!(fault(&status).code, Code::IdempotencyInProgress, "{status}"),
            }
        }
        // A caller that was refused as in progress asks again.
        bytes.push(send().await.unwrap().unwrap().into_inner().encode_to_vec());
        assert!(bytes.iter().all(|answer| *answer == bytes[0]), "every answer is the first one, byte for byte");
    }
    let request = ListAppointmentsRequest {
        page: Some(wire::common::Page { limit: 200, cursor: String::new() }),
        ..ListAppointmentsRequest::default()
    };
    let list = harness.booking.clone().list_appointments(harness.request(request)).await.unwrap().into_inner();
    assert_eq!(list.appointments.len(), KEYS as usize, "one effect each");
}

async fn a_key_outlives_a_restart_and_refuses_another_body(database: Database) {
    let harness = Harness::over(&database).await;
    let request = visit(&slot(PLAIN, GRACE, after(0)), 1);
    let first = harness.booking.clone().book_appointment(harness.keyed("one", "a", request.clone())).await.unwrap();
    let harness = harness.restarted().await;
    let again = harness.booking.clone().book_appointment(harness.keyed("one", "a", request.clone())).await.unwrap();
    assert_eq!(again.metadata().get("meridian-replayed").unwrap(), "true");
    assert_eq!(again.metadata().get("meridian-revision"), first.metadata().get("meridian-revision"));
    assert_eq!(again.into_inner(), first.into_inner());
    let other = harness.booking.clone().book_appointment(harness.keyed("one", "b", request.clone())).await.unwrap_err();
    assert_eq!(fault(&other).code, Code::IdempotencyKeyReused);
    // After a day the key is forgotten; the visit is not.
    harness.advance(24 * 60 + 1);
    testkit::poll::until("the key to be forgotten", std::time::Duration::from_secs(20), || async {
        let call = harness.keyed("one", "b", request.clone());
        let status = harness.booking.clone().book_appointment(call).await.unwrap_err();
        (fault(&status).code == Code::PatientBusy).then_some(())
    })
    .await;
}

async fn a_key_is_of_one_caller_and_one_route(database: Database) {
    let harness = Harness::over(&database).await;
    let request = visit(&slot(PLAIN, GRACE, after(0)), 1);
    let booked = harness.booking.clone().book_appointment(harness.keyed("k", "a", request)).await.unwrap().into_inner();
    let cancel = TransitionAppointmentRequest {
        id: booked.id.clone(),
        transition: Transition::Cancel as i32,
        reason_code: "patient_ill".into(),
        ..TransitionAppointmentRequest::default()
    };
    let done = harness.booking.clone().transition_appointment(harness.keyed("k", "b", cancel)).await.unwrap();
    assert_eq!(done.into_inner().status, "cancelled", "the same key on another route is another key");
}
