//! Bookings of front ends: nobody learns from them whether somebody is a patient, they cause no more messages than their
//! caps, and a proof of the patient's number or address opens what a proof must.

use booking::{Messages, Organization, Verify};
use domain::id::{OrganizationId, PatientId};
use rpc::{Code, Context, Fault};
use sha2::{Digest, Sha256};
use testkit::database::Database;
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{
        Appointment, BookAppointmentRequest, PatientDetails, RescheduleAppointmentRequest, SignVerificationRequest,
        book_appointment_request::{Time, Who},
    },
    common::BookingChannel,
};

use crate::harness::{
    ALAN, CLASS, EVALUATION, GRACE, Harness, NEEDLING, PLAIN, after, code, fault, patient, slot, visit,
};

testkit::engines!(
    bookings_with_one_number_are_capped,
    bookings_with_one_address_of_one_visitor_and_of_one_key_are_capped,
    bookings_at_once_keep_the_cap,
    a_known_patient_looks_like_an_unknown_one,
    a_patients_diary_refuses_no_stranger,
    a_rule_about_the_patient_needs_a_proof_of_everybody,
    a_proof_of_another_address_opens_no_record,
    a_proof_ends_and_is_of_one_organisation,
    an_organisation_asks_for_a_proof,
    a_front_end_books_for_no_id,
);

const DAY: i64 = 24 * 60;

/// A booking of a front end for a patient.
fn online(slot_id: &str, details: PatientDetails) -> BookAppointmentRequest {
    BookAppointmentRequest {
        time: Some(Time::SlotId(slot_id.into())),
        who: Some(Who::Patient(details)),
        channel: BookingChannel::Online as i32,
        ..BookAppointmentRequest::default()
    }
}

fn plain(at: i64) -> String {
    slot(PLAIN, GRACE, after(at * 60))
}

/// Another patient with the same number.
fn family(number: u32) -> PatientDetails {
    PatientDetails { phone: patient(0).phone, ..patient(number) }
}

async fn proof(harness: &Harness, ctx: &Context, channel: &str, address: &str) -> String {
    let address_hash = Sha256::digest(address.as_bytes()).to_vec();
    let request = SignVerificationRequest { channel: channel.into(), address_hash };
    harness.booking.clone().sign_verification(ctx.request(request)).await.unwrap().into_inner().verification
}

fn with(request: BookAppointmentRequest, verification: &str) -> BookAppointmentRequest {
    BookAppointmentRequest { verification: verification.into(), ..request }
}

/// The appointment without what differs between any two.
fn shape(appointment: Appointment) -> Appointment {
    Appointment {
        id: String::new(),
        patient_id: String::new(),
        manage_token: String::new(),
        slot_id: String::new(),
        starts_at_us: 0,
        ends_at_us: 0,
        ..appointment
    }
}

async fn bookings_with_one_number_are_capped(database: Database) {
    let harness = Harness::over(&database).await;
    let mut booked = 0;
    for at in 0..60 {
        let answer = harness.book_as(&harness.visitor(&format!("{at}")), online(&plain(at), family(at as u32))).await;
        match answer {
            Ok(_) => booked += 1,
            Err(refused) => {
                assert_eq!(refused.code, Code::MessageLimit, "{refused:?}");
                assert_eq!(refused.retry_after.unwrap().as_secs(), 16 * 3600, "until midnight of UTC");
            }
        }
    }
    assert_eq!(booked, 10);
    // Staff know their patients.
    harness.book(BookAppointmentRequest { who: Some(Who::Patient(family(70))), ..visit(&plain(70), 0) }).await;
    harness.advance(DAY);
    harness.book_as(&harness.visitor("one"), online(&plain(80), family(80))).await.unwrap();
}

async fn bookings_with_one_address_of_one_visitor_and_of_one_key_are_capped(database: Database) {
    let limits = Messages { per_number: 100, per_address: 2, per_visitor: 3, per_key: 7 };
    let harness = Harness::configured(&database, |config| config.messages = limits).await;
    let by = async |ctx: &Context, at: u32, email: &str| {
        let details = PatientDetails { email: email.into(), ..patient(at) };
        harness.book_as(ctx, online(&plain(i64::from(at)), details)).await
    };
    let one = harness.visitor("one");
    by(&one, 0, "ada@example.org").await.unwrap();
    by(&one, 1, "ADA@example.org").await.unwrap();
    assert_eq!(code(by(&one, 2, "Ada@Example.org").await), Code::MessageLimit, "letters of either case are alike");
    by(&one, 2, "").await.unwrap();
    assert_eq!(code(by(&one, 3, "").await), Code::MessageLimit, "enough of one visitor");
    let other_key = Context { caller: "key_other".into(), ..one.clone() };
    by(&other_key, 3, "").await.unwrap();
    for at in 4..8 {
        by(&harness.visitor(&format!("{at}")), at, "").await.unwrap();
    }
    assert_eq!(code(by(&harness.visitor("8"), 8, "").await), Code::MessageLimit, "enough of one key");
    by(&other_key, 8, "").await.unwrap();
}

