//! What may be done to a visit depends on the time and on who asks: patients, staff, and whose doing it is.

use rpc::{Code, Fault};
use testkit::database::Database;
use tonic::Response;
use wire::booking::{
    self as proto, Appointment, Change, CreateReasonCodeRequest, DeleteReasonCodeRequest, GetReasonCodeRequest,
    ListReasonCodesRequest, ReasonCode, ReasonCodeBody, RescheduleAppointmentRequest, SetDisplacedRequest,
    SubscribeChangesRequest, Transition, TransitionAppointmentRequest, UpdateAppointmentRequest,
    UpdateReasonCodeRequest, change::Owner, set_displaced_request::Item,
};

use crate::harness::{ALAN, GRACE, PLAIN, World, after, code, fault, slot, visit};

testkit::engines!(
    a_visit_that_has_begun_is_changed_by_staff_alone,
    staff_receive_a_patient_on_the_visits_own_day,
    only_what_the_patient_does_is_late,
    a_late_move_stays_late,
    an_organisation_writes_its_own_reason_codes,
    a_note_is_changed_and_told_to_no_follower,
);

const DAY: i64 = 24 * 60;

async fn answered<T>(answer: Result<Response<T>, tonic::Status>) -> Result<T, Fault> {
    answer.map(Response::into_inner).map_err(|status| fault(&status))
}

async fn transition(
    world: &World,
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
    answered(world.booking.clone().transition_appointment(world.request(request)).await).await
}

async fn reschedule(
    world: &World,
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
    answered(world.booking.clone().reschedule_appointment(world.request(request)).await).await
}

/// What a refused transition says is allowed.
fn allowed<T: std::fmt::Debug>(answer: Result<T, Fault>) -> String {
    let fault = answer.unwrap_err();
    assert_eq!(fault.code, Code::InvalidTransition);
    fault.metadata.get("allowed").cloned().expect("a refusal says what is allowed")
}

const PATIENT: (&str, &str) = ("patient", "patient_ill");
const STAFF: (&str, &str) = ("staff", "patient_ill");

async fn a_visit_that_has_begun_is_changed_by_staff_alone(database: Database) {
    let world = World::over(&database).await;
    let mut visits = Vec::new();
    for number in 0..5 {
        visits.push(world.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await.id);
    }
    // A minute before the first one begins its patient may still do everything, and nothing but that.
    world.clock.advance(after(0).duration_since(world.clock.now()) - jiff::SignedDuration::from_mins(1));
    transition(&world, &visits[0], Transition::Confirm, PATIENT).await.unwrap();
    let arrives = transition(&world, &visits[0], Transition::Arrive, PATIENT).await;
    assert_eq!(allowed(arrives), "confirm,cancel,reschedule", "staff receive a patient");
    world.advance(1);
    for change in [Transition::Confirm, Transition::Cancel] {
        assert_eq!(allowed(transition(&world, &visits[0], change, PATIENT).await), "", "{change:?}");
    }
    assert_eq!(allowed(reschedule(&world, &visits[0], slot(PLAIN, ALAN, after(DAY)), PATIENT).await), "");
    // The others have not begun.
    transition(&world, &visits[1], Transition::Cancel, PATIENT).await.unwrap();
    reschedule(&world, &visits[2], slot(PLAIN, ALAN, after(DAY)), PATIENT).await.unwrap();
    // For staff nothing is lost.
    let missed = transition(&world, &visits[0], Transition::NoShow, STAFF).await.unwrap();
    assert_eq!((missed.status.as_str(), missed.version), ("noshow", 3));
    assert_eq!(allowed(transition(&world, &visits[0], Transition::Cancel, PATIENT).await), "");
    world.advance(5 * 60);
    reschedule(&world, &visits[3], slot(PLAIN, ALAN, after(2 * DAY)), STAFF).await.unwrap();
    transition(&world, &visits[4], Transition::Cancel, STAFF).await.unwrap();
}

