//! The followers of the feed that are connected to this process, each with the position up to which it has everything.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sql::feed::Position;

/// The connected followers. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Followers(Arc<Mutex<Register>>);

#[derive(Default)]
struct Register {
    next: u64,
    connected: BTreeMap<u64, (String, Position)>,
}

/// A connected follower, until it is dropped.
pub(crate) struct Follower {
    followers: Followers,
    number: u64,
}

impl Followers {
    /// Registers a follower by the name of its service.
    pub(crate) fn connect(&self, name: &str, position: Position) -> Follower {
        let mut register = self.lock();
        let number = register.next;
        register.next += 1;
        register.connected.insert(number, (name.to_owned(), position));
        Follower { followers: self.clone(), number }
    }

    /// Name and position of each follower.
    pub(crate) fn positions(&self) -> Vec<(String, Position)> {
        self.lock().connected.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Register> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    /// Notes that the follower has everything up to a position.
    pub(crate) fn reached(&self, position: Position) {
        if let Some((_, known)) = self.followers.lock().connected.get_mut(&self.number) {
            *known = position;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.followers.lock().connected.remove(&self.number);
    }
}
