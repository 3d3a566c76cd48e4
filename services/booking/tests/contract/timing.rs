//! The transitions that time, caller and cause allow, and reason codes.

use rpc::{Code, Fault};
use testkit::database::Database;
use tonic::Response;
use wire::booking::{
    self as proto, Appointment, Change, CreateReasonCodeRequest, DeleteReasonCodeRequest, GetReasonCodeRequest,
    ListReasonCodesRequest, ReasonCode, ReasonCodeBody, RescheduleAppointmentRequest, SetDisplacedRequest,
    SubscribeChangesRequest, Transition, TransitionAppointmentRequest, UpdateAppointmentRequest,
    UpdateReasonCodeRequest, change::Owner, set_displaced_request::Item,
};

use crate::harness::{ALAN, GRACE, Harness, PLAIN, after, code, fault, slot, visit};

testkit::engines!(
    a_visit_that_has_begun_is_changed_by_staff_alone,
    staff_receive_a_patient_on_the_visits_own_day,
    only_the_patients_cancellation_is_late,
    a_late_move_stays_late,
    an_organisation_writes_its_own_reason_codes,
    a_changed_note_is_not_in_the_feed,
);

const DAY: i64 = 24 * 60;

async fn answered<T>(answer: Result<Response<T>, tonic::Status>) -> Result<T, Fault> {
    answer.map(Response::into_inner).map_err(|status| fault(&status))
}

async fn transition(
    harness: &Harness,
    id: &str,
    transition: Transition,
    (by, reason_code): (&str, &str),
) -> Result<Appointment, Fault> {
    let request = TransitionAppointmentRequest {
        id: id.into(),
        transition: transition as i32,
        reason_code: reason_code.into(),
        by: by.into(),
        ..TransitionAppointmentRequest::default()
    };
    answered(harness.booking.clone().transition_appointment(harness.request(request)).await).await
}

async fn reschedule(
    harness: &Harness,
    id: &str,
    slot_id: String,
    (by, reason_code): (&str, &str),
) -> Result<Appointment, Fault> {
    let request = RescheduleAppointmentRequest {
        id: id.into(),
        slot_id,
        by: by.into(),
        reason_code: reason_code.into(),
        ..RescheduleAppointmentRequest::default()
    };
    answered(harness.booking.clone().reschedule_appointment(harness.request(request)).await).await
}

/// The transitions that a refusal lists as allowed.
fn allowed<T: std::fmt::Debug>(answer: Result<T, Fault>) -> String {
    let fault = answer.unwrap_err();
    assert_eq!(fault.code, Code::InvalidTransition);
    fault.metadata.get("allowed").cloned().expect("a refusal says what is allowed")
}

const PATIENT: (&str, &str) = ("patient", "patient_ill");
const STAFF: (&str, &str) = ("staff", "patient_ill");

async fn a_visit_that_has_begun_is_changed_by_staff_alone(database: Database) {
    let harness = Harness::over(&database).await;
    let mut visits = Vec::new();
    for number in 0..5 {
        visits.push(harness.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await.id);
    }
    // A minute before the first one begins its patient may still do everything, and nothing but that.
    harness.clock.advance(after(0).duration_since(harness.clock.now()) - jiff::SignedDuration::from_mins(1));
    transition(&harness, &visits[0], Transition::Confirm, PATIENT).await.unwrap();
    let arrives = transition(&harness, &visits[0], Transition::Arrive, PATIENT).await;
    assert_eq!(allowed(arrives), "confirm,cancel,reschedule", "staff receive a patient");
    harness.advance(1);
    for change in [Transition::Confirm, Transition::Cancel] {
        assert_eq!(allowed(transition(&harness, &visits[0], change, PATIENT).await), "", "{change:?}");
    }
    assert_eq!(allowed(reschedule(&harness, &visits[0], slot(PLAIN, ALAN, after(DAY)), PATIENT).await), "");
    // The others have not begun.
    transition(&harness, &visits[1], Transition::Cancel, PATIENT).await.unwrap();
    reschedule(&harness, &visits[2], slot(PLAIN, ALAN, after(DAY)), PATIENT).await.unwrap();
    // For staff nothing is lost.
    let missed = transition(&harness, &visits[0], Transition::NoShow, STAFF).await.unwrap();
    assert_eq!((missed.status.as_str(), missed.version), ("noshow", 3));
    assert_eq!(allowed(transition(&harness, &visits[0], Transition::Cancel, PATIENT).await), "");
    harness.advance(5 * 60);
    reschedule(&harness, &visits[3], slot(PLAIN, ALAN, after(2 * DAY)), STAFF).await.unwrap();
    transition(&harness, &visits[4], Transition::Cancel, STAFF).await.unwrap();
}

