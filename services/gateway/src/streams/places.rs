//! The places of open streams: in all, for each key and for each visitor of a front end.
//!
//! A key gets a place only while it has fewer than are free, so that no key shuts out another one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rpc::{Code, Fault};
use tokio_util::sync::CancellationToken;

/// When a refused client may ask again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The open streams.
pub(crate) struct Places {
    max: usize,
    per_key_max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_key: HashMap<String, OfKey>,
}

#[derive(Default)]
struct OfKey {
    count: usize,
    by_visitor: HashMap<String, usize>,
    /// Cancelled when the key is revoked.
    revoked: CancellationToken,
}

/// The visitor of a stream, and the most streams that they may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VisitorLimit {
    pub(crate) visitor: String,
    pub(crate) max: usize,
}

/// The place of a stream, free again when it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    key: String,
    visitor: Option<String>,
    revoked: CancellationToken,
}

impl Places {
    pub(crate) fn new(max: usize, per_key_max: usize) -> Self {
        Self { max, per_key_max, open: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a caller's stream.
    ///
    /// # Errors
    /// `overloaded` while too many streams are open, `rate_limited` while the key or the visitor has too many.
    pub(crate) fn take(self: &Arc<Self>, key: &str, visitor: Option<VisitorLimit>) -> Result<Place, Fault> {
        let mut open = self.lock();
        let free = self.max.saturating_sub(open.all);
        if free == 0 {
            return Err(Fault::new(Code::Overloaded, "too many streams are open; try again shortly"));
        }
        let own = open.by_key.get(key);
        let count = own.map_or(0, |own| own.count);
        if count >= self.per_key_max.min(free) {
            let detail = format!("the key has {count} open streams; close one, or share one among its users");
            return Err(Fault::new(Code::RateLimited, detail).retry_after(RETRY_AFTER));
        }
        if let Some(VisitorLimit { visitor, max }) = &visitor
            && own.and_then(|own| own.by_visitor.get(visitor)).is_some_and(|count| count >= max)
        {
            let detail = format!("the visitor has {max} open streams; close one first");
            return Err(Fault::new(Code::RateLimited, detail).retry_after(RETRY_AFTER));
        }
        open.all += 1;
        let own = open.by_key.entry(key.to_owned()).or_default();
        own.count += 1;
        let visitor = visitor.map(|limit| limit.visitor);
        if let Some(visitor) = &visitor {
            *own.by_visitor.entry(visitor.clone()).or_default() += 1;
        }
        let revoked = own.revoked.clone();
        open.measure();
        Ok(Place { places: self.clone(), key: key.to_owned(), visitor, revoked })
    }

    /// The keys with open streams.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.lock().by_key.keys().cloned().collect()
    }

    /// Ends the streams of a revoked key.
    pub(crate) fn revoke(&self, key: &str) {
        if let Some(own) = self.lock().by_key.get(key) {
            own.revoked.cancel();
        }
    }
}

impl Open {
    fn measure(&self) {
        metrics::gauge!("http_streams").set(self.all as f64);
    }
}

impl Place {
    /// Waits until the key is revoked.
    pub(crate) async fn revoked(&self) {
        self.revoked.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.lock();
        open.all -= 1;
        if let Some(own) = open.by_key.get_mut(&self.key) {
            own.count -= 1;
            if let Some(visitor) = &self.visitor
                && let Some(count) = own.by_visitor.get_mut(visitor)
            {
                *count -= 1;
                if *count == 0 {
                    own.by_visitor.remove(visitor);
                }
            }
            if own.count == 0 {
                open.by_key.remove(&self.key);
            }
        }
        open.measure();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(places: &Arc<Places>, key: &str) -> Vec<Place> {
        std::iter::from_fn(|| places.take(key, None).ok()).collect()
    }

    #[test]
    fn no_key_shuts_out_another() {
        let places = Arc::new(Places::new(64, 40));
        let first = fill(&places, "a");
        let second = fill(&places, "b");
        assert_eq!((first.len(), second.len()), (32, 16));
        assert_eq!(places.take("a", None).err().unwrap().code, Code::RateLimited);
        assert!(places.take("c", None).is_ok());
        drop((first, second));
        assert_eq!(fill(&places, "b").len(), 32);
        assert!(places.keys().is_empty() && places.lock().all == 0, "closed streams leave nothing");
    }

    #[test]
    fn the_last_place_is_taken_and_then_all_is_full() {
        let places = Arc::new(Places::new(1, 10));
        let _only = places.take("a", None).unwrap();
        assert_eq!(places.take("b", None).err().unwrap().code, Code::Overloaded);
    }

    #[test]
    fn a_visitor_has_a_part_of_its_keys_streams() {
        let places = Arc::new(Places::new(100, 50));
        let take = |visitor: &str| places.take("a", Some(VisitorLimit { visitor: visitor.into(), max: 2 }));
        let (first, _second) = (take("v").unwrap(), take("v").unwrap());
        assert_eq!(take("v").err().unwrap().code, Code::RateLimited);
        assert!(take("w").is_ok());
        drop(first);
        assert!(take("v").is_ok());
    }

    #[tokio::test]
    async fn a_revocation_reaches_the_keys_streams_alone() {
        let places = Arc::new(Places::new(100, 50));
        let (place, other) = (places.take("a", None).unwrap(), places.take("b", None).unwrap());
        places.revoke("a");
        place.revoked().await;
        assert!(!other.revoked.is_cancelled());
    }
}
