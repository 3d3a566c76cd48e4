//! Events that many streams read. Each is kept once, up to a number of bytes; a reader that falls behind is cut.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// An event that a topic keeps.
pub(crate) trait Kept: Clone {
    /// Its size in bytes.
    fn bytes(&self) -> usize;
}

impl Kept for axum::body::Bytes {
    fn bytes(&self) -> usize {
        self.len()
    }
}

/// The last events of a topic, numbered from 1.
pub(crate) struct Topic<T> {
    events: Mutex<Events<T>>,
    bytes_max: usize,
    /// Changes with each event, and when the topic ends.
    changed: watch::Sender<()>,
}

struct Events<T> {
    kept: VecDeque<T>,
    /// The number of the first kept event.
    first: u64,
    bytes: usize,
    ended: bool,
}

/// A reader's next event is no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lagged;

impl<T: Kept> Topic<T> {
    /// A topic that keeps at most this many bytes, but always the last event.
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        let events = Events { kept: VecDeque::new(), first: 1, bytes: 0, ended: false };
        Arc::new(Self { events: Mutex::new(events), bytes_max, changed: watch::Sender::new(()) })
    }

    fn lock(&self) -> MutexGuard<'_, Events<T>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes an event; returns its number.
    pub(crate) fn publish(&self, event: T) -> u64 {
        let mut events = self.lock();
        events.bytes += event.bytes();
        events.kept.push_back(event);
        while events.bytes > self.bytes_max && events.kept.len() > 1 {
            let dropped = events.kept.pop_front().map_or(0, |event| event.bytes());
            events.bytes -= dropped;
            events.first += 1;
        }
        let number = events.next() - 1;
        drop(events);
        self.changed.send_replace(());
        number
    }

    /// Ends all readers when they have read what there is.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.send_replace(());
    }

    /// The number of the next event.
    pub(crate) fn next_number(&self) -> u64 {
        self.lock().next()
    }

    /// The events from this number on; `None` where the first of them are no longer kept, or it is not reached yet.
    pub(crate) fn since(&self, number: u64) -> Option<Vec<T>> {
        let events = self.lock();
        let skipped = usize::try_from(number.checked_sub(events.first)?).ok()?;
        (skipped <= events.kept.len()).then(|| events.kept.iter().skip(skipped).cloned().collect())
    }

    /// Whether anyone reads it.
    pub(crate) fn has_readers(&self) -> bool {
        self.changed.receiver_count() > 0
    }

    /// A reader whose first event has this number.
    pub(crate) fn reader(self: &Arc<Self>, next: u64) -> Reader<T> {
        Reader { changed: self.changed.subscribe(), topic: self.clone(), next }
    }
}

impl<T> Events<T> {
    fn next(&self) -> u64 {
        self.first + self.kept.len() as u64
    }
}

/// Reads a topic's events one after the other.
pub(crate) struct Reader<T> {
    topic: Arc<Topic<T>>,
    changed: watch::Receiver<()>,
    next: u64,
}

impl<T: Kept> Reader<T> {
    /// The next event; `None` at the topic's end.
    ///
    /// # Errors
    /// When the event is no longer kept.
    pub(crate) async fn next(&mut self) -> Option<Result<T, Lagged>> {
        loop {
            // Marked before the look, so that no event between the look and the wait is missed.
            self.changed.mark_unchanged();
            {
                let events = self.topic.lock();
                let Some(skipped) = self.next.checked_sub(events.first) else { return Some(Err(Lagged)) };
                let event = usize::try_from(skipped).ok().and_then(|skipped| events.kept.get(skipped));
                if let Some(event) = event {
                    self.next += 1;
                    return Some(Ok(event.clone()));
                }
                if events.ended {
                    return None;
                }
            }
            // The topic holds the sender, so this does not fail.
            self.changed.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    fn topic(bytes_max: usize, events: &[&'static str]) -> Arc<Topic<Bytes>> {
        let topic = Topic::new(bytes_max);
        for event in events {
            topic.publish(Bytes::from_static(event.as_bytes()));
        }
        topic
    }

    #[tokio::test]
    async fn readers_share_the_events_and_wait_for_the_next() {
        let topic = topic(100, &["a", "b"]);
        let (mut early, mut late) = (topic.reader(1), topic.reader(topic.next_number()));
        for expected in ["a", "b"] {
            assert_eq!(early.next().await.unwrap().unwrap(), expected);
        }
        let waiting = tokio::spawn(async move { (early.next().await, late.next().await) });
        assert_eq!(topic.publish(Bytes::from_static(b"c")), 3);
        let (early, late) = waiting.await.unwrap();
        let pointer = |event: Option<Result<Bytes, Lagged>>| event.unwrap().unwrap().as_ptr();
        assert_eq!(pointer(early), pointer(late), "one buffer");
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_is_cut() {
        let topic = topic(2, &["a"]);
        let mut reader = topic.reader(1);
        topic.publish(Bytes::from_static(b"b"));
        topic.publish(Bytes::from_static(b"c"));
        assert_eq!(reader.next().await, Some(Err(Lagged)));
        assert_eq!(topic.since(1), None);
        assert_eq!(topic.since(2).unwrap(), ["b", "c"]);
        assert_eq!((topic.since(4).unwrap().len(), topic.since(5)), (0, None));
    }

    #[tokio::test]
    async fn an_event_larger_than_the_buffer_is_kept_until_the_next() {
        let topic = topic(2, &["a", "larger"]);
        assert_eq!(topic.reader(2).next().await.unwrap().unwrap(), "larger");
        topic.publish(Bytes::from_static(b"b"));
        assert_eq!(topic.since(2), None);
    }

    #[tokio::test]
    async fn readers_end_with_the_topic_and_their_number_is_known() {
        let topic = topic(10, &["a"]);
        assert!(!topic.has_readers());
        let mut reader = topic.reader(1);
        assert!(topic.has_readers());
        topic.end();
        assert!(reader.next().await.unwrap().is_ok());
        assert_eq!(reader.next().await, None);
        drop(reader);
        assert!(!topic.has_readers());
    }
}
