//! The waitlist: entries, their offers, and the outcome of offers.

use std::time::Duration;

use rpc::Code;
use testkit::{database::Database, poll};
use tonic::Response;
use wire::booking::{
    Appointment, CreatePatientRequest, GetEntryRequest, GetOfferRequest, JoinWaitlistRequest, ListWaitlistRequest,
    Offer, Patient, SubscribeChangesRequest, WaitlistEntry, change::Owner,
};

use crate::{
    fake_availability::Offer as Service,
    harness::{ALAN, GRACE, Harness, PLAIN, after, fault, patient, slot, visit},
};

testkit::engines!(
    a_free_slot_is_offered_held_and_taken,
    a_declined_or_expired_offer_goes_to_the_next_entry_and_never_back,
    an_earlier_time_takes_the_place_of_a_later_visit,
    concurrent_acceptances_book_one_appointment,
    leaving_while_an_offer_is_accepted_is_refused_and_the_appointment_comes,
    leaving_while_an_offer_is_made_withdraws_it,
    several_processes_never_make_two_offers_of_one_slot,
    a_slot_that_opens_during_a_round_goes_to_the_first_in_line,
    a_repeated_key_is_replayed,
    an_entry_that_misses_a_slot_is_offered_the_next,
    the_faults_of_criteria_are_named,
);

const WITHIN: Duration = Duration::from_secs(30);

/// 09:00 in Edmonton, a day before the slots.
pub async fn morning(database: &Database) -> Harness {
    let harness = Harness::over(database).await;
    harness.advance(8 * 60);
    harness
}

pub async fn known(harness: &Harness, number: u32) -> Patient {
    let request = CreatePatientRequest { details: Some(patient(number)), staff: None };
    harness.booking.clone().create_patient(harness.request(request)).await.unwrap().into_inner()
}

pub fn wish(patient: &Patient) -> JoinWaitlistRequest {
    JoinWaitlistRequest {
        patient_id: patient.id.clone(),
        service_id: domain::id::ServiceId::new(PLAIN).to_string(),
        from_us: after(-60).as_microsecond(),
        to_us: after(48 * 60).as_microsecond(),
        ..JoinWaitlistRequest::default()
    }
}

async fn join(harness: &Harness, number: u32) -> WaitlistEntry {
    let patient = known(harness, number).await;
    harness.waitlist.clone().join_waitlist(harness.request(wish(&patient))).await.unwrap().into_inner()
}

pub async fn entry(harness: &Harness, id: &str) -> WaitlistEntry {
    let request = harness.request(GetEntryRequest { id: id.to_owned() });
    harness.waitlist.clone().get_entry(request).await.unwrap().into_inner()
}

/// The open offer that an entry comes to have.
pub async fn offered(harness: &Harness, id: &str) -> Offer {
    poll::until("an offer", WITHIN, || async {
        entry(harness, id).await.offers.into_iter().find(|offer| offer.status == "open")
    })
    .await
}

pub async fn becomes(harness: &Harness, id: &str, status: &str) -> WaitlistEntry {
    poll::until(status, WITHIN, || async { Some(entry(harness, id).await).filter(|entry| entry.status == status) })
        .await
}

async fn accept(harness: &Harness, offer: &Offer) -> Result<Appointment, Code> {
    let request = harness.request(GetOfferRequest { id: offer.id.clone() });
    let answer = harness.waitlist.clone().accept_offer(request).await;
    answer.map(Response::into_inner).map_err(|status| fault(&status).code)
}

pub async fn decline(harness: &Harness, offer: &Offer) -> Result<Offer, Code> {
    let request = harness.request(GetOfferRequest { id: offer.id.clone() });
    let answer = harness.waitlist.clone().decline_offer(request).await;
    answer.map(Response::into_inner).map_err(|status| fault(&status).code)
}