async fn staff_receive_a_patient_on_the_visits_own_day(database: Database) {
    let world = World::over(&database).await;
    // 01:00 UTC on 4 March is the evening of the 3rd in Edmonton, whose day begins at 07:00 UTC.
    let evening = "2026-03-04T01:00:00Z".parse().unwrap();
    let id = world.book(visit(&slot(PLAIN, GRACE, evening), 1)).await.id;
    let early = "confirm,cancel,reschedule";
    world.clock.advance("2026-03-03T06:59:00Z".parse::<jiff::Timestamp>().unwrap().duration_since(world.clock.now()));
    for step in [Transition::Arrive, Transition::Start, Transition::Complete, Transition::NoShow] {
        assert_eq!(allowed(world.transition(&id, step).await), early, "{step:?}");
    }
    world.advance(1);
    let on_the_day = "confirm,cancel,reschedule,arrive,start";
    assert_eq!(allowed(world.transition(&id, Transition::NoShow).await), on_the_day);
    assert_eq!(allowed(world.transition(&id, Transition::Complete).await), on_the_day, "nobody has come yet");
    assert_eq!(world.transition(&id, Transition::Arrive).await.unwrap().status, "arrived");
    assert_eq!(allowed(world.transition(&id, Transition::Arrive).await), "cancel,start,complete");
    assert_eq!(world.transition(&id, Transition::Start).await.unwrap().status, "checked-in");
    assert_eq!(world.transition(&id, Transition::Complete).await.unwrap().status, "fulfilled");
    assert_eq!(allowed(world.transition(&id, Transition::Confirm).await), "");
}

async fn only_what_the_patient_does_is_late(database: Database) {
    let world = World::over(&database).await;
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
        ids.push(world.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await.id);
    }
    let early = world.book(visit(&slot(PLAIN, GRACE, after(10 * DAY)), 50)).await.id;
    // Eight hours before the first.
    world.advance(DAY);
    for (id, (who, late)) in ids.iter().zip(cases) {
        let off = transition(&world, id, Transition::Cancel, who).await.unwrap().cancellation.unwrap();
        assert_eq!((off.late, off.reason_code.as_str()), (late, who.1), "{who:?}");
        assert_eq!(off.by, if who.0.is_empty() { "staff" } else { who.0 });
    }
    let off = transition(&world, &early, Transition::Cancel, PATIENT).await.unwrap().cancellation.unwrap();
    assert!(!off.late, "ten days are notice enough");
    // One that the clinic cannot give any more is nobody's late word.
    let lost = world.book(visit(&slot(PLAIN, ALAN, after(0)), 51)).await.id;
    let items = vec![Item { appointment_id: lost.clone(), displaced: true, seen_version: 1, ..Item::default() }];
    world.booking.clone().set_displaced(world.request(SetDisplacedRequest { items })).await.unwrap();
    let off = transition(&world, &lost, Transition::Cancel, PATIENT).await.unwrap().cancellation.unwrap();
    assert!(!off.late, "it was displaced");
    let other = transition(&world, &early, Transition::Cancel, ("system", "")).await.unwrap_err();
    assert_eq!(other.violations[0].pointer, "/by");
}

async fn a_late_move_stays_late(database: Database) {
    let world = World::over(&database).await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(world.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await.id);
    }
    let in_time = reschedule(&world, &ids[3], slot(PLAIN, ALAN, after(9 * DAY)), PATIENT).await.unwrap();
    assert!(!in_time.rescheduled_late);
    world.advance(DAY);
    let away = |number: i64| slot(PLAIN, ALAN, after(7 * DAY + number * 60));
    // By the patient, by staff for the patient, and by staff for the clinic.
    for (number, who, late) in [(0, PATIENT, true), (1, STAFF, true), (2, ("staff", ""), false)] {
        let id = &ids[usize::try_from(number).unwrap()];
        let moved = reschedule(&world, id, away(number), who).await.unwrap();
        assert_eq!(moved.rescheduled_late, late, "{who:?}");
        // Moved once more in good time, and called off in good time.
        let again = reschedule(&world, id, away(number + 10), PATIENT).await.unwrap();
        assert_eq!(again.rescheduled_late, late, "{who:?}");
        let off = transition(&world, id, Transition::Cancel, PATIENT).await.unwrap();
        assert_eq!((off.rescheduled_late, off.cancellation.unwrap().late), (late, late), "{who:?}");
    }
    let off = transition(&world, &ids[3], Transition::Cancel, PATIENT).await.unwrap();
    assert!(!off.cancellation.unwrap().late, "it was moved in good time");
}

