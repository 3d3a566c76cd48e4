//! The places of running deliveries, shared fairly: an endpoint that never answers holds its place for 20 seconds, and an
//! organisation with many of them must not hold all.
//!
//! An organisation gets a place only while it has fewer than are free. So the first one may take half of the places, the next
//! half of the others, and there is a place for an organisation that has none.

use std::{collections::HashMap, hash::Hash};

use uuid::Uuid;

use crate::store::webhook_deliveries::Excluded;

/// Concurrent deliveries of this process.
pub(crate) const PLACES: usize = 256;
/// Deliveries of one lease, and concurrent deliveries to one endpoint.
pub(crate) const LEASE_MAX: usize = 4;
/// Concurrent deliveries of one organisation.
const ORGANIZATION_MAX: usize = 24;

/// The running deliveries.
#[derive(Debug, Default)]
pub(crate) struct Places(HashMap<Uuid, Holder>);

#[derive(Debug, Clone, Copy)]
struct Holder {
    endpoint: Uuid,
    organization: Uuid,
}

impl Places {
    pub(crate) fn take(&mut self, delivery: Uuid, endpoint: Uuid, organization: Uuid) {
        self.0.insert(delivery, Holder { endpoint, organization });
    }

    pub(crate) fn give_back(&mut self, delivery: Uuid) {
        self.0.remove(&delivery);
    }

    /// The deliveries that get no place now.
    pub(crate) fn excluded(&self) -> Excluded {
        let free = PLACES.saturating_sub(self.0.len());
        let organization_max = ORGANIZATION_MAX.min(free);
        Excluded {
            deliveries: self.0.keys().copied().collect(),
            endpoints: full(self.0.values().map(|holder| holder.endpoint), LEASE_MAX),
            organizations: full(self.0.values().map(|holder| holder.organization), organization_max),
        }
    }
}

/// The holders with at least this many places.
fn full<T: Hash + Eq>(holders: impl Iterator<Item = T>, max: usize) -> Vec<T> {
    let mut counts = HashMap::new();
    for holder in holders {
        *counts.entry(holder).or_insert(0_usize) += 1;
    }
    counts.into_iter().filter(|(_, count)| *count >= max).map(|(holder, _)| holder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes places for an organisation, with an endpoint for each, as long as it gets them.
    fn fill(places: &mut Places, organization: u128) -> usize {
        let organization_id = Uuid::from_u128(organization);
        let before = places.0.len();
        while !places.excluded().organizations.contains(&organization_id) && places.0.len() < PLACES {
            let delivery = Uuid::from_u128((organization << 64) + places.0.len() as u128);
            places.take(delivery, delivery, organization_id);
        }
        places.0.len() - before
    }

    #[test]
    fn an_endpoint_gets_a_part_of_its_organisations_places() {
        let mut places = Places::default();
        for delivery in 0..LEASE_MAX {
            assert!(places.excluded().endpoints.is_empty());
            places.take(Uuid::from_u128(delivery as u128), Uuid::from_u128(9), Uuid::from_u128(8));
        }
        let excluded = places.excluded();
        assert_eq!((excluded.endpoints, excluded.deliveries.len()), (vec![Uuid::from_u128(9)], LEASE_MAX));
        places.give_back(Uuid::from_u128(0));
        assert!(places.excluded().endpoints.is_empty() && places.excluded().organizations.is_empty());
    }

    #[test]
    fn organisations_that_hold_all_they_can_get_leave_places_to_others() {
        let mut places = Places::default();
        let held: Vec<usize> = (1..=14).map(|organization| fill(&mut places, organization)).collect();
        assert_eq!(held[..9], [ORGANIZATION_MAX; 9]);
        assert!(held.windows(2).all(|pair| pair[0] >= pair[1]) && held.iter().all(|held| *held > 0), "{held:?}");
    }
}
