//! A question run on the kernel.
//!
//! Time is walked in windows that begin with a day and grow, so that the first page looks at the first days only:
//! daily caps are counted for the days of the window at hand, the calendars are locked for one window at a time,
//! and a caller who has gone away is noticed between two.

use std::cell::RefCell;

use calendar::{
    Bits, Span,
    search::{Candidate, Day, Found, Query, Scratch, days, every, search},
    tick::{PER_DAY, Tick},
};
use domain::claim::Kind;

use super::{
    limits::{Cap, Periods},
    query::Ask,
    sessions::elsewhere,
    travel,
};
use crate::{
    index::{Place, Seat, merged},
    occupancy::{Freed, Projection},
    organisations::Org,
};

const FIRST_WINDOW: Tick = PER_DAY;
/// The longest window of a search for the first starts.
pub(crate) const LONGEST: Tick = 32 * PER_DAY;

thread_local! {
    /// The kernel's buffers, kept from one search to the next.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A start that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Open {
    /// Its `place` and `practitioner` are places in the model.
    pub(crate) found: Found,
    pub(crate) places_left: u32,
    /// How long the visit is: as long as the service says, or as the group session that is joined.
    pub(crate) minutes: u16,
}

/// Starts in order.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) open: Vec<Open>,
    /// Every start before this tick has been looked at.
    pub(crate) until: Tick,
    /// Whether there may be more after the last one.
    pub(crate) more: bool,
}

/// Spans that cover a stretch of ticks; each is twice as long as the one before, up to the longest.
pub(crate) fn windows(whole: Span, longest: Tick) -> impl Iterator<Item = Span> {
    let (mut start, mut length) = (whole.start, FIRST_WINDOW);
    std::iter::from_fn(move || {
        let window = Span::new(start, (start + length).min(whole.end));
        start = window.end;
        length = (length * 2).min(longest);
        (!window.is_empty()).then_some(window)
    })
}

impl Ask {
    /// The ticks that are still to be looked at.
    pub(crate) fn whole(&self) -> Span {
        let Query { window, after, .. } = &self.query;
        Span::new(after.map_or(window.start, |after| after.start.max(window.start)), window.end)
    }

    /// The first starts, at most `limit`.
    pub(crate) async fn page(&self, org: &Org, limit: usize) -> Page {
        self.page_at(org, &self.places, limit).await
    }

    /// The first starts at some of the locations that are asked about, at most `limit`.
    pub(crate) async fn page_at(&self, org: &Org, places: &[u32], limit: usize) -> Page {
        let mut page = Page { until: self.query.window.end, ..Page::default() };
        for window in windows(self.whole(), LONGEST) {
            let part = self.find(&org.projection(self.now), places, window, limit - page.open.len());
            page.open.extend(part.open);
            if page.open.len() >= limit {
                let more = part.more || window.end < self.query.window.end;
                return Page { until: part.until, more, ..page };
            }
            tokio::task::yield_now().await;
        }
        page
    }

    /// All starts: those of one practitioner at one location earliest first, and no other order.
    pub(crate) async fn every(&self, org: &Org) -> Vec<Open> {
        let mut open = Vec::new();
        for window in windows(self.whole(), LONGEST).filter(|_| self.offered()) {
            self.every_in(&org.projection(self.now), window, &mut open);
            tokio::task::yield_now().await;
        }
        open
    }

    fn every_in(&self, projection: &Projection, window: Span, open: &mut Vec<Open>) {
        let before = open.len();
        let found = self.kernel(projection, &self.places, window, usize::MAX, every);
        open.extend(found.into_iter().map(|found| self.open(&self.places, found)));
        if self.service.capacity > 1 {
            open.extend(self.joinable(projection, &self.places, window));
            open[before..].sort_unstable();
        }
    }

    /// The first starts of a window at some locations.
    pub(crate) fn find(&self, projection: &Projection, places: &[u32], window: Span, limit: usize) -> Page {
        if !self.offered() || window.is_empty() || limit == 0 {
            return Page { until: window.end, ..Page::default() };
        }
        let answer = self.kernel(projection, places, window, limit, search);
        let full = answer.found.len() >= limit;
        let until = if full { answer.searched_until } else { window.end };
        let mut open: Vec<Open> = answer.found.into_iter().map(|found| self.open(places, found)).collect();
        if self.service.capacity > 1 {
            // Those at the very tick where the kernel stopped count too: they may come before its last start.
            let reached = Span::new(window.start, (until + 1).min(window.end));
            open.extend(self.joinable(projection, places, reached));
            open.sort_unstable();
        }
        let more = full || open.len() > limit;
        open.truncate(limit);
        let until = if more { open.last().map_or(until, |last| last.found.start) } else { until };
        Page { open, until, more }
    }