async fn staff_receive_a_patient_on_the_visits_own_day(database: Database) {
    let harness = Harness::over(&database).await;
    // 01:00 UTC on 4 March is the evening of the 3rd in Edmonton, whose day begins at 07:00 UTC.
    let evening = "2026-03-04T01:00:00Z".parse().unwrap();
    let id = harness.book(visit(&slot(PLAIN, GRACE, evening), 1)).await.id;
    let early = "confirm,cancel,reschedule";
    harness
        .clock
        .advance("2026-03-03T06:59:00Z".parse::<jiff::Timestamp>().unwrap().duration_since(harness.clock.now()));
    for step in [Transition::Arrive, Transition::Start, Transition::Complete, Transition::NoShow] {
        assert_eq!(allowed(harness.transition(&id, step).await), early, "{step:?}");
    }
    harness.advance(1);
    let on_the_day = "confirm,cancel,reschedule,arrive,start";
    assert_eq!(allowed(harness.transition(&id, Transition::NoShow).await), on_the_day);
    assert_eq!(allowed(harness.transition(&id, Transition::Complete).await), on_the_day, "nobody has come yet");
    assert_eq!(harness.transition(&id, Transition::Arrive).await.unwrap().status, "arrived");
    assert_eq!(allowed(harness.transition(&id, Transition::Arrive).await), "cancel,start,complete");
    assert_eq!(harness.transition(&id, Transition::Start).await.unwrap().status, "checked-in");
    assert_eq!(harness.transition(&id, Transition::Complete).await.unwrap().status, "fulfilled");
    assert_eq!(allowed(harness.transition(&id, Transition::Confirm).await), "");
}

async fn only_the_patients_cancellation_is_late(database: Database) {
    let harness = Harness::over(&database).await;
    let cases = [
        (("patient", "practitioner_ill"), true),
        (("patient", "anything"), true),
        (("staff", "patient_ill"), true),
        (("staff", "pat"), true),
        (("staff", "practitioner_ill"), false),
        (("staff", "patio_flooded"), false),
        (("staff", "unheard_of"), false),
        (("", "prov"), false),
    ];
    let mut ids = Vec::new();
    for (number, _) in (0_u32..).zip(&cases) {
        ids.push(harness.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await.id);
    }
    let early = harness.book(visit(&slot(PLAIN, GRACE, after(10 * DAY)), 50)).await.id;
    // Eight hours before the first.
    harness.advance(DAY);
    for (id, (who, late)) in ids.iter().zip(cases) {
        let off = transition(&harness, id, Transition::Cancel, who).await.unwrap().cancellation.unwrap();
        assert_eq!((off.late, off.reason_code.as_str()), (late, who.1), "{who:?}");
        assert_eq!(off.by, if who.0.is_empty() { "staff" } else { who.0 });
    }
    let off = transition(&harness, &early, Transition::Cancel, PATIENT).await.unwrap().cancellation.unwrap();
    assert!(!off.late, "ten days are notice enough");
    // A displaced appointment is never cancelled late.
    let lost = harness.book(visit(&slot(PLAIN, ALAN, after(0)), 51)).await.id;
    let items = vec![Item { appointment_id: lost.clone(), displaced: true, seen_version: 1, ..Item::default() }];
    harness.booking.clone().set_displaced(harness.request(SetDisplacedRequest { items })).await.unwrap();
    let off = transition(&harness, &lost, Transition::Cancel, PATIENT).await.unwrap().cancellation.unwrap();
    assert!(!off.late, "it was displaced");
    let other = transition(&harness, &early, Transition::Cancel, ("system", "")).await.unwrap_err();
    assert_eq!(other.violations[0].pointer, "/by");
}

