//! Returning patients: how they are matched, which details are added, and how staff find them.

use rpc::{Code, Fault};
use testkit::database::Database;
use tonic::Response;
use wire::{
    booking::{
        BookAppointmentRequest, Consent, CreatePatientRequest, DecideProposedChangeRequest, GetPatientRequest,
        ListPatientsRequest, Patient, PatientDetails, Transition, book_appointment_request::Who,
    },
    common::{BookingChannel, Page},
};

use crate::harness::{ALAN, EVALUATION, GRACE, Harness, NEEDLING, PLAIN, after, code, fault, slot, visit};

testkit::engines!(
    a_returning_patients_details_overwrite_nothing,
    staff_accept_or_discard_a_proposed_change,
    concurrent_bookings_keep_the_details_of_both,
    one_name_and_telephone_is_one_person_without_a_date_of_birth,
    two_dates_of_birth_are_two_people,
    an_evaluation_counts_without_a_date_of_birth,
    a_telephone_number_is_read_in_the_country_of_the_location,
    patients_are_found_by_every_form_of_a_query,
    a_found_patient_has_the_next_and_the_last_appointment,
    control_characters_are_refused,
);

const PHONE: &str = "+17805550123";

fn ada() -> PatientDetails {
    PatientDetails {
        given_name: "Ada".into(),
        family_name: "Example".into(),
        phone: PHONE.into(),
        ..PatientDetails::default()
    }
}

fn sms() -> Consent {
    Consent { channel: "sms".into(), kind: "service".into() }
}

async fn try_create(harness: &Harness, details: PatientDetails) -> Result<Patient, Fault> {
    let request = harness.request(CreatePatientRequest { details: Some(details), staff: None });
    let answer = harness.booking.clone().create_patient(request).await;
    answer.map(Response::into_inner).map_err(|status| fault(&status))
}

async fn create(harness: &Harness, details: PatientDetails) -> Patient {
    try_create(harness, details).await.unwrap()
}

async fn get(harness: &Harness, id: &str) -> Patient {
    let request = harness.request(GetPatientRequest { id: id.to_owned() });
    harness.booking.clone().get_patient(request).await.unwrap().into_inner()
}

async fn list(harness: &Harness, request: ListPatientsRequest) -> Vec<Patient> {
    harness.booking.clone().list_patients(harness.request(request)).await.unwrap().into_inner().patients
}

/// A patient's own booking, so many minutes after the start.
fn online(details: PatientDetails, minutes: i64) -> BookAppointmentRequest {
    let slot_id = slot(PLAIN, GRACE, after(minutes));
    BookAppointmentRequest {
        who: Some(Who::Patient(details)),
        channel: BookingChannel::Online as i32,
        ..visit(&slot_id, 0)
    }
}

/// `field value channel`, the oldest first.
fn proposed(patient: &Patient) -> Vec<String> {
    let channel = |it: i32| BookingChannel::try_from(it).unwrap().as_str_name().to_owned();
    let lines = patient.proposed_changes.iter();
    lines.map(|it| format!("{} {} {}", it.field, it.value, channel(it.channel))).collect()
}

async fn a_returning_patients_details_overwrite_nothing(database: Database) {
    let harness = Harness::over(&database).await;
    let known = PatientDetails { email: "ada@example.org".into(), reminder_channel: "sms".into(), ..ada() };
    let known = create(&harness, known).await;
    let said = PatientDetails {
        family_name: "EXAMPLE".into(),
        email: "new@example.org".into(),
        language: "fr".into(),
        reminder_channel: "email".into(),
        consents: vec![sms()],
        ..ada()
    };
    let booked = harness.book(online(said.clone(), 0)).await;
    assert_eq!(booked.patient_id, known.id);
    let now = get(&harness, &known.id).await;
    let details = now.details.clone().unwrap();
    assert_eq!(details.consents, [sms()], "a consent that is given counts");
    assert_eq!(details.language, "fr", "an empty field is filled");
    assert_eq!((details.email.as_str(), details.reminder_channel.as_str()), ("ada@example.org", "sms"));
    assert_eq!(details.family_name, "Example");
    let expected = ["email new@example.org BOOKING_CHANNEL_ONLINE", "reminder_channel email BOOKING_CHANNEL_ONLINE"];
    assert_eq!(proposed(&now), expected);
    let request = harness.request(GetPatientRequest { id: known.id.clone() });
    let history = harness.booking.clone().list_consents(request).await.unwrap().into_inner();
    assert_eq!(history.events.len(), 1);
    assert_eq!((history.events[0].how.as_str(), history.events[0].given), ("details", true));

    // The same said again is nothing new; less said takes nothing away.
    harness.book(online(said, 60)).await;
    harness.book(online(ada(), 120)).await;
    assert_eq!(get(&harness, &known.id).await.version, now.version);
    harness.book(online(PatientDetails { email: "ADA@example.org".into(), ..ada() }, 180)).await;
    assert_eq!(get(&harness, &known.id).await.version, now.version, "letters' case means nothing in an address");
}

