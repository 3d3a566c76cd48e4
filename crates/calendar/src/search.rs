//! The kernel: at which ticks does a visit fit?
//!
//! A visit claims its practitioner, a room and a unit of equipment for `length` ticks (preparation and clean-up
//! included). For one practitioner at one location the ticks at which such a claim can begin are
//!
//! ```text
//! runs(roster AND NOT taken) AND mask AND (runs(room 1) OR runs(room 2) OR …) AND (runs(unit 1) OR …)
//! ```
//!
//! where [`runs`](crate::bits::runs) turns "free now" into "free for the whole length from now on" in log2(length)
//! passes over the words. Time is walked in blocks that begin small and double, so that the first page of a busy
//! chain looks at hours, not months. Starts come earliest first, then by location, then in an order of
//! practitioners that turns with the days, so that equally early practitioners get equal shares.

use crate::{
    bits::{Bits, runs},
    tick::{MINUTES, PER_DAY, Span, Tick},
    zone::{Local, Zone},
};

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Visits start in these ticks.
    pub window: Span,
    /// Ticks of preparation before the visit.
    pub prep: i64,
    /// Ticks of the visit itself.
    pub duration: i64,
    /// Ticks of clean-up after the visit.
    pub cleanup: i64,
    /// Visits start at multiples of so many minutes after the local hour.
    pub alignment_minutes: i64,
    /// Bit n: visits may start on the weekday n, Monday 0.
    pub weekdays: u8,
    /// Visits start at or after this local minute of the day.
    pub not_before: i64,
    /// Visits end at or before this local minute of the day, 1440 for midnight.
    pub not_after: i64,
    /// Only starts after this one.
    pub after: Option<Found>,
    /// At most so many.
    pub limit: usize,
}

impl Query {
    /// Any start in the window, on a grid of `alignment_minutes`.
    pub fn new(window: Span, duration: i64, alignment_minutes: i64, limit: usize) -> Self {
        Self {
            window,
            prep: 0,
            duration,
            cleanup: 0,
            alignment_minutes,
            weekdays: 0x7f,
            not_before: 0,
            not_after: 1440,
            after: None,
            limit,
        }
    }

    /// Ticks that a visit claims.
    pub fn length(&self) -> i64 {
        self.prep + self.duration + self.cleanup
    }

    /// What a visit that starts at this tick claims.
    pub fn claim(&self, start: Tick) -> Span {
        Span::new(start - self.prep, start + self.duration + self.cleanup)
    }

    /// Whether the wall clock allows a visit to start here: alignment, weekday, part of the day.
    pub fn allows(&self, at: Local) -> bool {
        let aligned = (at.minute % 60) % self.alignment_minutes == 0;
        let weekday = self.weekdays >> at.weekday() & 1 == 1;
        aligned && weekday && at.minute >= self.not_before && at.minute + self.duration * MINUTES <= self.not_after
    }
}

/// A location: its zone, and what a visit may need there.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its wall clock.
    pub zone: &'a Zone,
    /// What is taken of each room that would do; `None` where no room is needed.
    pub rooms: Option<&'a [&'a Bits]>,
    /// What is taken of each unit of equipment that would do; `None` where none is needed.
    pub units: Option<&'a [&'a Bits]>,
}

/// A practitioner at a location.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The index of the location.
    pub place: u32,
    /// Who: the order of practitioners, the same at every location.
    pub practitioner: u32,
    /// When they work there.
    pub roster: &'a Bits,
    /// What is taken of their time, wherever.
    pub taken: &'a Bits,
    /// Where given, visits start in these ticks only (certificates, caps); sorted, apart from each other.
    pub allowed: Option<&'a [Span]>,
}

/// A start that fits. The order is the order of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Found {
    /// When the visit starts.
    pub start: Tick,
    /// The index of the location.
    pub place: u32,
    /// Turns with the days.
    pub rank: u32,
    /// Which candidate, by its practitioner.
    pub practitioner: u32,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The starts, in order, at most `limit`.
    pub found: Vec<Found>,
    /// Every start before this tick that is not in `found` does not fit, or came before `after`.
    pub searched_until: Tick,
}

/// Buffers that a search uses; keep them to save their making.
#[derive(Debug, Default)]
pub struct Scratch {
    practitioner: Vec<u64>,
    pool: Vec<u64>,
    one: Vec<u64>,
    places: Vec<Vec<u64>>,
}

const FIRST_BLOCK_WORDS: i64 = 1;
const LAST_BLOCK_WORDS: i64 = 64;