    /// Whether the service is offered to who asks.
    fn offered(&self) -> bool {
        !self.online || self.service.online
    }

    /// A start of the kernel, whose places count among `places`.
    fn open(&self, places: &[u32], found: Found) -> Open {
        Open {
            found: Found { place: places[found.place as usize], ..found },
            places_left: self.service.capacity,
            minutes: u16::try_from(self.service.duration_minutes).unwrap_or(u16::MAX),
        }
    }

    /// How many starts each local day of a window has at each location that is asked about; `place` is a place in the
    /// model.
    pub(crate) fn count(&self, projection: &Projection, window: Span) -> Vec<Day> {
        if !self.offered() {
            return vec![];
        }
        let mut counted = self.kernel(projection, &self.places, window, usize::MAX, days);
        for day in &mut counted {
            day.place = self.places[day.place as usize];
        }
        if self.service.capacity > 1 {
            counted.extend(self.joinable(projection, &self.places, window).iter().map(|Open { found, .. }| {
                let day = self.model.places[found.place as usize].zone.local(found.start).day;
                Day { day, place: found.place, starts: 1, first: found.start }
            }));
        }
        counted
    }

    /// Runs the kernel over a window; the places of its answer count among `places`.
    fn kernel<T>(
        &self,
        projection: &Projection,
        places: &[u32],
        window: Span,
        limit: usize,
        run: impl FnOnce(&Query, &[calendar::search::Place<'_>], &[Candidate<'_>], &mut Scratch) -> T,
    ) -> T {
        let located = |at: &u32| &*self.model.places[*at as usize];
        let calendars = Freed::new(projection, &self.freed);
        let rooms: Vec<_> = places.iter().map(|at| self.rooms(&calendars, located(at))).collect();
        let units: Vec<_> = places.iter().map(|at| self.units(&calendars, located(at))).collect();
        let spots: Vec<calendar::search::Place<'_>> = places
            .iter()
            .zip(rooms.iter().zip(&units))
            .map(|(at, (rooms, units))| calendar::search::Place {
                zone: &located(at).zone,
                rooms: rooms.as_deref(),
                units: units.as_deref(),
            })
            .collect();
        let spot = spot_index(places, self.model.places.len());
        let mut periods = Periods::new(window);
        let elsewhere = self.elsewhere(projection);
        let asked = self.model.seats.iter().filter_map(|seat| {
            let spot = spot[seat.place as usize].filter(|_| self.wants(seat.person))?;
            Some((seat, spot, self.allowed(projection, seat, window, &mut periods, &elsewhere)?))
        });
        let asked: Vec<(&Seat, u32, Allowed<'_>)> = asked.collect();
        let candidates: Vec<Candidate<'_>> = asked
            .iter()
            .map(|(seat, spot, allowed)| Candidate {
                place: *spot,
                practitioner: seat.person,
                roster: seat.roster(),
                taken: calendars.bits(Kind::Practitioner, self.model.people[seat.person as usize].id, 0),
                allowed: allowed.spans(),
            })
            .collect();
        let after = self.query.after.map(|after| among(after, &spot));
        let query = Query { window, limit, after, ..self.query.clone() };
        SCRATCH.with_borrow_mut(|scratch| run(&query, &spots, &candidates, scratch))
    }

    fn rooms<'a>(&self, calendars: &'a Freed<'_>, place: &Place) -> Option<Vec<&'a Bits>> {
        let wanted = self.service.room_type.as_ref()?;
        let of_type = place.rooms.iter().filter(|(_, room_type)| room_type == wanted);
        Some(of_type.map(|(id, _)| calendars.bits(Kind::Room, *id, 0)).collect())
    }

    fn units<'a>(&self, calendars: &'a Freed<'_>, place: &Place) -> Option<Vec<&'a Bits>> {
        let wanted = self.service.equipment_type.as_ref()?;
        let of_type = place.units.iter().filter(|(_, _, unit_type)| unit_type == wanted);
        Some(of_type.map(|(id, unit, _)| calendars.bits(Kind::Equipment, *id, *unit)).collect())
    }

    /// Where a practitioner's visits may start: certified, below the caps, not on the road, the patient not elsewhere.
    /// `None` for nowhere.
    fn allowed<'a>(
        &self,
        projection: &Projection,
        seat: &'a Seat,
        window: Span,
        periods: &mut Periods,
        elsewhere: &[Span],
    ) -> Option<Allowed<'a>> {
        let certified = match &self.service.required_certificate {
            Some(code) => Some(seat.certified(code)?),
            None => None,
        };
        let person = &self.model.people[seat.person as usize];
        let zone = &self.model.places[seat.place as usize].zone;
        let mut cuts = elsewhere.to_vec();
        for cap in Cap::all(&person.practitioner, &self.service) {
            cuts.extend(periods.full(projection, person.id, cap, (seat.place, zone), &self.ignored));
        }
        // A visit may not start where its claim would meet the road.
        let claims = Span::new(self.query.claim(window.start).start, self.query.claim(window.end).end);
        let away = travel::away(&self.model, projection, (seat.person, seat.place), claims, &self.ignored);
        cuts.extend(away.into_iter().map(|away| {
            let first = away.start - (self.query.duration + self.query.cleanup) + 1;
            Span::new(first, away.end + self.query.prep)
        }));
        if cuts.is_empty() {
            return Some(certified.map_or(Allowed::Everywhere, Allowed::Certified));
        }
        let everywhere = [self.model.span];
        Some(Allowed::Cut(without(certified.unwrap_or(&everywhere), cuts)))
    }

    /// The ticks at which a visit may not start because the patient is elsewhere, or needled too recently.
    fn elsewhere(&self, projection: &Projection) -> Vec<Span> {
        let Some(patient) = self.patient else { return vec![] };
        elsewhere(projection, patient, self.service.needling, self.query.duration, &self.ignored)
    }
}

