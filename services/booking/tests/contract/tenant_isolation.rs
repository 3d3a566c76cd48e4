//! Organisations cannot see each other: whatever the descriptor lists answers a foreign id as it answers an unknown one.

use domain::id::{LocationId, OrganizationId};
use prost::Message;
use prost_types::FileDescriptorSet;
use testkit::database::Database;
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wire::booking::{
    self as proto,
    book_appointment_request::{Time, Who},
    set_displaced_request::Item,
};

use crate::harness::{GRACE, HERE, Harness, PLAIN, after, patient, slot, visit};

testkit::engines!(a_foreign_id_is_answered_as_an_unknown_one_by_every_call);

/// The parts of an answer that a caller sees.
fn seen<T: Message>(answer: Result<Response<T>, Status>) -> String {
    match answer {
        Ok(answer) => format!("{:?}", answer.into_inner().encode_to_vec()),
        Err(status) => format!("{:?} {} {:?}", status.code(), status.message(), status.details()),
    }
}

/// The ids that a call is made with.
struct Ids {
    appointment: String,
    patient: String,
    hold: String,
    proposed_change: String,
}

/// A change that two bookings propose: the first gives the address, the second another one.
async fn propose(harness: &Harness, patient_id: &str) -> String {
    for (minutes, email) in [(300, "one@example.org"), (360, "two@example.org")] {
        let details = proto::PatientDetails { email: email.into(), ..patient(1) };
        let request = visit(&slot(PLAIN, GRACE, after(minutes)), 1);
        harness.book(proto::BookAppointmentRequest { who: Some(Who::Patient(details)), ..request }).await;
    }
    let request = harness.request(proto::GetPatientRequest { id: patient_id.to_owned() });
    let known = harness.booking.clone().get_patient(request).await.unwrap().into_inner();
    known.proposed_changes[0].id.clone()
}

/// Where another organisation has a visit, this one has none.
async fn rezone(harness: &Harness) -> String {
    let (location_id, time_zone) = (LocationId::new(HERE).to_string(), "Europe/Madrid".to_owned());
    let request = proto::RezoneAppointmentsRequest { location_id, time_zone, dry_run: true, ..Default::default() };
    seen(harness.booking.clone().rezone_appointments(harness.request(request)).await)
}

/// Makes a call with these ids; `None` for one that takes no id of an organisation.
async fn call(harness: &Harness, method: &str, ids: &Ids) -> Option<String> {
    let mut booking = harness.booking.clone();
    let id = ids.appointment.clone();
    let patient_id = ids.patient.clone();
    let of = |time, who| proto::BookAppointmentRequest { time, who, ..visit("", 1) };
    Some(match method {
        "CreateHold" | "CreatePatient" => return None,
        // The link carries its own right.
        "ResolveManageLink" => return None,
        _ if method.contains("Hold") || method.contains("ManageLink") => {
            call_holds_and_links(harness, method, ids).await
        }
        "BookAppointment" => {
            let by_hold = of(Some(Time::HoldId(ids.hold.clone())), Some(Who::Patient(patient(7))));
            let free = slot(PLAIN, GRACE, after(600));
            let by_patient = of(Some(Time::SlotId(free)), Some(Who::PatientId(patient_id)));
            let one = seen(booking.book_appointment(harness.request(by_hold)).await);
            one + &seen(booking.book_appointment(harness.request(by_patient)).await)
        }
        "GetAppointment" => seen(booking.get_appointment(harness.request(proto::GetAppointmentRequest { id })).await),
        "ListAppointments" | "ListDay" => call_lists(harness, method, ids).await,
        "TransitionAppointment" => {
            let transition = proto::Transition::Confirm as i32;
            let request = proto::TransitionAppointmentRequest { id, transition, ..Default::default() };
            seen(booking.transition_appointment(harness.request(request)).await)
        }
        "RevertAppointment" => {
            let request = proto::RevertAppointmentRequest { id, if_version: 0, any_age: true };
            seen(booking.revert_appointment(harness.request(request)).await)
        }
        "RescheduleAppointment" => {
            let slot_id = slot(PLAIN, GRACE, after(700));
            let request = proto::RescheduleAppointmentRequest { id, slot_id, ..Default::default() };
            seen(booking.reschedule_appointment(harness.request(request)).await)
        }
        "UpdateAppointment" => {
            let request = proto::UpdateAppointmentRequest { id, note: "theirs".into(), ..Default::default() };
            seen(booking.update_appointment(harness.request(request)).await)
        }
        "SetDisplaced" => {
            let items = vec![Item { appointment_id: id, displaced: true, seen_version: 99, ..Item::default() }];
            seen(booking.set_displaced(harness.request(proto::SetDisplacedRequest { items })).await)
        }
        "RezoneAppointments" => rezone(harness).await,
        "DecideProposedChange" => {
            let change_id = ids.proposed_change.clone();
            let request = proto::DecideProposedChangeRequest { patient_id, change_id, accept: true };
            seen(booking.decide_proposed_change(harness.request(request)).await)
        }
        _ if method.contains("Patient") || method.contains("Consent") => {
            call_patients(harness, method, patient_id).await
        }
        // It takes no id.
        "SignVerification" => {
            let request = proto::SignVerificationRequest { channel: "sms".into(), address_hash: vec![7; 32] };
            seen(booking.sign_verification(harness.request(request)).await)
        }
        "GetContact" => seen(
            booking
                .get_contact(harness.request(proto::GetContactRequest { appointment_id: id, with_plan: true }))
                .await,
        ),
        "GetContacts" => {
            let request = proto::GetContactsRequest { appointment_ids: vec![id], with_plan: true };
            seen(booking.get_contacts(harness.request(request)).await)
        }
        other => panic!("{other} is new: say here what it is called with"),
    })
}

