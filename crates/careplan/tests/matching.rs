//! New times for many appointments at once, against every possible assignment.

use careplan::{
    matching::{Item, Neighbour, Offer, Outcome, assign, cost},
    series::{Candidate, Outside, Weights},
};
use domain::{
    directory::GapDays,
    id::{LocationId, PatientId, PractitionerId},
    time::Interval,
};
use jiff::{SignedDuration, civil::Date, tz::TimeZone};
use proptest::prelude::*;
use uuid::Uuid;

/// The cost of an appointment without a time.
const UNPLACED: u64 = 1_000_000_000_000;

fn date(days: i32) -> Date {
    jiff::civil::date(2026, 3, 2).checked_add(jiff::Span::new().days(days)).unwrap()
}

fn candidate(days: i32, hour: i8, practitioner: u128) -> Candidate {
    let starts = date(days).at(hour, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
    Candidate {
        visit: Interval::new(starts, starts + SignedDuration::from_mins(30)).unwrap(),
        date: date(days),
        minute: hour as u16 * 60,
        practitioner: PractitionerId::new(Uuid::from_u128(practitioner)),
        location: LocationId::new(Uuid::from_u128(1)),
        demand: 0,
        outside: Outside::default(),
    }
}

/// A cell's number encodes its day, hour and practitioner.
fn offer(days: i32, hour: i8, practitioner: u128) -> Offer {
    Offer {
        cell: days as usize * 1000 + hour as usize * 10 + practitioner as usize,
        at: candidate(days, hour, practitioner),
    }
}

fn item(patient: u128, offers: Vec<Offer>) -> Item {
    Item {
        patient: PatientId::new(Uuid::from_u128(patient)),
        current: candidate(1, 9, 1),
        known: vec![PractitionerId::new(Uuid::from_u128(1))],
        needling: false,
        before: None,
        next: None,
        after: None,
        offers,
    }
}

fn total(items: &[Item], chosen: &[Option<usize>]) -> Option<u64> {
    let mut cells = std::collections::HashSet::new();
    let mut sum = 0;
    for (item, offer) in items.iter().zip(chosen) {
        sum += match offer {
            None => UNPLACED,
            Some(offer) => {
                let offer = &item.offers[*offer];
                if !cells.insert(offer.cell) {
                    return None;
                }
                cost(item, &offer.at, &Weights::default())?
            }
        };
    }
    Some(sum)
}

/// The cheapest of all assignments.
fn cheapest(items: &[Item], chosen: &mut Vec<Option<usize>>) -> u64 {
    let at = chosen.len();
    if at == items.len() {
        return total(items, chosen).unwrap_or(u64::MAX);
    }
    let choices = std::iter::once(None).chain((0..items[at].offers.len()).map(Some));
    let costs = choices.map(|choice| {
        chosen.push(choice);
        let cost = cheapest(items, chosen);
        chosen.pop();
        cost
    });
    costs.min().unwrap_or(u64::MAX)
}

fn placed(outcomes: &[Outcome]) -> Vec<Option<usize>> {
    let offer = |outcome: &Outcome| match outcome {
        Outcome::Placed(offer) => Some(*offer),
        _ => None,
    };
    outcomes.iter().map(offer).collect()
}

fn any_offer() -> impl Strategy<Value = Offer> {
    (0..6_i32, 9..12_i8, 1..3_u128).prop_map(|(days, hour, practitioner)| offer(days, hour, practitioner))
}

fn any_item(patient: u128) -> impl Strategy<Value = Item> {
    let neighbour = || {
        prop::option::of((0..4_u32, 0..4_u32).prop_map(|(least, more)| GapDays {
            least,
            ideal: least,
            most: least + more,
        }))
    };
    (prop::collection::vec(any_offer(), 0..5), neighbour(), neighbour(), any::<bool>()).prop_map(
        move |(offers, before, next, needling)| Item {
            before: before.map(|gap| Neighbour { on: date(0), gap }),
            next: next.map(|gap| Neighbour { on: date(5), gap }),
            needling,
            ..item(patient, offers)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_assignment_of_times_is_cheaper(
        items in (1..6_u128).prop_flat_map(|count| (0..count).map(any_item).collect::<Vec<_>>()),
    ) {
        let outcomes = assign(&items, &Weights::default());
        prop_assert_eq!(total(&items, &placed(&outcomes)), Some(cheapest(&items, &mut vec![])));
        for (item, outcome) in items.iter().zip(&outcomes) {
            let any = item.offers.iter().any(|offer| cost(item, &offer.at, &Weights::default()).is_some());
            prop_assert_eq!(*outcome == Outcome::NoOffer, !any);
        }
    }

    #[test]
    fn one_patients_appointments_keep_their_gaps_to_each_other(
        mut items in prop::collection::vec(any_item(1), 2..5), gap in (1..3_u32, 0..2_u32),
    ) {
        let gap = GapDays { least: gap.0, ideal: gap.0, most: gap.0 + gap.1 };
        for (before, item) in items.iter_mut().skip(1).enumerate() {
            item.after = Some((before, gap));
        }
        let chosen = placed(&assign(&items, &Weights::default()));
        prop_assert!(total(&items, &chosen).is_some(), "no cell twice, no gap broken");
        let at = |item: usize| chosen[item].map(|offer| items[item].offers[offer].at);
        for second in 1..items.len() {
            for first in 0..second {
                let (Some(one), Some(other)) = (at(first), at(second)) else { continue };
                let hours = if items[first].needling && items[second].needling { 48 } else { 0 };
                let spacing = SignedDuration::from_hours(hours);
                let apart = |one: &Candidate, other: &Candidate| other.visit.start() >= one.visit.end() + spacing;
                prop_assert!(apart(&one, &other) || apart(&other, &one));
                if first + 1 == second {
                    let days = (other.date - one.date).get_days();
                    prop_assert!((gap.least as i32..=gap.most as i32).contains(&days), "{days}");
                }
            }
        }
    }
}

#[test]
fn a_patient_stays_with_whom_they_know_and_near_their_hour() {
    let known = item(1, vec![offer(2, 9, 2), offer(3, 9, 1), offer(2, 11, 1)]);
    assert_eq!(assign(&[known], &Weights::default()), [Outcome::Placed(1)], "a day later with the same practitioner");
}

#[test]
fn a_visit_without_a_time_has_a_reason() {
    let wants = |patient| item(patient, vec![offer(2, 9, 1)]);
    let outcomes = assign(&[wants(1), wants(2), item(3, vec![])], &Weights::default());
    assert_eq!(outcomes.iter().filter(|it| matches!(it, Outcome::Placed(_))).count(), 1);
    assert_eq!(outcomes.iter().filter(|it| **it == Outcome::Contended).count(), 1);
    assert_eq!(outcomes[2], Outcome::NoOffer);
    assert!(assign(&[], &Weights::default()).is_empty());
}