fn body(caused_by: &str, forfeits: bool) -> Option<ReasonCodeBody> {
    let names = [("en".to_owned(), "A storm".to_owned()), ("fr-CA".to_owned(), "Tempête".to_owned())].into();
    Some(ReasonCodeBody { names, caused_by: caused_by.into(), forfeits })
}

async fn codes(world: &World, limit: u32) -> Vec<ReasonCode> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = Some(wire::common::Page { limit, cursor });
        let request = world.request(ListReasonCodesRequest { page });
        let answer = world.reasons.clone().list_reason_codes(request).await.unwrap().into_inner();
        all.extend(answer.reason_codes);
        cursor = answer.next_cursor;
        if cursor.is_empty() {
            return all;
        }
    }
}

async fn an_organisation_writes_its_own_reason_codes(database: Database) {
    let world = World::over(&database).await;
    let shipped = codes(&world, 200).await;
    assert!(shipped.is_sorted_by_key(|reason| reason.code.clone()));
    assert_eq!(codes(&world, 7).await, shipped, "page by page");
    let mut reasons = world.reasons.clone();
    let create = CreateReasonCodeRequest { code: "storm".into(), body: body("patient", true) };
    let made = reasons.create_reason_code(world.keyed("one", "storm", create.clone())).await.unwrap().into_inner();
    assert_eq!((made.code.as_str(), made.version), ("storm", 1));
    let again = reasons.create_reason_code(world.keyed("one", "storm", create.clone())).await.unwrap();
    assert!(rpc::is_replay(&again));
    assert_eq!(again.into_inner(), made);
    let twice = answered(reasons.create_reason_code(world.request(create.clone())).await).await;
    assert_eq!(code(twice), Code::Duplicate);
    let known = CreateReasonCodeRequest { code: "patient_ill".into(), body: body("patient", true) };
    assert_eq!(code(answered(reasons.create_reason_code(world.request(known)).await).await), Code::Duplicate);
    let bad = CreateReasonCodeRequest {
        code: "a storm".into(),
        body: Some(ReasonCodeBody { caused_by: "weather".into(), forfeits: true, ..ReasonCodeBody::default() }),
    };
    let faults = answered(reasons.create_reason_code(world.request(bad)).await).await.unwrap_err().violations;
    let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/code", "/names", "/caused_by", "/forfeits"]);

    // A shipped one is changed; a version that is not there is refused.
    let change = |if_version| UpdateReasonCodeRequest {
        code: "practitioner_ill".into(),
        body: body("patient", false),
        if_version,
    };
    let stale = answered(reasons.update_reason_code(world.request(change(7))).await).await;
    assert_eq!(code(stale), Code::VersionMismatch);
    let changed = reasons.update_reason_code(world.request(change(1))).await.unwrap().into_inner();
    assert_eq!(changed.version, 2);
    // From now on it is the patient's doing; and what went out of use is the clinic's.
    let gone = DeleteReasonCodeRequest { code: "patient_ill".into(), if_version: 0 };
    reasons.delete_reason_code(world.request(gone.clone())).await.unwrap();
    assert_eq!(code(answered(reasons.delete_reason_code(world.request(gone)).await).await), Code::NotFound);
    world.advance(DAY);
    for (number, reason, late) in [(1, "practitioner_ill", true), (2, "patient_ill", false), (3, "storm", true)] {
        let id = world.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await.id;
        let off = transition(&world, &id, Transition::Cancel, ("staff", reason)).await.unwrap();
        assert_eq!(off.cancellation.unwrap().late, late, "{reason}");
    }
    // It comes back as its next version.
    let back = CreateReasonCodeRequest { code: "patient_ill".into(), body: body("patient", true) };
    let back = reasons.create_reason_code(world.request(back)).await.unwrap().into_inner();
    assert_eq!(back.version, 3);
    assert_eq!(codes(&world, 200).await.len(), shipped.len() + 1);
    // Another organisation has the list that it began with.
    let mut outsider = world.clone();
    outsider.organization = domain::id::OrganizationId::new(uuid::Uuid::from_u128(0xbb));
    assert_eq!(codes(&outsider, 200).await, shipped);
    let foreign = outsider.request(GetReasonCodeRequest { code: "storm".into() });
    assert_eq!(code(answered(reasons.get_reason_code(foreign).await).await), Code::NotFound);
}

