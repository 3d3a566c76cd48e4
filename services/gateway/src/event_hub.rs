//! One subscription to booking's feed for all event streams of this gateway, open while any stream is.
//!
//! A subscription costs booking's database about fifty queries a second, whoever listens, so a subscription for each
//! stream would overload it.

use std::sync::Arc;

use rpc::Fault;
use service::feed_client::Changes;
use tokio::sync::{Mutex, broadcast};
use wire::booking::ChangeBatch;

use crate::Inner;

/// A batch of the feed, or the fault that ended it.
pub(crate) type FeedMessage = Result<Arc<ChangeBatch>, Fault>;

/// The most batches that wait for a slow reader. Its stream then ends, and the client resumes at its position.
const BACKLOG_MAX: usize = 1024;

/// The sender of the open subscription, if there is one.
#[derive(Default)]
pub(crate) struct EventHub(Mutex<Option<broadcast::WeakSender<FeedMessage>>>);

/// Receives the feed's messages from now on.
///
/// # Errors
/// The fault of booking's refusal to subscribe.
pub(crate) async fn subscribe(inner: &Arc<Inner>) -> Result<broadcast::Receiver<FeedMessage>, Fault> {
    let mut current = inner.event_hub.0.lock().await;
    if let Some(sender) = current.as_ref().and_then(broadcast::WeakSender::upgrade) {
        return Ok(sender.subscribe());
    }
    let changes = inner.feed.subscribe("", false).await?;
    let (sender, receiver) = broadcast::channel(BACKLOG_MAX);
    *current = Some(sender.downgrade());
    tokio::spawn(forward(inner.clone(), changes, sender));
    Ok(receiver)
}

/// Sends the feed's messages to all receivers until the feed ends, the gateway drains or no receiver is left.
async fn forward(inner: Arc<Inner>, mut changes: Changes, sender: broadcast::Sender<FeedMessage>) {
    while let Some(message) = inner.draining.until(changes.next()).await {
        // The lock keeps a new receiver from joining between the count and the end.
        let mut current = inner.event_hub.0.lock().await;
        let ended = message.is_err() || sender.receiver_count() == 0;
        // An error means that there is no receiver.
        let _ = sender.send(message.map(Arc::new));
        if ended {
            *current = None;
            return;
        }
    }
}
