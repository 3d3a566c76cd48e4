//! Patients who come back: who is meant, what is taken over from what they say, and how staff find them.

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

use crate::harness::{ALAN, EVALUATION, GRACE, NEEDLING, PLAIN, World, after, code, fault, slot, visit};

testkit::engines!(
    a_returning_patients_words_are_kept_and_overwrite_nothing,
    staff_take_or_leave_what_is_proposed,
    two_bookings_at_once_lose_nothing_that_was_said,
    one_name_and_telephone_is_one_person_without_a_date_of_birth,
    two_dates_of_birth_are_two_people,
    an_evaluation_counts_for_whoever_books_without_a_date_of_birth,
    a_telephone_is_read_where_the_visit_is,
    patients_are_found_by_whatever_is_typed,
    a_hit_has_its_next_and_its_last_visit,
    control_characters_are_refused_where_nobody_reads_them,
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

async fn try_create(world: &World, details: PatientDetails) -> Result<Patient, Fault> {
    let request = world.request(CreatePatientRequest { details: Some(details) });
    let answer = world.booking.clone().create_patient(request).await;
    answer.map(Response::into_inner).map_err(|status| fault(&status))
}

async fn create(world: &World, details: PatientDetails) -> Patient {
    try_create(world, details).await.unwrap()
}

async fn get(world: &World, id: &str) -> Patient {
    let request = world.request(GetPatientRequest { id: id.to_owned() });
    world.booking.clone().get_patient(request).await.unwrap().into_inner()
}

async fn list(world: &World, request: ListPatientsRequest) -> Vec<Patient> {
    world.booking.clone().list_patients(world.request(request)).await.unwrap().into_inner().patients
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

async fn a_returning_patients_words_are_kept_and_overwrite_nothing(database: Database) {
    let world = World::over(&database).await;
    let known = PatientDetails { email: "ada@example.org".into(), reminder_channel: "sms".into(), ..ada() };
    let known = create(&world, known).await;
    let said = PatientDetails {
        family_name: "EXAMPLE".into(),
        email: "new@example.org".into(),
        language: "fr".into(),
        reminder_channel: "email".into(),
        consents: vec![sms()],
        ..ada()
    };
    let booked = world.book(online(said.clone(), 0)).await;
    assert_eq!(booked.patient_id, known.id);
    let now = get(&world, &known.id).await;
    let details = now.details.clone().unwrap();
    assert_eq!(details.consents, [sms()], "a consent that is given counts");
    assert_eq!(details.language, "fr", "an empty field is filled");
    assert_eq!((details.email.as_str(), details.reminder_channel.as_str()), ("ada@example.org", "sms"));
    assert_eq!(details.family_name, "Example");
    let expected = ["email new@example.org BOOKING_CHANNEL_ONLINE", "reminder_channel email BOOKING_CHANNEL_ONLINE"];
    assert_eq!(proposed(&now), expected);
    let request = world.request(GetPatientRequest { id: known.id.clone() });
    let history = world.booking.clone().list_consents(request).await.unwrap().into_inner();
    assert_eq!(history.events.len(), 1);
    assert_eq!((history.events[0].how.as_str(), history.events[0].given), ("details", true));

    // The same said again is nothing new; less said takes nothing away.
    world.book(online(said, 60)).await;
    world.book(online(ada(), 120)).await;
    assert_eq!(get(&world, &known.id).await.version, now.version);
    world.book(online(PatientDetails { email: "ADA@example.org".into(), ..ada() }, 180)).await;
    assert_eq!(get(&world, &known.id).await.version, now.version, "letters' case means nothing in an address");
}

async fn staff_take_or_leave_what_is_proposed(database: Database) {
    let world = World::over(&database).await;
    let known = create(&world, PatientDetails { email: "one@example.org".into(), ..ada() }).await;
    let other = create(&world, PatientDetails { given_name: "Byron".into(), ..ada() }).await;
    for (at, email) in (0..).zip(["two@example.org", "three@example.org"]) {
        world.book(online(PatientDetails { email: email.into(), ..ada() }, at * 60)).await;
    }
    let only = |with| ListPatientsRequest { proposed_changes: Some(with), ..ListPatientsRequest::default() };
    let ids = |patients: Vec<Patient>| patients.into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(list(&world, only(true)).await), [known.id.as_str()]);
    assert_eq!(ids(list(&world, only(false)).await), [other.id.as_str()]);

    let open = get(&world, &known.id).await.proposed_changes;
    let decide = |at: usize, accept| DecideProposedChangeRequest {
        patient_id: known.id.clone(),
        change_id: open[at].id.clone(),
        accept,
    };
    let mut client = world.booking.clone();
    let left = client.decide_proposed_change(world.keyed("leave", "a", decide(0, false))).await.unwrap().into_inner();
    assert_eq!(left.details.unwrap().email, "one@example.org");
    let again = client.decide_proposed_change(world.keyed("leave", "a", decide(0, false))).await.unwrap();
    assert_eq!(again.metadata().get("meridian-replayed").unwrap(), "true");
    let taken = client.decide_proposed_change(world.request(decide(1, true))).await.unwrap().into_inner();
    assert_eq!(taken.details.clone().unwrap().email, "three@example.org");
    assert_eq!(taken.proposed_changes, []);
    let now = get(&world, &known.id).await;
    assert_eq!((now.version, now.details), (taken.version, taken.details));
    assert_eq!(ids(list(&world, only(true)).await), [""; 0]);
    let gone = client.decide_proposed_change(world.request(decide(1, true))).await.unwrap_err();
    assert_eq!(fault(&gone).code, Code::NotFound);
    let found = list(&world, ListPatientsRequest { query: "three@example.org".into(), ..Default::default() }).await;
    assert_eq!(ids(found), [known.id.as_str()], "it is found by what was taken");
    let before = list(&world, ListPatientsRequest { query: "one@example.org".into(), ..Default::default() }).await;
    assert_eq!(before, [], "and no longer by what it took the place of");
}

async fn two_bookings_at_once_lose_nothing_that_was_said(database: Database) {
    let world = World::over(&database).await;
    let known = create(&world, ada()).await;
    let stalled = world.availability.stall().await;
    let consents = vec![sms()];
    let one = world.try_book(online(PatientDetails { consents, ..ada() }, 0));
    let two = world.try_book(online(PatientDetails { language: "fr".into(), ..ada() }, 60));
    let release = async { drop(stalled) };
    let (one, two, ()) = tokio::join!(one, two, release);
    assert_eq!((one.unwrap().patient_id, two.unwrap().patient_id), (known.id.clone(), known.id.clone()));
    let details = get(&world, &known.id).await.details.unwrap();
    assert_eq!((details.consents, details.language.as_str()), (vec![sms()], "fr"));
}

async fn one_name_and_telephone_is_one_person_without_a_date_of_birth(database: Database) {
    let world = World::over(&database).await;
    let clinics = PatientDetails { date_of_birth: "1980-02-03".into(), ..ada() };
    let clinics = create(&world, clinics.clone()).await;
    let website = world.book(online(ada(), 0)).await;
    assert_eq!(website.patient_id, clinics.id, "the only one of that name and telephone");
    // The other way round: the record has none, and gets the one that is given.
    let byron = PatientDetails { given_name: "José".into(), ..ada() };
    let plain = world.book(online(byron.clone(), 60)).await;
    let born = PatientDetails { given_name: "Jose".into(), date_of_birth: "1990-01-01".into(), ..byron };
    assert_eq!(world.book(online(born.clone(), 120)).await.patient_id, plain.patient_id);
    let now = get(&world, &plain.patient_id).await;
    assert_eq!(now.details.unwrap().date_of_birth, "1990-01-01");
    let other = world.book(online(PatientDetails { date_of_birth: "1991-01-01".into(), ..born }, 180)).await;
    assert_ne!(other.patient_id, plain.patient_id, "and is one person from then on");
    let elsewhere = PatientDetails { phone: "+17805550124".into(), ..ada() };
    assert_ne!(world.book(online(elsewhere, 240)).await.patient_id, clinics.id);
}

async fn two_dates_of_birth_are_two_people(database: Database) {
    let world = World::over(&database).await;
    let father = create(&world, PatientDetails { date_of_birth: "1950-01-01".into(), ..ada() }).await;
    let son = PatientDetails { date_of_birth: "1980-01-01".into(), ..ada() };
    let first = world.book(online(son.clone(), 0)).await;
    assert_ne!(first.patient_id, father.id);
    assert_eq!(world.book(online(son, 60)).await.patient_id, first.patient_id);
    // Nobody can say which of the two: a record of its own, and the same one again.
    let unsaid = world.book(online(ada(), 120)).await;
    assert!(unsaid.patient_id != father.id && unsaid.patient_id != first.patient_id);
    assert_eq!(world.book(online(ada(), 180)).await.patient_id, unsaid.patient_id);
}

async fn an_evaluation_counts_for_whoever_books_without_a_date_of_birth(database: Database) {
    const DAY: i64 = 24 * 60;
    let world = World::over(&database).await;
    let known = create(&world, PatientDetails { date_of_birth: "1980-02-03".into(), ..ada() }).await;
    let who = Some(Who::PatientId(known.id.clone()));
    world.book(BookAppointmentRequest { who, ..visit(&slot(EVALUATION, ALAN, after(0)), 0) }).await;
    let needling = BookAppointmentRequest {
        who: Some(Who::Patient(ada())),
        channel: BookingChannel::Online as i32,
        ..visit(&slot(NEEDLING, GRACE, after(DAY)), 0)
    };
    assert_eq!(world.book(needling).await.patient_id, known.id);
}

async fn a_telephone_is_read_where_the_visit_is(database: Database) {
    let world = World::over(&database).await;
    let national = PatientDetails { phone: "(780) 555-0123".into(), ..ada() };
    let booked = world.book(online(national, 0)).await;
    assert_eq!(get(&world, &booked.patient_id).await.details.unwrap().phone, PHONE);
    assert_eq!(world.book(online(ada(), 60)).await.patient_id, booked.patient_id, "the same number");
    let foreign = create(&world, PatientDetails { phone: "+44 (0)161 496 0000".into(), ..ada() }).await;
    assert_eq!(foreign.details.unwrap().phone, "+441614960000");
    for phone in ["", "none", "780 555 0123 ext. 7", "+1"] {
        let refused = world.try_book(online(PatientDetails { phone: phone.into(), ..ada() }, 120)).await.unwrap_err();
        let named: Vec<_> = refused.violations.iter().map(|one| (one.pointer.as_str(), one.code.as_str())).collect();
        assert_eq!(named, [("/patient/phone", "invalid_phone")], "{phone}");
    }
}

async fn patients_are_found_by_whatever_is_typed(database: Database) {
    let world = World::over(&database).await;
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
        create(&world, details).await;
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
        let found = list(&world, request).await;
        let names: Vec<String> = found.into_iter().map(|it| it.details.unwrap().given_name).collect();
        assert_eq!(names, expected, "{query}");
    }
    // By pages, the newest first, like every list.
    let page = |cursor: String| ListPatientsRequest {
        query: "j".into(),
        page: Some(Page { limit: 1, cursor }),
        ..ListPatientsRequest::default()
    };
    let first = world.booking.clone().list_patients(world.request(page(String::new()))).await.unwrap().into_inner();
    let second = world.booking.clone().list_patients(world.request(page(first.next_cursor))).await.unwrap();
    assert_eq!(second.get_ref().patients[0].details.as_ref().unwrap().given_name, "José");
    assert_eq!(second.get_ref().next_cursor, "");
}

