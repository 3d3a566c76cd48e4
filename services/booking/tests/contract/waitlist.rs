//! The waitlist: who waits, what is offered to whom, and what becomes of it.

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
    harness::{ALAN, GRACE, PLAIN, World, after, fault, patient, slot, visit},
};

testkit::engines!(
    a_free_slot_is_offered_held_and_taken,
    what_is_declined_or_runs_out_goes_to_the_next_and_never_back,
    an_earlier_time_takes_the_place_of_a_later_visit,
    of_two_who_accept_at_once_one_visit_comes,
    who_leaves_while_an_offer_is_taken_is_refused_and_the_visit_comes,
    who_leaves_while_an_offer_is_made_never_gets_it,
    several_processes_never_make_two_offers_of_one_slot,
    a_repeated_key_is_answered_alike_and_says_so,
    who_misses_a_slot_is_offered_the_next,
    what_is_wrong_with_a_wish_is_named,
);

const WITHIN: Duration = Duration::from_secs(30);

/// 09:00 in Edmonton, a day before the slots.
pub async fn morning(database: &Database) -> World {
    let world = World::over(database).await;
    world.advance(8 * 60);
    world
}

pub async fn known(world: &World, number: u32) -> Patient {
    let request = CreatePatientRequest { details: Some(patient(number)) };
    world.booking.clone().create_patient(world.request(request)).await.unwrap().into_inner()
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

async fn join(world: &World, number: u32) -> WaitlistEntry {
    let patient = known(world, number).await;
    world.waitlist.clone().join_waitlist(world.request(wish(&patient))).await.unwrap().into_inner()
}

pub async fn entry(world: &World, id: &str) -> WaitlistEntry {
    let request = world.request(GetEntryRequest { id: id.to_owned() });
    world.waitlist.clone().get_entry(request).await.unwrap().into_inner()
}

/// The open offer that an entry comes to have.
pub async fn offered(world: &World, id: &str) -> Offer {
    poll::until("an offer", WITHIN, || async {
        entry(world, id).await.offers.into_iter().find(|offer| offer.status == "open")
    })
    .await
}

pub async fn becomes(world: &World, id: &str, status: &str) -> WaitlistEntry {
    poll::until(status, WITHIN, || async { Some(entry(world, id).await).filter(|entry| entry.status == status) }).await
}

async fn accept(world: &World, offer: &Offer) -> Result<Appointment, Code> {
    let request = world.request(GetOfferRequest { id: offer.id.clone() });
    let answer = world.waitlist.clone().accept_offer(request).await;
    answer.map(Response::into_inner).map_err(|status| fault(&status).code)
}

pub async fn decline(world: &World, offer: &Offer) -> Result<Offer, Code> {
    let request = world.request(GetOfferRequest { id: offer.id.clone() });
    let answer = world.waitlist.clone().decline_offer(request).await;
    answer.map(Response::into_inner).map_err(|status| fault(&status).code)
}

/// The events that the feed tells of the waitlist from a position on.
async fn told(world: &World, position: String, wanted: usize) -> Vec<String> {
    let request = SubscribeChangesRequest { position, early: false };
    let mut batches = world.feed.clone().subscribe_changes(world.request(request)).await.unwrap().into_inner();
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
    let world = morning(&database).await;
    let beginning = world.snapshot().await.1;
    let (first, second) = (join(&world, 1).await, join(&world, 2).await);
    assert_eq!((first.status.as_str(), first.offers.len()), ("waiting", 0));
    let free = slot(PLAIN, GRACE, after(0));
    world.availability.open(std::slice::from_ref(&free));
    // Whoever waited longest.
    let offer = offered(&world, &first.id).await;
    assert_eq!(offer.slot.as_ref().unwrap().slot_id, free);
    assert_eq!(entry(&world, &first.id).await.status, "offered");
    assert!(entry(&world, &second.id).await.offers.is_empty());
    // Kept for them alone while it lasts.
    assert_eq!(world.try_book(visit(&free, 9)).await.unwrap_err().code, Code::SlotTaken);
    let booked = accept(&world, &offer).await.unwrap();
    assert_eq!((booked.patient_id.as_str(), booked.status.as_str()), (offer.patient_id.as_str(), "booked"));
    assert_eq!(becomes(&world, &first.id, "booked").await.offers[0].status, "accepted");
    assert_eq!(accept(&world, &offer).await.unwrap().id, booked.id, "accepted again, answered again");
    assert_eq!(decline(&world, &offer).await.err(), Some(Code::OfferGone));
    assert_eq!(told(&world, beginning, 4).await, ["waitlisted", "waitlisted", "offered", "offer_accepted"]);
}

async fn what_is_declined_or_runs_out_goes_to_the_next_and_never_back(database: Database) {
    let world = morning(&database).await;
    let entries = [join(&world, 1).await, join(&world, 2).await, join(&world, 3).await];
    let free = slot(PLAIN, GRACE, after(0));
    world.availability.open(std::slice::from_ref(&free));
    let first = offered(&world, &entries[0].id).await;
    assert_eq!(decline(&world, &first).await.unwrap().status, "declined");
    assert_eq!(decline(&world, &first).await.unwrap().status, "declined", "again, to no other effect");
    let second = offered(&world, &entries[1].id).await;
    assert_eq!(accept(&world, &first).await.unwrap_err(), Code::OfferGone);
    // Nobody answers for an hour.
    world.advance(60);
    let third = offered(&world, &entries[2].id).await;
    assert_eq!(entry(&world, &entries[1].id).await.offers[0].status, "expired");
    assert_eq!(accept(&world, &second).await.unwrap_err(), Code::OfferGone);
    // Who leaves gives it back; who had it before is not asked for the same time again.
    let leave = world.request(GetEntryRequest { id: entries[2].id.clone() });
    let left = world.waitlist.clone().leave_waitlist(leave).await.unwrap().into_inner();
    assert_eq!((left.status.as_str(), left.offers[0].status.as_str()), ("left", "withdrawn"));
    assert_eq!(accept(&world, &third).await.unwrap_err(), Code::OfferGone);
    world.advance(61);
    let other = slot(PLAIN, ALAN, after(0));
    world.availability.open(&[free.clone(), other.clone()]);
    for entry in &entries[..2] {
        let next = poll::until("another offer", WITHIN, || async {
            let all = self::entry(&world, &entry.id).await.offers;
            let slots: Vec<_> = all.iter().map(|offer| offer.slot.clone().unwrap().slot_id).collect();
            assert_eq!(slots.iter().filter(|slot| **slot == free).count(), 1, "{slots:?}");
            all.into_iter().find(|offer| offer.status == "open")
        });
        let next = next.await;
        assert_eq!(next.slot.as_ref().unwrap().slot_id, other);
        decline(&world, &next).await.unwrap();
    }
    // The slot is free for everybody.
    world.book(visit(&free, 9)).await;
}

async fn an_earlier_time_takes_the_place_of_a_later_visit(database: Database) {
    let world = morning(&database).await;
    let later = slot(PLAIN, GRACE, after(24 * 60));
    let booked = world.book(visit(&later, 1)).await;
    let wish = JoinWaitlistRequest {
        patient_id: booked.patient_id.clone(),
        appointment_id: booked.id.clone(),
        ..wish(&Patient::default())
    };
    let joined = world.waitlist.clone().join_waitlist(world.request(wish)).await.unwrap().into_inner();
    // The service has become longer since: what was booked stays as long as it is.
    let lasts = |minutes: i64| world.availability.offer(PLAIN, Service { minutes, ..Service::default() });
    lasts(60);
    let (earlier, too_late) = (slot(PLAIN, ALAN, after(0)), slot(PLAIN, ALAN, after(30 * 60)));
    world.availability.open(&[too_late, earlier.clone()]);
    let offer = offered(&world, &joined.id).await;
    assert_eq!(offer.slot.as_ref().unwrap().slot_id, earlier, "only an earlier time helps");
    // While it is thought over, both times are theirs.
    lasts(30);
    assert_eq!(world.try_book(visit(&later, 9)).await.unwrap_err().code, Code::SlotTaken);
    lasts(90);
    let moved = accept(&world, &offer).await.unwrap();
    assert_eq!((moved.id, moved.starts_at_us), (booked.id, after(0).as_microsecond()));
    assert_eq!(moved.ends_at_us, after(30).as_microsecond(), "as long as it was");
    lasts(30);
    world.book(visit(&later, 9)).await;
    becomes(&world, &joined.id, "booked").await;
}

async fn of_two_who_accept_at_once_one_visit_comes(database: Database) {
    let world = morning(&database).await;
    let joined = join(&world, 1).await;
    world.availability.open(&[slot(PLAIN, GRACE, after(0))]);
    let offer = offered(&world, &joined.id).await;
    let answers = futures::future::join_all((0..6).map(|_| accept(&world, &offer))).await;
    let booked: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert!(!booked.is_empty() && booked.iter().all(|visit| visit.id == booked[0].id), "{answers:?}");
    let (changes, _) = world.snapshot().await;
    let visits = changes.iter().filter(|change| matches!(change.owner, Some(Owner::Appointment(_))));
    assert_eq!(visits.count(), 1);
}

pub async fn leave(world: &World, id: &str) -> Result<WaitlistEntry, Code> {
    let request = world.request(GetEntryRequest { id: id.to_owned() });
    let answer = world.waitlist.clone().leave_waitlist(request).await;
    answer.map(Response::into_inner).map_err(|status| fault(&status).code)
}

async fn a_repeated_key_is_answered_alike_and_says_so(database: Database) {
    let world = morning(&database).await;
    let entries = [join(&world, 1).await, join(&world, 2).await];
    world.availability.open(&[slot(PLAIN, GRACE, after(0)), slot(PLAIN, ALAN, after(0))]);
    let [taken, left] = [offered(&world, &entries[0].id).await, offered(&world, &entries[1].id).await];
    let keyed = |offer: &Offer, fingerprint| world.keyed("one", fingerprint, GetOfferRequest { id: offer.id.clone() });

    let first = world.waitlist.clone().accept_offer(keyed(&taken, "a")).await.unwrap();
    // What becomes of the visit later does not change the answer.
    world.cancel(&first.get_ref().id).await;
    let again = world.waitlist.clone().accept_offer(keyed(&taken, "a")).await.unwrap();
    assert!(!rpc::is_replay(&first) && rpc::is_replay(&again));
    assert!(first.into_inner() == again.into_inner());
    let other = world.waitlist.clone().accept_offer(keyed(&left, "b")).await.unwrap_err();
    assert_eq!(fault(&other).code, Code::IdempotencyKeyReused);

    // The same key on another route is another key.
    let first = world.waitlist.clone().decline_offer(keyed(&left, "b")).await.unwrap();
    let again = world.waitlist.clone().decline_offer(keyed(&left, "b")).await.unwrap();
    assert!(!rpc::is_replay(&first) && rpc::is_replay(&again));
    assert_eq!(first.get_ref().status, "declined");
    assert!(first.into_inner() == again.into_inner());
}

async fn who_misses_a_slot_is_offered_the_next(database: Database) {
    let world = morning(&database).await;
    let group = slot(PLAIN, GRACE, after(0));
    world.availability.open(std::slice::from_ref(&group));
    let first = join(&world, 1).await;
    offered(&world, &first.id).await;
    // As with another place of a group: the search shows it still.
    let later = slot(PLAIN, ALAN, after(60));
    world.availability.open(&[group, later.clone()]);
    let second = join(&world, 2).await;
    assert_eq!(offered(&world, &second.id).await.slot.unwrap().slot_id, later);
}

/// Waits until availability is asked about a slot once more.
async fn asked_again(world: &World, before: usize) {
    poll::until("a check", WITHIN, || async { (world.availability.checks() > before).then_some(()) }).await;
}

async fn who_leaves_while_an_offer_is_taken_is_refused_and_the_visit_comes(database: Database) {
    let world = morning(&database).await;
    let joined = join(&world, 1).await;
    world.availability.open(&[slot(PLAIN, GRACE, after(0))]);
    let offer = offered(&world, &joined.id).await;
    let (stalled, before) = (world.availability.stall().await, world.availability.checks());
    let taking = {
        let (world, offer) = (world.clone(), offer.clone());
        tokio::spawn(async move { accept(&world, &offer).await })
    };
    asked_again(&world, before).await;
    assert_eq!(leave(&world, &joined.id).await.err(), Some(Code::OfferGone));
    assert_eq!(entry(&world, &joined.id).await.status, "offered");
    drop(stalled);
    let booked = taking.await.unwrap().unwrap();
    assert_eq!(booked.patient_id, offer.patient_id);
    // The visit is there, and there is nothing to leave any more.
    let after = leave(&world, &joined.id).await.unwrap();
    assert_eq!((after.status.as_str(), after.offers[0].status.as_str()), ("booked", "accepted"));
}

async fn who_leaves_while_an_offer_is_made_never_gets_it(database: Database) {
    let world = morning(&database).await;
    let beginning = world.snapshot().await.1;
    let joined = join(&world, 1).await;
    let free = slot(PLAIN, GRACE, after(0));
    let (stalled, before) = (world.availability.stall().await, world.availability.checks());
    world.availability.open(std::slice::from_ref(&free));
    asked_again(&world, before).await;
    assert_eq!(leave(&world, &joined.id).await.unwrap().status, "left");
    drop(stalled);
    // The feed says that it was offered, and last that it was not.
    let told = told(&world, beginning, 5).await;
    assert_eq!((told[0].as_str(), told[4].as_str()), ("waitlisted", "offer_withdrawn"), "{told:?}");
    let left = entry(&world, &joined.id).await;
    assert_eq!((left.status.as_str(), left.offers[0].status.as_str()), ("left", "withdrawn"));
    assert_eq!(accept(&world, &left.offers[0]).await.unwrap_err(), Code::OfferGone);
    // Its slot is free for everybody.
    world.book(visit(&free, 9)).await;
}

async fn several_processes_never_make_two_offers_of_one_slot(database: Database) {
    let world = morning(&database).await;
    let (second, third) = (world.beside().await, world.beside().await);
    let mut entries = Vec::new();
    for number in 0..12 {
        entries.push(join(&world, number).await);
    }
    let free: Vec<String> = (0..4).map(|at| slot(PLAIN, GRACE, after(at * 60))).collect();
    world.availability.open(&free);
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

async fn what_is_wrong_with_a_wish_is_named(database: Database) {
    let world = morning(&database).await;
    let person = known(&world, 1).await;
    let refused = async |wish: JoinWaitlistRequest| {
        let fault = fault(&world.waitlist.clone().join_waitlist(world.request(wish)).await.err().unwrap());
        fault.violations.into_iter().map(|one| one.pointer).collect::<Vec<_>>()
    };
    let bad =
        JoinWaitlistRequest { days: vec!["xx".into()], not_before: "9am".into(), ..JoinWaitlistRequest::default() };
    assert_eq!(refused(bad).await, ["/patient_id", "/service_id", "/to", "/days/0", "/hours/not_before"]);
    let other = world.book(visit(&slot(PLAIN, GRACE, after(0)), 2)).await;
    assert_eq!(refused(JoinWaitlistRequest { appointment_id: other.id, ..wish(&person) }).await, ["/appointment_id"]);
    let nobody = domain::id::PatientId::new(uuid::Uuid::from_u128(7)).to_string();
    assert_eq!(refused(JoinWaitlistRequest { patient_id: nobody, ..wish(&person) }).await, ["/patient_id"]);
    let gone = uuid::Uuid::from_u128(8);
    let location = domain::id::LocationId::new(gone).to_string();
    let practitioner = domain::id::PractitionerId::new(gone).to_string();
    let service = domain::id::ServiceId::new(gone).to_string();
    for id in [&location, &practitioner, &service] {
        world.availability.forget(id);
    }
    let nowhere = JoinWaitlistRequest {
        service_id: service,
        location_ids: vec![location],
        practitioner_id: practitioner,
        ..wish(&person)
    };
    assert_eq!(refused(nowhere).await, ["/service_id", "/location_ids/0", "/practitioner_id"]);
    let list = ListWaitlistRequest { patient_id: person.id, ..ListWaitlistRequest::default() };
    let list = world.waitlist.clone().list_waitlist(world.request(list)).await.unwrap().into_inner();
    assert_eq!(list.entries.len(), 0, "nobody waits for what there is not");
}