/// The waitlist's events in the feed after a position.
async fn waitlist_events(harness: &Harness, position: String, wanted: usize) -> Vec<String> {
    let request = SubscribeChangesRequest { position, early: false };
    let mut batches = harness.feed.clone().subscribe_changes(harness.request(request)).await.unwrap().into_inner();
    let mut events = Vec::new();
    // The feed gives signs of life without end: all of them together have so long.
    let ends_at = tokio::time::Instant::now() + WITHIN;
    while events.len() < wanted {
        let batch = tokio::time::timeout_at(ends_at, batches.message()).await.expect("more events").unwrap().unwrap();
        let of_waitlist = |owner: &Option<Owner>| matches!(owner, Some(Owner::Offer(_) | Owner::Waitlist(_)));
        events.extend(batch.changes.into_iter().filter(|it| of_waitlist(&it.owner)).map(|it| it.event));
    }
    events
}

async fn a_free_slot_is_offered_held_and_taken(database: Database) {
    let harness = morning(&database).await;
    let beginning = harness.snapshot().await.1;
    let (first, second) = (join(&harness, 1).await, join(&harness, 2).await);
    assert_eq!((first.status.as_str(), first.offers.len()), ("waiting", 0));
    let free = slot(PLAIN, GRACE, after(0));
    harness.availability.open(std::slice::from_ref(&free));
    // The longest wait first.
    let offer = offered(&harness, &first.id).await;
    assert_eq!(offer.slot.as_ref().unwrap().slot_id, free);
    assert_eq!(entry(&harness, &first.id).await.status, "offered");
    assert!(entry(&harness, &second.id).await.offers.is_empty());
    // Kept for them alone while it lasts.
    assert_eq!(harness.try_book(visit(&free, 9)).await.unwrap_err().code, Code::SlotTaken);
    let booked = accept(&harness, &offer).await.unwrap();
    assert_eq!((booked.patient_id.as_str(), booked.status.as_str()), (offer.patient_id.as_str(), "booked"));
    assert_eq!(becomes(&harness, &first.id, "booked").await.offers[0].status, "accepted");
    assert_eq!(accept(&harness, &offer).await.unwrap().id, booked.id, "accepted again, answered again");
    assert_eq!(decline(&harness, &offer).await.err(), Some(Code::OfferGone));
    assert_eq!(
        waitlist_events(&harness, beginning, 4).await,
        ["waitlisted", "waitlisted", "offered", "offer_accepted"]
    );
}

async fn a_declined_or_expired_offer_goes_to_the_next_entry_and_never_back(database: Database) {
    let harness = morning(&database).await;
    let entries = [join(&harness, 1).await, join(&harness, 2).await, join(&harness, 3).await];
    let free = slot(PLAIN, GRACE, after(0));
    harness.availability.open(std::slice::from_ref(&free));
    let first = offered(&harness, &entries[0].id).await;
    assert_eq!(decline(&harness, &first).await.unwrap().status, "declined");
    assert_eq!(decline(&harness, &first).await.unwrap().status, "declined", "again, to no other effect");
    let second = offered(&harness, &entries[1].id).await;
    assert_eq!(accept(&harness, &first).await.unwrap_err(), Code::OfferGone);
    // An hour without an answer.
    harness.advance(60);
    let third = offered(&harness, &entries[2].id).await;
    assert_eq!(entry(&harness, &entries[1].id).await.offers[0].status, "expired");
    assert_eq!(accept(&harness, &second).await.unwrap_err(), Code::OfferGone);
    // Leaving frees the slot; it is not offered again to the entries that had it.
    let leave = harness.request(GetEntryRequest { id: entries[2].id.clone() });
    let left = harness.waitlist.clone().leave_waitlist(leave).await.unwrap().into_inner();
    assert_eq!((left.status.as_str(), left.offers[0].status.as_str()), ("left", "withdrawn"));
    assert_eq!(accept(&harness, &third).await.unwrap_err(), Code::OfferGone);
    harness.advance(61);
    let other = slot(PLAIN, ALAN, after(0));
    harness.availability.open(&[free.clone(), other.clone()]);
    for entry in &entries[..2] {
        let next = poll::until("another offer", WITHIN, || async {
            let all = self::entry(&harness, &entry.id).await.offers;
            let slots: Vec<_> = all.iter().map(|offer| offer.slot.clone().unwrap().slot_id).collect();
            assert_eq!(slots.iter().filter(|slot| **slot == free).count(), 1, "{slots:?}");
            all.into_iter().find(|offer| offer.status == "open")
        });
        let next = next.await;
        assert_eq!(next.slot.as_ref().unwrap().slot_id, other);
        decline(&harness, &next).await.unwrap();
    }
    // The slot is free for everybody.
    harness.book(visit(&free, 9)).await;
}

