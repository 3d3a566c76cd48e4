//! Deliveries: list, send a test, replay.

use std::sync::Arc;

use domain::{
    fault::Faults,
    id::{WebhookDeliveryId, WebhookId},
    webhook::DeliveryStatus,
};
use rpc::{Code, Context, Fault};
use serde_json::json;
use service::{db_error, page};
use tonic::Response;
use wire::reminder::{
    ListWebhookDeliveriesRequest, ListWebhookDeliveriesResponse, ReplayWebhookDeliveryRequest,
    TestWebhookEndpointRequest, WebhookDelivery,
};

use super::{PING, endpoints::load, queue, wire::delivery_to_wire};
use crate::{
    Inner,
    idempotency::{Begun, Refusal, answer, begin, refused, remember},
    store::webhook_deliveries::{DeliveryRow, NewDelivery},
};

const TEST_ROUTE: &str = "/meridian.reminder.v1.Webhooks/TestWebhookEndpoint";
const REPLAY_ROUTE: &str = "/meridian.reminder.v1.Webhooks/ReplayWebhookDelivery";

pub(crate) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListWebhookDeliveriesRequest,
) -> Result<ListWebhookDeliveriesResponse, Fault> {
    let mut faults = Faults::new();
    let requested = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, requested.limit);
    if let Some(expected) = request.statuses.iter().find_map(|status| status.parse::<DeliveryStatus>().err()) {
        faults.push("status", "invalid_value", expected);
    }
    let before = page::cursor(&mut faults, &requested.cursor).map(|(number, _)| number);
    faults.result()?;
    let endpoint = load(inner, ctx, &request.webhook_endpoint_id).await?;
    inner.wait_for_revision(ctx).await?;
    let found = inner.store.deliveries(endpoint.organization_id, endpoint.id, &request.statuses, before, limit + 1);
    let mut rows = found.await.map_err(db_error::fault)?;
    let next_cursor = page::cut(&mut rows, limit, |row| (row.number, row.id));
    Ok(ListWebhookDeliveriesResponse { deliveries: rows.iter().map(delivery_to_wire).collect(), next_cursor })
}

/// Queues a `ping`. It is its own subject, so that no other delivery delays it.
pub(crate) async fn test(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: TestWebhookEndpointRequest,
) -> Result<Response<WebhookDelivery>, Fault> {
    let guard = match begin(inner, ctx, TEST_ROUTE).await? {
        Begun::Replay(response) => return Ok(response),
        Begun::New(guard) => guard,
    };
    let endpoint = load(inner, ctx, &request.id).await?;
    let now = inner.clock.now();
    let id = inner.ids.uuid(now);
    let data = json!({"organization_id": ctx.organization, "webhook_endpoint_id": WebhookId::new(endpoint.id)});
    let ping = json!({"type": PING, "timestamp": now, "data": data}).to_string();
    let new = NewDelivery { id, subject: id, event: PING.to_owned(), payload: ping };
    let (owned, ctx_owned) = (inner.clone(), ctx.clone());
    // In a task of its own: a caller who disconnects does not interrupt the write.
    let task = tokio::spawn(async move {
        let _guard = guard;
        let revision = owned.revision();
        let kept = |row: &DeliveryRow| remember(&owned, &ctx_owned, TEST_ROUTE, &delivery_to_wire(row), &revision);
        let (key, now_us) = ((endpoint.organization_id, endpoint.id), now.as_microsecond());
        let row = queue::enqueue_one(&owned.store, key, &new, now_us, &kept).await?;
        Ok::<_, Refusal>((row, revision.clone()))
    });
    respond(inner, ctx, TEST_ROUTE, task.await.map_err(Fault::internal)?).await
}

pub(crate) async fn replay(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: ReplayWebhookDeliveryRequest,
) -> Result<Response<WebhookDelivery>, Fault> {
    let guard = match begin(inner, ctx, REPLAY_ROUTE).await? {
        Begun::Replay(response) => return Ok(response),
        Begun::New(guard) => guard,
    };
    let endpoint = load(inner, ctx, &request.webhook_endpoint_id).await?;
    let id: WebhookDeliveryId = request.id.parse().map_err(|_| Fault::not_found())?;
    let found =
        inner.store.delivery(endpoint.organization_id, endpoint.id, id.uuid()).await.map_err(db_error::fault)?;
    let row = found.ok_or_else(Fault::not_found)?;
    if row.status == DeliveryStatus::Pending.as_str() {
        let detail = "a delivery that is pending cannot be replayed; one that is delivered or dead can";
        return Err(Fault::new(Code::InvalidTransition, detail).with("status", &row.status));
    }
    let (owned, ctx_owned, now_us) = (inner.clone(), ctx.clone(), inner.clock.now_us());
    let task = tokio::spawn(async move {
        let _guard = guard;
        let revision = owned.revision();
        let kept = |row: &DeliveryRow| remember(&owned, &ctx_owned, REPLAY_ROUTE, &delivery_to_wire(row), &revision);
        let row = queue::replay(&owned.store, &row, now_us, &kept).await?;
        Ok::<_, Refusal>((row, revision.clone()))
    });
    respond(inner, ctx, REPLAY_ROUTE, task.await.map_err(Fault::internal)?).await
}

/// Answers a write, or repeats the answer of the first request with the same key.
async fn respond(
    inner: &Inner,
    ctx: &Context,
    route: &'static str,
    result: Result<(DeliveryRow, String), Refusal>,
) -> Result<Response<WebhookDelivery>, Fault> {
    match result {
        Ok((row, revision)) => {
            inner.deliveries_queued.notify_waiters();
            Ok(answer(delivery_to_wire(&row), &revision, false))
        }
        Err(refusal) => refused(inner, ctx, route, refusal).await,
    }
}