/// Where visits may start.
enum Allowed<'a> {
    Everywhere,
    Certified(&'a [Span]),
    Cut(Vec<Span>),
}

impl Allowed<'_> {
    fn spans(&self) -> Option<&[Span]> {
        match self {
            Self::Everywhere => None,
            Self::Certified(spans) => Some(spans),
            Self::Cut(spans) => Some(spans),
        }
    }
}

/// For each place of the model where it stands among those asked about.
fn spot_index(places: &[u32], count: usize) -> Vec<Option<u32>> {
    let mut index = vec![None; count];
    for (spot, place) in (0..).zip(places) {
        index[*place as usize] = Some(spot);
    }
    index
}

/// A place of the model becomes one among those asked about; one that is not asked about stands before the next
/// that is.
fn among(after: Found, spot: &[Option<u32>]) -> Found {
    let place = after.place as usize;
    match spot.get(place).copied().flatten() {
        Some(spot) => Found { place: spot, ..after },
        None => match spot.iter().skip(place).copied().flatten().next() {
            // Nobody is before rank 0 but those of the place before.
            Some(next) if next > 0 => {
                Found { place: next - 1, rank: u32::MAX, practitioner: u32::MAX, start: after.start }
            }
            Some(_) => Found { start: after.start - 1, place: u32::MAX, rank: u32::MAX, practitioner: u32::MAX },
            None => Found { place: u32::MAX, ..after },
        },
    }
}

/// Sorted spans without some others.
fn without(spans: &[Span], cuts: Vec<Span>) -> Vec<Span> {
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
        let all: Vec<Span> = windows(whole, LONGEST).collect();
        assert_eq!((all[0].start, all[all.len() - 1].end), (whole.start, whole.end));
        assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(windows(Span::new(5, 5), LONGEST).count(), 0);
    }

    #[test]
    fn cutting_leaves_what_no_cut_touches() {
        let span = Span::new;
        let cuts = vec![span(12, 14), span(-5, 2), span(13, 18), span(30, 40)];
        assert_eq!(without(&[span(0, 10), span(11, 20)], cuts), [span(2, 10), span(11, 12), span(18, 20)]);
    }
}
