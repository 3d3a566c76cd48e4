//! New identifiers and random bytes, from one source that a test can seed.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

/// A handle to the source; clones share it.
#[derive(Clone)]
pub struct Ids(Arc<Mutex<Source>>);

struct Source {
    rng: StdRng,
    last: (u64, u16),
}

impl Ids {
    /// A source seeded by the operating system.
    pub fn system() -> Self {
        Self::from_rng(rand::make_rng())
    }

    /// A source that repeats its ids for a seed.
    pub fn seeded(seed: u64) -> Self {
        Self::from_rng(StdRng::seed_from_u64(seed))
    }

    fn from_rng(rng: StdRng) -> Self {
        Self(Arc::new(Mutex::new(Source { rng, last: (0, 0) })))
    }

    /// A version 7 UUID (RFC 9562) of this instant; ids of the same millisecond still ascend.
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let counter = match source.last {
            // 12 bits count within the millisecond; past them, borrow the next one.
            (last, count) if ms <= last && count >= 0x0fff => (last + 1, 0),
            (last, count) if ms <= last => (last, count + 1),
            _ => (ms, 0),
        };
        source.last = counter;
        let random: u64 = source.rng.random();
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&counter.0.to_be_bytes()[2..]);
        bytes[6..8].copy_from_slice(&(0x7000 | counter.1).to_be_bytes());
        bytes[8..].copy_from_slice(&((random & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000).to_be_bytes());
        Uuid::from_bytes(bytes)
    }

    /// Random bytes, suitable for secrets if the source is the system's.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Fills a buffer with random bytes, suitable for secrets if the source is the system's.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rng.fill_bytes(bytes);
    }

    /// A fraction in `[0, 1)`, for jitter.
    pub fn fraction(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rng.random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_and_repeat_with_their_seed() {
        let now = "2026-03-06T08:00:00Z".parse().unwrap();
        let make = || {
            (0..10_000)
                .map({
                    let ids = Ids::seeded(7);
                    move |_| ids.uuid(now)
                })
                .collect::<Vec<_>>()
        };
        let made = make();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(made, make());
        assert_eq!(made[0].get_version_num(), 7);
        assert_eq!(made[0].get_variant(), uuid::Variant::RFC4122);
    }

    #[test]
    fn ids_ascend_when_the_clock_is_set_back() {
        let ids = Ids::seeded(7);
        let first = ids.uuid("2026-03-06T08:00:00.500Z".parse().unwrap());
        let second = ids.uuid("2026-03-06T08:00:00Z".parse().unwrap());
        assert!(first < second);
    }

    #[test]
    fn an_id_carries_its_millisecond() {
        let now: Timestamp = "2026-03-06T08:00:00.123Z".parse().unwrap();
        let (seconds, nanos) = Ids::seeded(1).uuid(now).get_timestamp().unwrap().to_unix();
        assert_eq!((i64::try_from(seconds).unwrap(), nanos), (now.as_second(), 123_000_000));
    }

    #[test]
    fn clones_share_one_source() {
        let (ids, twin) = (Ids::seeded(3), Ids::seeded(3));
        let clone = ids.clone();
        assert_eq!((ids.bytes::<8>(), clone.bytes::<8>()), (twin.bytes::<8>(), twin.bytes::<8>()));
        assert_ne!(ids.bytes::<8>(), clone.bytes::<8>());
    }
}