async fn an_earlier_time_takes_the_place_of_a_later_visit(database: Database) {
    let harness = morning(&database).await;
    let later = slot(PLAIN, GRACE, after(24 * 60));
    let booked = harness.book(visit(&later, 1)).await;
    let wish = JoinWaitlistRequest {
        patient_id: booked.patient_id.clone(),
        appointment_id: booked.id.clone(),
        ..wish(&Patient::default())
    };
    let joined = harness.waitlist.clone().join_waitlist(harness.request(wish)).await.unwrap().into_inner();
    // The service has become longer since: the appointment keeps its length.
    let lasts = |minutes: i64| harness.availability.offer(PLAIN, Service { minutes, ..Service::default() });
    lasts(60);
    let (earlier, too_late) = (slot(PLAIN, ALAN, after(0)), slot(PLAIN, ALAN, after(30 * 60)));
    harness.availability.open(&[too_late, earlier.clone()]);
    let offer = offered(&harness, &joined.id).await;
    assert_eq!(offer.slot.as_ref().unwrap().slot_id, earlier, "only an earlier time helps");
    // While it is thought over, both times are theirs.
    lasts(30);
    assert_eq!(harness.try_book(visit(&later, 9)).await.unwrap_err().code, Code::SlotTaken);
    lasts(90);
    let moved = accept(&harness, &offer).await.unwrap();
    assert_eq!((moved.id, moved.starts_at_us), (booked.id, after(0).as_microsecond()));
    assert_eq!(moved.ends_at_us, after(30).as_microsecond(), "as long as it was");
    lasts(30);
    harness.book(visit(&later, 9)).await;
    becomes(&harness, &joined.id, "booked").await;
}

async fn concurrent_acceptances_book_one_appointment(database: Database) {
    let harness = morning(&database).await;
    let joined = join(&harness, 1).await;
    harness.availability.open(&[slot(PLAIN, GRACE, after(0))]);
    let offer = offered(&harness, &joined.id).await;
    let answers = futures::future::join_all((0..6).map(|_| accept(&harness, &offer))).await;
    let booked: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert!(!booked.is_empty() && booked.iter().all(|visit| visit.id == booked[0].id), "{answers:?}");
    let (changes, _) = harness.snapshot().await;
    let visits = changes.iter().filter(|change| matches!(change.owner, Some(Owner::Appointment(_))));
    assert_eq!(visits.count(), 1);
}

pub async fn leave(harness: &Harness, id: &str) -> Result<WaitlistEntry, Code> {
    let request = harness.request(GetEntryRequest { id: id.to_owned() });
    let answer = harness.waitlist.clone().leave_waitlist(request).await;
    answer.map(Response::into_inner).map_err(|status| fault(&status).code)
}

