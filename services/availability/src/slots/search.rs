//! Running a query on the kernel.
//!
//! The search walks time in windows that begin with a day and double. The first page counts caps for the first days only,
//! the lock on the calendars is held for one window at a time, and the search ends between two windows when its caller
//! has gone away.

use std::cell::RefCell;

use calendar::{
    Bits, Span,
    search::{self as kernel, Candidate, Day, Query, Scratch, Start},
    tick::{PER_DAY, Tick},
};
use domain::claim::Kind;

use super::{
    limits::{Cap, PeriodCache},
    query::SlotQuery,
    sessions::busy_starts,
    travel,
};
use crate::{
    index::{Location, Shift, merged},
    occupancy::{FreedCalendars, Occupancy},
    organisations::Organisation,
};

const FIRST_WINDOW: Tick = PER_DAY;
/// The longest window of a search.
pub(crate) const WINDOW_MAX: Tick = 32 * PER_DAY;

thread_local! {
    /// The kernel's buffers, kept from one search to the next.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// An open start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OpenSlot {
    /// Its location and practitioner are numbers of the index.
    pub(crate) start: Start,
    pub(crate) places_left: u32,
    /// The length of the visit: the service's, or that of the group session that it joins.
    pub(crate) minutes: u16,
}

/// Open slots in order.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) slots: Vec<OpenSlot>,
    /// Every start before this tick has been looked at.
    pub(crate) searched_until: Tick,
    /// Whether there may be slots after the last one.
    pub(crate) more: bool,
}

/// Windows that cover a range of ticks, each twice as long as the one before, up to `longest`.
pub(crate) fn windows(whole: Span, longest: Tick) -> impl Iterator<Item = Span> {
    let (mut start, mut length) = (whole.start, FIRST_WINDOW);
    std::iter::from_fn(move || {
        let window = Span::new(start, (start + length).min(whole.end));
        start = window.end;
        length = (length * 2).min(longest);
        (!window.is_empty()).then_some(window)
    })
}

impl SlotQuery {
    /// The ticks that are still to be searched.
    pub(crate) fn remaining(&self) -> Span {
        let Query { window, after, .. } = &self.kernel;
        Span::new(after.map_or(window.start, |after| after.tick.max(window.start)), window.end)
    }

    /// The first slots, at most `limit`.
    pub(crate) async fn page(&self, organisation: &Organisation, limit: usize) -> Page {
        self.page_at(organisation, &self.locations, limit).await
    }

    /// The first slots at some of the query's locations, at most `limit`.
    pub(crate) async fn page_at(&self, organisation: &Organisation, locations: &[u32], limit: usize) -> Page {
        let mut page = Page { searched_until: self.kernel.window.end, ..Page::default() };
        for window in windows(self.remaining(), WINDOW_MAX) {
            let part =
                self.search_window(&organisation.occupancy(self.now), locations, window, limit - page.slots.len());
            page.slots.extend(part.slots);
            if page.slots.len() >= limit {
                let more = part.more || window.end < self.kernel.window.end;
                return Page { searched_until: part.searched_until, more, ..page };
            }
            tokio::task::yield_now().await;
        }
        page
    }

    /// All slots. Those of one practitioner at one location come earliest first; the whole is not sorted.
    pub(crate) async fn all(&self, organisation: &Organisation) -> Vec<OpenSlot> {
        let mut slots = Vec::new();
        for window in windows(self.remaining(), WINDOW_MAX).filter(|_| self.is_offered()) {
            self.all_in_window(&organisation.occupancy(self.now), window, &mut slots);
            tokio::task::yield_now().await;
        }
        slots
    }

    fn all_in_window(&self, occupancy: &Occupancy, window: Span, slots: &mut Vec<OpenSlot>) {
        let before = slots.len();
        let starts = self.run_kernel(occupancy, &self.locations, window, usize::MAX, kernel::all);
        slots.extend(starts.into_iter().map(|start| self.open_slot(&self.locations, start)));
        if self.service.capacity > 1 {
            slots.extend(self.joinable_sessions(occupancy, &self.locations, window));
            slots[before..].sort_unstable();
        }
    }

    /// The first slots of a window at some locations.
    pub(crate) fn search_window(&self, occupancy: &Occupancy, locations: &[u32], window: Span, limit: usize) -> Page {
        if !self.is_offered() || window.is_empty() || limit == 0 {
            return Page { searched_until: window.end, ..Page::default() };
        }
        let answer = self.run_kernel(occupancy, locations, window, limit, kernel::search);
        let full = answer.starts.len() >= limit;
        let searched_until = if full { answer.searched_until } else { window.end };
        let mut slots: Vec<OpenSlot> =
            answer.starts.into_iter().map(|start| self.open_slot(locations, start)).collect();
        if self.service.capacity > 1 {
            // Sessions at the tick where the kernel stopped count too: they may come before its last start.
            let reached = Span::new(window.start, (searched_until + 1).min(window.end));
            slots.extend(self.joinable_sessions(occupancy, locations, reached));
            slots.sort_unstable();
        }
        let more = full || slots.len() > limit;
        slots.truncate(limit);
        let searched_until =
            if more { slots.last().map_or(searched_until, |last| last.start.tick) } else { searched_until };
        Page { slots, searched_until, more }
    }

