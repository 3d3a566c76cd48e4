//! The occupied time of one resource: its claims, and the same as bits.

use crate::{
    bits::Bits,
    tick::{Span, Tick},
};

/// The claims on one resource. `K` names the claim's owner.
#[derive(Debug, Clone)]
pub struct Occupancy<K> {
    bits: Bits,
    /// Sorted by start.
    claims: Vec<(Span, K)>,
}

impl<K: PartialEq> Occupancy<K> {
    /// No claim, over these ticks.
    pub fn new(span: Span) -> Self {
        Self { bits: Bits::new(span), claims: Vec::new() }
    }

    /// The occupied ticks.
    #[inline]
    pub fn bits(&self) -> &Bits {
        &self.bits
    }

    /// The claims, sorted by start.
    #[inline]
    pub fn claims(&self) -> &[(Span, K)] {
        &self.claims
    }

    /// Whether there is no claim.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Adds an owner's claim.
    pub fn insert(&mut self, span: Span, owner: K) {
        let at = self.claims.partition_point(|(claim, _)| claim.start <= span.start);
        self.claims.insert(at, (span, owner));
        self.bits.set(span);
    }

    /// Removes an owner's claim on exactly this span. Claims may overlap (an expired hold and its replacement), so the
    /// ticks of the other claims are set again.
    pub fn remove(&mut self, span: Span, owner: &K) {
        let found = self.claims.iter().position(|(claim, of)| *claim == span && of == owner);
        let Some(at) = found else { return };
        self.claims.remove(at);
        self.bits.clear(span);
        for (claim, _) in &self.claims {
            let shared = claim.and(span);
            if !shared.is_empty() {
                self.bits.set(shared);
            }
        }
    }

    /// Whether these ticks are free once the claims of `ignored` owners are left out.
    #[inline]
    pub fn is_free(&self, span: Span, ignored: impl Fn(&K) -> bool) -> bool {
        self.bits.none(span) || !self.claims.iter().any(|(claim, of)| !claim.and(span).is_empty() && !ignored(of))
    }

    /// The occupied ticks once the claims of `ignored` owners are left out.
    pub fn without(&self, ignored: impl Fn(&K) -> bool) -> Bits {
        let mut bits = self.bits.clone();
        for (claim, _) in self.claims.iter().filter(|(_, of)| ignored(of)) {
            bits.clear(*claim);
        }
        for (claim, _) in self.claims.iter().filter(|(_, of)| !ignored(of)) {
            bits.set(*claim);
        }
        bits
    }

    /// Drops the claims that end at or before a tick and covers other ticks from now on.
    pub fn rebase(&mut self, span: Span, forget_before: Tick) {
        self.claims.retain(|(claim, _)| claim.end > forget_before);
        self.bits = Bits::new(span);
        for (claim, _) in &self.claims {
            self.bits.set(*claim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_one_of_two_overlapping_claims_keeps_the_other() {
        let mut occupancy = Occupancy::new(Span::new(0, 128));
        occupancy.insert(Span::new(10, 20), "a");
        occupancy.insert(Span::new(15, 25), "b");
        occupancy.remove(Span::new(10, 20), &"a");
        assert!(occupancy.is_free(Span::new(0, 15), |_| false));
        occupancy.insert(Span::new(12, 18), "c");
        let without = occupancy.without(|of| *of == "c");
        assert_eq!((without.get(14), without.get(15), without.get(24)), (false, true, true), "of two that overlap");
        occupancy.remove(Span::new(12, 18), &"c");
        assert!(!occupancy.is_free(Span::new(15, 16), |_| false));
        assert!(occupancy.is_free(Span::new(15, 25), |of| *of == "b"));
    }

    proptest::proptest! {
        #[test]
        fn the_bits_are_the_union_of_the_claims(
            steps in proptest::collection::vec((0i64..200, 1i64..40, 0usize..6, proptest::bool::ANY), 1..60),
        ) {
            let mut occupancy = Occupancy::new(Span::new(0, 192));
            let mut live: Vec<(Span, usize)> = Vec::new();
            for (start, length, owner, inserts) in steps {
                if inserts {
                    let claim = Span::new(start, start + length);
                    occupancy.insert(claim, owner);
                    live.push((claim, owner));
                } else if !live.is_empty() {
                    let (claim, owner) = live.swap_remove(start.unsigned_abs() as usize % live.len());
                    occupancy.remove(claim, &owner);
                }
                let claimed = |tick: i64| live.iter().any(|(claim, _)| claim.start <= tick && tick < claim.end);
                for tick in 0..192 {
                    proptest::prop_assert_eq!(occupancy.bits().get(tick), claimed(tick), "tick {}", tick);
                }
                proptest::prop_assert!(occupancy.claims().is_sorted_by_key(|(claim, _)| claim.start));
            }
        }
    }
}