/// So many changes after a position.
async fn changes_after(world: &World, position: String, count: usize) -> Vec<Change> {
    let request = world.request(SubscribeChangesRequest { position, early: false });
    let mut batches = world.feed.clone().subscribe_changes(request).await.unwrap().into_inner();
    let mut changes = Vec::new();
    while changes.len() < count {
        changes.extend(batches.message().await.unwrap().unwrap().changes);
    }
    changes
}

async fn a_note_is_changed_and_told_to_no_follower(database: Database) {
    let world = World::over(&database).await;
    let beginning = world.snapshot().await.1;
    let request =
        proto::BookAppointmentRequest { note: "Canary first".into(), ..visit(&slot(PLAIN, GRACE, after(0)), 1) };
    let booked = world.book(request).await;
    let update = async |note: String, if_version: i64| {
        let request = UpdateAppointmentRequest { id: booked.id.clone(), note, if_version };
        answered(world.booking.clone().update_appointment(world.request(request)).await).await
    };
    let noted = update("Canary second".into(), 1).await.unwrap();
    assert_eq!((noted.note.as_str(), noted.version), ("Canary second", 2));
    assert_eq!(code(update("Canary third".into(), 1).await), Code::VersionMismatch);
    let long = update("x".repeat(2001), 0).await.unwrap_err();
    assert_eq!(long.violations[0].pointer, "/note");
    // The text stays with the appointment, whatever happens to it later; its claims stay, too.
    let moved = world.reschedule(&booked.id, slot(PLAIN, ALAN, after(60))).await.unwrap();
    assert_eq!(moved.note, "Canary second");
    let cancel = TransitionAppointmentRequest {
        id: booked.id.clone(),
        transition: Transition::Cancel as i32,
        reason_code: "Canary says: too ill".into(),
        reason: "Canary reason".into(),
        ..TransitionAppointmentRequest::default()
    };
    let off = world.booking.clone().transition_appointment(world.request(cancel)).await.unwrap().into_inner();
    let cancellation = off.cancellation.unwrap();
    assert_eq!((cancellation.reason.as_str(), cancellation.by.as_str()), ("Canary reason", "staff"));
    assert_eq!(update(String::new(), 0).await.unwrap().note, "");

    let changes = changes_after(&world, beginning, 5).await;
    let events: Vec<&str> = changes.iter().map(|change| change.event.as_str()).collect();
    assert_eq!(events, ["booked", "noted", "rescheduled", "cancelled", "noted"]);
    assert_eq!(changes[1].claims, changes[0].claims);
    let versions: Vec<i64> = changes.iter().map(|change| change.version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
    assert!(!format!("{changes:?}").contains("Canary"), "neither notes nor reasons nor what is no code");
    let Some(Owner::Appointment(state)) = &changes[3].owner else { panic!("{changes:?}") };
    assert_eq!((state.cancel_reason_code.as_str(), state.cancel_by.as_str()), ("", "staff"));
}