    /// Whether the service is offered on the query's channel.
    fn is_offered(&self) -> bool {
        !self.online || self.service.online
    }

    /// The slot of a kernel's start, whose location is an index into `locations`.
    #[inline]
    fn open_slot(&self, locations: &[u32], start: Start) -> OpenSlot {
        OpenSlot {
            start: Start { location: locations[start.location as usize], ..start },
            places_left: self.service.capacity,
            minutes: u16::try_from(self.service.duration_minutes).unwrap_or(u16::MAX),
        }
    }

    /// Counts the starts of each local day of a window at each location of the query, by the location's number.
    pub(crate) fn count_days(&self, occupancy: &Occupancy, window: Span) -> Vec<Day> {
        if !self.is_offered() {
            return vec![];
        }
        let mut days = self.run_kernel(occupancy, &self.locations, window, usize::MAX, kernel::days);
        for day in &mut days {
            day.location = self.locations[day.location as usize];
        }
        if self.service.capacity > 1 {
            let sessions = self.joinable_sessions(occupancy, &self.locations, window);
            days.extend(sessions.iter().map(|session| {
                let start = session.start;
                let day = self.location(session).zone.local(start.tick).day;
                Day { day, location: start.location, starts: 1, first: start.tick }
            }));
        }
        days
    }

    /// Runs the kernel over a window; the locations of its answer are indices into `locations`.
    fn run_kernel<T>(
        &self,
        occupancy: &Occupancy,
        locations: &[u32],
        window: Span,
        limit: usize,
        run: impl FnOnce(&Query, &[kernel::Location<'_>], &[Candidate<'_>], &mut Scratch) -> T,
    ) -> T {
        let location_of = |number: &u32| &*self.index.locations[*number as usize];
        let calendars = FreedCalendars::new(occupancy, &self.freed);
        let rooms: Vec<_> = locations.iter().map(|number| self.rooms(&calendars, location_of(number))).collect();
        let units: Vec<_> = locations.iter().map(|number| self.units(&calendars, location_of(number))).collect();
        let kernel_locations: Vec<kernel::Location<'_>> = locations
            .iter()
            .zip(rooms.iter().zip(&units))
            .map(|(number, (rooms, units))| kernel::Location {
                zone: &location_of(number).zone,
                rooms: rooms.as_deref(),
                units: units.as_deref(),
            })
            .collect();
        let subset = subset_indices(locations, self.index.locations.len());
        let mut periods = PeriodCache::new(window);
        let busy = self.patient_busy_starts(occupancy);
        let shifts = self.index.shifts.iter().filter_map(|shift| {
            let location = subset[shift.location as usize].filter(|_| self.wants(shift.practitioner))?;
            Some((shift, location, self.allowed_starts(occupancy, shift, window, &mut periods, &busy)?))
        });
        let shifts: Vec<(&Shift, u32, AllowedStarts<'_>)> = shifts.collect();
        let candidates: Vec<Candidate<'_>> = shifts
            .iter()
            .map(|(shift, location, allowed)| Candidate {
                location: *location,
                practitioner: shift.practitioner,
                roster: shift.roster(),
                occupied: calendars.bits(
                    Kind::Practitioner,
                    self.index.practitioners[shift.practitioner as usize].id,
                    0,
                ),
                allowed: allowed.spans(),
            })
            .collect();
        let after = self.kernel.after.map(|after| to_subset_index(after, &subset));
        let query = Query { window, limit, after, ..self.kernel.clone() };
        SCRATCH.with_borrow_mut(|scratch| run(&query, &kernel_locations, &candidates, scratch))
    }

    fn rooms<'a>(&self, calendars: &'a FreedCalendars<'_>, location: &Location) -> Option<Vec<&'a Bits>> {
        let wanted = self.service.room_type.as_ref()?;
        let of_type = location.rooms.iter().filter(|(_, room_type)| room_type == wanted);
        Some(of_type.map(|(id, _)| calendars.bits(Kind::Room, *id, 0)).collect())
    }

    fn units<'a>(&self, calendars: &'a FreedCalendars<'_>, location: &Location) -> Option<Vec<&'a Bits>> {
        let wanted = self.service.equipment_type.as_ref()?;
        let of_type = location.units.iter().filter(|(_, _, unit_type)| unit_type == wanted);
        Some(of_type.map(|(id, unit, _)| calendars.bits(Kind::Equipment, *id, *unit)).collect())
    }

    /// Where a shift's visits may start: certified, below the caps, not travelling, the patient not busy. `None` for
    /// nowhere.
    fn allowed_starts<'a>(
        &self,
        occupancy: &Occupancy,
        shift: &'a Shift,
        window: Span,
        periods: &mut PeriodCache,
        busy: &[Span],
    ) -> Option<AllowedStarts<'a>> {
        let certified = match &self.service.required_certificate {
            Some(code) => Some(shift.certified(code)?),
            None => None,
        };
        let practitioner = &self.index.practitioners[shift.practitioner as usize];
        let zone = &self.index.locations[shift.location as usize].zone;
        let mut cuts = busy.to_vec();
        for cap in Cap::all(&practitioner.body, &self.service) {
            cuts.extend(periods.full(occupancy, practitioner.id, cap, (shift.location, zone), &self.ignored));
        }
        // A visit may not start where its claim would meet travel time.
        let claims = Span::new(self.kernel.claim(window.start).start, self.kernel.claim(window.end).end);
        let place = (shift.practitioner, shift.location);
        let away = travel::away(&self.index, occupancy, place, claims, &self.ignored);
        cuts.extend(away.into_iter().map(|away| {
            let first = away.start - (self.kernel.duration + self.kernel.cleanup) + 1;
            Span::new(first, away.end + self.kernel.prep)
        }));
        if cuts.is_empty() {
            return Some(certified.map_or(AllowedStarts::Everywhere, AllowedStarts::Certified));
        }
        let everywhere = [self.index.span];
        Some(AllowedStarts::Cut(subtract(certified.unwrap_or(&everywhere), cuts)))
    }

    /// The ticks at which a visit may not start because the patient is busy, or was needled too recently.
    fn patient_busy_starts(&self, occupancy: &Occupancy) -> Vec<Span> {
        let Some(patient) = self.patient else { return vec![] };
        busy_starts(occupancy, patient, self.service.needling, self.kernel.duration, &self.ignored)
    }
}