async fn a_repeated_key_is_replayed(database: Database) {
    let harness = morning(&database).await;
    let entries = [join(&harness, 1).await, join(&harness, 2).await];
    harness.availability.open(&[slot(PLAIN, GRACE, after(0)), slot(PLAIN, ALAN, after(0))]);
    let [taken, left] = [offered(&harness, &entries[0].id).await, offered(&harness, &entries[1].id).await];
    let keyed =
        |offer: &Offer, fingerprint| harness.keyed("one", fingerprint, GetOfferRequest { id: offer.id.clone() });

    let first = harness.waitlist.clone().accept_offer(keyed(&taken, "a")).await.unwrap();
    // A later change of the appointment does not change the answer.
    harness.cancel(&first.get_ref().id).await;
    let again = harness.waitlist.clone().accept_offer(keyed(&taken, "a")).await.unwrap();
    assert!(!rpc::is_replay(&first) && rpc::is_replay(&again));
    assert!(first.into_inner() == again.into_inner());
    let other = harness.waitlist.clone().accept_offer(keyed(&left, "b")).await.unwrap_err();
    assert_eq!(fault(&other).code, Code::IdempotencyKeyReused);

    // The same key on another route is another key.
    let first = harness.waitlist.clone().decline_offer(keyed(&left, "b")).await.unwrap();
    let again = harness.waitlist.clone().decline_offer(keyed(&left, "b")).await.unwrap();
    assert!(!rpc::is_replay(&first) && rpc::is_replay(&again));
    assert_eq!(first.get_ref().status, "declined");
    assert!(first.into_inner() == again.into_inner());
}

async fn an_entry_that_misses_a_slot_is_offered_the_next(database: Database) {
    let harness = morning(&database).await;
    let group = slot(PLAIN, GRACE, after(0));
    harness.availability.open(std::slice::from_ref(&group));
    let first = join(&harness, 1).await;
    offered(&harness, &first.id).await;
    // As with another place of a group: the search shows it still.
    let later = slot(PLAIN, ALAN, after(60));
    harness.availability.open(&[group, later.clone()]);
    let second = join(&harness, 2).await;
    assert_eq!(offered(&harness, &second.id).await.slot.unwrap().slot_id, later);
}

/// Waits until availability is asked about a slot once more.
async fn asked_again(harness: &Harness, before: usize) {
    poll::until("a check", WITHIN, || async { (harness.availability.checks() > before).then_some(()) }).await;
}

async fn leaving_while_an_offer_is_accepted_is_refused_and_the_appointment_comes(database: Database) {
    let harness = morning(&database).await;
    let joined = join(&harness, 1).await;
    harness.availability.open(&[slot(PLAIN, GRACE, after(0))]);
    let offer = offered(&harness, &joined.id).await;
    let (stalled, before) = (harness.availability.stall().await, harness.availability.checks());
    let taking = {
        let (harness, offer) = (harness.clone(), offer.clone());
        tokio::spawn(async move { accept(&harness, &offer).await })
    };
    asked_again(&harness, before).await;
    assert_eq!(leave(&harness, &joined.id).await.err(), Some(Code::OfferGone));
    assert_eq!(entry(&harness, &joined.id).await.status, "offered");
    drop(stalled);
    let booked = taking.await.unwrap().unwrap();
    assert_eq!(booked.patient_id, offer.patient_id);
    // The visit is there, and there is nothing to leave any more.
    let after = leave(&harness, &joined.id).await.unwrap();
    assert_eq!((after.status.as_str(), after.offers[0].status.as_str()), ("booked", "accepted"));
}

async fn leaving_while_an_offer_is_made_withdraws_it(database: Database) {
    let harness = morning(&database).await;
    let beginning = harness.snapshot().await.1;
    let joined = join(&harness, 1).await;
    let free = slot(PLAIN, GRACE, after(0));
    let (stalled, before) = (harness.availability.stall().await, harness.availability.checks());
    harness.availability.open(std::slice::from_ref(&free));
    asked_again(&harness, before).await;
    assert_eq!(leave(&harness, &joined.id).await.unwrap().status, "left");
    drop(stalled);
    // The feed says that it was offered, and last that it was not.
    let events = waitlist_events(&harness, beginning, 5).await;
    assert_eq!((events[0].as_str(), events[4].as_str()), ("waitlisted", "offer_withdrawn"), "{events:?}");
    let left = entry(&harness, &joined.id).await;
    assert_eq!((left.status.as_str(), left.offers[0].status.as_str()), ("left", "withdrawn"));
    assert_eq!(accept(&harness, &left.offers[0]).await.unwrap_err(), Code::OfferGone);
    // Its slot is free for everybody.
    harness.book(visit(&free, 9)).await;
}

