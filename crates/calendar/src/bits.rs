//! A bitset over a range of ticks.

use crate::tick::{Span, Tick};

const WORD: i64 = 64;

/// One bit for each tick from `origin` on, a multiple of 64. Ticks outside count as not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    origin: Tick,
    words: Vec<u64>,
}

impl Bits {
    /// An empty bitset over at least these ticks.
    pub fn new(span: Span) -> Self {
        let origin = span.start.div_euclid(WORD) * WORD;
        let words = (span.end - origin).max(0).unsigned_abs().div_ceil(64);
        Self { origin, words: vec![0; usize::try_from(words).unwrap_or(0)] }
    }

    /// The ticks that it covers.
    #[inline]
    pub fn span(&self) -> Span {
        let ticks = i64::try_from(self.words.len()).unwrap_or(0) * WORD;
        Span::new(self.origin, self.origin + ticks)
    }

    /// Sets these ticks; ticks outside are ignored.
    pub fn set(&mut self, span: Span) {
        self.each_word(span, |word, mask| *word |= mask);
    }

    /// Clears these ticks; ticks outside are ignored.
    pub fn clear(&mut self, span: Span) {
        self.each_word(span, |word, mask| *word &= !mask);
    }

    /// Whether the tick is set.
    #[inline]
    pub fn get(&self, tick: Tick) -> bool {
        self.word(tick.div_euclid(WORD)) >> tick.rem_euclid(WORD) & 1 == 1
    }

    /// Whether all these ticks are set.
    #[inline]
    pub fn all(&self, span: Span) -> bool {
        let inside = span.and(self.span()) == span;
        span.is_empty() || inside && self.pieces(span).all(|(at, mask)| self.words[at] & mask == mask)
    }

    /// Whether none of these ticks is set.
    #[inline]
    pub fn none(&self, span: Span) -> bool {
        self.pieces(span).all(|(at, mask)| self.words[at] & mask == 0)
    }

    /// Keeps the ticks that are set in both.
    pub fn and(&mut self, other: &Self) {
        self.combine(other, |word, other| *word &= other);
    }

    /// Sets the ticks that are set in the other; ticks outside are ignored.
    pub fn or(&mut self, other: &Self) {
        self.combine(other, |word, other| *word |= other);
    }

    /// Clears the ticks that are set in the other.
    pub fn and_not(&mut self, other: &Self) {
        self.combine(other, |word, other| *word &= !other);
    }

    /// The ticks that are set, earliest first.
    pub fn ticks(&self) -> impl Iterator<Item = Tick> {
        (self.origin..).step_by(64).zip(&self.words).flat_map(|(first, word)| {
            // Each step clears the lowest bit.
            let remainders = std::iter::successors(Some(*word), |bits| Some(bits & bits.wrapping_sub(1)));
            remainders.take_while(|bits| *bits != 0).map(move |bits| first + i64::from(bits.trailing_zeros()))
        })
    }

    /// The 64 ticks from `64 * at` on; 0 outside.
    #[inline]
    pub fn word(&self, at: i64) -> u64 {
        usize::try_from(at - self.origin / WORD).ok().and_then(|at| self.words.get(at)).copied().unwrap_or(0)
    }

    /// All words from the origin on.
    #[inline]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    fn combine(&mut self, other: &Self, change: impl Fn(&mut u64, u64)) {
        for (word, at) in self.words.iter_mut().zip(self.origin.div_euclid(WORD)..) {
            change(word, other.word(at));
        }
    }

    fn each_word(&mut self, span: Span, change: impl Fn(&mut u64, u64)) {
        for (at, mask) in self.pieces(span) {
            change(&mut self.words[at], mask);
        }
    }

    /// The indices of the words that hold a span's ticks, each with the mask of these ticks.
    #[inline]
    fn pieces(&self, span: Span) -> impl Iterator<Item = (usize, u64)> + use<> {
        let span = span.and(self.span());
        let (from, to) = (span.start - self.origin, span.end - self.origin);
        let words = if span.is_empty() { 0..0 } else { from / WORD..(to + WORD - 1) / WORD };
        words.filter_map(move |at| {
            let ticks = mask((from - at * WORD).max(0), (to - at * WORD).min(WORD));
            usize::try_from(at).ok().map(|at| (at, ticks))
        })
    }
}

