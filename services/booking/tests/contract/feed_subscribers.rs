//! Subscribers of the feed: commits of this process come at once, everything is read, and nothing comes twice.

use std::time::Duration;

use sql::feed::{Position, Reach};
use sqlx::{Connection, Executor};
use testkit::database::Database;
use tonic::{Response, Streaming};
use wire::booking::{
    Change, ChangeBatch, CreateHoldRequest, ReleaseHoldRequest, SubscribeChangesRequest, Transition, change::Owner,
};

use crate::{
    feed::Known,
    harness::{ALAN, CLASS, GRACE, Harness, PLAIN, after, slot, visit},
};

testkit::engines!(
    an_early_and_an_ordered_subscriber_receive_the_same_changes,
    a_covered_write_was_delivered,
    a_change_of_another_process_is_read,
    changes_out_of_order_end_with_the_newest,
);

const WITHIN: Duration = Duration::from_secs(30);

struct Tail(Streaming<ChangeBatch>);

impl Tail {
    async fn of(harness: &Harness, position: &str, early: bool) -> Self {
        let request = harness.request(SubscribeChangesRequest { position: position.to_owned(), early });
        Self(harness.feed.clone().subscribe_changes(request).await.unwrap().into_inner())
    }

    async fn next(&mut self) -> ChangeBatch {
        tokio::time::timeout(WITHIN, self.0.message()).await.expect("the feed beats").unwrap().expect("it goes on")
    }

    /// All changes until the position reaches an appointment's booking, by their places.
    async fn until(&mut self, last: &str) -> Vec<(Position, Change)> {
        let (mut all, mut end): (Vec<(Position, Change)>, Option<Position>) = (vec![], None);
        loop {
            let batch = self.next().await;
            for change in batch.changes {
                let place: Position = change.position.parse().unwrap();
                if id(&change) == last {
                    end = Some(place);
                }
                all.push((place, change));
            }
            let reached: Position = batch.position.parse().unwrap();
            if end.is_some_and(|end| reached.reaches(end)) {
                all.sort_by_key(|(place, _)| (place.xid, place.seq));
                return all;
            }
        }
    }
}

fn id(change: &Change) -> &str {
    match change.owner.as_ref().unwrap() {
        Owner::Appointment(state) => &state.id,
        Owner::Hold(state) => &state.id,
        Owner::Group(state) => &state.id,
        Owner::Plan(state) => &state.id,
        Owner::Offer(state) => &state.id,
        Owner::Waitlist(state) => &state.id,
    }
}

/// Where an answer says that its write ended.
fn written<T>(answer: &Response<T>) -> Position {
    let revision = answer.metadata().get("meridian-revision").unwrap().to_str().unwrap();
    revision.strip_prefix('b').unwrap().parse().unwrap()
}

/// Group sessions made, left and joined in one write, and freed; holds; visits of one writer.
async fn busy(harness: &Harness, number: u32) {
    let at = after(i64::from(number) * 240);
    let first = harness.book(visit(&slot(CLASS, GRACE, at), number * 10)).await;
    let second = harness.book(visit(&slot(CLASS, GRACE, at), number * 10 + 1)).await;
    let later = slot(CLASS, GRACE, after(i64::from(number) * 240 + 60));
    harness.reschedule(&first.id, later.clone()).await.unwrap();
    harness.reschedule(&second.id, later).await.unwrap();
    let slot_ids = vec![slot(PLAIN, ALAN, at)];
    let held = harness.request(CreateHoldRequest { slot_ids, ttl_seconds: 0, channel: 0 });
    let hold_id = harness.booking.clone().create_hold(held).await.unwrap().into_inner().id;
    harness.booking.clone().release_hold(harness.request(ReleaseHoldRequest { id: hold_id })).await.unwrap();
    harness.cancel(&first.id).await;
    harness.cancel(&second.id).await;
}

