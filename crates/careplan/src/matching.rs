//! New times for the appointments of many patients at once: the cheapest way to give each of them a time of its own.
//!
//! Times come as *cells*: stretches of one practitioner's time, in one room, that do not touch each other, so that each
//! can be given to one appointment whatever the others get. That makes it the assignment problem, which the Hungarian
//! method solves exactly (Kuhn, 1955; Munkres, 1957). Where several appointments are one patient's, they also
//! have to keep their gaps to each other and must not overlap: the earlier one keeps what the method gives it, the later
//! one gets what goes with that, and the whole is solved again until nothing conflicts.

use domain::{
    claim::NEEDLING_SPACING_HOURS,
    directory::GapDays,
    id::{PatientId, PractitionerId},
};
use jiff::{SignedDuration, civil::Date};
use pathfinding::{kuhn_munkres::kuhn_munkres_min, matrix::Matrix};

use crate::series::{Candidate, Weights, day};

/// What it costs to leave an appointment without a time: more than any time.
const UNPLACED: i64 = 1_000_000_000_000;

/// A visit of the same plan that stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Its day.
    pub on: Date,
    /// The days between.
    pub gap: GapDays,
}

/// An appointment that needs another time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Whose.
    pub patient: PatientId,
    /// Where it is now.
    pub current: Candidate,
    /// Practitioners whom the patient knows, its present one among them.
    pub known: Vec<PractitionerId>,
    /// Whether the 48-hour rule applies.
    pub needling: bool,
    /// What it is measured from, where that stays.
    pub before: Option<Neighbour>,
    /// What is measured from it, where that stays.
    pub next: Option<Neighbour>,
    /// What it is measured from, where that needs another time too: an earlier item.
    pub after: Option<(usize, GapDays)>,
    /// The times that it may take.
    pub offers: Vec<Offer>,
}

/// A time that an item may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The cell that it takes.
    pub cell: usize,
    /// When, with whom and where.
    pub at: Candidate,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It takes this one of its offers.
    Placed(usize),
    /// None of its offers keeps the rules.
    NoOffer,
    /// Others need the times that it could have.
    Contended,
}

/// The cheapest way to place as many items as can be.
pub fn matched(items: &[Item], weights: &Weights) -> Vec<Outcome> {
    let mut open: Vec<Vec<Priced>> = items.iter().map(|item| priced(item, weights)).collect();
    let had: Vec<bool> = open.iter().map(|offers| !offers.is_empty()).collect();
    loop {
        let chosen = cheapest(&open);
        let Some((first, kept, second)) = conflict(items, &chosen) else {
            let outcome = |(had, chosen): (bool, Option<usize>)| match chosen {
                Some(offer) => Outcome::Placed(offer),
                None if had => Outcome::Contended,
                None => Outcome::NoOffer,
            };
            return had.into_iter().zip(chosen).map(outcome).collect();
        };
        // The first keeps what it got; what is left to the second goes with that.
        open[first].retain(|offer| offer.offer == kept);
        let (earlier, later) = (&items[first], &items[second]);
        let keeps = &earlier.offers[kept].at;
        open[second].retain(|offer| agree(earlier, keeps, first, later, &later.offers[offer.offer].at));
    }
}

/// An offer that keeps the rules, and what it costs.
#[derive(Debug, Clone, Copy)]
struct Priced {
    offer: usize,
    cell: usize,
    cost: i64,
}

fn priced(item: &Item, weights: &Weights) -> Vec<Priced> {
    let price = |(offer, it): (usize, &Offer)| {
        Some(Priced { offer, cell: it.cell, cost: i64::try_from(cost(item, &it.at, weights)?).ok()? })
    };
    let mut offers: Vec<Priced> = item.offers.iter().enumerate().filter_map(price).collect();
    offers.sort_by_key(|offer| (offer.cost, offer.offer));
    offers
}