async fn bookings_at_once_keep_the_cap(database: Database) {
    let harness = Harness::over(&database).await;
    let beside = harness.beside().await;
    let contexts: Vec<Context> = (0..24).map(|at| harness.visitor(&format!("{at}"))).collect();
    let tries = contexts.iter().zip(0_u32..).map(|(ctx, at)| {
        let process = if at % 2 == 0 { &harness } else { &beside };
        process.book_as(ctx, online(&plain(i64::from(at)), family(at)))
    });
    let answers = futures::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 10);
    assert!(answers.into_iter().filter_map(Result::err).all(|refused| refused.code == Code::MessageLimit));
}

async fn a_known_patient_looks_like_an_unknown_one(database: Database) {
    let harness = Harness::over(&database).await;
    let known = PatientDetails { email: "ada@example.org".into(), ..patient(1) };
    harness.book(BookAppointmentRequest { who: Some(Who::Patient(known)), ..visit(&plain(0), 1) }).await;
    let ctx = harness.visitor("one");
    let as_known = harness.book_as(&ctx, online(&plain(1), patient(1))).await.unwrap();
    let as_unknown = harness.book_as(&ctx, online(&plain(2), patient(2))).await.unwrap();
    assert_eq!(shape(as_known), shape(as_unknown));
}

async fn a_patients_diary_refuses_no_stranger(database: Database) {
    let harness = Harness::over(&database).await;
    let busy = slot(PLAIN, GRACE, after(0));
    let theirs = harness.book(visit(&busy, 1)).await;
    let ctx = harness.visitor("one");
    let same_time = slot(PLAIN, ALAN, after(0));
    assert_eq!(code(harness.try_book(visit(&same_time, 1)).await), Code::PatientBusy, "staff are told");
    let stranger = harness.book_as(&ctx, online(&same_time, patient(1))).await.unwrap();
    assert_eq!(stranger.patient_id, theirs.patient_id);
    // The room and the practitioner are refused all the same.
    assert_eq!(code(harness.book_as(&ctx, online(&same_time, patient(1))).await), Code::SlotTaken);
    // Nor does the link of such a booking tell the diary.
    let elsewhere = harness.book_as(&ctx, online(&slot(PLAIN, ALAN, after(120)), patient(3))).await.unwrap();
    harness.book(visit(&slot(PLAIN, GRACE, after(300)), 3)).await;
    let request = RescheduleAppointmentRequest {
        id: elsewhere.id.clone(),
        slot_id: slot(PLAIN, ALAN, after(300)),
        channel: BookingChannel::Online as i32,
        by: "patient".into(),
        ..RescheduleAppointmentRequest::default()
    };
    let patient_with_link = Context { caller: "patient".into(), ..ctx };
    let moved = harness.booking.clone().reschedule_appointment(patient_with_link.request(request)).await;
    assert_eq!(moved.unwrap().into_inner().starts_at_us, after(300).as_microsecond());
    // A proof of the patient's number opens the diary.
    let ctx = harness.visitor("proved");
    let proved = proof(&harness, &ctx, "sms", &patient(4).phone).await;
    harness.book(visit(&slot(PLAIN, GRACE, after(600)), 4)).await;
    let at_once = with(online(&slot(PLAIN, ALAN, after(600)), patient(4)), &proved);
    assert_eq!(code(harness.book_as(&ctx, at_once).await), Code::PatientBusy);
    let class = slot(CLASS, GRACE, after(DAY));
    harness.book(visit(&class, 5)).await;
    harness.book_as(&ctx, online(&class, patient(5))).await.unwrap();
}

async fn a_rule_about_the_patient_needs_a_proof_of_everybody(database: Database) {
    let harness = Harness::over(&database).await;
    harness.book(visit(&slot(EVALUATION, GRACE, after(0)), 1)).await;
    let ctx = harness.visitor("one");
    let needling = slot(NEEDLING, GRACE, after(5 * DAY));
    let refusals = [1, 2].map(|number| harness.book_as(&ctx, online(&needling, patient(number))));
    let [known, unknown] = futures::future::join_all(refusals).await.try_into().unwrap();
    let (known, unknown): (Fault, Fault) = (known.unwrap_err(), unknown.unwrap_err());
    assert_eq!(known.code, Code::VerificationRequired);
    assert!(known == unknown, "the same answer, whether there was an evaluation or not");
    // Proved, each is told the truth of its own.
    let of = async |number: u32| proof(&harness, &ctx, "sms", &patient(number).phone).await;
    let unevaluated = with(online(&needling, patient(2)), &of(2).await);
    assert_eq!(code(harness.book_as(&ctx, unevaluated).await), Code::EvaluationRequired);
    harness.book_as(&ctx, with(online(&needling, patient(1)), &of(1).await)).await.unwrap();
    let next_day = slot(NEEDLING, GRACE, after(6 * DAY));
    let too_soon = with(online(&next_day, patient(1)), &of(1).await);
    assert_eq!(code(harness.book_as(&ctx, too_soon).await), Code::TooSoonAfterNeedling);
    // Staff prove nothing.
    assert_eq!(code(harness.try_book(visit(&next_day, 2)).await), Code::EvaluationRequired);
}

