//! Holds of front ends: how many a visitor has, how long they last, how much of a day a key has, and to whom they belong.

use rpc::{Code, Context, Fault, Visitor};
use testkit::database::Database;
use tonic::Response;
use wire::{
    booking::{CreateHoldRequest, Hold, ListHoldsRequest, ReleaseHoldRequest},
    common::Page,
};

use crate::harness::{ALAN, CLASS, GRACE, Harness, PLAIN, after, code, fault, of_hold, slot};

testkit::engines!(
    a_visitor_has_three_live_holds,
    a_series_counts_one_hold,
    holds_at_once_keep_the_limit,
    a_visitors_hold_lasts_five_minutes,
    a_slot_is_not_held_again_for_as_long_as_it_was_held,
    a_key_has_a_share_of_each_day,
    visitors_at_once_keep_their_keys_share,
    a_place_counts_its_part_of_a_session,
    a_hold_is_its_makers_alone,
    staff_list_and_release_holds,
);

const DAY: i64 = 24 * 60;

async fn hold_as(harness: &Harness, ctx: &Context, slots: &[String]) -> Result<Hold, Fault> {
    let request = CreateHoldRequest { slot_ids: slots.to_vec(), ttl_seconds: 0, channel: 0 };
    let answer = harness.booking.clone().create_hold(ctx.request(request)).await;
    answer.map(Response::into_inner).map_err(|status| fault(&status))
}

async fn hold_one(harness: &Harness, ctx: &Context, minutes: i64) -> Result<Hold, Fault> {
    hold_as(harness, ctx, &[slot(PLAIN, GRACE, after(minutes))]).await
}

async fn release_as(harness: &Harness, ctx: &Context, id: &str) -> Result<(), Fault> {
    let request = ctx.request(ReleaseHoldRequest { id: id.into() });
    let answer = harness.booking.clone().release_hold(request).await;
    answer.map(drop).map_err(|status| fault(&status))
}

async fn harness(database: &Database) -> Harness {
    let harness = Harness::over(database).await;
    harness.availability.open_minutes(10_000);
    harness
}

/// The seconds of `Retry-After`.
fn wait(refused: &Fault) -> u64 {
    assert_eq!(refused.code, Code::HoldLimit, "{refused:?}");
    refused.retry_after.unwrap().as_secs()
}

async fn a_visitor_has_three_live_holds(database: Database) {
    let harness = harness(&database).await;
    let (one, other) = (harness.visitor("one"), harness.visitor("other"));
    let mut held = vec![];
    for hours in 0..3 {
        held.push(hold_one(&harness, &one, hours * 60).await.unwrap());
        harness.advance(1);
    }
    let refused = hold_one(&harness, &one, 180).await.unwrap_err();
    assert_eq!(wait(&refused), 120, "until the first one ends");
    hold_one(&harness, &other, 180).await.unwrap();
    // Without a visitor the caller is staff.
    for hours in 4..10 {
        hold_one(&harness, &harness.context(), hours * 60).await.unwrap();
    }
    release_as(&harness, &one, &held[1].id).await.unwrap();
    hold_one(&harness, &one, 600).await.unwrap();
    harness.book_as(&one, of_hold(&held[0].id, 1)).await.unwrap();
    hold_one(&harness, &one, 660).await.unwrap();
    assert_eq!(code(hold_one(&harness, &one, 720).await), Code::HoldLimit);
    harness.advance(5);
    hold_one(&harness, &one, 720).await.unwrap();
}

async fn a_series_counts_one_hold(database: Database) {
    let harness = harness(&database).await;
    let one = harness.visitor("one");
    let series = |from: i64| (from..from + 8).map(|day| slot(PLAIN, GRACE, after(day * DAY))).collect::<Vec<_>>();
    for at in 0..3 {
        hold_as(&harness, &one, &series(at * 8)).await.unwrap();
    }
    assert_eq!(code(hold_as(&harness, &one, &series(24)).await), Code::HoldLimit);
}