async fn staff_accept_or_discard_a_proposed_change(database: Database) {
    let harness = Harness::over(&database).await;
    let known = create(&harness, PatientDetails { email: "one@example.org".into(), ..ada() }).await;
    let other = create(&harness, PatientDetails { given_name: "Byron".into(), ..ada() }).await;
    for (at, email) in (0..).zip(["two@example.org", "three@example.org"]) {
        harness.book(online(PatientDetails { email: email.into(), ..ada() }, at * 60)).await;
    }
    let only = |with| ListPatientsRequest { proposed_changes: Some(with), ..ListPatientsRequest::default() };
    let ids = |patients: Vec<Patient>| patients.into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(list(&harness, only(true)).await), [known.id.as_str()]);
    assert_eq!(ids(list(&harness, only(false)).await), [other.id.as_str()]);

    let open = get(&harness, &known.id).await.proposed_changes;
    let decide = |at: usize, accept| DecideProposedChangeRequest {
        patient_id: known.id.clone(),
        change_id: open[at].id.clone(),
        accept,
    };
    let mut client = harness.booking.clone();
    let left = client.decide_proposed_change(harness.keyed("leave", "a", decide(0, false))).await.unwrap().into_inner();
    assert_eq!(left.details.unwrap().email, "one@example.org");
    let again = client.decide_proposed_change(harness.keyed("leave", "a", decide(0, false))).await.unwrap();
    assert_eq!(again.metadata().get("meridian-replayed").unwrap(), "true");
    let taken = client.decide_proposed_change(harness.request(decide(1, true))).await.unwrap().into_inner();
    assert_eq!(taken.details.clone().unwrap().email, "three@example.org");
    assert_eq!(taken.proposed_changes, []);
    let now = get(&harness, &known.id).await;
    assert_eq!((now.version, now.details), (taken.version, taken.details));
    assert_eq!(ids(list(&harness, only(true)).await), [""; 0]);
    let gone = client.decide_proposed_change(harness.request(decide(1, true))).await.unwrap_err();
    assert_eq!(fault(&gone).code, Code::NotFound);
    let found = list(&harness, ListPatientsRequest { query: "three@example.org".into(), ..Default::default() }).await;
    assert_eq!(ids(found), [known.id.as_str()], "it is found by what was taken");
    let before = list(&harness, ListPatientsRequest { query: "one@example.org".into(), ..Default::default() }).await;
    assert_eq!(before, [], "and no longer by what it took the place of");
}

async fn concurrent_bookings_keep_the_details_of_both(database: Database) {
    let harness = Harness::over(&database).await;
    let known = create(&harness, ada()).await;
    let stalled = harness.availability.stall().await;
    let consents = vec![sms()];
    let one = harness.try_book(online(PatientDetails { consents, ..ada() }, 0));
    let two = harness.try_book(online(PatientDetails { language: "fr".into(), ..ada() }, 60));
    let release = async { drop(stalled) };
    let (one, two, ()) = tokio::join!(one, two, release);
    assert_eq!((one.unwrap().patient_id, two.unwrap().patient_id), (known.id.clone(), known.id.clone()));
    let details = get(&harness, &known.id).await.details.unwrap();
    assert_eq!((details.consents, details.language.as_str()), (vec![sms()], "fr"));
}