async fn a_hit_has_its_next_and_its_last_visit(database: Database) {
    const DAY: i64 = 24 * 60;
    let world = World::over(&database).await;
    let mut visits = Vec::new();
    for day in 0..5 {
        visits.push(world.book(visit(&slot(PLAIN, GRACE, after(day * DAY)), 1)).await);
    }
    world.book(visit(&slot(PLAIN, ALAN, after(0)), 2)).await;
    world.cancel(&visits[3].id).await;
    // Two days and an hour on: three visits have been, of which nobody came to the last.
    world.advance(32 * 60 + 2 * DAY + 60);
    world.transition(&visits[2].id, Transition::NoShow).await.unwrap();
    let found = list(&world, ListPatientsRequest { query: "example".into(), ..ListPatientsRequest::default() }).await;
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
    assert_eq!(shown(&get(&world, &of_one.id).await), shown(of_one));
}

async fn control_characters_are_refused_where_nobody_reads_them(database: Database) {
    let world = World::over(&database).await;
    for name in ["A\u{0}da", "Ada\n", "\u{202e}adA", "A\u{2066}da"] {
        let refused = try_create(&world, PatientDetails { given_name: name.into(), ..ada() }).await.unwrap_err();
        assert_eq!((refused.code, refused.violations[0].pointer.as_str()), (Code::ValidationFailed, "/given_name"));
    }
    create(&world, PatientDetails { given_name: "עדה\u{200f}".into(), ..ada() }).await;
    let noted = |note: &str| BookAppointmentRequest { note: note.into(), ..online(ada(), 0) };
    for note in ["a\u{0}", "a\u{1b}[2J", "\u{202e}a"] {
        assert_eq!(code(world.try_book(noted(note)).await), Code::ValidationFailed, "{note:?}");
    }
    world.book(noted("first line\r\n\tsecond, \u{2067}עדה\u{2069}")).await;
}