/// Finds the first starts that fit.
pub fn search(query: &Query, places: &[Place<'_>], candidates: &[Candidate<'_>], scratch: &mut Scratch) -> Answer {
    let practitioners = candidates.iter().map(|candidate| candidate.practitioner + 1).max().unwrap_or(1);
    let mut found: Vec<Found> = Vec::new();
    let first = query.after.map_or(query.window.start, |after| after.start.max(query.window.start));
    // Everything below is in starts of claims; the visit starts `prep` later.
    let (mut word, end) = ((first - query.prep).div_euclid(64), query.window.end - query.prep);
    let mut block = FIRST_BLOCK_WORDS;
    while word * 64 < end && query.limit > 0 {
        let words = block.min((end - word * 64 + 63) / 64);
        let span = Span::new(first - query.prep, end);
        masks(query, places, word, words, span, scratch);
        let begun = found.len();
        for candidate in candidates {
            if fits(query, candidate, word, words, scratch) {
                collect(query, candidate, practitioners, word, words, scratch, &mut found);
            }
        }
        found[begun..].sort_unstable();
        word += words;
        if found.len() >= query.limit {
            found.truncate(query.limit);
            let last = found.last().map_or(query.window.start, |last| last.start);
            return Answer { found, searched_until: last };
        }
        block = (block * 2).min(LAST_BLOCK_WORDS);
    }
    Answer { found, searched_until: query.window.end }
}

/// For each place the claim starts that its wall clock, its rooms and its equipment allow.
fn masks(query: &Query, places: &[Place<'_>], word: i64, words: i64, span: Span, scratch: &mut Scratch) {
    scratch.places.resize_with(places.len(), Vec::new);
    let Scratch { pool, one, places: masks, .. } = scratch;
    for (place, mask) in places.iter().zip(masks) {
        mask.clear();
        mask.extend((word..word + words).map(|at| clock_mask(query, place.zone, at, span)));
        for resources in [place.rooms, place.units].into_iter().flatten() {
            pool.clear();
            pool.resize(mask.len(), 0);
            for taken in resources {
                free_runs(query, one, word, words, |at| !taken.word(at));
                pool.iter_mut().zip(one.iter()).for_each(|(any, this)| *any |= this);
            }
            mask.iter_mut().zip(pool.iter()).for_each(|(mask, any)| *mask &= any);
        }
    }
}

fn clock_mask(query: &Query, zone: &Zone, at: i64, span: Span) -> u64 {
    let mut mask = 0;
    for bit in 0..64 {
        let tick = at * 64 + bit;
        if span.start <= tick && tick < span.end && query.allows(zone.local(tick + query.prep)) {
            mask |= 1 << bit;
        }
    }
    mask
}

/// Fills `one` with the claim starts of a block at which a resource is free for the whole claim.
fn free_runs(query: &Query, one: &mut Vec<u64>, word: i64, words: i64, free: impl Fn(i64) -> u64) {
    let reach = (query.length() + 63) / 64;
    one.clear();
    one.extend((word..word + words + reach).map(free));
    runs(one, u32::try_from(query.length()).unwrap_or(1));
    one.truncate(usize::try_from(words).unwrap_or(0));
}

/// Fills the practitioner's buffer with their starts in a block; `false` where there are none.
fn fits(query: &Query, candidate: &Candidate<'_>, word: i64, words: i64, scratch: &mut Scratch) -> bool {
    let Some(mask) = scratch.places.get(candidate.place as usize) else { return false };
    if mask.iter().all(|word| *word == 0) {
        return false;
    }
    let own = &mut scratch.practitioner;
    free_runs(query, own, word, words, |at| candidate.roster.word(at) & !candidate.taken.word(at));
    let mut any = 0;
    for (own, mask) in own.iter_mut().zip(mask) {
        *own &= mask;
        any |= *own;
    }
    any != 0
}

fn collect(
    query: &Query,
    candidate: &Candidate<'_>,
    practitioners: u32,
    word: i64,
    words: i64,
    scratch: &Scratch,
    found: &mut Vec<Found>,
) {
    for (at, bits) in (word..word + words).zip(&scratch.practitioner) {
        let mut bits = *bits;
        while bits != 0 {
            let start = at * 64 + i64::from(bits.trailing_zeros()) + query.prep;
            bits &= bits - 1;
            let allowed = candidate.allowed.is_none_or(|spans| within(spans, start));
            let one = Found {
                start,
                place: candidate.place,
                rank: rank(candidate.practitioner, practitioners, start),
                practitioner: candidate.practitioner,
            };
            if allowed && query.after.is_none_or(|after| one > after) {
                found.push(one);
            }
        }
    }
}

/// Whether a tick lies in one of some sorted spans.
pub fn within(spans: &[Span], tick: Tick) -> bool {
    let at = spans.partition_point(|span| span.end <= tick);
    spans.get(at).is_some_and(|span| span.start <= tick)
}

/// The order among equally early practitioners: a rotation that turns by one each day.
pub fn rank(practitioner: u32, practitioners: u32, start: Tick) -> u32 {
    let turn = u32::try_from(start.div_euclid(PER_DAY).rem_euclid(i64::from(practitioners))).unwrap_or(0);
    (practitioner + practitioners - turn) % practitioners
}
