//! One follower of booking's feed for all streams of this gateway, while there is any.
//!
//! A follower costs booking's database some fifty looks a second, whoever listens; a stream of its own for each reader
//! would let readers bring it down.

use std::{sync::Arc, time::Duration};

use domain::id::OrganizationId;
use futures::StreamExt;
use rpc::{Code, Context, Fault};
use tokio::sync::{Mutex, broadcast};
use tonic::{Status, Streaming};
use uuid::Uuid;
use wire::booking::{ChangeBatch, SubscribeChangesRequest};

use crate::Inner;

/// What the feed said, or why it broke off.
pub(crate) type Beat = Result<Arc<ChangeBatch>, Status>;

const CALL_WITHIN: Duration = Duration::from_secs(5);
/// A feed that says nothing for so long is taken as cut; it beats every second.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// A reader that is so many batches behind is sent away, and comes back where it was.
const BEHIND_MAX: usize = 1024;

/// Where the follower speaks, while there is one.
#[derive(Default)]
pub(crate) struct Hub(Mutex<Option<broadcast::WeakSender<Beat>>>);

/// Listens to the feed from now on.
///
/// # Errors
/// When booking does not answer.
pub(crate) async fn join(inner: &Arc<Inner>) -> Result<broadcast::Receiver<Beat>, Status> {
    let mut live = inner.hub.0.lock().await;
    if let Some(sender) = live.as_ref().and_then(broadcast::WeakSender::upgrade) {
        return Ok(sender.subscribe());
    }
    // The feed spans organisations; its calls name none in particular.
    let ctx = Context::new(OrganizationId::new(Uuid::nil()), "gateway", CALL_WITHIN);
    let request = ctx.request(SubscribeChangesRequest::default());
    let batches = inner.feed.clone().subscribe_changes(request).await?.into_inner();
    let (sender, receiver) = broadcast::channel(BEHIND_MAX);
    *live = Some(sender.downgrade());
    tokio::spawn(follow(inner.clone(), batches, sender));
    Ok(receiver)
}

async fn follow(inner: Arc<Inner>, mut batches: Streaming<ChangeBatch>, sender: broadcast::Sender<Beat>) {
    let mut next = async || match tokio::time::timeout(SILENCE_MAX, batches.next()).await {
        Ok(Some(batch)) => batch.map(Arc::new),
        Ok(None) | Err(_) => Err(broken().into()),
    };
    while let Some(beat) = inner.draining.until(next()).await {
        // Nobody joins between the last look and the end.
        let mut live = inner.hub.0.lock().await;
        let over = beat.is_err() || sender.receiver_count() == 0;
        // An error means that nobody listens.
        let _ = sender.send(beat);
        if over {
            *live = None;
            return;
        }
    }
}

/// The feed has ended without a word.
pub(crate) fn broken() -> Fault {
    Fault::new(Code::Unavailable, "the feed broke off; come back with the last event's id")
}
