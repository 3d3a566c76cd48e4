//! The walk through a window, block by block, that every kind of answer shares.

use super::{Candidate, Location, Query, Start, clock::Clock};
use crate::{
    bits::{mask, runs},
    tick::{Span, Tick},
};

const FIRST_BLOCK_WORDS: i64 = 1;
const LAST_BLOCK_WORDS: i64 = 64;

/// The buffers of a search; pass the same ones to the next search to save allocations.
#[derive(Debug, Default)]
pub struct Scratch {
    practitioner: Vec<u64>,
    pool: Vec<u64>,
    resource: Vec<u64>,
    locations: Vec<Vec<u64>>,
    wanted: Vec<bool>,
    /// The starts of a page.
    pub(super) starts: Vec<Start>,
}

/// A consumer of starts.
pub(super) trait Sink {
    /// Whether starts at this location still matter.
    fn wants(&self, _location: u32) -> bool {
        true
    }

    /// Adds a candidate's starts. Bit n of the word w is the visit start `64 * (word + w) + n + prep`.
    fn push(&mut self, candidate: &Candidate<'_>, word: i64, starts: &[u64]);

    /// Called after each block, whose starts are all later than those of the blocks before; `true` ends the walk.
    fn is_full(&mut self) -> bool;
}

/// A block of time: whole words, in ticks at which claims begin.
#[derive(Clone, Copy)]
struct Block {
    word: i64,
    words: i64,
    /// The claim starts that the query allows.
    span: Span,
}

/// Passes every start in the window to the sink; `true` where the sink was full before the end.
pub(super) fn walk(
    query: &Query,
    locations: &[Location<'_>],
    candidates: &[Candidate<'_>],
    scratch: &mut Scratch,
    sink: &mut impl Sink,
) -> bool {
    debug_assert!(query.prep >= 0 && query.duration >= 1 && query.cleanup >= 0, "a visit takes time");
    let first = query.after.map_or(query.window.start, |after| after.tick.max(query.window.start));
    // The ticks below are claim starts; the visit starts `prep` later.
    let span = Span::new(first - query.prep, query.window.end - query.prep);
    let mut word = span.start.div_euclid(64);
    let mut block_words = FIRST_BLOCK_WORDS;
    while !span.is_empty() && word * 64 < span.end {
        let words = block_words.min((span.end - word * 64 + 63) / 64);
        let block = Block { word, words, span };
        scratch.masks(query, locations, candidates, block, sink);
        for candidate in candidates {
            if scratch.starts(query, candidate, block) {
                sink.push(candidate, word, &scratch.practitioner);
            }
        }
        word += words;
        if sink.is_full() {
            return true;
        }
        block_words = (block_words * 2).min(LAST_BLOCK_WORDS);
    }
    false
}

impl Scratch {
    /// For each location, the claim starts that its wall clock, its rooms and its equipment allow.
    fn masks(
        &mut self,
        query: &Query,
        locations: &[Location<'_>],
        candidates: &[Candidate<'_>],
        block: Block,
        sink: &impl Sink,
    ) {
        self.wanted.clear();
        self.wanted.resize(locations.len(), false);
        for candidate in candidates {
            if let Some(wanted) = self.wanted.get_mut(candidate.location as usize) {
                *wanted = true;
            }
        }
        self.locations.resize_with(locations.len(), Vec::new);
        let Self { pool, resource, locations: masks, wanted, .. } = self;
        for ((at, location), (mask, wanted)) in (0u32..).zip(locations).zip(masks.iter_mut().zip(wanted)) {
            mask.clear();
            if !*wanted || !sink.wants(at) {
                continue;
            }
            clock_mask(query, location, block, mask);
            for bits_of_pool in [location.rooms, location.units].into_iter().flatten() {
                if mask.iter().all(|word| *word == 0) {
                    break;
                }
                pool.clear();
                pool.resize(mask.len(), 0);
                for occupied in bits_of_pool {
                    if free_runs(query, resource, block, |at| !occupied.word(at)) {
                        pool.iter_mut().zip(resource.iter()).for_each(|(any, this)| *any |= this);
                    }
                }
                mask.iter_mut().zip(pool.iter()).for_each(|(mask, any)| *mask &= any);
            }
        }
    }

    /// Fills the practitioner's buffer with their starts in a block; `false` where there are none.
    fn starts(&mut self, query: &Query, candidate: &Candidate<'_>, block: Block) -> bool {
        // Unwanted locations have an empty mask.
        let Some(mask) = self.locations.get(candidate.location as usize) else { return false };
        if mask.iter().all(|word| *word == 0) {
            return false;
        }
        let own = &mut self.practitioner;
        if !free_runs(query, own, block, |at| candidate.roster.word(at) & !candidate.occupied.word(at)) {
            return false;
        }
        let mut any = 0;
        for ((at, own), mask) in (block.word..).zip(own.iter_mut()).zip(mask) {
            *own &= mask;
            if *own != 0
                && let Some(spans) = candidate.allowed
            {
                *own &= spans_mask(spans, at * 64 + query.prep);
            }
            any |= *own;
        }
        any != 0
    }
}

/// The claim starts of a block that the wall clock allows.
fn clock_mask(query: &Query, location: &Location<'_>, block: Block, masks: &mut Vec<u64>) {
    let mut clock = Clock::new(query, location.zone);
    for at in block.word..block.word + block.words {
        let inside = block.span.and(Span::new(at * 64, at * 64 + 64));
        masks.push(clock.mask(at * 64 + query.prep) & mask(inside.start - at * 64, inside.end - at * 64));
    }
}

/// Of the 64 ticks from `first` on, those within sorted spans.
fn spans_mask(spans: &[Span], first: Tick) -> u64 {
    let all = Span::new(first, first + 64);
    let begin = spans.partition_point(|span| span.end <= first);
    let near = spans[begin..].iter().take_while(|span| span.start < all.end);
    near.map(|span| span.and(all)).fold(0, |bits, span| bits | mask(span.start - first, span.end - first))
}

/// Fills `resource` with the claim starts of a block at which it is free for the whole claim; `false` where it is never
/// free.
fn free_runs(query: &Query, resource: &mut Vec<u64>, block: Block, free: impl Fn(i64) -> u64) -> bool {
    // The words beyond the block that a claim of its last tick reaches.
    let reach = (query.length() + 62) / 64;
    resource.clear();
    resource.extend((block.word..block.word + block.words + reach).map(free));
    if resource.iter().all(|word| *word == 0) {
        return false;
    }
    runs(resource, u32::try_from(query.length()).unwrap_or(u32::MAX));
    resource.truncate(usize::try_from(block.words).unwrap_or(0));
    true
}
