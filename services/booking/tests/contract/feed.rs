//! The feed: snapshot and tail meet exactly, and a follower is told when it has lost its place.

use std::collections::HashMap;

use prost::Message;
use sqlx::{Connection, Executor};
use testkit::database::Database;
use wire::booking::{
    Change, SetDisplacedRequest, SubscribeChangesRequest, Transition, change::Owner, set_displaced_request::Item,
};

use crate::{
    races::assert_apart,
    world::{ALAN, GRACE, PLAIN, World, after, fault, slot, visit},
};

testkit::engines!(
    snapshot_and_tail_meet_exactly_while_others_write,
    changes_come_with_versions_and_without_personal_data,
    what_comes_early_comes_once,
    without_a_position_the_feed_begins_now,
    a_position_of_another_life_is_lost,
);

/// What a follower knows: of each owner its newest change.
#[derive(Default)]
pub struct Known(HashMap<String, Change>);

impl Known {
    pub fn apply(&mut self, change: Change) {
        let id = match change.owner.as_ref().unwrap() {
            Owner::Appointment(it) => it.id.clone(),
            Owner::Hold(it) => it.id.clone(),
            Owner::Group(it) => it.id.clone(),
            Owner::Plan(it) => it.id.clone(),
            Owner::Offer(it) => it.id.clone(),
            Owner::Waitlist(it) => it.id.clone(),
        };
        if self.0.get(&id).is_none_or(|known| known.version < change.version) {
            self.0.insert(id, change);
        }
    }

    /// Owner, version and claims of all that has claims.
    pub fn live(&self) -> Vec<(String, i64, Vec<Vec<u8>>)> {
        let mut live: Vec<_> = self
            .0
            .iter()
            .filter(|(_, change)| !change.claims.is_empty())
            .map(|(id, change)| {
                let mut claims: Vec<_> = change.claims.iter().map(Message::encode_to_vec).collect();
                claims.sort();
                (id.clone(), change.version, claims)
            })
            .collect();
        live.sort();
        live
    }
}

async fn snapshot_and_tail_meet_exactly_while_others_write(database: Database) {
    const VISITS: u32 = 120;
    let world = World::over(&database).await;
    let writer = async {
        for number in 0..VISITS {
            let place = slot(PLAIN, if number % 2 == 0 { GRACE } else { ALAN }, after(i64::from(number) * 30));
            let Ok(booked) = world.try_book(visit(&place, number)).await else { continue };
            match number % 5 {
                0 => drop(world.cancel(&booked.id).await),
                1 => drop(world.transition(&booked.id, Transition::Confirm).await),
                2 => {
                    drop(world.reschedule(&booked.id, slot(PLAIN, GRACE, after(i64::from(number) * 30 + 90_000))).await)
                }
                _ => {}
            }
        }
    };
    let followers = async {
        let mut all = Vec::new();
        for _ in 0..12 {
            let (changes, position) = world.snapshot().await;
            let mut known = Known::default();
            changes.into_iter().for_each(|change| known.apply(change));
            let request = world.request(SubscribeChangesRequest { position, early: true });
            all.push((known, world.feed.clone().subscribe_changes(request).await.unwrap().into_inner()));
        }
        all
    };
    let ((), followers) = tokio::join!(writer, followers);
    let (truth, _) = world.snapshot().await;
    assert_apart(&truth);
    let mut expected = Known::default();
    truth.into_iter().for_each(|change| expected.apply(change));
    for (mut known, mut tail) in followers {
        let within = std::time::Duration::from_secs(30);
        let met = tokio::time::timeout(within, async {
            while known.live() != expected.live() {
                let batch = tail.message().await.unwrap().expect("the feed goes on");
                batch.changes.into_iter().for_each(|change| known.apply(change));
            }
        });
        assert!(met.await.is_ok(), "a follower that began in the midst of it knows the same");
    }
}

