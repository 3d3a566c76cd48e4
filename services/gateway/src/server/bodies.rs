//! The memory of bodies that are still being sent.
//!
//! A body takes no place of a running request until it is whole, so that slow clients shut nobody out; but its first part is
//! kept meanwhile. A client that keeps little is refused never, whatever others keep.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rpc::{Code, Fault};

/// The most bytes of all clients, beyond which a client may keep [`LITTLE_BYTES`].
const ALL_BYTES_MAX: usize = 256 << 20;
/// The most bytes of one client.
const CLIENT_BYTES_MAX: usize = 32 << 20;
const LITTLE_BYTES: usize = 1 << 20;

/// The bytes of unfinished bodies, by their clients' networks.
#[derive(Default)]
pub(crate) struct Bodies(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// The bytes of one unfinished body; given back when it is dropped.
pub(crate) struct KeptBody {
    bodies: Arc<Bodies>,
    client: IpAddr,
    bytes: usize,
}

impl Bodies {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A body of this client's network, of which nothing has come.
    pub(crate) fn begin(self: &Arc<Self>, client: IpAddr) -> KeptBody {
        KeptBody { bodies: self.clone(), client, bytes: 0 }
    }
}

impl KeptBody {
    /// More of the body has come.
    ///
    /// # Errors
    /// `overloaded` while the client, or all clients, send too much at one time.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Fault> {
        let mut kept = self.bodies.lock();
        let own = kept.by_client.get(&self.client).copied().unwrap_or(0) + bytes;
        let all = kept.all + bytes;
        if own > CLIENT_BYTES_MAX || (all > ALL_BYTES_MAX && own > LITTLE_BYTES) {
            let detail = "too many bodies are being sent; send fewer at one time";
            return Err(Fault::new(Code::Overloaded, detail).retry_after(Duration::from_secs(1)));
        }
        kept.all = all;
        kept.by_client.insert(self.client, own);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for KeptBody {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut kept = self.bodies.lock();
        kept.all -= self.bytes;
        if let Some(own) = kept.by_client.get_mut(&self.client) {
            *own -= self.bytes;
            if *own == 0 {
                kept.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_keeps_little_is_served_whatever_others_keep() {
        let bodies = Arc::new(Bodies::default());
        let begin = |last: u8| bodies.begin(IpAddr::from([192, 0, 2, last]));
        let mut greedy: Vec<KeptBody> = (0..8).map(begin).collect();
        for body in &mut greedy {
            body.grow(CLIENT_BYTES_MAX).unwrap();
            assert_eq!(body.grow(1).unwrap_err().code, Code::Overloaded, "one client's limit");
        }
        let mut modest = begin(100);
        modest.grow(1000).unwrap();
        assert!(modest.grow(LITTLE_BYTES).is_err(), "beyond the limit of all clients only little");
        greedy.clear();
        modest.grow(LITTLE_BYTES).unwrap();
        drop(modest);
        let kept = bodies.lock();
        assert_eq!((kept.all, kept.by_client.len()), (0, 0));
    }
}
