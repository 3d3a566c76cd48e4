//! A retry by hand of a message that failed or whose outcome is unknown. It passes every check again before it leaves.

use std::sync::Arc;

use rpc::{Code, Context, Fault};
use tonic::Response;
use wire::reminder::{Message, RetryMessageRequest};

use super::{load, to_wire};
use crate::{
    Inner, address_hash,
    idempotency::{self, Begun, Refusal, Remember, answer, begin, refused, remember},
    store::{
        Store,
        blocked::{Address, delete_blocked},
        messages::{MessageRow, retry_message},
    },
};

const ROUTE: &str = "/meridian.reminder.v1.Reminder/RetryMessage";
/// The statuses of messages that can be retried.
const RETRIABLE: [&str; 3] = ["failed", "undelivered", "unknown"];

pub(crate) async fn retry(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RetryMessageRequest,
) -> Result<Response<Message>, Fault> {
    let guard = match begin(inner, ctx, ROUTE).await? {
        Begun::Replay(response) => return Ok(response),
        Begun::New(guard) => guard,
    };
    let row = load(inner, ctx, &request.id).await?;
    if !RETRIABLE.contains(&row.status.as_str()) {
        let detail =
            format!("a message that is {} cannot be tried again; one that is {} can", row.status, RETRIABLE.join(", "));
        return Err(Fault::new(Code::InvalidTransition, detail).with("status", &row.status));
    }
    let now_us = inner.clock.now_us();
    let mut message = to_wire(inner, std::slice::from_ref(&row)).await?.pop().ok_or_else(Fault::not_found)?;
    message.status = "scheduled".to_owned();
    message.reason.clear();
    message.due_at_us = now_us;
    let revision = inner.revision();
    let kept = remember(inner, ctx, ROUTE, &message, &revision)?;
    // In a task of its own: a caller that hangs up does not interrupt it.
    let owned = inner.clone();
    let task = tokio::spawn(async move {
        let _guard = guard;
        write(&owned.store, &row, now_us, kept.as_ref()).await
    });
    if let Err(refusal) = task.await.map_err(Fault::internal)? {
        return refused(inner, ctx, ROUTE, refusal).await;
    }
    inner.planned.notify_waiters();
    Ok(answer(message, &revision, false))
}

/// Schedules a message now, and unblocks its recipient: the caller knows that the patient wants messages again.
///
/// # Errors
/// [`Refusal::Stale`] when the message has changed since it was read.
pub(crate) async fn write(
    store: &Store,
    message: &MessageRow,
    now_us: i64,
    kept: Option<&Remember>,
) -> Result<(), Refusal> {
    let mut tx = store.of(message.organization_id).begin().await?;
    if !retry_message(&mut tx, message, now_us).await? {
        return Err(Refusal::Stale);
    }
    let (organization, channel) = (message.organization_id, message.channel.clone());
    let address = Address { organization, channel, hash: address_hash(&message.recipient) };
    delete_blocked(&mut tx, &address).await?;
    idempotency::insert(&mut tx, kept, now_us).await?;
    Ok(tx.commit().await?)
}