async fn an_early_and_an_ordered_subscriber_receive_the_same_changes(database: Database) {
    let harness = Harness::over(&database).await;
    let (_, position) = harness.snapshot().await;
    let (mut early, mut reads) =
        (Tail::of(&harness, &position, true).await, Tail::of(&harness, &position, false).await);
    futures::future::join_all((0..6).map(|number| busy(&harness, number))).await;
    let last = harness.book(visit(&slot(PLAIN, ALAN, after(0)), 99)).await.id;
    let (mut delivered, read) = tokio::join!(early.until(&last), reads.until(&last));
    // All but the time of the commit, which a read does not know.
    assert!(read.iter().all(|(_, change)| change.committed_at_us == 0));
    for (_, change) in &mut delivered {
        assert!(change.committed_at_us == 0 || change.committed_at_us >= change.changed_at_us);
        change.committed_at_us = 0;
    }
    // Two sessions made and both freed again, the hold's two changes, the visits' six; and the last.
    assert_eq!(read.len(), 6 * 12 + 1);
    assert_eq!(delivered, read, "each change once, in its place, at its version");
}

async fn a_covered_write_was_delivered(database: Database) {
    const VISITS: u32 = 40;
    let harness = Harness::over(&database).await;
    let (_, position) = harness.snapshot().await;
    let mut tail = Tail::of(&harness, &position, true).await;
    // On PostgreSQL another's transaction holds the position back all the while.
    let mut open = match database.postgres {
        true => Some(sqlx::PgConnection::connect(&database.admin_url).await.unwrap()),
        false => None,
    };
    if let Some(open) = &mut open {
        open.execute("BEGIN").await.unwrap();
        open.execute("SELECT pg_current_xact_id()").await.unwrap();
    }
    let (mut received, mut named) = (std::collections::HashSet::new(), 0);
    for number in 0..VISITS {
        let request = visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number);
        let answer = harness.booking.clone().book_appointment(harness.request(request)).await.unwrap();
        let (own, booked) = (written(&answer), answer.into_inner().id);
        loop {
            let batch = tail.next().await;
            received.extend(batch.changes.iter().map(|change| id(change).to_owned()));
            let writes: Vec<Position> = batch.writes.iter().map(|write| write.parse().unwrap()).collect();
            named += usize::from(writes.contains(&own));
            let position: Position = batch.position.parse().unwrap();
            assert!(open.is_none() || !position.reaches(own), "what is early moves no position");
            if (Reach { position, seen: batch.seen.parse().ok(), writes }).has(own) {
                break;
            }
        }
        assert!(received.contains(&booked), "visit {number}");
    }
    assert!(named > 0, "some were delivered before they could be read");
}

async fn a_change_of_another_process_is_read(database: Database) {
    let harness = Harness::over(&database).await;
    let other = harness.beside().await;
    let (_, position) = harness.snapshot().await;
    let mut tails = [Tail::of(&harness, &position, true).await, Tail::of(&harness, &position, false).await];
    let theirs = other.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await.id;
    let ours = harness.book(visit(&slot(PLAIN, ALAN, after(0)), 2)).await.id;
    for tail in &mut tails {
        let received = tail.until(&ours).await;
        let ids: Vec<&str> = received.iter().map(|(_, change)| id(change)).collect();
        assert_eq!(ids, [&theirs, &ours]);
    }
}

async fn changes_out_of_order_end_with_the_newest(database: Database) {
    let harness = Harness::over(&database).await;
    let other = harness.beside().await;
    let (_, position) = harness.snapshot().await;
    let mut tail = Tail::of(&harness, &position, true).await;
    // The first version of each appointment is read; the next one is delivered from memory, most often before it.
    for number in 0..20 {
        let booked = other.book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await;
        harness.transition(&booked.id, Transition::Confirm).await.unwrap();
        if number % 2 == 0 {
            harness.cancel(&booked.id).await;
        }
    }
    let last = harness.book(visit(&slot(PLAIN, ALAN, after(0)), 99)).await.id;
    let (mut known, mut expected) = (Known::default(), Known::default());
    let mut arrived = Vec::new();
    loop {
        let batch = tail.next().await;
        arrived.extend(batch.changes);
        let end = arrived.iter().find(|change| id(change) == last).map(|change| change.position.parse().unwrap());
        if end.is_some_and(|end| batch.position.parse::<Position>().unwrap().reaches(end)) {
            break;
        }
    }
    let backwards = |at: usize| {
        let (before, change) = arrived.split_at(at);
        before.iter().any(|before| id(before) == id(&change[0]) && before.version > change[0].version)
    };
    assert!((0..arrived.len()).any(backwards), "some came out of order");
    arrived.into_iter().for_each(|change| known.apply(change));
    harness.snapshot().await.0.into_iter().for_each(|change| expected.apply(change));
    assert_eq!(known.live(), expected.live());
}
