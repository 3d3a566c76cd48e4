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

use crate::harness::{GRACE, HERE, PLAIN, World, after, patient, slot, visit};

testkit::engines!(a_foreign_id_is_answered_as_an_unknown_one_by_every_call);

/// What a caller can tell an answer by.
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
async fn propose(world: &World, patient_id: &str) -> String {
    for (minutes, email) in [(300, "one@example.org"), (360, "two@example.org")] {
        let details = proto::PatientDetails { email: email.into(), ..patient(1) };
        let request = visit(&slot(PLAIN, GRACE, after(minutes)), 1);
        world.book(proto::BookAppointmentRequest { who: Some(Who::Patient(details)), ..request }).await;
    }
    let request = world.request(proto::GetPatientRequest { id: patient_id.to_owned() });
    let known = world.booking.clone().get_patient(request).await.unwrap().into_inner();
    known.proposed_changes[0].id.clone()
}

/// Where another organisation has a visit, this one has none.
async fn rezone(world: &World) -> String {
    let (location_id, time_zone) = (LocationId::new(HERE).to_string(), "Europe/Madrid".to_owned());
    let request = proto::RezoneAppointmentsRequest { location_id, time_zone, dry_run: true, ..Default::default() };
    seen(world.booking.clone().rezone_appointments(world.request(request)).await)
}

/// Makes a call with these ids; `None` for one that takes no id of an organisation.
async fn call(world: &World, method: &str, ids: &Ids) -> Option<String> {
    let mut booking = world.booking.clone();
    let id = ids.appointment.clone();
    let patient_id = ids.patient.clone();
    let of = |time, who| proto::BookAppointmentRequest { time, who, ..visit("", 1) };
    Some(match method {
        "CreateHold" | "CreatePatient" => return None,
        // The link carries its own right.
        "ResolveManageLink" => return None,
        "ReleaseHold" => {
            seen(booking.release_hold(world.request(proto::ReleaseHoldRequest { id: ids.hold.clone() })).await)
        }
        "BookAppointment" => {
            let by_hold = of(Some(Time::HoldId(ids.hold.clone())), Some(Who::Patient(patient(7))));
            let free = slot(PLAIN, GRACE, after(600));
            let by_patient = of(Some(Time::SlotId(free)), Some(Who::PatientId(patient_id)));
            let one = seen(booking.book_appointment(world.request(by_hold)).await);
            one + &seen(booking.book_appointment(world.request(by_patient)).await)
        }
        "GetAppointment" => seen(booking.get_appointment(world.request(proto::GetAppointmentRequest { id })).await),
        "ListAppointments" => {
            let request = proto::ListAppointmentsRequest { patient_id, ..proto::ListAppointmentsRequest::default() };
            seen(booking.list_appointments(world.request(request)).await)
        }
        "TransitionAppointment" => {
            let transition = proto::Transition::Confirm as i32;
            let request = proto::TransitionAppointmentRequest { id, transition, ..Default::default() };
            seen(booking.transition_appointment(world.request(request)).await)
        }
        "RescheduleAppointment" => {
            let slot_id = slot(PLAIN, GRACE, after(700));
            let request = proto::RescheduleAppointmentRequest { id, slot_id, ..Default::default() };
            seen(booking.reschedule_appointment(world.request(request)).await)
        }
        "UpdateAppointment" => {
            let request = proto::UpdateAppointmentRequest { id, note: "theirs".into(), if_version: 0 };
            seen(booking.update_appointment(world.request(request)).await)
        }
        "SetDisplaced" => {
            let items = vec![Item { appointment_id: id, displaced: true, seen_version: 99, ..Item::default() }];
            seen(booking.set_displaced(world.request(proto::SetDisplacedRequest { items })).await)
        }
        "RezoneAppointments" => rezone(world).await,
        "DecideProposedChange" => {
            let change_id = ids.proposed_change.clone();
            let request = proto::DecideProposedChangeRequest { patient_id, change_id, accept: true };
            seen(booking.decide_proposed_change(world.request(request)).await)
        }
        _ if method.contains("Patient") || method.contains("Consent") => call_patients(world, method, patient_id).await,
        "GetContact" => seen(
            booking.get_contact(world.request(proto::GetContactRequest { appointment_id: id, with_plan: true })).await,
        ),
        "GetContacts" => {
            let request = proto::GetContactsRequest { appointment_ids: vec![id], with_plan: true };
            seen(booking.get_contacts(world.request(request)).await)
        }
        other => panic!("{other} is new: say here what it is called with"),
    })
}

/// The same of the calls about patients.
async fn call_patients(world: &World, method: &str, patient_id: String) -> String {
    let mut booking = world.booking.clone();
    match method {
        "GetPatient" => seen(booking.get_patient(world.request(proto::GetPatientRequest { id: patient_id })).await),
        "UpdatePatient" => {
            let details = Some(patient(8));
            let request = proto::UpdatePatientRequest { id: patient_id, details, if_version: 0 };
            seen(booking.update_patient(world.request(request)).await)
        }
        "ListPatients" => {
            let request =
                proto::ListPatientsRequest { query: "Example".into(), ..proto::ListPatientsRequest::default() };
            seen(booking.list_patients(world.request(request)).await)
        }
        "ListConsents" => seen(booking.list_consents(world.request(proto::GetPatientRequest { id: patient_id })).await),
        "RecordConsent" => {
            let (channel, kind, how) = ("sms".into(), "service".into(), "phone".into());
            let request = proto::RecordConsentRequest { patient_id, channel, kind, given: true, how };
            seen(booking.record_consent(world.request(request)).await)
        }
        // At a telephone number that is another organisation's too, nobody of theirs is found.
        "RecordReplyConsent" => {
            let (channel, how, address) = ("sms".into(), "reply".into(), patient(1).phone);
            let request = proto::RecordReplyConsentRequest { channel, address, how, ..Default::default() };
            seen(booking.record_reply_consent(world.request(request)).await)
        }
        other => panic!("{other} is new: say here what it is called with"),
    }
}

async fn a_foreign_id_is_answered_as_an_unknown_one_by_every_call(database: Database) {
    let world = World::over(&database).await;
    let booked = world.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let slot_ids = vec![slot(PLAIN, GRACE, after(60))];
    let request: Request<_> = world.request(proto::CreateHoldRequest { slot_ids, ..Default::default() });
    let hold = world.booking.clone().create_hold(request).await.unwrap().into_inner();
    let proposed_change = propose(&world, &booked.patient_id).await;
    let (appointment, patient) = (booked.id.clone(), booked.patient_id.clone());
    let foreign = Ids { appointment, patient, hold: hold.id, proposed_change };
    let other = |id: &str| format!("{}zzzz", &id[..id.len() - 4]);
    let unknown = Ids {
        appointment: other(&foreign.appointment),
        patient: other(&foreign.patient),
        hold: other(&foreign.hold),
        proposed_change: other(&foreign.proposed_change),
    };
    let (before, _) = world.snapshot().await;

    let mut outsider = world.clone();
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
    let (after, _) = world.snapshot().await;
    assert_eq!(before.len(), after.len());
    let same = world.request(proto::GetAppointmentRequest { id: booked.id.clone() });
    assert_eq!(world.booking.clone().get_appointment(same).await.unwrap().into_inner(), booked, "nothing has changed");
}