async fn a_late_move_stays_late(database: Database) {
    let harness = Harness::over(&database).await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(harness.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await.id);
    }
    let in_time = reschedule(&harness, &ids[3], slot(PLAIN, ALAN, after(9 * DAY)), PATIENT).await.unwrap();
    assert!(!in_time.rescheduled_late);
    harness.advance(DAY);
    let away = |number: i64| slot(PLAIN, ALAN, after(7 * DAY + number * 60));
    // By the patient, by staff for the patient, and by staff for the clinic.
    for (number, who, late) in [(0, PATIENT, true), (1, STAFF, true), (2, ("staff", ""), false)] {
        let id = &ids[usize::try_from(number).unwrap()];
        let moved = reschedule(&harness, id, away(number), who).await.unwrap();
        assert_eq!(moved.rescheduled_late, late, "{who:?}");
        // Moved once more in good time, and called off in good time.
        let again = reschedule(&harness, id, away(number + 10), PATIENT).await.unwrap();
        assert_eq!(again.rescheduled_late, late, "{who:?}");
        let off = transition(&harness, id, Transition::Cancel, PATIENT).await.unwrap();
        assert_eq!((off.rescheduled_late, off.cancellation.unwrap().late), (late, late), "{who:?}");
    }
    let off = transition(&harness, &ids[3], Transition::Cancel, PATIENT).await.unwrap();
    assert!(!off.cancellation.unwrap().late, "it was moved in good time");
}

fn body(caused_by: &str, forfeits: bool) -> Option<ReasonCodeBody> {
    let names = [("en".to_owned(), "A storm".to_owned()), ("fr-CA".to_owned(), "Tempête".to_owned())].into();
    Some(ReasonCodeBody { names, caused_by: caused_by.into(), forfeits })
}

async fn codes(harness: &Harness, limit: u32) -> Vec<ReasonCode> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = Some(wire::common::Page { limit, cursor });
        let request = harness.request(ListReasonCodesRequest { page });
        let answer = harness.reasons.clone().list_reason_codes(request).await.unwrap().into_inner();
        all.extend(answer.reason_codes);
        cursor = answer.next_cursor;
        if cursor.is_empty() {
            return all;
        }
    }
}

async fn an_organisation_writes_its_own_reason_codes(database: Database) {
    let harness = Harness::over(&database).await;
    let shipped = codes(&harness, 200).await;
    assert!(shipped.is_sorted_by_key(|reason| reason.code.clone()));
    assert_eq!(codes(&harness, 7).await, shipped, "page by page");
    let mut reasons = harness.reasons.clone();
    let create = CreateReasonCodeRequest { code: "storm".into(), body: body("patient", true) };
    let made = reasons.create_reason_code(harness.keyed("one", "storm", create.clone())).await.unwrap().into_inner();
    assert_eq!((made.code.as_str(), made.version), ("storm", 1));
    let again = reasons.create_reason_code(harness.keyed("one", "storm", create.clone())).await.unwrap();
    assert!(rpc::is_replay(&again));
    assert_eq!(again.into_inner(), made);
    let twice = answered(reasons.create_reason_code(harness.request(create.clone())).await).await;
    assert_eq!(code(twice), Code::Duplicate);
    let known = CreateReasonCodeRequest { code: "patient_ill".into(), body: body("patient", true) };
    assert_eq!(code(answered(reasons.create_reason_code(harness.request(known)).await).await), Code::Duplicate);
    let bad = CreateReasonCodeRequest {
        code: "a storm".into(),
        body: Some(ReasonCodeBody { caused_by: "weather".into(), forfeits: true, ..ReasonCodeBody::default() }),
    };
    let faults = answered(reasons.create_reason_code(harness.request(bad)).await).await.unwrap_err().violations;
    let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/code", "/names", "/caused_by", "/forfeits"]);

    // A shipped one is changed; a version that is not there is refused.
    let change = |if_version| UpdateReasonCodeRequest {
        code: "practitioner_ill".into(),
        body: body("patient", false),
        if_version,
    };
    let stale = answered(reasons.update_reason_code(harness.request(change(7))).await).await;
    assert_eq!(code(stale), Code::VersionMismatch);
    let changed = reasons.update_reason_code(harness.request(change(1))).await.unwrap().into_inner();
    assert_eq!(changed.version, 2);
    // From now on the patient causes it; an archived code means the clinic.
    let gone = DeleteReasonCodeRequest { code: "patient_ill".into(), if_version: 0 };
    reasons.delete_reason_code(harness.request(gone.clone())).await.unwrap();
    assert_eq!(code(answered(reasons.delete_reason_code(harness.request(gone)).await).await), Code::NotFound);
    harness.advance(DAY);
    for (number, reason, late) in [(1, "practitioner_ill", true), (2, "patient_ill", false), (3, "storm", true)] {
        let id = harness.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await.id;
        let off = transition(&harness, &id, Transition::Cancel, ("staff", reason)).await.unwrap();
        assert_eq!(off.cancellation.unwrap().late, late, "{reason}");
    }
    // It comes back as its next version.
    let back = CreateReasonCodeRequest { code: "patient_ill".into(), body: body("patient", true) };
    let back = reasons.create_reason_code(harness.request(back)).await.unwrap().into_inner();
    assert_eq!(back.version, 3);
    assert_eq!(codes(&harness, 200).await.len(), shipped.len() + 1);
    // Another organisation has the list that it began with.
    let mut outsider = harness.clone();
    outsider.organization = domain::id::OrganizationId::new(uuid::Uuid::from_u128(0xbb));
    assert_eq!(codes(&outsider, 200).await, shipped);
    let foreign = outsider.request(GetReasonCodeRequest { code: "storm".into() });
    assert_eq!(code(answered(reasons.get_reason_code(foreign).await).await), Code::NotFound);
}

