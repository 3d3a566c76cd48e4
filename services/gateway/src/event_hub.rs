//! One subscription to booking's feed for all event streams of this gateway, open while any stream is, and one topic for each
//! organisation: an event is written once, however many streams carry it.
//!
//! A subscription costs booking's database about fifty queries a second, whoever listens, so a subscription for each
//! stream would overload it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use axum::body::Bytes;
use domain::event::Event;
use rpc::Fault;
use service::feed_client::Changes;
use sql::feed::Position;
use wire::{booking::ChangeBatch, convert};

use crate::{
    Inner,
    streams::{Kept, Lagged, Reader, Topic, sse},
};

/// The most bytes of events that an organisation's topic keeps for slow readers. Beyond them a stream ends, and the client
/// resumes at its position.
const EVENTS_BYTES_MAX: usize = 256 << 10;
/// The most batches without an event of the organisation after which the position is sent alone. A client that reconnects
/// then resumes at a position that the feed still reaches. A quiet feed sends about one batch a second.
const SILENT_BATCHES_MAX: u32 = 15;

/// The text of an event, and its position in the feed. Without a name it is the position alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeedEvent {
    pub(crate) position: Option<Position>,
    pub(crate) text: Bytes,
}

/// An event, or the fault that ended the feed.
pub(crate) type FeedMessage = Result<FeedEvent, Fault>;

impl Kept for FeedMessage {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, |event| event.text.len())
    }
}

/// The open subscription, if there is one.
#[derive(Default)]
pub(crate) struct EventHub(tokio::sync::Mutex<Weak<Feed>>);

/// The topics of the organisations whose streams are open.
#[derive(Default)]
struct Feed {
    topics: Mutex<HashMap<String, OrganizationTopic>>,
}

struct OrganizationTopic {
    writer: EventWriter,
    topic: Arc<Topic<FeedMessage>>,
}

/// Receives an organisation's events from now on. The feed stays open as long as a subscriber lives.
pub(crate) struct Subscriber {
    reader: Reader<FeedMessage>,
    /// The position before the first event, where it is known.
    begins_at: Option<Bytes>,
    _feed: Arc<Feed>,
}

impl Subscriber {
    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// When the subscriber has fallen behind.
    pub(crate) async fn next(&mut self) -> Option<Result<FeedMessage, Lagged>> {
        if let Some(text) = self.begins_at.take() {
            return Some(Ok(Ok(FeedEvent { position: None, text })));
        }
        self.reader.next().await
    }
}

/// Subscribes to the events of an organisation.
///
/// # Errors
/// The fault of booking's refusal to subscribe.
pub(crate) async fn subscribe(inner: &Arc<Inner>, organization: &str) -> Result<Subscriber, Fault> {
    let mut current = inner.event_hub.0.lock().await;
    if let Some(feed) = current.upgrade() {
        return Ok(feed.join(organization));
    }
    let changes = inner.feed.subscribe("", false).await?;
    let feed = Arc::new(Feed::default());
    *current = Arc::downgrade(&feed);
    let subscriber = feed.join(organization);
    tokio::spawn(forward(inner.clone(), changes, current.clone()));
    Ok(subscriber)
}

/// Publishes the feed's events until the feed ends, the gateway drains or no subscriber is left.
async fn forward(inner: Arc<Inner>, mut changes: Changes, feed: Weak<Feed>) {
    while let Some(batch) = inner.draining.until(changes.next()).await {
        let Some(feed) = feed.upgrade() else { return };
        let has_failed = batch.is_err();
        if has_failed {
            // A subscriber after this opens another subscription.
            *inner.event_hub.0.lock().await = Weak::new();
        }
        feed.publish(&batch);
        if has_failed {
            return;
        }
    }
    if let Some(feed) = feed.upgrade() {
        feed.lock().values().for_each(|organization| organization.topic.end());
    }
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, OrganizationTopic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>, organization: &str) -> Subscriber {
        let mut topics = self.lock();
        // An organisation whose streams have closed is forgotten when another stream opens.
        topics.retain(|name, known| name == organization || known.topic.has_readers());
        let known = topics.entry(organization.to_owned()).or_insert_with(|| OrganizationTopic {
            writer: EventWriter::new(None),
            topic: Topic::new(EVENTS_BYTES_MAX),
        });
        let begins_at = known.writer.position.map(|position| sse::position(&position.to_string()));
        let reader = known.topic.reader(known.topic.next_number());
        Subscriber { reader, begins_at, _feed: self.clone() }
    }

    fn publish(&self, batch: &Result<ChangeBatch, Fault>) {
        let mut topics = self.lock();
        match batch {
            Ok(batch) => {
                for (organization, OrganizationTopic { writer, topic }) in topics.iter_mut() {
                    for event in writer.events(batch, organization) {
                        topic.publish(Ok(event));
                    }
                }
            }
            Err(fault) => {
                for OrganizationTopic { topic, .. } in topics.values() {
                    topic.publish(Err(fault.clone()));
                    topic.end();
                }
            }
        }
    }
}

/// Writes the events of one organisation, none twice, and now and then the position alone.
pub(crate) struct EventWriter {
    /// The position up to which events were written.
    position: Option<Position>,
    silent_batches: u32,
}

impl EventWriter {
    /// Writes the events after a position. The first batch without an event gives its position.
    pub(crate) fn new(position: Option<Position>) -> Self {
        Self { position, silent_batches: SILENT_BATCHES_MAX }
    }

    pub(crate) fn events(&mut self, batch: &ChangeBatch, organization: &str) -> Vec<FeedEvent> {
        let is_written = |position: Option<Position>| {
            self.position.zip(position).is_some_and(|(written, position)| written.reaches(position))
        };
        let changes = batch.changes.iter().filter(|change| change.organization_id == organization);
        let changes = changes.map(|change| (change, change.position.parse::<Position>().ok()));
        let changes = changes.filter(|(_, position)| !is_written(*position));
        let mut events: Vec<FeedEvent> = changes
            .filter_map(|(change, position)| {
                Some(FeedEvent { text: text(&convert::event::from_change(change)?, &change.position), position })
            })
            .collect();
        let end = batch.position.parse::<Position>().ok();
        let advanced = !is_written(end);
        if advanced {
            self.position = end;
        }
        self.silent_batches += 1;
        if events.is_empty() && self.silent_batches > SILENT_BATCHES_MAX && advanced {
            events.push(FeedEvent { position: end, text: sse::position(&batch.position) });
        }
        if !events.is_empty() {
            self.silent_batches = 0;
        }
        events
    }
}

fn text(event: &Event, position: &str) -> Bytes {
    sse::event(position, event.kind.as_str(), event)
}