/// The same of the calls that list appointments.
async fn call_lists(harness: &Harness, method: &str, ids: &Ids) -> String {
    let mut booking = harness.booking.clone();
    let (id, patient_id) = (ids.appointment.clone(), ids.patient.clone());
    match method {
        "ListAppointments" => {
            let request = proto::ListAppointmentsRequest { patient_id, ..proto::ListAppointmentsRequest::default() };
            seen(booking.list_appointments(harness.request(request)).await)
        }
        "ListDay" => {
            let location_id = LocationId::new(HERE).to_string();
            let request = proto::ListDayRequest { location_id, date: "2026-03-03".into(), ids: vec![id] };
            let mut answer = booking.list_day(harness.request(request)).await;
            // The position of the feed is everyone's.
            if let Ok(answer) = &mut answer {
                answer.get_mut().position.clear();
            }
            seen(answer)
        }
        other => panic!("{other} is new: say here what it is called with"),
    }
}

/// The same of the calls about holds and manage links.
async fn call_holds_and_links(harness: &Harness, method: &str, ids: &Ids) -> String {
    let mut booking = harness.booking.clone();
    match method {
        "ReleaseHold" => {
            seen(booking.release_hold(harness.request(proto::ReleaseHoldRequest { id: ids.hold.clone() })).await)
        }
        "GetHold" => seen(booking.get_hold(harness.request(proto::GetHoldRequest { id: ids.hold.clone() })).await),
        "RevokeManageLink" => {
            let request = proto::RevokeManageLinkRequest { id: ids.appointment.clone(), if_version: 0 };
            seen(booking.revoke_manage_link(harness.request(request)).await)
        }
        "RevokeManageLinks" => {
            let request = proto::RevokeManageLinksRequest { patient_id: ids.patient.clone() };
            seen(booking.revoke_manage_links(harness.request(request)).await)
        }
        "ListHolds" => seen(booking.list_holds(harness.request(proto::ListHoldsRequest::default())).await),
        other => panic!("{other} is new: say here what it is called with"),
    }
}

/// The same of the calls about patients.
async fn call_patients(harness: &Harness, method: &str, patient_id: String) -> String {
    let mut booking = harness.booking.clone();
    match method {
        "GetPatients" => {
            seen(booking.get_patients(harness.request(proto::GetPatientsRequest { ids: vec![patient_id] })).await)
        }
        "GetPatient" => seen(booking.get_patient(harness.request(proto::GetPatientRequest { id: patient_id })).await),
        "UpdatePatient" => {
            let details = Some(patient(8));
            let request =
                proto::UpdatePatientRequest { id: patient_id, details, ..proto::UpdatePatientRequest::default() };
            seen(booking.update_patient(harness.request(request)).await)
        }
        "ListPatients" => {
            let request =
                proto::ListPatientsRequest { query: "Example".into(), ..proto::ListPatientsRequest::default() };
            seen(booking.list_patients(harness.request(request)).await)
        }
        "ListConsents" => {
            seen(booking.list_consents(harness.request(proto::GetPatientRequest { id: patient_id })).await)
        }
        "RecordConsent" => {
            let (channel, kind, how) = ("sms".into(), "service".into(), "phone".into());
            let request = proto::RecordConsentRequest { patient_id, channel, kind, given: true, how };
            seen(booking.record_consent(harness.request(request)).await)
        }
        // A telephone number finds no patient of another organisation.
        "RecordReplyConsent" => {
            let (channel, how, address) = ("sms".into(), "reply".into(), patient(1).phone);
            let request = proto::RecordReplyConsentRequest { channel, address, how, ..Default::default() };
            seen(booking.record_reply_consent(harness.request(request)).await)
        }
        other => panic!("{other} is new: say here what it is called with"),
    }
}

async fn a_foreign_id_is_answered_as_an_unknown_one_by_every_call(database: Database) {
    let harness = Harness::over(&database).await;
    let booked = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let slot_ids = vec![slot(PLAIN, GRACE, after(60))];
    let request: Request<_> = harness.request(proto::CreateHoldRequest { slot_ids, ..Default::default() });
    let hold = harness.booking.clone().create_hold(request).await.unwrap().into_inner();
    let proposed_change = propose(&harness, &booked.patient_id).await;
    let (appointment, patient) = (booked.id.clone(), booked.patient_id.clone());
    let foreign = Ids { appointment, patient, hold: hold.id, proposed_change };
    let other = |id: &str| format!("{}zzzz", &id[..id.len() - 4]);
    let unknown = Ids {
        appointment: other(&foreign.appointment),
        patient: other(&foreign.patient),
        hold: other(&foreign.hold),
        proposed_change: other(&foreign.proposed_change),
    };
    let (before, _) = harness.snapshot().await;

    let mut outsider = harness.clone();
    outsider.organization = OrganizationId::new(Uuid::from_u128(0xbb));
    let descriptors = FileDescriptorSet::decode(wire::DESCRIPTORS).unwrap();
    let services =
        descriptors.file.iter().filter(|file| file.package() == "meridian.booking.v1").flat_map(|file| &file.service);
    let methods: Vec<&str> = services
        .filter(|service| service.name() == "Booking")
        .flat_map(|service| &service.method)
        .map(|method| method.name())
        .collect();
    assert!(methods.len() >= 14, "the list is the descriptor's own: {methods:?}");
    for method in methods {
        assert_eq!(call(&outsider, method, &foreign).await, call(&outsider, method, &unknown).await, "{method}");
    }
    let (after, _) = harness.snapshot().await;
    assert_eq!(before.len(), after.len());
    assert_eq!(harness.read(&booked.id).await, booked, "nothing has changed");
}
