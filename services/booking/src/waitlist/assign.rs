//! Assigns free slots to the entries that they help most. Pure.

use std::{cmp::Reverse, collections::HashSet};

use uuid::Uuid;

/// The gap that a session of a plan has to keep. Days are counted from 1970-01-01 on the location's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GapTarget {
    /// The day of the session that the gap is measured from.
    pub(crate) from: i32,
    pub(crate) least: i32,
    pub(crate) ideal: i32,
    pub(crate) most: i32,
    /// The day of the present appointment; `None` where the session is not booked.
    pub(crate) booked_on: Option<i32>,
}

impl GapTarget {
    /// By how many days an appointment on this day brings the gap nearer to its ideal; `None` where it comes too soon, or
    /// no nearer.
    pub(crate) fn improvement(&self, day: i32) -> Option<i32> {
        let deviation = |day: i32| (day - self.from - self.ideal).abs();
        // A session that is not booked counts as one day past its last day.
        let present = self.booked_on.map_or(self.most - self.ideal + 1, deviation).max(0);
        // Past its last day any appointment improves the gap.
        let present = if self.booked_on.is_none() { present.max(deviation(day) + 1) } else { present };
        let improvement = present - deviation(day);
        (day - self.from >= self.least && improvement > 0).then_some(improvement)
    }
}

/// An entry that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitingEntry {
    pub(crate) id: Uuid,
    pub(crate) patient: Uuid,
    pub(crate) since_us: i64,
    pub(crate) gap: Option<GapTarget>,
}

/// A free slot that fits some entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FreeSlot {
    pub(crate) slot_id: String,
    pub(crate) starts_at_us: i64,
    /// Counted from 1970-01-01 on the location's calendar.
    pub(crate) day: i32,
    /// Indices of the entries that the slot fits.
    pub(crate) fits: Vec<usize>,
}

/// Assigns slots to entries, as pairs of an entry's and a slot's index. The earliest slot comes first; it goes to the
/// session whose gap it improves by the most days, then to the entry that has waited longest. No patient gets two.
pub(crate) fn assign(entries: &[WaitingEntry], slots: &[FreeSlot]) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..slots.len()).collect();
    order.sort_by_key(|at| (slots[*at].starts_at_us, &slots[*at].slot_id));
    let (mut served, mut assigned) = (HashSet::new(), Vec::new());
    for slot_at in order {
        let slot = &slots[slot_at];
        let rank = |entry: &WaitingEntry| {
            let help = match entry.gap {
                Some(gap) => (true, gap.improvement(slot.day)?),
                None => (false, 0),
            };
            Some((help, Reverse((entry.since_us, entry.id))))
        };
        let waiting = slot.fits.iter().filter(|at| !served.contains(&entries[**at].patient));
        let best = waiting.filter_map(|at| Some((rank(&entries[*at])?, *at))).max();
        if let Some((_, entry_at)) = best {
            served.insert(entries[entry_at].patient);
            assigned.push((entry_at, slot_at));
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u128, since_us: i64, gap: Option<GapTarget>) -> WaitingEntry {
        WaitingEntry { id: Uuid::from_u128(id), patient: Uuid::from_u128(100 + id), since_us, gap }
    }

    fn slot(number: i64, day: i32, fits: &[usize]) -> FreeSlot {
        FreeSlot { slot_id: format!("slot_{number}"), starts_at_us: number, day, fits: fits.to_vec() }
    }

    const GAP: GapTarget = GapTarget { from: 100, least: 5, ideal: 7, most: 10, booked_on: None };

    #[test]
    fn a_gap_improves_by_the_days_that_it_comes_nearer_to_its_ideal() {
        let booked = GapTarget { booked_on: Some(112), ..GAP };
        assert_eq!(booked.improvement(107), Some(5));
        assert_eq!(booked.improvement(110), Some(2));
        assert_eq!((booked.improvement(112), booked.improvement(115)), (None, None), "no nearer");
        assert_eq!(booked.improvement(104), None, "too soon after the session before");
        assert_eq!(GAP.improvement(107), Some(4));
        assert_eq!(GAP.improvement(105), Some(2));
        // Past its last day any appointment helps.
        assert_eq!((GAP.improvement(111), GAP.improvement(120)), (Some(1), Some(1)));
    }

    #[test]
    fn the_plan_that_improves_most_comes_first_and_then_the_longest_wait() {
        let entries = [
            entry(1, 10, None),
            entry(2, 50, Some(GapTarget { booked_on: Some(110), ..GAP })),
            entry(3, 60, Some(GapTarget { booked_on: Some(112), ..GAP })),
            entry(4, 5, None),
        ];
        assert_eq!(assign(&entries, &[slot(1, 107, &[0, 1, 2, 3])]), [(2, 0)]);
        let three = [slot(3, 107, &[0, 1, 2, 3]), slot(1, 107, &[0, 1, 2, 3]), slot(2, 107, &[0, 1, 2, 3])];
        assert_eq!(assign(&entries, &three), [(2, 1), (1, 2), (3, 0)], "the earliest slot first");
    }

    #[test]
    fn no_patient_gets_two_slots_and_no_entry_gets_a_slot_that_does_not_fit() {
        let entries = [entry(1, 10, None), WaitingEntry { patient: Uuid::from_u128(101), ..entry(2, 20, None) }];
        assert_eq!(assign(&entries, &[slot(1, 1, &[0]), slot(2, 1, &[0, 1])]), [(0, 0)]);
        assert_eq!(assign(&entries, &[slot(1, 1, &[])]), []);
    }
}
