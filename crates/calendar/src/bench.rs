//! A synthetic chain for measuring the kernel, and a bare pass over its bits as the baseline.

use jiff::tz::TimeZone;

use crate::{
    bits::Bits,
    search::{Answer, Candidate, Location, Query, Scratch, search},
    tick::{PER_DAY, Span},
    zone::Zone,
};

const CLINICS: u32 = 6;
const ROOMS: usize = 5;

/// A synthetic chain: six clinics, working hours of eight and a half hours a day, about 60% of them occupied.
pub struct Chain {
    span: Span,
    zones: Vec<Zone>,
    rosters: Vec<Bits>,
    occupied: Vec<Bits>,
    rooms: Vec<Vec<Bits>>,
    units: Vec<Vec<Bits>>,
}

impl Chain {
    /// A chain; the same seed makes the same one.
    pub fn new(practitioners: u32, days: i64, seed: u64) -> Self {
        let mut random = Lcg(seed);
        // 2026-03-02, a Monday.
        let origin = 20_514 * PER_DAY;
        let span = Span::new(origin, origin + days * PER_DAY);
        let zones = (0..CLINICS).map(|_| Zone::new(TimeZone::UTC, span)).collect();
        let mut chain = Self { span, zones, rosters: vec![], occupied: vec![], rooms: vec![], units: vec![] };
        for practitioner in 0..practitioners {
            let (mut roster, mut occupied) = (Bits::new(span), Bits::new(span));
            let early = i64::from(practitioner % 2) * 30;
            for day in 0..days {
                let morning = origin + day * PER_DAY + 96 + early;
                roster.set(Span::new(morning, morning + 102));
                for visit in 0..12 {
                    if random.below(100) < 60 {
                        occupied.set(Span::new(morning + visit * 8, morning + visit * 8 + 8));
                    }
                }
            }
            chain.rosters.push(roster);
            chain.occupied.push(occupied);
        }
        for _ in 0..CLINICS {
            chain.rooms.push(
                (0..ROOMS * (practitioners as usize / 24).max(1)).map(|_| half_occupied(span, &mut random)).collect(),
            );
            chain.units.push((0..2).map(|_| half_occupied(span, &mut random)).collect());
        }
        chain
    }

    /// The first `limit` starts of a visit of 30 minutes with 5 before and after it, a room and a unit of equipment.
    pub fn search(&self, limit: usize, scratch: &mut Scratch) -> Answer {
        let rooms: Vec<Vec<&Bits>> = self.rooms.iter().map(|rooms| rooms.iter().collect()).collect();
        let units: Vec<Vec<&Bits>> = self.units.iter().map(|units| units.iter().collect()).collect();
        let locations: Vec<Location<'_>> = (0..CLINICS as usize)
            .map(|at| Location { zone: &self.zones[at], rooms: Some(&rooms[at]), units: Some(&units[at]) })
            .collect();
        let candidates: Vec<Candidate<'_>> = (0u32..)
            .zip(self.rosters.iter().zip(&self.occupied))
            .map(|(practitioner, (roster, occupied))| Candidate {
                location: practitioner % CLINICS,
                practitioner,
                roster,
                occupied,
                allowed: None,
            })
            .collect();
        let query = Query { prep: 1, cleanup: 1, ..Query::new(self.span, 6, 15, limit) };
        search(&query, &locations, &candidates, scratch)
    }

    /// One pass over all bits that the search may read: the least that reading them can cost.
    pub fn bare_pass(&self) -> u64 {
        let free = |(roster, occupied): (&Bits, &Bits)| -> u64 {
            roster.words().iter().zip(occupied.words()).map(|(work, busy)| u64::from((work & !busy).count_ones())).sum()
        };
        self.rosters.iter().zip(&self.occupied).map(free).sum()
    }
}

fn half_occupied(span: Span, random: &mut Lcg) -> Bits {
    let mut bits = Bits::new(span);
    for at in (span.start..span.end).step_by(8) {
        if random.below(100) < 50 {
            bits.set(Span::new(at, at + 8));
        }
    }
    bits
}

/// A linear congruential generator with the constants of MMIX (Knuth, The Art of Computer Programming, vol. 2).
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_chain_and_more_than_half_is_occupied() {
        let chain = Chain::new(60, 14, 7);
        let set = |bits: &[Bits]| bits.iter().map(|bits| bits.ticks().count()).sum::<usize>();
        let occupied = set(&chain.occupied) * 100 / set(&chain.rosters);
        assert!((50..65).contains(&occupied), "{occupied}% occupied");
        let first = chain.search(50, &mut Scratch::default());
        assert_eq!(first.starts.len(), 50);
        assert_eq!(Chain::new(60, 14, 7).search(50, &mut Scratch::default()), first);
        assert_ne!(Chain::new(60, 14, 8).search(50, &mut Scratch::default()), first);
        // The free ticks, counted one by one.
        let free = chain.rosters.iter().zip(&chain.occupied);
        let free = free.map(|(work, busy)| work.ticks().filter(|tick| !busy.get(*tick)).count() as u64).sum::<u64>();
        assert_eq!(chain.bare_pass(), free);
    }
}