async fn one_name_and_telephone_is_one_person_without_a_date_of_birth(database: Database) {
    let harness = Harness::over(&database).await;
    let clinics = PatientDetails { date_of_birth: "1980-02-03".into(), ..ada() };
    let clinics = create(&harness, clinics.clone()).await;
    let website = harness.book(online(ada(), 0)).await;
    assert_eq!(website.patient_id, clinics.id, "the only one of that name and telephone");
    // The other way round: the record has none, and gets the one that is given.
    let byron = PatientDetails { given_name: "José".into(), ..ada() };
    let plain = harness.book(online(byron.clone(), 60)).await;
    let born = PatientDetails { given_name: "Jose".into(), date_of_birth: "1990-01-01".into(), ..byron };
    assert_eq!(harness.book(online(born.clone(), 120)).await.patient_id, plain.patient_id);
    let now = get(&harness, &plain.patient_id).await;
    assert_eq!(now.details.unwrap().date_of_birth, "1990-01-01");
    let other = harness.book(online(PatientDetails { date_of_birth: "1991-01-01".into(), ..born }, 180)).await;
    assert_ne!(other.patient_id, plain.patient_id, "and is one person from then on");
    let elsewhere = PatientDetails { phone: "+17805550124".into(), ..ada() };
    assert_ne!(harness.book(online(elsewhere, 240)).await.patient_id, clinics.id);
}

async fn two_dates_of_birth_are_two_people(database: Database) {
    let harness = Harness::over(&database).await;
    let father = create(&harness, PatientDetails { date_of_birth: "1950-01-01".into(), ..ada() }).await;
    let son = PatientDetails { date_of_birth: "1980-01-01".into(), ..ada() };
    let first = harness.book(online(son.clone(), 0)).await;
    assert_ne!(first.patient_id, father.id);
    assert_eq!(harness.book(online(son, 60)).await.patient_id, first.patient_id);
    // Either of the two may be meant: a record of its own, and the same one again.
    let unsaid = harness.book(online(ada(), 120)).await;
    assert!(unsaid.patient_id != father.id && unsaid.patient_id != first.patient_id);
    assert_eq!(harness.book(online(ada(), 180)).await.patient_id, unsaid.patient_id);
}

async fn an_evaluation_counts_without_a_date_of_birth(database: Database) {
    const DAY: i64 = 24 * 60;
    let harness = Harness::over(&database).await;
    let known = create(&harness, PatientDetails { date_of_birth: "1980-02-03".into(), ..ada() }).await;
    let who = Some(Who::PatientId(known.id.clone()));
    harness.book(BookAppointmentRequest { who, ..visit(&slot(EVALUATION, ALAN, after(0)), 0) }).await;
    let needling = BookAppointmentRequest {
        who: Some(Who::Patient(ada())),
        channel: BookingChannel::Online as i32,
        ..visit(&slot(NEEDLING, GRACE, after(DAY)), 0)
    };
    assert_eq!(harness.book(needling).await.patient_id, known.id);
}

async fn a_telephone_number_is_read_in_the_country_of_the_location(database: Database) {
    let harness = Harness::over(&database).await;
    let national = PatientDetails { phone: "(780) 555-0123".into(), ..ada() };
    let booked = harness.book(online(national, 0)).await;
    assert_eq!(get(&harness, &booked.patient_id).await.details.unwrap().phone, PHONE);
    assert_eq!(harness.book(online(ada(), 60)).await.patient_id, booked.patient_id, "the same number");
    let foreign = create(&harness, PatientDetails { phone: "+44 (0)161 496 0000".into(), ..ada() }).await;
    assert_eq!(foreign.details.unwrap().phone, "+441614960000");
    for (phone, expected) in
        [("", "missing"), ("none", "invalid_phone"), ("780 555 0123 ext. 7", "invalid_phone"), ("+1", "invalid_phone")]
    {
        let refused = harness.try_book(online(PatientDetails { phone: phone.into(), ..ada() }, 120)).await.unwrap_err();
        let named: Vec<_> = refused.violations.iter().map(|one| (one.pointer.as_str(), one.code.as_str())).collect();
        assert_eq!(named, [("/patient/phone", expected)], "{phone}");
    }
}

