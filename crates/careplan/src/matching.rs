//! New times for the appointments of many patients at once: the cheapest assignment of open times.
//!
//! Times are *cells*: disjoint intervals of one practitioner's time in one room, so that each can be assigned whatever
//! happens to the others. That is the assignment problem, which the Hungarian method solves exactly (Kuhn, 1955; Munkres,
//! 1957). Appointments of one patient must also keep their gaps and not overlap: the earlier one keeps its assigned time,
//! the later one is restricted to times that fit it, and the problem is solved again until nothing conflicts.

use domain::{
    claim::NEEDLING_SPACING_HOURS,
    directory::GapDays,
    id::{PatientId, PractitionerId},
};
use jiff::{SignedDuration, civil::Date};
use pathfinding::{kuhn_munkres::kuhn_munkres_min, matrix::Matrix};

use crate::series::{Candidate, Weights, day};

/// The cost of leaving an appointment without a time: more than any time costs.
const UNPLACED: i64 = 1_000_000_000_000;

/// A visit of the same plan that does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// The day of the visit.
    pub on: Date,
    /// The gap in days.
    pub gap: GapDays,
}

/// An appointment that needs another time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The patient.
    pub patient: PatientId,
    /// The present time, practitioner and location.
    pub current: Candidate,
    /// Practitioners whom the patient knows, the present one included.
    pub known: Vec<PractitionerId>,
    /// Whether the 48-hour rule applies.
    pub needling: bool,
    /// The visit that its gap is measured from, if that one stays.
    pub before: Option<Neighbour>,
    /// The visit whose gap is measured from it, if that one stays.
    pub next: Option<Neighbour>,
    /// The earlier item that its gap is measured from, with the gap, if that one moves, too.
    pub after: Option<(usize, GapDays)>,
    /// The times that it may have.
    pub offers: Vec<Offer>,
}

/// A time that an item may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The cell that the time occupies.
    pub cell: usize,
    /// The time, practitioner and location.
    pub at: Candidate,
}

/// The result for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The item is assigned the offer with this index.
    Placed(usize),
    /// None of the item's offers keeps its gaps.
    NoOffer,
    /// Other items need its offers.
    Contended,
}

/// The cheapest assignment that places as many items as possible; one outcome for each item.
pub fn assign(items: &[Item], weights: &Weights) -> Vec<Outcome> {
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
        // The first item keeps its offer; the second keeps the offers that fit it.
        open[first].retain(|offer| offer.offer == kept);
        let (earlier, later) = (&items[first], &items[second]);
        let keeps = &earlier.offers[kept].at;
        open[second].retain(|offer| agree(earlier, keeps, first, later, &later.offers[offer.offer].at));
    }
}

/// An offer that keeps the gaps, with its cost.
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

/// The cost of a time for an item, in points; `None` where the time breaks a gap.
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

/// The cheapest assignment of offers to items that uses no cell twice.
fn cheapest(open: &[Vec<Priced>]) -> Vec<Option<usize>> {
    let count = open.len();
    if count == 0 {
        return vec![];
    }
    // An item needs at most as many cells as there are items: one of them is always free.
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
    // A column for each cell, and one for each item to stay unplaced.
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

/// The first two items of one patient whose offers conflict, with the offer of the first: (first, offer, second).
fn conflict(items: &[Item], chosen: &[Option<usize>]) -> Option<(usize, usize, usize)> {
    let pairs = (0..items.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
    let mut same_patient = pairs.filter(|(first, second)| items[*first].patient == items[*second].patient);
    same_patient.find_map(|(first, second)| {
        let (kept, other) = chosen[first].zip(chosen[second])?;
        let (one, then) = (&items[first].offers[kept].at, &items[second].offers[other].at);
        (!agree(&items[first], one, first, &items[second], then)).then_some((first, kept, second))
    })
}

/// Whether two items of one patient can have these times; `earlier_at` is the index of the earlier item.
fn agree(earlier: &Item, at: &Candidate, earlier_at: usize, later: &Item, then: &Candidate) -> bool {
    let spacing =
        SignedDuration::from_hours(if earlier.needling && later.needling { NEEDLING_SPACING_HOURS } else { 0 });
    let apart = then.visit.start() >= at.visit.end() + spacing || at.visit.start() >= then.visit.end() + spacing;
    let follows = later.after.filter(|(from, _)| *from == earlier_at).is_none_or(|(_, gap)| {
        let days = day(then.date) - day(at.date);
        (gap.least as i32..=gap.most as i32).contains(&days) && then.visit.start() >= at.visit.end()
    });
    apart && follows
}