/// So many changes after a position.
async fn changes_after(harness: &Harness, position: String, count: usize) -> Vec<Change> {
    let request = harness.request(SubscribeChangesRequest { position, early: false });
    let mut batches = harness.feed.clone().subscribe_changes(request).await.unwrap().into_inner();
    let mut changes = Vec::new();
    while changes.len() < count {
        changes.extend(batches.message().await.unwrap().unwrap().changes);
    }
    changes
}

async fn a_changed_note_is_not_in_the_feed(database: Database) {
    let harness = Harness::over(&database).await;
    let beginning = harness.snapshot().await.1;
    let request =
        proto::BookAppointmentRequest { note: "Canary first".into(), ..visit(&slot(PLAIN, GRACE, after(0)), 1) };
    let booked = harness.book(request).await;
    let update = async |note: String, if_version: i64| {
        let request = UpdateAppointmentRequest { id: booked.id.clone(), note, if_version, ..Default::default() };
        answered(harness.booking.clone().update_appointment(harness.request(request)).await).await
    };
    let noted = update("Canary second".into(), 1).await.unwrap();
    assert_eq!((noted.note.as_str(), noted.version), ("Canary second", 2));
    assert_eq!(code(update("Canary third".into(), 1).await), Code::VersionMismatch);
    let long = update("x".repeat(2001), 0).await.unwrap_err();
    assert_eq!(long.violations[0].pointer, "/note");
    // The text stays with the appointment, whatever happens to it later; its claims stay, too.
    let moved = harness.reschedule(&booked.id, slot(PLAIN, ALAN, after(60))).await.unwrap();
    assert_eq!(moved.note, "Canary second");
    let cancel = TransitionAppointmentRequest {
        id: booked.id.clone(),
        transition: Transition::Cancel as i32,
        reason_code: "Canary says: too ill".into(),
        reason: "Canary reason".into(),
        ..TransitionAppointmentRequest::default()
    };
    let off = harness.booking.clone().transition_appointment(harness.request(cancel)).await.unwrap().into_inner();
    let cancellation = off.cancellation.unwrap();
    assert_eq!((cancellation.reason.as_str(), cancellation.by.as_str()), ("Canary reason", "staff"));
    assert_eq!(update(String::new(), 0).await.unwrap().note, "");

    let changes = changes_after(&harness, beginning, 5).await;
    let events: Vec<&str> = changes.iter().map(|change| change.event.as_str()).collect();
    assert_eq!(events, ["booked", "noted", "rescheduled", "cancelled", "noted"]);
    assert_eq!(changes[1].claims, changes[0].claims);
    let versions: Vec<i64> = changes.iter().map(|change| change.version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
    assert!(!format!("{changes:?}").contains("Canary"), "neither notes nor reasons nor what is no code");
    let Some(Owner::Appointment(state)) = &changes[3].owner else { panic!("{changes:?}") };
    assert_eq!((state.cancel_reason_code.as_str(), state.cancel_by.as_str()), ("", "staff"));
}
