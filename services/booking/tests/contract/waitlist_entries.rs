//! The entries of one patient: equivalent criteria wait once, five entries may wait, and a declined slot is not offered
//! through another entry.

use rpc::{Code, Fault};
use testkit::{database::Database, poll};
use wire::booking::{JoinWaitlistRequest, Patient, WaitlistEntry};

use crate::{
    harness::{ALAN, GRACE, HERE, Harness, PLAIN, after, fault, slot},
    waitlist::{becomes, decline, entry, known, leave, morning, offered, wish},
};

testkit::engines!(
    equivalent_criteria_are_one_entry,
    concurrent_joins_with_the_same_criteria_make_one_entry,
    a_patient_has_at_most_five_entries,
    a_declined_slot_is_not_offered_through_another_entry,
);

/// An entry as joining answers it.
#[derive(Debug)]
struct Joined {
    id: String,
    version: i64,
    joined_before: bool,
}

async fn join(harness: &Harness, wish: JoinWaitlistRequest) -> Result<Joined, Fault> {
    let answer = harness.waitlist.clone().join_waitlist(harness.request(wish)).await;
    let joined = |it: WaitlistEntry| Joined { id: it.id, version: it.version, joined_before: it.joined_before };
    answer.map(|answer| joined(answer.into_inner())).map_err(|status| fault(&status))
}

/// A wish that ends so many days sooner than [`wish`], so another one.
fn shorter(patient: &Patient, days: i64) -> JoinWaitlistRequest {
    let wish = wish(patient);
    JoinWaitlistRequest { to_us: wish.to_us + 40 * 86_400_000_000 - days * 86_400_000_000, ..wish }
}

async fn equivalent_criteria_are_one_entry(database: Database) {
    let harness = morning(&database).await;
    let (ada, other) = (known(&harness, 1).await, known(&harness, 2).await);
    // From now on, whenever that is said.
    let wish = |patient: &Patient| JoinWaitlistRequest { from_us: harness.clock.now_us(), ..wish(patient) };
    let first = join(&harness, wish(&ada)).await.unwrap();
    assert!(!first.joined_before);
    harness.advance(3);
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
        let same = join(&harness, again).await.unwrap();
        assert_eq!((&same.id, same.version, same.joined_before), (&first.id, 1, true));
    }
    let two = JoinWaitlistRequest { location_ids: vec![near.clone(), far.clone()], ..wish(&ada) };
    let of_two = join(&harness, two).await.unwrap();
    assert_ne!(of_two.id, first.id, "fewer locations are another wish");
    let turned = JoinWaitlistRequest { location_ids: vec![far.clone(), near, far], ..wish(&ada) };
    assert_eq!(join(&harness, turned).await.unwrap().id, of_two.id);
    assert!(!join(&harness, wish(&other)).await.unwrap().joined_before, "another patient's wish is their own");

    // A key that comes again is answered as it was, whatever the wish has come to.
    let keyed = || harness.keyed("one", "a", wish(&ada));
    let known = harness.waitlist.clone().join_waitlist(keyed()).await.unwrap();
    let replay = harness.waitlist.clone().join_waitlist(keyed()).await.unwrap();
    assert!(!rpc::is_replay(&known) && rpc::is_replay(&replay));
    assert!(known.get_ref().id == first.id && known.into_inner() == replay.into_inner());
    // After leaving, the criteria make a new entry.
    leave(&harness, &first.id).await.unwrap();
    let anew = join(&harness, wish(&ada)).await.unwrap();
    assert!(anew.id != first.id && !anew.joined_before);
}

async fn concurrent_joins_with_the_same_criteria_make_one_entry(database: Database) {
    let harness = morning(&database).await;
    let ada = known(&harness, 1).await;
    let beside = harness.beside().await;
    let both = [&harness, &beside];
    let many = (0..16).map(|number| join(both[number % 2], wish(&ada)));
    let answers = futures::future::join_all(many).await;
    let entries: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert!(entries.iter().all(|one| one.id == entries[0].id), "{entries:?}");
    assert_eq!(entries.iter().filter(|one| !one.joined_before).count(), 1);
}

async fn a_patient_has_at_most_five_entries(database: Database) {
    let harness = morning(&database).await;
    let (ada, other) = (known(&harness, 1).await, known(&harness, 2).await);
    let beside = harness.beside().await;
    let both = [&harness, &beside];
    let many = (0..20).map(|number| join(both[number % 2], shorter(&ada, i64::try_from(number).unwrap())));
    let answers = futures::future::join_all(many).await;
    let entries: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(entries.len(), 5, "{answers:?}");
    for fault in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(fault.code, Code::WaitlistLimit, "{fault:?}");
    }
    let refused = join(&harness, shorter(&ada, 30)).await.unwrap_err();
    assert!(entries.iter().all(|one| refused.detail.contains(&one.id)), "it names those to choose from");
    join(&harness, shorter(&other, 30)).await.unwrap();

    leave(&harness, &entries[0].id).await.unwrap();
    join(&harness, shorter(&ada, 30)).await.unwrap();
    assert_eq!(join(&harness, shorter(&ada, 31)).await.unwrap_err().code, Code::WaitlistLimit);
    // An entry whose time is over does not count, even before the job ends it.
    harness.advance(60 * 24 * 60);
    let to_us = harness.clock.now_us() + 86_400_000_000;
    join(&harness, JoinWaitlistRequest { to_us, ..wish(&ada) }).await.unwrap();
    becomes(&harness, &entries[1].id, "expired").await;
}

async fn a_declined_slot_is_not_offered_through_another_entry(database: Database) {
    let harness = morning(&database).await;
    let ada = known(&harness, 1).await;
    let first = join(&harness, wish(&ada)).await.unwrap();
    let second = join(&harness, shorter(&ada, 39)).await.unwrap();
    let (free, later) = (slot(PLAIN, GRACE, after(0)), slot(PLAIN, ALAN, after(60)));
    harness.availability.open(std::slice::from_ref(&free));
    let offer = offered(&harness, &first.id).await;
    assert_eq!(decline(&harness, &offer).await.unwrap().slot.unwrap().slot_id, free);
    harness.availability.open(&[free.clone(), later.clone()]);
    let next = offered(&harness, &second.id).await;
    assert_eq!(next.slot.unwrap().slot_id, later);
    let slots = entry(&harness, &second.id).await.offers;
    assert!(slots.into_iter().all(|offer| offer.slot.unwrap().slot_id != free));
    // Another patient may have it.
    let other = join(&harness, wish(&known(&harness, 2).await)).await.unwrap();
    let theirs = poll::until("their offer", std::time::Duration::from_secs(30), || async {
        entry(&harness, &other.id).await.offers.into_iter().find(|offer| offer.status == "open")
    });
    assert_eq!(theirs.await.slot.unwrap().slot_id, free);
}
