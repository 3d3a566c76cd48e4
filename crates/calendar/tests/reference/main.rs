//! The kernel against a reference that counts minutes, around real clock changes.
//!
//! [`naive`] is written from the rules alone: it knows jiff and loops over minutes, and nothing of this crate.
//! [`scenario`] makes random chains; [`kernel`] builds the same chain for the kernel, as its callers do.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod kernel;
mod naive;
mod scenario;

use std::collections::HashSet;

use calendar::search::{self, Answer, Query, Scratch, fits};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};

use crate::{kernel::Chain, naive::Start, scenario::Scenario};

const CASES: u32 = 32;

/// Compares the kernel and the reference in every answer, for one chain and one query.
fn agree(scenario: &Scenario) -> Result<(), TestCaseError> {
    let chain = Chain::new(scenario);
    let expected = naive::starts(scenario);
    chain.with(|locations, candidates| {
        let query = chain.query();
        let mut scratch = Scratch::default();
        let run = |query: &Query, scratch: &mut Scratch| search::search(query, locations, candidates, scratch);

        let all = run(&Query { limit: usize::MAX, ..query.clone() }, &mut scratch);
        prop_assert_eq!(plain(&all.starts), expected.clone(), "search and reference differ");
        prop_assert_eq!(all.searched_until, query.window.end);

        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let Answer { starts, searched_until } = run(&Query { after, ..query.clone() }, &mut scratch);
            prop_assert!(starts.len() <= query.limit);
            prop_assert!(paged.len() <= expected.len(), "pages go on past the last start");
            let full = starts.len() == query.limit;
            prop_assert!(full || searched_until == query.window.end, "a page that is not full is the last");
            after = starts.last().copied();
            paged.extend(plain(&starts));
            if !full {
                break;
            }
        }
        prop_assert_eq!(&paged, &expected, "pages and the whole differ");

        let expected_starts: HashSet<(i64, u32, u32)> =
            expected.iter().map(|one| (one.minute, one.location, one.practitioner)).collect();
        for candidate in candidates {
            let location = &locations[candidate.location as usize];
            for start in query.window.start - 300..query.window.end + 300 {
                let open = expected_starts.contains(&(start * 5, candidate.location, candidate.practitioner));
                let verdict = fits(&query, location, candidate, start);
                prop_assert_eq!(verdict.is_ok(), open, "fits says {:?} at {}", verdict, start);
            }
        }
        views(&expected, scenario, |scratch| {
            let days = search::days(&query, locations, candidates, scratch);
            (days, search::first_of_each_location(&query, locations, candidates, scratch))
        })
    })
}

/// The day view and the first starts of each location come from the same starts.
fn views(
    expected: &[Start],
    scenario: &Scenario,
    run: impl FnOnce(&mut Scratch) -> (Vec<search::Day>, Vec<Vec<search::Start>>),
) -> Result<(), TestCaseError> {
    let (days, firsts) = run(&mut Scratch::default());
    let mut counted: Vec<(i64, u32, u32, i64)> = Vec::new();
    for one in expected {
        let day = naive::local_day(&scenario.locations[one.location as usize].zone, one.minute);
        match counted.iter_mut().find(|(of, location, ..)| (*of, *location) == (day, one.location)) {
            Some(row) => row.2 += 1,
            None => counted.push((day, one.location, 1, one.minute)),
        }
    }
    counted.sort_unstable();
    let days: Vec<_> = days.iter().map(|day| (day.day, day.location, day.starts, day.first * 5)).collect();
    prop_assert_eq!(days, counted, "the day view");
    for (location, starts) in (0u32..).zip(&firsts) {
        let here: Vec<Start> =
            expected.iter().filter(|one| one.location == location).take(scenario.query.limit).cloned().collect();
        prop_assert_eq!(plain(starts), here, "the first starts of location {}", location);
    }
    Ok(())
}

fn plain(starts: &[search::Start]) -> Vec<Start> {
    starts
        .iter()
        .map(|start| Start { minute: start.tick * 5, location: start.location, practitioner: start.practitioner })
        .collect()
}

/// Empty chains prove nothing: most of the random chains must have open starts, and every rule must hide a start
/// somewhere.
#[test]
fn the_random_chains_are_rich() {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let strategy = scenario::around("America/Edmonton", &["2025-03-09", "2025-11-02"]);
    let (mut with_starts, mut hidden) = (0, HashSet::new());
    for _ in 0..100 {
        let scenario = strategy.new_tree(&mut runner).expect("a chain").current();
        let chain = Chain::new(&scenario);
        chain.with(|locations, candidates| {
            let query = chain.query();
            with_starts +=
                u32::from(!search::search(&query, locations, candidates, &mut Scratch::default()).starts.is_empty());
            for candidate in candidates {
                let verdict = |start| fits(&query, &locations[candidate.location as usize], candidate, start);
                hidden.extend((query.window.start - 1..=query.window.end).filter_map(|start| verdict(start).err()));
            }
        });
    }
    assert!(with_starts >= 50, "only {with_starts} of 100 chains have an open start");
    assert_eq!(hidden.len(), 10, "the rules that hide a start somewhere: {hidden:?}");
}

macro_rules! zones {
    ($($name:ident: $zone:literal, $dates:expr;)*) => {$(
        proptest! {
            #![proptest_config(Config { cases: CASES, failure_persistence: None, ..Config::default() })]
            #[test]
            fn $name(scenario in scenario::around($zone, &$dates)) {
                agree(&scenario)?;
            }
        }
    )*};
}

// The local dates of real clock changes, or of the day before where they happen at midnight.
zones! {
    edmonton: "America/Edmonton", ["2025-03-09", "2025-11-02"];
    new_york: "America/New_York", ["2025-03-09", "2025-11-02"];
    london: "Europe/London", ["2025-03-30", "2025-10-26"];
    sydney: "Australia/Sydney", ["2025-04-06", "2025-10-05"];
    lord_howe_shifts_by_half_an_hour: "Australia/Lord_Howe", ["2025-04-06", "2025-10-05"];
    st_johns_once_changed_at_a_minute_past_midnight: "America/St_Johns", ["2025-03-09", "2010-03-14", "2010-11-07"];
    apia_skipped_a_day: "Pacific/Apia", ["2011-12-29", "2011-12-31", "2012-04-01"];
    auckland: "Pacific/Auckland", ["2025-04-06", "2025-09-28"];
    havana_has_no_midnight: "America/Havana", ["2025-03-08", "2025-11-02"];
    kathmandu_is_three_quarters_off: "Asia/Kathmandu", ["2025-03-30"];
}
