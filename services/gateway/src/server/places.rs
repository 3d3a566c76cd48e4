//! The places of connections: in all and for each address.
//!
//! Where no place is free, the connection that has been idle longest gives up its own: a client that has something to say is
//! not shut out by those that have not.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::activity::Activity;

/// The limit that refuses a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    All,
    Address,
}

impl Refused {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Address => "address",
        }
    }
}

/// The open connections.
pub(super) struct Places {
    max: usize,
    per_address_max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, (Option<IpAddr>, Arc<Activity>)>,
    by_address: HashMap<IpAddr, usize>,
    number: u64,
}

/// The place of a connection, free again when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    pub(super) activity: Arc<Activity>,
}

impl Places {
    pub(super) fn new(max: usize, per_address_max: usize) -> Self {
        Self { max, per_address_max, open: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, if need be that of an idle connection. `address` is `None` for a trusted proxy.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, Refused> {
        let mut open = self.lock();
        let own = address.and_then(|address| open.by_address.get(&address)).copied().unwrap_or(0);
        if address.is_some() && own >= self.per_address_max {
            open.evict(|other| other == address).then_some(()).ok_or(Refused::Address)?;
        } else if open.connections.len() >= self.max {
            open.evict(|_| true).then_some(()).ok_or(Refused::All)?;
        }
        open.number += 1;
        let (number, activity) = (open.number, Arc::new(Activity::new(Instant::now())));
        open.connections.insert(number, (address, activity.clone()));
        if let Some(address) = address {
            *open.by_address.entry(address).or_default() += 1;
        }
        open.measure();
        Ok(Place { places: self.clone(), number, activity })
    }
}

impl Open {
    /// Closes the connection that has been idle longest, among those whose address is chosen.
    fn evict(&mut self, is_chosen: impl Fn(Option<IpAddr>) -> bool) -> bool {
        let chosen = self.connections.iter().filter(|(_, (address, _))| is_chosen(*address));
        let idle = chosen.filter_map(|(number, (_, activity))| Some((activity.idle_since()?, *number)));
        let Some((_, number)) = idle.min() else { return false };
        if let Some(activity) = self.remove(number) {
            activity.evict();
            metrics::counter!("http_connections_evicted_total").increment(1);
        }
        true
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Activity>> {
        let (address, activity) = self.connections.remove(&number)?;
        if let Some(address) = address
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
        Some(activity)
    }

    fn measure(&self) {
        metrics::gauge!("http_connections").set(self.connections.len() as f64);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.lock();
        open.remove(self.number);
        open.measure();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    /// A place whose connection carries a request.
    fn busy(places: &Arc<Places>, last: u8) -> Result<Place, Refused> {
        let place = places.take(address(last))?;
        place.activity.begin(false);
        Ok(place)
    }

    #[test]
    fn busy_connections_keep_their_places() {
        let places = Arc::new(Places::new(3, 2));
        let first = busy(&places, 1).unwrap();
        let _second = busy(&places, 1).unwrap();
        assert_eq!(busy(&places, 1).err(), Some(Refused::Address));
        let _third = busy(&places, 2).unwrap();
        assert_eq!(busy(&places, 3).err(), Some(Refused::All));
        drop(first);
        busy(&places, 3).unwrap();
        assert!(!places.lock().by_address.contains_key(&address(3).unwrap()), "a closed connection leaves nothing");
    }

    #[test]
    fn the_connection_that_is_idle_longest_gives_up_its_place() {
        let places = Arc::new(Places::new(3, 2));
        let _busy = busy(&places, 2).unwrap();
        let (oldest, other) = (places.take(address(1)).unwrap(), places.take(address(1)).unwrap());
        let newest = places.take(address(1)).unwrap();
        let evicted = |place: &Place| !places.lock().connections.contains_key(&place.number);
        assert_eq!([&oldest, &other, &newest].map(evicted), [true, false, false], "one of its own address");
        let _newcomer = busy(&places, 3).unwrap();
        assert_eq!([&other, &newest].map(evicted), [true, false], "the longest idle one of all");
        drop((oldest, other, newest));
        assert_eq!(places.lock().connections.len(), 2);
    }

    #[test]
    fn the_clients_of_a_trusted_proxy_are_not_counted_by_address() {
        let places = Arc::new(Places::new(10, 1));
        let proxied: Vec<_> = (0..5).map(|_| places.take(None).unwrap()).collect();
        assert!(places.lock().by_address.is_empty() && proxied.len() == 5);
    }
}