/// The bits from `from` up to `to`, both from 0 to 64.
#[inline]
pub(crate) fn mask(from: i64, to: i64) -> u64 {
    if from >= to { 0 } else { !0 << from & !0 >> (WORD - to) }
}

/// Turns "this tick is free" into "`length` ticks from here on are free", in place, in log2(length) passes:
/// two consecutive runs of n are one of 2n. Ticks past the end count as not free.
pub fn runs(words: &mut [u64], length: u32) {
    let mut have = 1;
    while have * 2 <= length {
        and_shifted(words, have);
        have *= 2;
    }
    if have < length {
        and_shifted(words, length - have);
    }
}

/// `words &= words >> by`, with the words as one long number whose lowest word comes first.
#[inline]
fn and_shifted(words: &mut [u64], by: u32) {
    let (whole, part) = ((by / 64) as usize, by % 64);
    for at in 0..words.len() {
        let low = words.get(at + whole).copied().unwrap_or(0) >> part;
        let high = if part == 0 { 0 } else { words.get(at + whole + 1).copied().unwrap_or(0) << (64 - part) };
        words[at] &= low | high;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_equal_a_count_tick_by_tick(words in proptest::collection::vec(any::<u64>().prop_map(|w| w | w << 1 | w << 3 | w >> 7), 1..6), length in 1u32..200) {
            let free = |tick: usize| words.get(tick / 64).is_some_and(|word| word >> (tick % 64) & 1 == 1);
            let mut found = words.clone();
            runs(&mut found, length);
            for tick in 0..words.len() * 64 {
                let expected = (tick..tick + length as usize).all(free);
                prop_assert_eq!(found[tick / 64] >> (tick % 64) & 1 == 1, expected, "tick {}", tick);
            }
        }

        #[test]
        fn setting_and_clearing_touch_their_ticks_only(from in -300i64..300, length in 0i64..300, tick in -400i64..700) {
            let span = Span::new(from, from + length);
            let mut bits = Bits::new(Span::new(-200, 500));
            bits.set(span);
            let inside = bits.span().and(span);
            prop_assert_eq!(bits.get(tick), inside.start <= tick && tick < inside.end);
            bits.clear(span);
            prop_assert!(bits.words().iter().all(|word| *word == 0));
        }

        #[test]
        fn span_queries_equal_a_check_tick_by_tick(
            set in proptest::collection::vec((-250i64..550, 0i64..200), 0..6), from in -400i64..700, length in 0i64..300,
        ) {
            let mut bits = Bits::new(Span::new(-200, 500));
            set.iter().for_each(|(from, length)| bits.set(Span::new(*from, from + length)));
            let span = Span::new(from, from + length);
            prop_assert_eq!(bits.all(span), (span.start..span.end).all(|tick| bits.get(tick)));
            prop_assert_eq!(bits.none(span), (span.start..span.end).all(|tick| !bits.get(tick)));
            let ticks: Vec<Tick> = (-300..700).filter(|tick| bits.get(*tick)).collect();
            prop_assert_eq!(bits.ticks().collect::<Vec<_>>(), ticks);
        }

        #[test]
        fn bitsets_of_different_origins_combine(left in any::<[u64; 3]>(), right in any::<[u64; 4]>(), tick in -200i64..400) {
            let left = Bits { origin: 64, words: left.to_vec() };
            let right = Bits { origin: -64, words: right.to_vec() };
            let inside = (64..256).contains(&tick);
            let (mut and, mut or, mut and_not) = (left.clone(), left.clone(), left.clone());
            and.and(&right);
            or.or(&right);
            and_not.and_not(&right);
            prop_assert_eq!(and.get(tick), left.get(tick) && right.get(tick));
            prop_assert_eq!(or.get(tick), inside && (left.get(tick) || right.get(tick)));
            prop_assert_eq!(and_not.get(tick), left.get(tick) && !right.get(tick));
        }
    }
}
