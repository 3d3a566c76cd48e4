//! Concurrent bookings: no overlap, one winner of each conflict, no deadlock.

use std::sync::atomic::{AtomicUsize, Ordering};

use rpc::Code;
use testkit::database::Database;
use uuid::Uuid;
use wire::{booking::Change, common::Claim};

use crate::harness::{ALAN, EVALUATION, GRACE, Harness, NEEDLING, PLAIN, after, slot, visit};

testkit::engines!(a_storm_of_bookings_leaves_no_overlap, needling_too_close_is_refused_in_either_order);

/// Attempts in all; `MERIDIAN_STORM` asks for more, for a long run.
fn attempts() -> u32 {
    std::env::var("MERIDIAN_STORM").ok().and_then(|text| text.parse().ok()).unwrap_or(1500)
}

/// Every claim of a snapshot.
fn claims(changes: &[Change]) -> Vec<&Claim> {
    changes.iter().flat_map(|change| &change.claims).collect()
}

/// No two claims on one unit of one resource overlap.
pub fn assert_apart(changes: &[Change]) {
    let mut sorted = claims(changes);
    sorted.sort_by_key(|claim| (claim.kind, claim.resource.clone(), claim.unit, claim.starts_at_us));
    for pair in sorted.windows(2) {
        let key = |claim: &Claim| (claim.kind, claim.resource.clone(), claim.unit);
        let apart = key(pair[0]) != key(pair[1]) || pair[0].ends_at_us <= pair[1].starts_at_us;
        assert!(apart, "{:?} overlaps {:?}", pair[0], pair[1]);
    }
}

async fn a_storm_of_bookings_leaves_no_overlap(database: Database) {
    const WRITERS: u32 = 16;
    let harness = Harness::over(&database).await;
    let (won, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let writer = async |writer: u32| {
        for turn in 0..attempts() / WRITERS {
            let number = writer + turn * WRITERS;
            // Three practitioners, two rooms, few patients, starts five minutes apart: all of it clashes.
            let practitioner = Uuid::from_u128(0x61 + u128::from(number * 7 % 3));
            let start = after(i64::from(number * 7919 % 400) * 5);
            match harness.try_book(visit(&slot(PLAIN, practitioner, start), number * 31 % 40)).await {
                Ok(booked) => {
                    won.fetch_add(1, Ordering::Relaxed);
                    if number.is_multiple_of(4) {
                        harness.cancel(&booked.id).await;
                        won.fetch_sub(1, Ordering::Relaxed);
                    }
                }
                Err(fault) => {
                    let expected = matches!(fault.code, Code::SlotTaken | Code::PatientBusy);
                    assert!(expected, "no deadlock, no time-out, no failure: {fault:?}");
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    };
    futures::future::join_all((0..WRITERS).map(writer)).await;
    let (changes, _) = harness.snapshot().await;
    assert_apart(&changes);
    let live = changes.iter().filter(|change| !change.claims.is_empty()).count();
    assert_eq!(live, won.into_inner(), "each success has its claims, each refusal and each cancellation none");
    assert!(live > 40 && lost.into_inner() > 400, "the storm clashed, and booked something: {live}");
}

async fn needling_too_close_is_refused_in_either_order(database: Database) {
    let harness = Harness::over(&database).await;
    for patient in 0..10_u32 {
        harness.book(visit(&slot(EVALUATION, GRACE, after(i64::from(patient) * 60)), patient)).await;
    }
    for patient in 0..10_u32 {
        // 47 hours apart, by two practitioners in two rooms: nothing but the spacing can refuse.
        let first = after(10_000 + i64::from(patient) * 60);
        let second = first + jiff::SignedDuration::from_hours(47);
        let (a, b) = (slot(NEEDLING, GRACE, first), slot(NEEDLING, ALAN, second));
        let (one, other) = tokio::join!(harness.try_book(visit(&a, patient)), harness.try_book(visit(&b, patient)));
        let refused = [one, other].into_iter().filter_map(Result::err).map(|fault| fault.code).collect::<Vec<_>>();
        assert_eq!(refused, [Code::TooSoonAfterNeedling], "exactly one of them");
    }
}
