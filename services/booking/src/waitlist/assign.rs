//! To whom a free slot goes: the one whom it helps most. Pure.

use std::{cmp::Reverse, collections::HashSet};

use uuid::Uuid;

/// Where a session of a plan should come, in days since 1970-01-01 of its place's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The day of the session that it is measured from.
    pub(crate) from: i32,
    pub(crate) least: i32,
    pub(crate) ideal: i32,
    pub(crate) most: i32,
    /// The day that it is booked on now; none where it is not.
    pub(crate) now: Option<i32>,
}

impl Place {
    /// By how many days a visit on this day mends the gap; none where it comes too soon, or mends nothing.
    pub(crate) fn mended(&self, day: i32) -> Option<i32> {
        let off = |day: i32| (day - self.from - self.ideal).abs();
        // A session that nobody has booked is as wrong as one just past its last day.
        let now = self.now.map_or(self.most - self.ideal + 1, off).max(0);
        // Past its last day a gap is mended the more, the sooner it ends.
        let now = if self.now.is_none() { now.max(off(day) + 1) } else { now };
        let mends = now - off(day);
        (day - self.from >= self.least && mends > 0).then_some(mends)
    }
}

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) entry: Uuid,
    pub(crate) patient: Uuid,
    pub(crate) since_us: i64,
    pub(crate) place: Option<Place>,
}

/// A free slot that somebody wishes for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Free {
    pub(crate) slot_id: String,
    pub(crate) starts_at_us: i64,
    /// In days since 1970-01-01, on the place's calendar.
    pub(crate) day: i32,
    /// Those who wish for it, by their place in the list of who waits.
    pub(crate) wished_by: Vec<usize>,
}

/// Which slot is offered to whom: the earliest slot first, each to the one whom it helps most: the session of a plan whose
/// gap it mends by the most days, then whoever has waited longest. Nobody gets two.
pub(crate) fn choose(waiting: &[Waiting], free: &[Free]) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..free.len()).collect();
    order.sort_by(|a, b| (free[*a].starts_at_us, &free[*a].slot_id).cmp(&(free[*b].starts_at_us, &free[*b].slot_id)));
    let (mut served, mut offers) = (HashSet::new(), Vec::new());
    for at in order {
        let slot = &free[at];
        let helped = |one: &usize| match waiting[*one].place {
            Some(place) => place.mended(slot.day).map(|days| (true, days)),
            None => Some((false, 0)),
        };
        let fit = slot.wished_by.iter().filter(|one| !served.contains(&waiting[**one].patient));
        let best = fit
            .filter_map(|one| Some((helped(one)?, Reverse((waiting[*one].since_us, waiting[*one].entry)), *one)))
            .max();
        if let Some((.., one)) = best {
            served.insert(waiting[one].patient);
            offers.push((one, at));
        }
    }
    offers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(entry: u128, since_us: i64, place: Option<Place>) -> Waiting {
        Waiting { entry: Uuid::from_u128(entry), patient: Uuid::from_u128(100 + entry), since_us, place }
    }

    fn free(number: i64, day: i32, wished_by: &[usize]) -> Free {
        Free { slot_id: format!("slot_{number}"), starts_at_us: number, day, wished_by: wished_by.to_vec() }
    }

    const PLACE: Place = Place { from: 100, least: 5, ideal: 7, most: 10, now: None };

    #[test]
    fn a_gap_is_mended_by_the_days_that_it_comes_nearer_to_its_ideal() {
        let booked = Place { now: Some(112), ..PLACE };
        assert_eq!(booked.mended(107), Some(5));
        assert_eq!(booked.mended(110), Some(2));
        assert_eq!((booked.mended(112), booked.mended(115)), (None, None), "no nearer");
        assert_eq!(booked.mended(104), None, "too soon after the one before");
        assert_eq!(PLACE.mended(107), Some(4));
        assert_eq!(PLACE.mended(105), Some(2));
        // Past its last day anything helps.
        assert_eq!((PLACE.mended(111), PLACE.mended(120)), (Some(1), Some(1)));
    }

    #[test]
    fn the_plan_that_is_mended_most_comes_first_then_who_waited_longest() {
        let all = [
            waiting(1, 10, None),
            waiting(2, 50, Some(Place { now: Some(110), ..PLACE })),
            waiting(3, 60, Some(Place { now: Some(112), ..PLACE })),
            waiting(4, 5, None),
        ];
        assert_eq!(choose(&all, &[free(1, 107, &[0, 1, 2, 3])]), [(2, 0)]);
        let three = [free(3, 107, &[0, 1, 2, 3]), free(1, 107, &[0, 1, 2, 3]), free(2, 107, &[0, 1, 2, 3])];
        assert_eq!(choose(&all, &three), [(2, 1), (1, 2), (3, 0)], "the earliest slot first");
    }

    #[test]
    fn nobody_gets_two_and_nobody_gets_what_was_not_wished_for() {
        let all = [waiting(1, 10, None), Waiting { patient: Uuid::from_u128(101), ..waiting(2, 20, None) }];
        assert_eq!(choose(&all, &[free(1, 1, &[0]), free(2, 1, &[0, 1])]), [(0, 0)]);
        assert_eq!(choose(&all, &[free(1, 1, &[])]), []);
    }
}