async fn holds_at_once_keep_the_limit(database: Database) {
    let harness = harness(&database).await;
    let beside = harness.beside().await;
    let one = harness.visitor("one");
    for round in 0..5 {
        let tries = (0..12).map(|hours| {
            let process = if hours % 2 == 0 { &harness } else { &beside };
            hold_one(process, &one, round * DAY + hours * 60)
        });
        let answers = futures::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3, "{answers:?}");
        assert!(answers.into_iter().filter_map(Result::err).all(|fault| wait(&fault) == 300));
        harness.advance(5);
    }
}

async fn a_visitors_hold_lasts_five_minutes(database: Database) {
    let harness = harness(&database).await;
    let one = harness.visitor("one");
    for (at, (asked, expected)) in [(0, 300), (60, 60), (1800, 300)].into_iter().enumerate() {
        let slot_ids = vec![slot(PLAIN, GRACE, after(60 * at as i64))];
        let request = CreateHoldRequest { slot_ids, ttl_seconds: asked, channel: 0 };
        let kept = harness.booking.clone().create_hold(one.request(request)).await.unwrap().into_inner();
        assert_eq!(kept.expires_at_us, harness.clock.now_us() + expected * 1_000_000, "{asked}");
    }
}

async fn a_slot_is_not_held_again_for_as_long_as_it_was_held(database: Database) {
    let harness = harness(&database).await;
    let (one, other) = (harness.visitor("one"), harness.visitor("other"));
    hold_one(&harness, &one, 0).await.unwrap();
    harness.advance(6);
    // Neither the slot nor one that overlaps it.
    assert_eq!(wait(&hold_one(&harness, &one, 0).await.unwrap_err()), 240);
    assert_eq!(wait(&hold_one(&harness, &one, 15).await.unwrap_err()), 240);
    hold_as(&harness, &one, &[slot(PLAIN, ALAN, after(0))]).await.unwrap();
    let theirs = hold_one(&harness, &other, 0).await.unwrap();
    harness.advance(2);
    release_as(&harness, &other, &theirs.id).await.unwrap();
    assert_eq!(wait(&hold_one(&harness, &other, 0).await.unwrap_err()), 120, "it was held for two minutes");
    harness.advance(2);
    let again = hold_one(&harness, &other, 0).await.unwrap();
    release_as(&harness, &other, &again.id).await.unwrap();
    hold_one(&harness, &one, 0).await.unwrap();
}

async fn a_key_has_a_share_of_each_day(database: Database) {
    let harness = Harness::over(&database).await;
    // A visit takes 40 minutes with its buffers: 20 % of 600 minutes are three of them.
    harness.availability.open_minutes(600);
    let mut held = vec![];
    for number in 0..20 {
        let ctx = harness.visitor(&format!("visitor {number}"));
        match hold_one(&harness, &ctx, i64::from(number) * 40 % 400).await {
            Ok(kept) => held.push((ctx, kept)),
            Err(refused) => assert!(matches!(refused.code, Code::HoldLimit | Code::SlotTaken), "{refused:?}"),
        }
    }
    assert_eq!(held.len(), 3, "a key with as many visitors as it likes");
    // Another day, and another key, have shares of their own.
    let another = harness.visitor("another");
    hold_one(&harness, &another, DAY).await.unwrap();
    let other_key = Context { caller: "key_other".into(), ..another.clone() };
    hold_one(&harness, &other_key, 240).await.unwrap();
    let refused = hold_one(&harness, &another, 280).await.unwrap_err();
    assert_eq!(wait(&refused), 300);
    release_as(&harness, &held[0].0, &held[0].1.id).await.unwrap();
    hold_one(&harness, &another, 280).await.unwrap();
    // One slot may always be held, and no two of them.
    harness.availability.open_minutes(0);
    hold_one(&harness, &another, 2 * DAY).await.unwrap();
    let fresh = harness.visitor("fresh");
    assert_eq!(code(hold_one(&harness, &fresh, 2 * DAY + 60).await), Code::HoldLimit);
    let two = [slot(PLAIN, ALAN, after(3 * DAY)), slot(PLAIN, ALAN, after(3 * DAY + 60))];
    assert_eq!(code(hold_as(&harness, &fresh, &two).await), Code::HoldLimit);
}