async fn patients_are_found_by_every_form_of_a_query(database: Database) {
    let harness = Harness::over(&database).await;
    let person = |given: &str, family: &str, phone: &str, born: &str| PatientDetails {
        given_name: given.into(),
        family_name: family.into(),
        phone: phone.into(),
        date_of_birth: born.into(),
        ..PatientDetails::default()
    };
    for details in [
        person("José", "García", "+447700900999", "1980-02-03"),
        person("Jürgen", "Müller", "+493023125000", "1975-12-31"),
        person("Siobhán", "O’Brien", "+353201234567", ""),
        person("Ada", "Example", PHONE, ""),
    ] {
        create(&harness, details).await;
    }
    for (query, expected) in [
        ("jose", &["José"][..]),
        ("garcia jose", &["José"]),
        ("GARCÍA", &["José"]),
        ("muller", &["Jürgen"]),
        ("mueller jürg", &["Jürgen"]),
        ("o'brien", &["Siobhán"]),
        ("OBRIEN", &["Siobhán"]),
        ("07700 900999", &["José"]),
        ("+44 7700 900 999", &["José"]),
        ("900999", &["José"]),
        ("(780) 555-0123", &["Ada"]),
        ("780555", &["Ada"]),
        ("1980-02-03", &["José"]),
        ("3/2/1980 garcia", &["José"]),
        ("j", &["Jürgen", "José"]),
        ("", &["Ada", "Siobhán", "Jürgen", "José"]),
        ("jose muller", &[]),
        ("%", &[]),
        ("a\u{0}da", &["Ada"]),
    ] {
        let request = ListPatientsRequest { query: query.into(), ..ListPatientsRequest::default() };
        let found = list(&harness, request).await;
        let names: Vec<String> = found.into_iter().map(|it| it.details.unwrap().given_name).collect();
        assert_eq!(names, expected, "{query}");
    }
    // By pages, the newest first, like every list.
    let page = |cursor: String| ListPatientsRequest {
        query: "j".into(),
        page: Some(Page { limit: 1, cursor }),
        ..ListPatientsRequest::default()
    };
    let first = harness.booking.clone().list_patients(harness.request(page(String::new()))).await.unwrap().into_inner();
    let second = harness.booking.clone().list_patients(harness.request(page(first.next_cursor))).await.unwrap();
    assert_eq!(second.get_ref().patients[0].details.as_ref().unwrap().given_name, "José");
    assert_eq!(second.get_ref().next_cursor, "");
}

async fn a_found_patient_has_the_next_and_the_last_appointment(database: Database) {
    const DAY: i64 = 24 * 60;
    let harness = Harness::over(&database).await;
    let mut visits = Vec::new();
    for day in 0..5 {
        visits.push(harness.book(visit(&slot(PLAIN, GRACE, after(day * DAY)), 1)).await);
    }
    harness.book(visit(&slot(PLAIN, ALAN, after(0)), 2)).await;
    harness.cancel(&visits[3].id).await;
    // Two days and an hour later: three appointments have passed, and the patient missed the last.
    harness.advance(32 * 60 + 2 * DAY + 60);
    harness.transition(&visits[2].id, Transition::NoShow).await.unwrap();
    let found = list(&harness, ListPatientsRequest { query: "example".into(), ..ListPatientsRequest::default() }).await;
    let shown = |it: &Patient| {
        let id = |visit: &Option<wire::booking::Appointment>| visit.as_ref().map(|it| it.id.clone());
        (id(&it.next_visit), id(&it.last_visit))
    };
    assert_eq!(found.len(), 2);
    let of_one = found.iter().find(|it| it.id == visits[0].patient_id).unwrap();
    assert_eq!(shown(of_one), (Some(visits[4].id.clone()), Some(visits[1].id.clone())));
    assert_eq!(of_one.next_visit.as_ref().unwrap().starts_at_us, after(4 * DAY).as_microsecond());
    let of_other = found.iter().find(|it| it.id != visits[0].patient_id).unwrap();
    assert_eq!(shown(of_other).0, None);
    assert_eq!(shown(&get(&harness, &of_one.id).await), shown(of_one));
}

async fn control_characters_are_refused(database: Database) {
    let harness = Harness::over(&database).await;
    for name in ["A\u{0}da", "Ada\n", "\u{202e}adA", "A\u{2066}da"] {
        let refused = try_create(&harness, PatientDetails { given_name: name.into(), ..ada() }).await.unwrap_err();
        assert_eq!((refused.code, refused.violations[0].pointer.as_str()), (Code::ValidationFailed, "/given_name"));
    }
    create(&harness, PatientDetails { given_name: "עדה\u{200f}".into(), ..ada() }).await;
    let noted = |note: &str| BookAppointmentRequest { note: note.into(), ..online(ada(), 0) };
    for note in ["a\u{0}", "a\u{1b}[2J", "\u{202e}a"] {
        assert_eq!(code(harness.try_book(noted(note)).await), Code::ValidationFailed, "{note:?}");
    }
    harness.book(noted("first line\r\n\tsecond, \u{2067}עדה\u{2069}")).await;
}
