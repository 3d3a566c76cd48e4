//! One patient's wishes on the waitlist: the same one waits once, a few may wait beside each other, and what was declined
//! is not offered again through another one.

use rpc::{Code, Fault};
use testkit::{database::Database, poll};
use wire::booking::{JoinWaitlistRequest, Patient, WaitlistEntry};

use crate::{
    harness::{ALAN, GRACE, HERE, PLAIN, World, after, fault, slot},
    waitlist::{becomes, decline, entry, known, leave, morning, offered, wish},
};

testkit::engines!(
    the_same_wish_is_the_same_entry,
    of_many_who_wish_the_same_at_once_one_entry_comes,
    a_patient_waits_with_five_entries_and_no_more,
    what_a_patient_declined_is_not_offered_through_another_entry,
);

/// An entry as joining answers it.
#[derive(Debug)]
struct Joined {
    id: String,
    version: i64,
    joined_before: bool,
}

async fn join(world: &World, wish: JoinWaitlistRequest) -> Result<Joined, Fault> {
    let answer = world.waitlist.clone().join_waitlist(world.request(wish)).await;
    let joined = |it: WaitlistEntry| Joined { id: it.id, version: it.version, joined_before: it.joined_before };
    answer.map(|answer| joined(answer.into_inner())).map_err(|status| fault(&status))
}

/// A wish that ends so many days sooner than [`wish`], so another one.
fn shorter(patient: &Patient, days: i64) -> JoinWaitlistRequest {
    let wish = wish(patient);
    JoinWaitlistRequest { to_us: wish.to_us + 40 * 86_400_000_000 - days * 86_400_000_000, ..wish }
}

async fn the_same_wish_is_the_same_entry(database: Database) {
    let world = morning(&database).await;
    let (ada, other) = (known(&world, 1).await, known(&world, 2).await);
    // From now on, whenever that is said.
    let wish = |patient: &Patient| JoinWaitlistRequest { from_us: world.clock.now_us(), ..wish(patient) };
    let first = join(&world, wish(&ada)).await.unwrap();
    assert!(!first.joined_before);
    world.advance(3);
    let near = domain::id::LocationId::new(HERE).to_string();
    let far = domain::id::LocationId::new(uuid::Uuid::from_u128(0x92)).to_string();
    let days = |days: &[&str]| days.iter().map(ToString::to_string).collect::<Vec<_>>();
    // The past, all hours, all days and a difference between two starts of the grid change nothing.
    for again in [
        wish(&ada),
        JoinWaitlistRequest { not_before: "00:00".into(), not_after: "24:00".into(), ..wish(&ada) },
        JoinWaitlistRequest { days: days(&["su", "sa", "fr", "th", "we", "tu", "mo"]), ..wish(&ada) },
        JoinWaitlistRequest { from_us: after(-48 * 60).as_microsecond(), ..wish(&ada) },
        JoinWaitlistRequest { to_us: wish(&ada).to_us - 60_000_000, ..wish(&ada) },
    ] {
        let same = join(&world, again).await.unwrap();
        assert_eq!((&same.id, same.version, same.joined_before), (&first.id, 1, true));
    }
    let two = JoinWaitlistRequest { location_ids: vec![near.clone(), far.clone()], ..wish(&ada) };
    let of_two = join(&world, two).await.unwrap();
    assert_ne!(of_two.id, first.id, "fewer locations are another wish");
    let turned = JoinWaitlistRequest { location_ids: vec![far.clone(), near, far], ..wish(&ada) };
    assert_eq!(join(&world, turned).await.unwrap().id, of_two.id);
    assert!(!join(&world, wish(&other)).await.unwrap().joined_before, "another patient's wish is their own");

    // A key that comes again is answered as it was, whatever the wish has come to.
    let keyed = || world.keyed("one", "a", wish(&ada));
    let known = world.waitlist.clone().join_waitlist(keyed()).await.unwrap();
    let replay = world.waitlist.clone().join_waitlist(keyed()).await.unwrap();
    assert!(!rpc::is_replay(&known) && rpc::is_replay(&replay));
    assert!(known.get_ref().id == first.id && known.into_inner() == replay.into_inner());
    // Who has left waits anew.
    leave(&world, &first.id).await.unwrap();
    let anew = join(&world, wish(&ada)).await.unwrap();
    assert!(anew.id != first.id && !anew.joined_before);
}

async fn of_many_who_wish_the_same_at_once_one_entry_comes(database: Database) {
    let world = morning(&database).await;
    let ada = known(&world, 1).await;
    let beside = world.beside().await;
    let both = [&world, &beside];
    let many = (0..16).map(|number| join(both[number % 2], wish(&ada)));
    let answers = futures::future::join_all(many).await;
    let entries: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert!(entries.iter().all(|one| one.id == entries[0].id), "{entries:?}");
    assert_eq!(entries.iter().filter(|one| !one.joined_before).count(), 1);
}

async fn a_patient_waits_with_five_entries_and_no_more(database: Database) {
    let world = morning(&database).await;
    let (ada, other) = (known(&world, 1).await, known(&world, 2).await);
    let beside = world.beside().await;
    let both = [&world, &beside];
    let many = (0..20).map(|number| join(both[number % 2], shorter(&ada, i64::try_from(number).unwrap())));
    let answers = futures::future::join_all(many).await;
    let entries: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(entries.len(), 5, "{answers:?}");
    for fault in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(fault.code, Code::WaitlistLimit, "{fault:?}");
    }
    let refused = join(&world, shorter(&ada, 30)).await.unwrap_err();
    assert!(entries.iter().all(|one| refused.detail.contains(&one.id)), "it names those to choose from");
    join(&world, shorter(&other, 30)).await.unwrap();

    leave(&world, &entries[0].id).await.unwrap();
    join(&world, shorter(&ada, 30)).await.unwrap();
    assert_eq!(join(&world, shorter(&ada, 31)).await.unwrap_err().code, Code::WaitlistLimit);
    // What has run out does not count, though nobody has swept it yet.
    world.advance(60 * 24 * 60);
    let to_us = world.clock.now_us() + 86_400_000_000;
    join(&world, JoinWaitlistRequest { to_us, ..wish(&ada) }).await.unwrap();
    becomes(&world, &entries[1].id, "expired").await;
}

async fn what_a_patient_declined_is_not_offered_through_another_entry(database: Database) {
    let world = morning(&database).await;
    let ada = known(&world, 1).await;
    let first = join(&world, wish(&ada)).await.unwrap();
    let second = join(&world, shorter(&ada, 39)).await.unwrap();
    let (free, later) = (slot(PLAIN, GRACE, after(0)), slot(PLAIN, ALAN, after(60)));
    world.availability.open(std::slice::from_ref(&free));
    let offer = offered(&world, &first.id).await;
    assert_eq!(decline(&world, &offer).await.unwrap().slot.unwrap().slot_id, free);
    world.availability.open(&[free.clone(), later.clone()]);
    let next = offered(&world, &second.id).await;
    assert_eq!(next.slot.unwrap().slot_id, later);
    let slots = entry(&world, &second.id).await.offers;
    assert!(slots.into_iter().all(|offer| offer.slot.unwrap().slot_id != free));
    // Another patient may have it.
    let other = join(&world, wish(&known(&world, 2).await)).await.unwrap();
    let theirs = poll::until("their offer", std::time::Duration::from_secs(30), || async {
        entry(&world, &other.id).await.offers.into_iter().find(|offer| offer.status == "open")
    });
    assert_eq!(theirs.await.slot.unwrap().slot_id, free);
}
