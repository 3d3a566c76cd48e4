//! Readiness: the conditions under which the process takes traffic.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

type Parts = BTreeMap<String, Option<String>>;
type Notes = BTreeMap<String, String>;

/// The parts that must be ready before the process takes traffic, and notes for operators on parts that work with a fault.
/// Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    parts: Arc<watch::Sender<Parts>>,
    notes: Arc<Mutex<Notes>>,
}

impl Readiness {
    /// No parts: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Marks a part as ready.
    pub fn ready(&self, part: &str) {
        self.set(part, None);
    }

    /// Marks a part as not ready, with a reason without personal data.
    pub fn unready(&self, part: &str, reason: &str) {
        self.set(part, Some(reason.to_owned()));
    }

    /// The parts that are not ready, each with its reason; empty where all are.
    pub fn missing(&self) -> Vec<(String, String)> {
        self.parts.borrow().iter().filter_map(|(part, reason)| Some((part.clone(), reason.clone()?))).collect()
    }

    /// Sets what operators should know of a part that takes traffic all the same, without personal data; `None` takes the
    /// note away. Answers whether the note changed.
    pub fn note(&self, part: &str, note: Option<String>) -> bool {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match note.clone() {
            Some(note) => notes.insert(part.to_owned(), note),
            None => notes.remove(part),
        };
        before != note
    }

    /// The notes, by part.
    pub fn notes(&self) -> Vec<(String, String)> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().map(|(part, note)| (part.clone(), note.clone())).collect()
    }

    /// Whether every part is ready.
    pub fn is_ready(&self) -> bool {
        all_ready(&self.parts.borrow())
    }

    /// Waits until [`Readiness::is_ready`] has this value.
    pub async fn until(&self, ready: bool) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.parts.subscribe().wait_for(|parts| all_ready(parts) == ready).await;
    }

    fn set(&self, part: &str, reason: Option<String>) {
        self.parts.send_if_modified(|parts| {
            if parts.get(part) == Some(&reason) {
                return false;
            }
            parts.insert(part.to_owned(), reason);
            true
        });
    }
}

fn all_ready(parts: &Parts) -> bool {
    parts.values().all(Option::is_none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_unready_part_makes_all_unready_and_gives_its_reason() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        readiness.ready("database");
        readiness.unready("feed", "the snapshot is not loaded");
        assert!(!readiness.is_ready());
        assert_eq!(readiness.missing(), [("feed".to_owned(), "the snapshot is not loaded".to_owned())]);
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.until(true).await }
        });
        readiness.ready("feed");
        waiting.await.unwrap();
        assert!(readiness.missing().is_empty());
    }

    #[test]
    fn a_note_makes_nothing_unready() {
        let readiness = Readiness::new();
        assert!(readiness.note("feed", Some("late".to_owned())) && !readiness.note("feed", Some("late".to_owned())));
        assert!(readiness.is_ready());
        assert_eq!(readiness.notes(), [("feed".to_owned(), "late".to_owned())]);
        assert!(readiness.note("feed", None) && readiness.notes().is_empty());
    }
}