/// What it costs an item to take a time, in points; `None` where that breaks a gap.
pub fn cost(item: &Item, at: &Candidate, weights: &Weights) -> Option<u64> {
    let mut gaps = 0;
    let own = day(at.date);
    let kept = [
        item.before.map(|before| (own - day(before.on), before.gap)),
        item.next.map(|next| (day(next.on) - own, next.gap)),
    ];
    for (days, gap) in kept.into_iter().flatten() {
        if days < gap.least as i32 || days > gap.most as i32 {
            return None;
        }
        gaps += u64::from(days.abs_diff(gap.ideal as i32)) * u64::from(weights.gap_day);
    }
    let moved = own.abs_diff(day(item.current.date));
    let hours = item.current.minute.abs_diff(at.minute).div_ceil(60);
    let new = !item.known.contains(&at.practitioner);
    let away = item.current.location != at.location;
    Some(
        gaps + u64::from(moved) * u64::from(weights.late_day)
            + u64::from(hours) * u64::from(weights.hour)
            + if new { u64::from(weights.practitioner) } else { 0 }
            + if away { u64::from(weights.location) } else { 0 },
    )
}

/// The cheapest assignment of offers to items, no cell twice.
fn cheapest(open: &[Vec<Priced>]) -> Vec<Option<usize>> {
    let count = open.len();
    if count == 0 {
        return vec![];
    }
    // Of its own cells an item needs no more than there are items: one of them is always left.
    let needed = |offers: &Vec<Priced>| {
        let mut cells: Vec<usize> = Vec::new();
        let mut kept = Vec::new();
        for offer in offers {
            if !cells.contains(&offer.cell) && cells.len() < count {
                cells.push(offer.cell);
                kept.push(*offer);
            }
        }
        kept
    };
    let open: Vec<Vec<Priced>> = open.iter().map(needed).collect();
    let mut cells: Vec<usize> = open.iter().flatten().map(|offer| offer.cell).collect();
    cells.sort_unstable();
    cells.dedup();
    // A column for each cell, and one for each item that stands for no time at all.
    let mut costs = Matrix::new(count, cells.len() + count, 2 * UNPLACED);
    for (row, offers) in open.iter().enumerate() {
        for offer in offers {
            if let Ok(column) = cells.binary_search(&offer.cell) {
                costs[(row, column)] = offer.cost;
            }
        }
        costs[(row, cells.len() + row)] = UNPLACED;
    }
    let (_, columns) = kuhn_munkres_min(&costs);
    let chosen = columns.into_iter().zip(&open).map(|(column, offers)| {
        let cell = cells.get(column)?;
        offers.iter().find(|offer| offer.cell == *cell).map(|offer| offer.offer)
    });
    chosen.collect()
}

/// The first two items of one patient that cannot both have what they were given, and what the first was given.
fn conflict(items: &[Item], chosen: &[Option<usize>]) -> Option<(usize, usize, usize)> {
    let pairs = (0..items.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
    let mut of_one = pairs.filter(|(first, second)| items[*first].patient == items[*second].patient);
    of_one.find_map(|(first, second)| {
        let (kept, other) = chosen[first].zip(chosen[second])?;
        let (one, then) = (&items[first].offers[kept].at, &items[second].offers[other].at);
        (!agree(&items[first], one, first, &items[second], then)).then_some((first, kept, second))
    })
}

/// Whether two items of one patient can have these times; `first` is the place of the earlier one.
fn agree(one: &Item, at: &Candidate, first: usize, other: &Item, then: &Candidate) -> bool {
    let spacing = SignedDuration::from_hours(if one.needling && other.needling { NEEDLING_SPACING_HOURS } else { 0 });
    let apart = then.visit.start() >= at.visit.end() + spacing || at.visit.start() >= then.visit.end() + spacing;
    let follows = other.after.filter(|(from, _)| *from == first).is_none_or(|(_, gap)| {
        let days = day(then.date) - day(at.date);
        (gap.least as i32..=gap.most as i32).contains(&days) && then.visit.start() >= at.visit.end()
    });
    apart && follows
}