async fn several_processes_never_make_two_offers_of_one_slot(database: Database) {
    let harness = morning(&database).await;
    let (second, third) = (harness.beside().await, harness.beside().await);
    let mut entries = Vec::new();
    for number in 0..12 {
        entries.push(join(&harness, number).await);
    }
    let free: Vec<String> = (0..4).map(|at| slot(PLAIN, GRACE, after(at * 60))).collect();
    harness.availability.open(&free);
    let open = async || {
        let mut all = Vec::new();
        for entry in &entries {
            all.extend(self::entry(&second, &entry.id).await.offers.into_iter().filter(|offer| offer.status == "open"));
        }
        all
    };
    let all = poll::until("all four", WITHIN, || async { Some(open().await).filter(|all| all.len() >= 4) }).await;
    let mut slots: Vec<_> = all.iter().map(|offer| offer.slot.clone().unwrap().slot_id).collect();
    slots.sort();
    let mut expected = free.clone();
    expected.sort();
    assert_eq!(slots, expected, "one offer each");
    assert_eq!(entry(&third, &entries[0].id).await.status, "offered", "the first in line has one");
}

async fn a_slot_that_opens_during_a_round_goes_to_the_first_in_line(database: Database) {
    let harness = morning(&database).await;
    let (first, second) = (join(&harness, 1).await, join(&harness, 2).await);
    let waiting = first.wish.as_ref().unwrap();
    harness.availability.open_after(&waiting.patient_id, &[slot(PLAIN, GRACE, after(0))]);
    offered(&harness, &first.id).await;
    assert_eq!(entry(&harness, &second.id).await.offers.len(), 0);
}

async fn the_faults_of_criteria_are_named(database: Database) {
    let harness = morning(&database).await;
    let person = known(&harness, 1).await;
    let refused = async |wish: JoinWaitlistRequest| {
        let fault = fault(&harness.waitlist.clone().join_waitlist(harness.request(wish)).await.err().unwrap());
        fault.violations.into_iter().map(|one| one.pointer).collect::<Vec<_>>()
    };
    let bad =
        JoinWaitlistRequest { days: vec!["xx".into()], not_before: "9am".into(), ..JoinWaitlistRequest::default() };
    assert_eq!(refused(bad).await, ["/patient_id", "/service_id", "/to", "/days/0", "/hours/not_before"]);
    let other = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 2)).await;
    assert_eq!(refused(JoinWaitlistRequest { appointment_id: other.id, ..wish(&person) }).await, ["/appointment_id"]);
    let nobody = domain::id::PatientId::new(uuid::Uuid::from_u128(7)).to_string();
    assert_eq!(refused(JoinWaitlistRequest { patient_id: nobody, ..wish(&person) }).await, ["/patient_id"]);
    let gone = uuid::Uuid::from_u128(8);
    let location = domain::id::LocationId::new(gone).to_string();
    let practitioner = domain::id::PractitionerId::new(gone).to_string();
    let service = domain::id::ServiceId::new(gone).to_string();
    for id in [&location, &practitioner, &service] {
        harness.availability.forget(id);
    }
    let nowhere = JoinWaitlistRequest {
        service_id: service,
        location_ids: vec![location],
        practitioner_id: practitioner,
        ..wish(&person)
    };
    assert_eq!(refused(nowhere).await, ["/service_id", "/location_ids/0", "/practitioner_id"]);
    let list = ListWaitlistRequest { patient_id: person.id, ..ListWaitlistRequest::default() };
    let list = harness.waitlist.clone().list_waitlist(harness.request(list)).await.unwrap().into_inner();
    assert_eq!(list.entries.len(), 0, "nobody waits for what there is not");
}