async fn changes_come_with_versions_and_without_personal_data(database: Database) {
    let world = World::over(&database).await;
    let (_, position) = world.snapshot().await;
    let request = world.request(SubscribeChangesRequest { position, early: false });
    let mut tail = world.feed.clone().subscribe_changes(request).await.unwrap().into_inner();
    let mut request = visit(&slot(PLAIN, GRACE, after(0)), 1);
    request.note = "Canary note".into();
    let booked = world.book(request).await;
    let items = vec![Item { appointment_id: booked.id.clone(), displaced: true, seen_version: 1 }];
    let told = world.booking.clone().set_displaced(world.request(SetDisplacedRequest { items: items.clone() })).await;
    assert_eq!(told.unwrap().into_inner().changed, 1);
    let again = world.booking.clone().set_displaced(world.request(SetDisplacedRequest { items })).await;
    assert_eq!(again.unwrap().into_inner().changed, 0, "said again, it changes nothing");
    world.reschedule(&booked.id, slot(PLAIN, ALAN, after(60))).await.unwrap();
    world.cancel(&booked.id).await;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        for change in tail.message().await.unwrap().unwrap().changes {
            let bytes = String::from_utf8_lossy(&change.encode_to_vec()).into_owned();
            assert!(!bytes.contains("Canary") && !bytes.contains("Example") && !bytes.contains("+1780"), "{bytes}");
            seen.push((change.event.clone(), change.version, change.claims.len()));
        }
    }
    let expected = [("booked", 1, 3), ("displaced", 2, 3), ("rescheduled", 3, 3), ("cancelled", 4, 0)];
    assert_eq!(seen, expected.map(|(event, version, claims)| (event.to_owned(), version, claims)));
}

async fn what_comes_early_comes_once(database: Database) {
    let world = World::over(&database).await;
    let (_, position) = world.snapshot().await;
    let request = world.request(SubscribeChangesRequest { position, early: true });
    let mut tail = world.feed.clone().subscribe_changes(request).await.unwrap().into_inner();
    // On PostgreSQL another's transaction holds the feed's order back; the last visit is booked after it has ended.
    let mut open = match database.postgres {
        true => Some(sqlx::PgConnection::connect(&database.url).await.unwrap()),
        false => None,
    };
    if let Some(open) = &mut open {
        open.execute("BEGIN").await.unwrap();
        open.execute("SELECT pg_current_xact_id()").await.unwrap();
    }
    let (mut booked, mut told) = (Vec::new(), Vec::new());
    for number in 0..4_u32 {
        if let Some(mut open) = open.take_if(|_| number == 3) {
            open.execute("ROLLBACK").await.unwrap();
        }
        booked.push(world.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await.id);
        while told.last() != booked.last() {
            for change in tail.message().await.unwrap().unwrap().changes {
                let Some(Owner::Appointment(state)) = change.owner else { continue };
                told.push(state.id);
            }
        }
    }
    assert_eq!(told, booked);
}

async fn without_a_position_the_feed_begins_now(database: Database) {
    let world = World::over(&database).await;
    let before = world.book(visit(&slot(PLAIN, GRACE, after(0)), 0)).await.id;
    let request = world.request(SubscribeChangesRequest::default());
    let mut tail = world.feed.clone().subscribe_changes(request).await.unwrap().into_inner();
    let booked = world.book(visit(&slot(PLAIN, GRACE, after(60)), 1)).await.id;
    let mut told = Vec::new();
    while told.last() != Some(&booked) {
        for change in tail.message().await.unwrap().unwrap().changes {
            let Some(Owner::Appointment(state)) = change.owner else { continue };
            told.push(state.id);
        }
    }
    // On PostgreSQL another's transaction may hold the present end back.
    assert!(told == [booked.clone()] || (database.postgres && told == [before, booked]), "{told:?}");
}

async fn a_position_of_another_life_is_lost(database: Database) {
    let world = World::over(&database).await;
    let (_, position) = world.snapshot().await;
    let (_, rest) = position.split_once('.').unwrap();
    for bad in [format!("1.{rest}"), "nonsense".into()] {
        let request = world.request(SubscribeChangesRequest { position: bad, early: false });
        let outcome = match world.feed.clone().subscribe_changes(request).await {
            Ok(stream) => stream.into_inner().message().await.map(drop),
            Err(status) => Err(status),
        };
        assert_eq!(fault(&outcome.unwrap_err()).code, rpc::Code::FeedPositionLost);
    }
}