async fn a_proof_of_another_address_opens_no_record(database: Database) {
    let harness = Harness::over(&database).await;
    harness.book(visit(&slot(EVALUATION, GRACE, after(0)), 1)).await;
    harness.book(visit(&slot(PLAIN, GRACE, after(5 * DAY + 120)), 1)).await;
    let ctx = harness.visitor("one");
    // The stranger gives the patient's name and number, and an address of their own, which they prove.
    let said = PatientDetails { email: "mallory@example.org".into(), ..patient(1) };
    let proved = proof(&harness, &ctx, "email", "mallory@example.org").await;
    let needling = with(online(&slot(NEEDLING, GRACE, after(5 * DAY)), said.clone()), &proved);
    let refused = harness.book_as(&ctx, needling).await;
    assert_eq!(code(refused), Code::EvaluationRequired, "as if there were no record");
    let busy = with(online(&slot(PLAIN, ALAN, after(5 * DAY + 120)), said), &proved);
    harness.book_as(&ctx, busy).await.unwrap();
    // A proof of another number is none.
    let theirs = proof(&harness, &ctx, "sms", "+17805559999").await;
    let request = with(online(&plain(9), patient(1)), &theirs);
    assert_eq!(code(harness.book_as(&ctx, request).await), Code::VerificationRequired);
}

async fn a_proof_ends_and_is_of_one_organisation(database: Database) {
    let harness = Harness::over(&database).await;
    let ctx = harness.visitor("one");
    let proved = proof(&harness, &ctx, "sms", &patient(1).phone).await;
    let request = with(online(&plain(1), patient(1)), &proved);
    let other = Context { organization: OrganizationId::new(Uuid::from_u128(0xbb)), ..ctx.clone() };
    for forged in [&format!("f{proved}"), "7fffffffffffffff.AAAAAAAAAAAAAAAAAAAAAA", "x"] {
        let request = with(request.clone(), forged);
        assert_eq!(code(harness.book_as(&ctx, request).await), Code::VerificationRequired, "{forged}");
    }
    assert_eq!(code(harness.book_as(&other, request.clone()).await), Code::VerificationRequired);
    harness.advance(29);
    harness.book_as(&ctx, request.clone()).await.unwrap();
    harness.advance(1);
    let request = BookAppointmentRequest { time: Some(Time::SlotId(plain(2))), ..request };
    assert_eq!(code(harness.book_as(&ctx, request).await), Code::VerificationRequired);
}

async fn an_organisation_asks_for_a_proof(database: Database) {
    let cases = [
        (0xb1, Verify::Never, None, None),
        (0xb2, Verify::NewPatients, None, Some(Code::VerificationRequired)),
        (0xb3, Verify::Always, Some(Code::VerificationRequired), Some(Code::VerificationRequired)),
    ];
    let organization = |number: u128| OrganizationId::new(Uuid::from_u128(number));
    let harness = Harness::configured(&database, |config| {
        config.organizations = cases
            .iter()
            .map(|(number, verify, ..)| {
                let own = Organization { verify: Some(*verify), ..Organization::default() };
                (organization(*number).to_string(), own)
            })
            .collect();
    });
    let harness = harness.await;
    for (number, verify, known, unknown) in cases {
        let staff = Context { organization: organization(number), ..harness.context() };
        let ctx = Context { organization: staff.organization, ..harness.visitor("one") };
        harness.book_as(&staff, visit(&plain(0), 1)).await.unwrap();
        let answer = harness.book_as(&ctx, online(&plain(1), patient(1))).await;
        assert_eq!(answer.err().map(|refused| refused.code), known, "{verify:?}");
        let answer = harness.book_as(&ctx, online(&plain(2), patient(2))).await;
        assert_eq!(answer.err().map(|refused| refused.code), unknown, "{verify:?}");
        let proved = proof(&harness, &ctx, "sms", &patient(3).phone).await;
        harness.book_as(&ctx, with(online(&plain(3), patient(3)), &proved)).await.unwrap();
    }
}

async fn a_front_end_books_for_no_id(database: Database) {
    let harness = Harness::over(&database).await;
    let known = harness.book(visit(&plain(0), 1)).await.patient_id;
    let unknown = PatientId::new(Uuid::from_u128(7)).to_string();
    for id in [known, unknown] {
        let who = Some(Who::PatientId(id));
        let request = BookAppointmentRequest { who, ..online(&plain(1), PatientDetails::default()) };
        let answer = harness.booking.clone().book_appointment(harness.visitor("one").request(request)).await;
        assert_eq!(fault(&answer.map(Response::into_inner).unwrap_err()).code, Code::Forbidden);
    }
}
