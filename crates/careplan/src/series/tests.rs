//! Against brute force: every combination of small problems, by the rules as the documentation states them.

use domain::{
    directory::GapDays,
    id::{LocationId, PractitionerId},
    time::Interval,
};
use jiff::{SignedDuration, Timestamp, civil::Date};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn start_on() -> Date {
    jiff::civil::date(2026, 3, 2)
}

/// A candidate so many days after the start, at an hour, by a practitioner, at a location.
fn candidate(days: i32, hour: i8, practitioner: u128, location: u128, demand: u16) -> Candidate {
    let date = start_on().checked_add(jiff::Span::new().days(days)).unwrap();
    let starts: Timestamp = date.at(hour, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    Candidate {
        visit: Interval::new(starts, starts + SignedDuration::from_mins(30)).unwrap(),
        date,
        minute: u16::try_from(hour).unwrap() * 60,
        practitioner: PractitionerId::new(Uuid::from_u128(practitioner)),
        location: LocationId::new(Uuid::from_u128(location)),
        demand,
        outside: Outside::default(),
    }
}

fn gap(least: u32, ideal: u32, most: u32) -> GapDays {
    GapDays { least, ideal, most }
}

fn session(gap: Option<GapDays>, candidates: Vec<Candidate>) -> Session {
    let days = (Date::MIN, Date::MAX);
    Session { gap, back: 1, paired: false, needling: false, open: candidates.into(), days, current: None, fixed: false }
}

fn problem(sessions: Vec<Session>) -> Problem {
    Problem { sessions, start_on: start_on(), practitioner: None, weights: Weights::default(), steady: false }
}

/// Whether picks keep every rule.
fn keeps_rules(problem: &Problem, picks: &[usize]) -> bool {
    let of = |at: usize| problem.sessions[at].candidate(picks[at]);
    let spacing = SignedDuration::from_hours(48);
    (0..picks.len()).all(|at| {
        let session = &problem.sessions[at];
        let Some(before) = at.checked_sub(1) else { return true };
        let past = |from: usize| problem.sessions[from].fixed && session.fixed;
        let apart = |from: usize| (of(at).date - of(from).date).get_days();
        let in_gap = session
            .gap
            .zip(at.checked_sub(session.back))
            .filter(|(_, from)| !past(*from))
            .is_none_or(|(gap, from)| (gap.least as i32..=gap.most as i32).contains(&apart(from)));
        let own_day = past(before) || !(session.paired || session.back == 2) || of(at).date != of(before).date;
        let same_week = past(before)
            || !session.paired
            || of(at).date.iso_week_date().week() == of(before).date.iso_week_date().week();
        let spaced = !session.needling
            || (0..at)
                .all(|from| !problem.sessions[from].needling || of(at).visit.start() >= of(from).visit.end() + spacing);
        in_gap && own_day && same_week && spaced && (past(before) || of(at).visit.start() >= of(before).visit.end())
    })
}

/// All series that keep the rules with their costs, cheapest first.
fn all_series(problem: &Problem) -> Vec<(u64, Vec<usize>)> {
    let mut series: Vec<Vec<usize>> = vec![vec![]];
    for session in &problem.sessions {
        let longer = |picks: &Vec<usize>| {
            let picks = picks.clone();
            session.picks().map(move |pick| [picks.clone(), vec![pick]].concat()).collect::<Vec<_>>()
        };
        series = series.iter().flat_map(longer).collect();
    }
    series.retain(|picks| keeps_rules(problem, picks));
    let mut series: Vec<_> = series.into_iter().map(|picks| (problem.terms(&picks).cost(), picks)).collect();
    series.sort_unstable();
    series
}

/// Whether all sessions that two series both move have another practitioner, or all another part of the day, or all
/// another day.
fn differ(problem: &Problem, one: &[usize], other: &[usize]) -> bool {
    let both = (0..one.len()).filter(|at| one[*at] != CURRENT && other[*at] != CURRENT);
    let both = both.map(|at| (problem.sessions[at].candidate(one[at]), problem.sessions[at].candidate(other[at])));
    let both: Vec<_> = both.collect();
    let part = |it: &Candidate| (it.minute >= 12 * 60) as u8 + (it.minute >= 17 * 60) as u8;
    both.iter().all(|(one, other)| one.practitioner != other.practitioner)
        || both.iter().all(|(one, other)| part(one) != part(other))
        || both.iter().all(|(one, other)| one.date != other.date)
}

fn any_candidate(days: std::ops::Range<i32>) -> impl Strategy<Value = Candidate> {
    (
        days,
        prop::sample::select(vec![8_i8, 9, 12, 18]),
        1..3_u128,
        1..3_u128,
        prop::sample::select(vec![0_u16, 500, 1000]),
    )
        .prop_map(|(days, hour, practitioner, location, demand)| {
            // Each practitioner works at one location more than at the other.
            candidate(days, hour, practitioner, (location * practitioner) % 2 + 1, demand)
        })
}

fn any_session(at: i32) -> impl Strategy<Value = Session> {
    let gaps =
        (0..4_u32, 0..3_u32, 0..3_u32).prop_map(|(least, more, most)| gap(least, least + more, least + more + most));
    let candidates = prop::collection::vec(any_candidate(at * 2..at * 3 + 5), 1..7);
    let current = prop::option::weighted(0.2, 0..7_usize);
    (gaps, candidates, any::<bool>(), current, 0..6_u8, prop::bool::weighted(0.3)).prop_map(
        move |(gap, mut candidates, needling, current, shape, fixed)| {
            let current = if fixed { Some(0) } else { current.filter(|pick| *pick < candidates.len()) };
            let current = current.map(|pick| candidates.remove(pick));
            Session {
                gap: (at > 0).then_some(gap),
                back: if at > 1 && shape == 5 { 2 } else { 1 },
                paired: at > 0 && shape == 4,
                needling,
                current,
                fixed,
                ..session(None, candidates)
            }
        },
    )
}

fn any_problem() -> impl Strategy<Value = Problem> {
    let sessions = (2..5_i32).prop_flat_map(|count| (0..count).map(any_session).collect::<Vec<_>>());
    (sessions, prop::option::of(1..3_u128), any::<bool>()).prop_map(|(mut sessions, preferred, steady)| {
        let mut ended = Timestamp::MIN;
        for session in sessions.iter_mut().filter(|session| session.fixed) {
            let visit = session.current.unwrap().visit;
            session.fixed = visit.start() >= ended;
            ended = if session.fixed { visit.end() } else { ended };
        }
        let practitioner = preferred.map(|preferred| PractitionerId::new(Uuid::from_u128(preferred)));
        Problem { practitioner, steady, ..problem(sessions) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_k_best_are_the_k_best_of_all(problem in any_problem(), k in 1..6_usize) {
        let all: Vec<u64> = all_series(&problem).into_iter().map(|(cost, _)| cost).collect();
        match best(&problem, k) {
            Ok(series) => {
                let costs: Vec<u64> = series.iter().map(|series| series.terms.cost()).collect();
                prop_assert_eq!(&costs, &all[..k.min(all.len())]);
                let mut picks: Vec<_> = series.iter().map(|series| series.picks.clone()).collect();
                prop_assert!(picks.iter().all(|picks| keeps_rules(&problem, picks)));
                picks.sort();
                picks.dedup();
                prop_assert_eq!(picks.len(), series.len(), "no series twice");
            }
            Err(infeasible) => {
                prop_assert!(all.is_empty());
                // The sessions before it can be had.
                let mut shorter = problem.clone();
                shorter.sessions.truncate(infeasible.session);
                prop_assert!(best(&shorter, 1).is_ok());
            }
        }
    }

    #[test]
    fn each_of_the_varied_is_the_cheapest_that_differs_from_those_before_it(problem in any_problem(), k in 1..7_usize) {
        let all = all_series(&problem);
        let Ok(found) = varied(&problem, k) else {
            prop_assert!(all.is_empty());
            return Ok(());
        };
        let is_left = |known: &[Series], picks: &[usize]| known.iter().all(|it| differ(&problem, &it.picks, picks));
        for (at, series) in found.iter().enumerate() {
            prop_assert!(keeps_rules(&problem, &series.picks) && is_left(&found[..at], &series.picks));
            let cheapest = all.iter().find(|(_, picks)| is_left(&found[..at], picks)).map(|(cost, _)| *cost);
            prop_assert_eq!(Some(series.terms.cost()), cheapest);
        }
        let none_new = found[0].picks.iter().all(|pick| *pick == CURRENT);
        let more = !none_new && all.iter().any(|(_, picks)| is_left(&found, picks));
        prop_assert!(found.len() == k || !more, "{} of {k}, and there are more", found.len());
    }
}

#[test]
fn varied_series_differ_in_every_session_and_say_how() {
    // Each day in the morning and in the afternoon with one, and in the morning with another.
    let days = |days: std::ops::Range<i32>| {
        let all = |day| [candidate(day, 9, 1, 1, 0), candidate(day, 14, 1, 1, 400), candidate(day, 9, 2, 1, 1000)];
        days.flat_map(all).collect()
    };
    let plan = problem(vec![
        session(None, days(0..3)),
        session(Some(gap(3, 5, 7)), days(3..10)),
        session(Some(gap(3, 5, 7)), days(6..17)),
    ]);
    let found = varied(&plan, 4).unwrap();
    let text: Vec<String> = found.iter().map(|series| plan.explain(series, &found[0])).collect();
    let whole = "3 sessions from 2026-03-02 to 2026-03-12 with 1 practitioner at 1 location; every gap is ideal";
    assert_eq!(text[0], whole);
    assert_eq!(found[1].terms.lateness, 30, "a day later each");
    assert_eq!(
        text[1],
        "3 sessions from 2026-03-03 to 2026-03-13 with 1 practitioner at 1 location; begins 1 day after the first \
         possible day; unlike the first proposal, every session is on another day, the first 1 day later"
    );
    assert_eq!(text[2], format!("{whole}; unlike the first proposal, every session is in the afternoon"));
    assert_eq!(
        text[3].split("; ").last(),
        Some("unlike the first proposal, every session is on another day, the first 2 days later")
    );
    let seventh = &varied(&plan, 7).unwrap()[6];
    let text = plan.explain(seventh, &found[0]);
    assert_eq!(text, format!("{whole}; unlike the first proposal, every session is with another practitioner"));
}

#[test]
fn a_preference_says_what_counts_most() {
    // One practitioner is open soon, for two sessions; another one is, for all three, in four weeks.
    let few = |days: &[i32], who: u128| days.iter().map(|day| candidate(*day, 9, who, 1, 0)).collect::<Vec<_>>();
    let sessions = vec![
        session(None, [few(&[4], 1), few(&[22], 2)].concat()),
        session(Some(gap(3, 5, 7)), [few(&[7], 1), few(&[27], 2)].concat()),
        session(Some(gap(3, 5, 7)), [few(&[14], 3), few(&[32], 2)].concat()),
    ];
    let first = |plan: &Problem| best(plan, 1).unwrap()[0].picks.clone();
    let plan = problem(sessions);
    assert_eq!(first(&plan.clone().prefer(Preference::Soonest)), [0, 0, 0]);
    assert_eq!(first(&plan.prefer(Preference::Continuity)), [1, 1, 1]);

    // Ideal gaps at changing hours, or the same hour each time.
    let both = |day: i32, other: i8| vec![candidate(day, other, 1, 1, 0), candidate(day + 1, 9, 1, 1, 0)];
    let plan = problem(vec![
        session(None, vec![candidate(0, 9, 1, 1, 0)]),
        session(Some(gap(3, 5, 7)), both(5, 18)),
        session(Some(gap(3, 5, 7)), vec![candidate(10, 14, 1, 1, 0), candidate(10, 11, 1, 1, 40)]),
    ]);
    assert_eq!(first(&plan), [0, 0, 0]);
    let plan = plan.prefer(Preference::Hours);
    let steady = best(&plan, 1).unwrap().remove(0);
    assert_eq!((steady.picks.as_slice(), steady.terms.hours), ([0, 1, 1].as_slice(), 0));
    assert!(plan.explain(&steady, &steady).contains("; all in the morning"), "{}", plan.explain(&steady, &steady));
    let other = plan.terms(&[0, 0, 0]);
    assert_eq!(other.hours, 600 * (3 + 2), "three hours before the afternoon, and the second hour after it begun");
}

#[test]
fn ideal_gaps_with_one_practitioner_beat_everything_else() {
    let days =
        |days: &[i32]| days.iter().flat_map(|day| [candidate(*day, 9, 1, 1, 0), candidate(*day, 9, 2, 1, 0)]).collect();
    let plan = problem(vec![
        session(None, days(&[0, 1])),
        session(Some(gap(3, 5, 7)), days(&[3, 4, 5, 6])),
        session(Some(gap(3, 5, 7)), days(&[8, 9, 10])),
    ]);
    let series = best(&plan, 2).unwrap();
    assert_eq!(series[0].terms.cost(), 0, "days 0, 5 and 10, all with one of them");
    assert_eq!(series[1].terms.cost(), 0, "or all with the other");
    assert_eq!(
        plan.explain(&series[0], &series[0]),
        "3 sessions from 2026-03-02 to 2026-03-12 with 1 practitioner at 1 location; every gap is ideal"
    );
}

#[test]
fn the_fewest_booked_sessions_move() {
    // The second session has lost its time; moving the third as well would make the gaps ideal.
    let current = Some(candidate(10, 9, 1, 1, 0));
    let third = Session { current, ..session(Some(gap(3, 5, 7)), vec![candidate(12, 9, 1, 1, 0)]) };
    let first = Session { current: Some(candidate(0, 9, 1, 1, 0)), fixed: true, ..session(None, vec![]) };
    let plan = problem(vec![first, session(Some(gap(3, 5, 7)), vec![candidate(7, 9, 1, 1, 0)]), third]);
    let series = best(&plan, 1).unwrap();
    assert_eq!((series[0].picks.as_slice(), series[0].terms.moved), ([CURRENT, 0, CURRENT].as_slice(), 0));
}

#[test]
fn a_refusal_names_the_session_and_the_smallest_relaxation() {
    let plan = problem(vec![
        session(None, vec![candidate(0, 9, 1, 1, 0)]),
        session(Some(gap(3, 5, 7)), vec![candidate(9, 9, 1, 1, 0)]),
    ]);
    let none = best_or_relaxed(&plan, 3).unwrap_err();
    assert_eq!(none, NoSeries { session: 1, relaxation: Some(Relaxation::LongerGap { session: 1, days: 2 }) });

    let mut late = candidate(5, 19, 1, 1, 0);
    late.outside.minutes = 120;
    let plan = problem(vec![session(None, vec![candidate(0, 9, 1, 1, 0)]), session(Some(gap(3, 5, 7)), vec![late])]);
    let none = best_or_relaxed(&plan, 3).unwrap_err();
    assert_eq!(none, NoSeries { session: 1, relaxation: Some(Relaxation::OtherHours) });
}

#[test]
fn gaps_are_counted_in_local_dates_across_a_clock_change() {
    // Late on the day before the clocks change and early five days later: 5 dates apart, not 4 times 24 hours.
    let zone = jiff::tz::TimeZone::get("America/Edmonton").unwrap();
    let at = |date: Date, hour: i8| {
        let starts = date.at(hour, 0, 0, 0).to_zoned(zone.clone()).unwrap().timestamp();
        let visit = Interval::new(starts, starts + SignedDuration::from_mins(30)).unwrap();
        Candidate { visit, date, ..candidate(0, hour, 1, 1, 0) }
    };
    let plan = problem(vec![
        session(None, vec![at(jiff::civil::date(2026, 3, 7), 20)]),
        session(Some(gap(5, 5, 5)), vec![at(jiff::civil::date(2026, 3, 12), 7)]),
    ]);
    assert_eq!(best(&plan, 1).unwrap()[0].terms.gaps, 0);
}

#[test]
fn a_costlier_start_is_kept_where_only_it_leaves_two_days_for_the_needling_after_next() {
    let needling = |gap, candidates| Session { needling: true, ..session(gap, candidates) };
    let plan = problem(vec![
        needling(None, vec![candidate(0, 16, 1, 1, 0), candidate(0, 8, 1, 1, 1000)]),
        session(Some(gap(1, 1, 1)), vec![candidate(1, 9, 1, 1, 0)]),
        needling(Some(gap(1, 1, 1)), vec![candidate(2, 9, 1, 1, 0)]),
    ]);
    assert_eq!(best(&plan, 1).unwrap()[0].picks, [1, 0, 0]);
}

#[test]
fn the_stated_chronic_case_has_series_that_keep_the_rules() {
    let plan = crate::bench::chronic_case(1);
    assert_eq!(plan.sessions.len(), 16);
    let series = best(&plan, 3).unwrap();
    assert_eq!(series.len(), 3);
    assert!(series.iter().all(|series| keeps_rules(&plan, &series.picks)));
    assert!(series.is_sorted_by_key(|series| series.terms.cost()));
}
