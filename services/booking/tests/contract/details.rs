//! An appointment's details beside its time and its patient, and the lists that filter by it.

use std::collections::BTreeMap;

use rpc::Code;
use testkit::database::Database;
use wire::{
    booking::{
        Appointment, AppointmentOrder, BookAppointmentRequest, GetAppointmentRequest, GetPatientsRequest,
        ListAppointmentsRequest, Transition, UpdateAppointmentRequest,
    },
    common::BookingChannel,
};

use crate::harness::{ALAN, CLASS, GRACE, Harness, PLACES, PLAIN, after, code, fault, slot, visit};

testkit::engines!(
    an_appointment_says_when_and_by_whom_it_was_changed,
    a_first_visit_and_the_places_of_a_session_are_counted,
    an_external_id_and_pairs_are_kept_and_checked_all_at_once,
    a_list_is_filtered_by_what_an_appointment_says,
    a_list_by_change_pages_through_every_change,
    many_patients_are_read_at_once,
);

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn read(harness: &Harness, id: &str) -> Appointment {
    let request = GetAppointmentRequest { id: id.to_owned() };
    harness.booking.clone().get_appointment(harness.request(request)).await.unwrap().into_inner()
}

async fn list(harness: &Harness, request: ListAppointmentsRequest) -> Vec<String> {
    let answer = harness.booking.clone().list_appointments(harness.request(request)).await.unwrap().into_inner();
    answer.appointments.into_iter().map(|visit| visit.id).collect()
}

async fn an_appointment_says_when_and_by_whom_it_was_changed(database: Database) {
    let harness = Harness::over(&database).await;
    let first = slot(PLAIN, GRACE, after(0));
    let booked = harness.book(visit(&first, 1)).await;
    assert_eq!((booked.slot_id.as_str(), booked.created_by.as_str()), (first.as_str(), "key_test"));
    assert_eq!(booked.channel(), BookingChannel::Staff);
    let moved = harness.reschedule(&booked.id, slot(PLAIN, GRACE, after(60))).await.unwrap();
    assert_eq!(moved.rescheduled_from_us, booked.starts_at_us);
    assert_eq!(moved.slot_id, slot(PLAIN, GRACE, after(60)));
    // On the day of the visit.
    harness.advance(33 * 60);
    let mut instants = vec![];
    for transition in [Transition::Arrive, Transition::Start, Transition::Complete] {
        instants.push(harness.clock.now().as_microsecond());
        harness.transition(&booked.id, transition).await.unwrap();
        harness.advance(1);
    }
    let done = read(&harness, &booked.id).await;
    assert_eq!(vec![done.arrived_at_us, done.started_at_us, done.completed_at_us], instants);
    assert_eq!(done.cancelled_at_us, 0);
    let other = harness.book(visit(&slot(PLAIN, ALAN, after(600)), 2)).await;
    let cancelled = harness.cancel(&other.id).await;
    assert_eq!(cancelled.cancelled_at_us, harness.clock.now().as_microsecond());
}

async fn a_first_visit_and_the_places_of_a_session_are_counted(database: Database) {
    let harness = Harness::over(&database).await;
    let class = slot(CLASS, GRACE, after(0));
    let one = harness.book(visit(&class, 1)).await;
    let two = harness.book(visit(&class, 2)).await;
    let later = harness.book(visit(&slot(PLAIN, ALAN, after(120)), 1)).await;
    let shown = read(&harness, &one.id).await;
    let places = shown.places.expect("the places of a session");
    assert_eq!((places.taken, places.capacity, shown.first_visit), (2, PLACES, Some(true)));
    let shown = read(&harness, &later.id).await;
    assert_eq!((shown.places, shown.first_visit), (None, Some(false)));
    // Without the earlier visit, the later one is the first.
    harness.cancel(&one.id).await;
    assert_eq!(read(&harness, &later.id).await.first_visit, Some(true));
    assert_eq!(read(&harness, &two.id).await.places.unwrap().taken, 1);
}

async fn an_external_id_and_pairs_are_kept_and_checked_all_at_once(database: Database) {
    let harness = Harness::over(&database).await;
    let custom = pairs(&[("referrer", "Dr. Example"), ("source", "web")]);
    let request = BookAppointmentRequest {
        external_id: "A-7".into(),
        custom: custom.clone(),
        ..visit(&slot(PLAIN, GRACE, after(0)), 1)
    };
    let booked = harness.book(request).await;
    let moved = harness.reschedule(&booked.id, slot(PLAIN, GRACE, after(60))).await.unwrap();
    assert_eq!((moved.external_id.as_str(), &moved.custom), ("A-7", &custom), "a move keeps them");
    let update = async |request: UpdateAppointmentRequest| {
        let request = UpdateAppointmentRequest { id: booked.id.clone(), ..request };
        let answer = harness.booking.clone().update_appointment(harness.request(request)).await;
        answer.map(tonic::Response::into_inner).map_err(|status| fault(&status))
    };
    let custom = pairs(&[("source", "telephone")]);
    update(UpdateAppointmentRequest { custom: custom.clone(), ..Default::default() }).await.unwrap();
    let shown = read(&harness, &booked.id).await;
    assert_eq!((shown.external_id.as_str(), shown.custom), ("", custom));
    let many: BTreeMap<_, _> = (0..21).map(|number| (format!("n{number}"), String::new())).collect();
    let bad = UpdateAppointmentRequest {
        note: "x".repeat(2001),
        external_id: "x".repeat(201),
        custom: many.into_iter().chain(pairs(&[("no spaces", "")])).collect(),
        ..Default::default()
    };
    let refused = update(bad).await.unwrap_err();
    let pointers: Vec<&str> = refused.violations.iter().map(|violation| violation.pointer.as_str()).collect();
    assert_eq!((refused.code, pointers), (Code::ValidationFailed, vec!["/note", "/external_id", "/custom", "/custom"]));
}

