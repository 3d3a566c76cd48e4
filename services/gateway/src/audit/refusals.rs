//! Refusals of one second are counted and become one line for each kind, so that a flood does not fill the disk.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use runtime::Clock;
use tokio::sync::Notify;

use crate::store::audit::Entry;

const SECOND_US: i64 = 1_000_000;
/// The most kinds of refusals that are told apart at one time. Beyond, refusals are counted without target and address.
const KINDS_MAX: usize = 256;

/// The refusals of the last second, by kind: an entry whose instant is its second, and which stands for no request.
#[derive(Default)]
pub(crate) struct Refusals {
    kinds: Mutex<HashMap<Entry, Count>>,
    /// The first refusal after an empty second.
    begun: Notify,
}

/// The instant of the first refusal of a kind, and their number.
struct Count {
    first_us: i64,
    requests: i64,
}

impl Refusals {
    /// Counts a refusal.
    pub(crate) fn count(&self, entry: Entry) {
        let mut kinds = self.kinds();
        let first_us = entry.at_us;
        let mut kind = Entry { at_us: first_us - first_us.rem_euclid(SECOND_US), requests: 0, ..entry };
        if kinds.len() >= KINDS_MAX && !kinds.contains_key(&kind) {
            (kind.target, kind.patient_id, kind.filter, kind.address) = Default::default();
        }
        kinds.entry(kind).or_insert(Count { first_us, requests: 0 }).requests += 1;
        self.begun.notify_one();
    }

    /// Waits until refusals have been counted for a second.
    pub(crate) async fn due(&self, clock: &Clock) {
        if self.kinds().is_empty() {
            self.begun.notified().await;
        }
        clock.sleep(Duration::from_secs(1)).await;
    }

    /// Takes the refusals of the seconds that ended before an instant. It also takes those of seconds that are still to
    /// come: the clock was set back since, and they would wait until it is that late again.
    pub(crate) fn take_before(&self, now_us: i64) -> Vec<Entry> {
        let mut kinds = self.kinds();
        let ended = kinds.extract_if(|kind, _| {
            kind.at_us.saturating_add(SECOND_US) <= now_us || kind.at_us > now_us.saturating_add(SECOND_US)
        });
        ended.map(|(kind, Count { first_us, requests })| Entry { at_us: first_us, requests, ..kind }).collect()
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<Entry, Count>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn refusal(at_us: i64, address: &str) -> Entry {
        Entry {
            organization_id: Uuid::from_u128(1),
            at_us,
            caller: "nobody".into(),
            action: "authenticate".into(),
            status: 401,
            requests: 1,
            address: address.into(),
            ..Entry::default()
        }
    }

    #[test]
    fn a_second_of_refusals_is_one_line_for_each_address() {
        let refusals = Refusals::default();
        for at_us in 0..1000 {
            refusals.count(refusal(5_000_000 + at_us, "192.0.2.1"));
            refusals.count(refusal(5_000_500 + at_us, "192.0.2.2"));
        }
        refusals.count(refusal(6_000_000, "192.0.2.1"));
        assert_eq!(refusals.take_before(5_999_999), []);
        let mut taken = refusals.take_before(6_000_000);
        taken.sort_by_key(|entry| entry.at_us);
        let counts: Vec<(i64, i64, &str)> =
            taken.iter().map(|entry| (entry.at_us, entry.requests, entry.address.as_str())).collect();
        assert_eq!(counts, [(5_000_000, 1000, "192.0.2.1"), (5_000_500, 1000, "192.0.2.2")]);
        assert_eq!(refusals.take_before(i64::MAX).len(), 1);
        refusals.count(refusal(6_500_000, "192.0.2.1"));
        assert_eq!(refusals.take_before(2_000_000).len(), 1, "the clock was set back");
    }

    #[test]
    fn a_flood_from_many_addresses_is_bounded_and_counted_whole() {
        let refusals = Refusals::default();
        for at in 0..10_000 {
            refusals.count(refusal(5_000_000, &format!("2001:db8::{at:x}")));
        }
        let taken = refusals.take_before(i64::MAX);
        assert_eq!(taken.len(), KINDS_MAX + 1);
        assert_eq!(taken.iter().map(|entry| entry.requests).sum::<i64>(), 10_000);
    }
}