async fn visitors_at_once_keep_their_keys_share(database: Database) {
    let harness = Harness::over(&database).await;
    harness.availability.open_minutes(600);
    let beside = harness.beside().await;
    for round in 0..5 {
        let contexts: Vec<Context> = (0..9).map(|number| harness.visitor(&format!("{round} {number}"))).collect();
        let tries = contexts.iter().zip(0_i64..).map(|(ctx, number)| {
            let process = if number % 2 == 0 { &harness } else { &beside };
            hold_one(process, ctx, round * DAY + number * 45)
        });
        let answers = futures::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3, "{answers:?}");
    }
}

async fn a_place_counts_its_part_of_a_session(database: Database) {
    let harness = Harness::over(&database).await;
    // 20 % of 100 minutes; a place of eight takes 5 of a session's 40 minutes.
    harness.availability.open_minutes(100);
    let place = [slot(CLASS, GRACE, after(0))];
    for number in 0..4 {
        hold_as(&harness, &harness.visitor(&format!("{number}")), &place).await.unwrap();
    }
    assert_eq!(code(hold_as(&harness, &harness.visitor("5"), &place).await), Code::HoldLimit);
}

async fn a_hold_is_its_makers_alone(database: Database) {
    let harness = harness(&database).await;
    let (one, other) = (harness.visitor("one"), harness.visitor("other"));
    let kept = hold_one(&harness, &one, 0).await.unwrap();
    let other_key = Context { caller: "key_other".into(), ..one.clone() };
    let by_address = Visitor { id: "one".into(), named: false };
    let unnamed = Context { visitor: Some(by_address.clone()), ..one.clone() };
    for stranger in [&other, &other_key, &unnamed] {
        assert_eq!(code(release_as(&harness, stranger, &kept.id).await), Code::NotFound);
        assert_eq!(code(harness.book_as(stranger, of_hold(&kept.id, 1)).await), Code::NotFound);
    }
    let staffs = hold_one(&harness, &harness.context(), 60).await.unwrap();
    assert_eq!(code(release_as(&harness, &one, &staffs.id).await), Code::NotFound);
    assert_eq!(code(harness.book_as(&one, of_hold(&staffs.id, 1)).await), Code::NotFound);
    harness.book_as(&one, of_hold(&kept.id, 1)).await.unwrap();
    // The address of a visitor without a name may change: the key counts.
    let kept = hold_one(&harness, &unnamed, 120).await.unwrap();
    let moved = Context { visitor: Some(Visitor { id: "elsewhere".into(), ..by_address }), ..one.clone() };
    assert_eq!(code(release_as(&harness, &one, &kept.id).await), Code::NotFound);
    harness.book_as(&moved, of_hold(&kept.id, 2)).await.unwrap();
}

async fn staff_list_and_release_holds(database: Database) {
    let harness = harness(&database).await;
    let one = harness.visitor("one");
    let first = hold_one(&harness, &one, 0).await.unwrap();
    harness.advance(1);
    let second = hold_one(&harness, &one, 60).await.unwrap();
    let staffs = hold_one(&harness, &harness.context(), 120).await.unwrap();
    let list = async |page: Page| {
        let request = harness.request(ListHoldsRequest { page: Some(page) });
        harness.booking.clone().list_holds(request).await.unwrap().into_inner()
    };
    let page = list(Page { limit: 2, cursor: String::new() }).await;
    let ids =
        |page: &wire::booking::ListHoldsResponse| page.holds.iter().map(|hold| hold.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&page), [first.id.clone(), second.id.clone()]);
    let listed = &page.holds[1];
    assert_eq!((listed.created_by.as_str(), listed.created_at_us), ("key_test", harness.clock.now_us()));
    assert_eq!((listed.expires_at_us, &listed.slots[0].slot_id), (second.expires_at_us, &second.slots[0].slot_id));
    assert_eq!(listed.slots[0].time_zone, second.slots[0].time_zone);
    let rest = list(Page { limit: 2, cursor: page.next_cursor }).await;
    assert_eq!((ids(&rest), rest.next_cursor.as_str()), (vec![staffs.id.clone()], ""));
    release_as(&harness, &harness.context(), &first.id).await.unwrap();
    harness.advance(5);
    assert_eq!(ids(&list(Page::default()).await), [staffs.id]);
}
