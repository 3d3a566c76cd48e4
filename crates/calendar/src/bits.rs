//! A bitset over a stretch of ticks.

use crate::tick::{Span, Tick};

const WORD: i64 = 64;

/// One bit a tick from `origin` on; ticks outside count as not set. `origin` is a multiple of 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    origin: Tick,
    words: Vec<u64>,
}

impl Bits {
    /// No bit set, over at least these ticks.
    pub fn new(span: Span) -> Self {
        let origin = span.start.div_euclid(WORD) * WORD;
        let words = (span.end - origin).max(0).unsigned_abs().div_ceil(64);
        Self { origin, words: vec![0; usize::try_from(words).unwrap_or(0)] }
    }

    /// The ticks that it can hold.
    pub fn span(&self) -> Span {
        let ticks = i64::try_from(self.words.len()).unwrap_or(0) * WORD;
        Span::new(self.origin, self.origin + ticks)
    }

    /// Sets these ticks, as far as they lie inside.
    pub fn set(&mut self, span: Span) {
        self.each_word(span, |word, mask| *word |= mask);
    }

    /// Clears these ticks, as far as they lie inside.
    pub fn clear(&mut self, span: Span) {
        self.each_word(span, |word, mask| *word &= !mask);
    }

    /// Whether the tick is set.
    pub fn get(&self, tick: Tick) -> bool {
        self.word(tick.div_euclid(WORD)) >> tick.rem_euclid(WORD) & 1 == 1
    }

    /// Whether all these ticks are set.
    pub fn all(&self, span: Span) -> bool {
        (span.start..span.end).all(|tick| self.get(tick))
    }

    /// Whether none of these ticks is set.
    pub fn none(&self, span: Span) -> bool {
        (span.start..span.end).all(|tick| !self.get(tick))
    }

    /// Keeps what is set in both.
    pub fn and(&mut self, other: &Self) {
        let first = self.origin.div_euclid(WORD);
        for (word, at) in self.words.iter_mut().zip(first..) {
            *word &= other.word(at);
        }
    }

    /// The 64 ticks from `64 * at` on; nothing outside.
    #[inline]
    pub fn word(&self, at: i64) -> u64 {
        usize::try_from(at - self.origin / WORD).ok().and_then(|at| self.words.get(at)).copied().unwrap_or(0)
    }

    /// All words, from the origin on.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    fn each_word(&mut self, span: Span, change: impl Fn(&mut u64, u64)) {
        let span = span.and(self.span());
        if span.is_empty() {
            return;
        }
        let (first, last) = (span.start - self.origin, span.end - 1 - self.origin);
        for at in first / WORD..=last / WORD {
            let low = if at == first / WORD { !0 << (first % WORD) } else { !0 };
            let high = if at == last / WORD { !0 >> (WORD - 1 - last % WORD) } else { !0 };
            if let Some(word) = usize::try_from(at).ok().and_then(|at| self.words.get_mut(at)) {
                change(word, low & high);
            }
        }
    }
}

/// Turns "this tick is free" into "`length` ticks from here on are free", in place, in log2(length) passes:
/// two runs of n that follow each other are one of 2n. What lies past the end counts as not free.
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

/// `words &= words >> by`, the words read as one long number with its lowest word first.
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
        fn runs_are_what_counting_says(words in proptest::collection::vec(any::<u64>().prop_map(|w| w | w << 1 | w << 3 | w >> 7), 1..6), length in 1u32..200) {
            let free = |tick: usize| words.get(tick / 64).is_some_and(|word| word >> (tick % 64) & 1 == 1);
            let mut found = words.clone();
            runs(&mut found, length);
            for tick in 0..words.len() * 64 {
                let expected = (tick..tick + length as usize).all(free);
                prop_assert_eq!(found[tick / 64] >> (tick % 64) & 1 == 1, expected, "tick {}", tick);
            }
        }

        #[test]
        fn setting_and_clearing_touch_their_ticks_only(from in -300i64..300, length in 0i64..300, ask in -400i64..700) {
            let span = Span::new(from, from + length);
            let mut bits = Bits::new(Span::new(-200, 500));
            bits.set(span);
            let inside = bits.span().and(span);
            prop_assert_eq!(bits.get(ask), inside.start <= ask && ask < inside.end);
            bits.clear(span);
            prop_assert!(bits.words().iter().all(|word| *word == 0));
        }
    }
}