async fn a_list_is_filtered_by_what_an_appointment_says(database: Database) {
    let harness = Harness::over(&database).await;
    let external = BookAppointmentRequest { external_id: "A-7".into(), ..visit(&slot(PLAIN, GRACE, after(0)), 1) };
    let plain = harness.book(external).await;
    let class = harness.book(visit(&slot(CLASS, ALAN, after(24 * 60)), 2)).await;
    let none = ListAppointmentsRequest::default;
    let ids = |visits: &[&Appointment]| visits.iter().map(|visit| visit.id.clone()).collect::<Vec<_>>();
    let service_ids = vec![class.service_id.clone()];
    assert_eq!(list(&harness, ListAppointmentsRequest { service_ids, ..none() }).await, ids(&[&class]));
    let room_ids = vec![plain.room_id.clone()];
    let in_room = list(&harness, ListAppointmentsRequest { room_ids, ..none() }).await;
    assert!(in_room.contains(&plain.id));
    let external_id = "A-7".to_owned();
    assert_eq!(list(&harness, ListAppointmentsRequest { external_id, ..none() }).await, ids(&[&plain]));
    for (date, expected) in [("2026-03-03", ids(&[&plain])), ("2026-03-04", ids(&[&class])), ("2026-03-05", vec![])] {
        assert_eq!(list(&harness, ListAppointmentsRequest { date: date.into(), ..none() }).await, expected, "{date}");
    }
    let unknown = domain::id::PlanId::new(uuid::Uuid::from_u128(7)).to_string();
    assert_eq!(list(&harness, ListAppointmentsRequest { plan_id: unknown, ..none() }).await, ids(&[]));
    let bad = ListAppointmentsRequest {
        date: "2026-3-4".into(),
        plan_id: "x".into(),
        room_ids: vec!["x".into()],
        external_id: "\n".into(),
        ..none()
    };
    let refused =
        harness.booking.clone().list_appointments(harness.request(bad)).await.map_err(|status| fault(&status));
    let refused = refused.map(drop).unwrap_err();
    assert_eq!(refused.violations.len(), 4, "{refused:?}");
    assert_eq!(code(Err::<(), _>(refused)), Code::ValidationFailed);
}

async fn a_list_by_change_pages_through_every_change(database: Database) {
    let harness = Harness::over(&database).await;
    let mut visits = vec![];
    for number in 0..4 {
        visits.push(harness.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await.id);
        harness.advance(1);
    }
    let since_us = harness.clock.now().as_microsecond();
    harness.cancel(&visits[0]).await;
    let order = AppointmentOrder::UpdatedAt.into();
    let (mut found, mut cursor) = (vec![], String::new());
    loop {
        let page = Some(wire::common::Page { limit: 3, cursor });
        let request = ListAppointmentsRequest { order, page, ..ListAppointmentsRequest::default() };
        let answer = harness.booking.clone().list_appointments(harness.request(request)).await.unwrap().into_inner();
        found.extend(answer.appointments.into_iter().map(|visit| visit.id));
        cursor = answer.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    visits.rotate_left(1);
    assert_eq!(found, visits, "the one that changed last is the last");
    let since = ListAppointmentsRequest { updated_since_us: since_us, ..ListAppointmentsRequest::default() };
    assert_eq!(list(&harness, since).await, visits[3..]);
}

async fn many_patients_are_read_at_once(database: Database) {
    let harness = Harness::over(&database).await;
    let one = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await.patient_id;
    let two = harness.book(visit(&slot(PLAIN, GRACE, after(60)), 2)).await.patient_id;
    let get = async |ids: Vec<String>| {
        let answer = harness.booking.clone().get_patients(harness.request(GetPatientsRequest { ids })).await;
        answer.map(|answer| answer.into_inner().patients.into_iter().map(|patient| patient.id).collect::<Vec<_>>())
    };
    let unknown = domain::id::PatientId::new(uuid::Uuid::from_u128(7)).to_string();
    let mut found = get(vec![two.clone(), unknown.clone(), one.clone(), "x".into()]).await.unwrap();
    found.sort();
    assert_eq!(found, [one, two]);
    let refused = get(vec![unknown; 501]).await.map_err(|status| fault(&status));
    assert_eq!(code(refused), Code::ValidationFailed);
}
