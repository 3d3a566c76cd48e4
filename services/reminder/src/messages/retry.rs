//! A message that failed, or whose fate is unknown, planned anew by hand. It still meets every check before it leaves.

use std::sync::Arc;

use rpc::{Code, Context, Fault};
use tonic::Response;
use wire::reminder::{Message, RetryMessageRequest};

use super::{load, shown};
use crate::{
    Inner, address_hash,
    store::Refusal,
    write::{answer, refused, remember, replay},
};

const ROUTE: &str = "/meridian.reminder.v1.Reminder/RetryMessage";
const AGAIN: [&str; 3] = ["failed", "undelivered", "unknown"];

pub(crate) async fn retry(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RetryMessageRequest,
) -> Result<Response<Message>, Fault> {
    if let Some(response) = replay(inner, ctx, ROUTE).await? {
        return Ok(response);
    }
    let row = load(inner, ctx, &request.id).await?;
    if !AGAIN.contains(&row.status.as_str()) {
        let detail =
            format!("a message that is {} cannot be tried again; one that is {} can", row.status, AGAIN.join(", "));
        return Err(Fault::new(Code::InvalidTransition, detail).with("status", &row.status));
    }
    let now_us = inner.clock.now_us();
    let mut message = shown(inner, std::slice::from_ref(&row)).await?.pop().ok_or_else(Fault::not_found)?;
    message.status = "scheduled".to_owned();
    message.reason.clear();
    message.due_at_us = now_us;
    let revision = inner.revision();
    let kept = remember(ctx, ROUTE, &message, &revision);
    let hash = address_hash(&row.recipient);
    // In a task of its own: a caller who hangs up cannot leave it half known.
    let owned = inner.clone();
    let task = tokio::spawn(async move { owned.store.retry(&row, now_us, &hash, kept.as_ref()).await });
    match task.await.map_err(Fault::internal)? {
        Ok(()) => {}
        // The same key may have done it just now; then its answer is this one's, too.
        Err(Refusal::Stale) => {
            return match replay(inner, ctx, ROUTE).await? {
                Some(response) => Ok(response),
                None => refused(inner, ctx, ROUTE, Refusal::Stale).await,
            };
        }
        Err(other) => return refused(inner, ctx, ROUTE, other).await,
    }
    inner.planned.notify_waiters();
    Ok(answer(message, &revision, false))
}