/// Where visits may start.
enum AllowedStarts<'a> {
    Everywhere,
    Certified(&'a [Span]),
    Cut(Vec<Span>),
}

impl AllowedStarts<'_> {
    fn spans(&self) -> Option<&[Span]> {
        match self {
            Self::Everywhere => None,
            Self::Certified(spans) => Some(spans),
            Self::Cut(spans) => Some(spans),
        }
    }
}

/// For each location of the index, its position in a subset.
fn subset_indices(subset: &[u32], count: usize) -> Vec<Option<u32>> {
    let mut indices = vec![None; count];
    for (at, location) in (0..).zip(subset) {
        indices[*location as usize] = Some(at);
    }
    indices
}

/// A cursor of the whole index as one of a subset of its locations. A location outside the subset becomes a position
/// just before the next location inside.
fn to_subset_index(after: Start, subset: &[Option<u32>]) -> Start {
    let location = after.location as usize;
    match subset.get(location).copied().flatten() {
        Some(at) => Start { location: at, ..after },
        None => match subset.iter().skip(location).copied().flatten().next() {
            // Rank 0 of the next location comes directly after the last rank of the one before.
            Some(next) if next > 0 => {
                Start { location: next - 1, rank: u32::MAX, practitioner: u32::MAX, tick: after.tick }
            }
            Some(_) => Start { tick: after.tick - 1, location: u32::MAX, rank: u32::MAX, practitioner: u32::MAX },
            None => Start { location: u32::MAX, ..after },
        },
    }
}

/// Sorted, disjoint spans without the ticks of some others.
fn subtract(spans: &[Span], cuts: Vec<Span>) -> Vec<Span> {
    let mut left = Vec::with_capacity(spans.len() + cuts.len());
    let cuts = merged(cuts);
    for span in spans {
        let mut start = span.start;
        for cut in cuts.iter().filter(|cut| cut.end > span.start && cut.start < span.end) {
            left.push(Span::new(start, cut.start));
            start = cut.end;
        }
        left.push(Span::new(start, span.end));
    }
    left.retain(|span| !span.is_empty());
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_the_whole_without_a_gap() {
        let whole = Span::new(100, 100 + 400 * PER_DAY);
        let all: Vec<Span> = windows(whole, WINDOW_MAX).collect();
        assert_eq!((all[0].start, all[all.len() - 1].end), (whole.start, whole.end));
        assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(windows(Span::new(5, 5), WINDOW_MAX).count(), 0);
    }

    #[test]
    fn subtraction_leaves_the_ticks_that_no_cut_touches() {
        let span = Span::new;
        let cuts = vec![span(12, 14), span(-5, 2), span(13, 18), span(30, 40)];
        assert_eq!(subtract(&[span(0, 10), span(11, 20)], cuts), [span(2, 10), span(11, 12), span(18, 20)]);
    }
}
