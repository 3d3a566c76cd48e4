//! The queue of deliveries: what waits for an endpoint, in order for each appointment or plan.

use std::collections::BTreeMap;

use rpc::{Code, Fault};
use runtime::Ids;
use service::store::Tx;
use sql::Failure;
use uuid::Uuid;

use super::{ENDPOINTS_MAX, FAILING_MAX_US, event::WebhookEvent};
use crate::{
    idempotency::{self, Refusal, Remember},
    rules::organisations::ensure_organisation,
    store::{
        Store,
        webhook_deliveries::{
            DeliveryResult, DeliveryRow, NewDelivery, delete_deliveries, end_pending, insert_delivery, record_result,
            replay_delivery, wake_next,
        },
        webhook_endpoints::{
            self, EndpointRow, count_endpoints, disable_endpoint, insert_endpoint, lock_endpoint,
            record_endpoint_attempt, reserve_numbers, select_subscribers, update_endpoint,
        },
    },
};

/// The answer to keep for the key of a request, made of the row that it wrote.
pub(crate) type Answer<'a> = dyn Fn(&DeliveryRow) -> Result<Option<Remember>, Fault> + Send + Sync + 'a;

/// The outcome of recording an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    Kept,
    /// Nothing was recorded: the lease is lost, or the endpoint is deleted.
    LeaseLost,
    /// Recorded, and the endpoint is disabled now.
    Disabled,
}

/// Queues events for every endpoint that wants them.
pub(crate) async fn enqueue(tx: &mut Tx, events: &[WebhookEvent], now_us: i64, ids: &Ids) -> Result<(), Failure> {
    let mut by_organization = BTreeMap::<Uuid, Vec<&WebhookEvent>>::new();
    for event in events {
        by_organization.entry(event.organization).or_default().push(event);
    }
    let now = jiff::Timestamp::from_microsecond(now_us).unwrap_or_default();
    for (organization, events) in by_organization {
        for endpoint in select_subscribers(tx, organization).await? {
            let wanted: Vec<&WebhookEvent> =
                events.iter().copied().filter(|event| endpoint.wants(event.kind)).collect();
            let count = i64::try_from(wanted.len()).unwrap_or(0);
            if count == 0 {
                continue;
            }
            // It may have been disabled or deleted meanwhile.
            let Some(last) = reserve_numbers(tx, organization, endpoint.id, count).await? else { continue };
            for (number, event) in (last - count + 1..).zip(wanted) {
                let new = NewDelivery {
                    id: ids.uuid(now),
                    subject: event.subject,
                    event: event.kind.to_string(),
                    payload: event.payload.clone(),
                };
                insert_delivery(tx, organization, endpoint.id, (number, &new), now_us).await?;
            }
        }
    }
    Ok(())
}

/// Queues a delivery that nothing stands before.
pub(crate) async fn enqueue_one(
    store: &Store,
    (organization, endpoint): (Uuid, Uuid),
    new: &NewDelivery,
    now_us: i64,
    answer: &Answer<'_>,
) -> Result<DeliveryRow, Refusal> {
    let mut tx = store.of(organization).begin().await?;
    let number = reserve_numbers(&mut tx, organization, endpoint, 1).await?.ok_or_else(disabled)?;
    let row = insert_delivery(&mut tx, organization, endpoint, (number, new), now_us).await?;
    idempotency::insert(&mut tx, answer(&row)?.as_ref(), now_us).await?;
    tx.commit().await?;
    Ok(row)
}

/// Queues an ended delivery again, behind what waits.
pub(crate) async fn replay(
    store: &Store,
    row: &DeliveryRow,
    now_us: i64,
    answer: &Answer<'_>,
) -> Result<DeliveryRow, Refusal> {
    let mut tx = store.of(row.organization_id).begin().await?;
    let number = reserve_numbers(&mut tx, row.organization_id, row.endpoint_id, 1).await?.ok_or_else(disabled)?;
    let row = replay_delivery(&mut tx, row, number, now_us).await?.ok_or(Refusal::Stale)?;
    idempotency::insert(&mut tx, answer(&row)?.as_ref(), now_us).await?;
    tx.commit().await?;
    Ok(row)
}

/// Records the result of an attempt, makes the next delivery of the subject due, and disables an endpoint that has failed
/// for too long.
pub(crate) async fn finish_attempt(store: &Store, result: &DeliveryResult<'_>) -> Result<Recorded, Failure> {
    let (delivery, now_us) = (result.delivery, result.now_us);
    let (organization, endpoint) = (delivery.organization_id, delivery.endpoint_id);
    let delivered = result.status == "delivered";
    let mut tx = store.of(organization).begin().await?;
    let failing = record_endpoint_attempt(&mut tx, organization, endpoint, delivered, now_us).await?;
    let Some(failing_since_us) = failing else { return Ok(Recorded::LeaseLost) };
    if !record_result(&mut tx, result).await? {
        return Ok(Recorded::LeaseLost);
    }
    if result.wake_at_us.is_none() {
        wake_next(&mut tx, organization, endpoint, delivery.subject_id, now_us).await?;
    }
    let failing = failing_since_us.is_some_and(|since_us| now_us - since_us >= FAILING_MAX_US);
    let reason = if result.gone { Some("gone") } else { failing.then_some("failing") };
    let disabled = match reason {
        Some(reason) => {
            let disabled = disable_endpoint(&mut tx, organization, endpoint, reason, now_us).await?;
            end_pending(&mut tx, organization, endpoint, now_us).await?;
            disabled
        }
        None => false,
    };
    tx.commit().await?;
    Ok(if disabled { Recorded::Disabled } else { Recorded::Kept })
}

/// Writes an endpoint; the deliveries that wait for a disabled one end.
pub(crate) async fn write_endpoint(
    store: &Store,
    endpoint: &EndpointRow,
    remember: Option<&Remember>,
    ids: &Ids,
) -> Result<(), Refusal> {
    let (organization, now_us) = (endpoint.organization_id, endpoint.updated_at_us);
    let mut tx = store.of(organization).begin().await?;
    // The organisation's lock makes two inserts count one after the other.
    ensure_organisation(&mut tx, organization, now_us, ids).await?;
    if endpoint.version == 1 {
        if count_endpoints(&mut tx, organization).await? >= ENDPOINTS_MAX {
            let detail = format!("an organisation has at most {ENDPOINTS_MAX} webhook endpoints; delete one first");
            return Err(Fault::violation("", "too_many", &detail).into());
        }
        insert_endpoint(&mut tx, endpoint).await?;
    } else if update_endpoint(&mut tx, endpoint).await? {
        if !endpoint.enabled {
            end_pending(&mut tx, organization, endpoint.id, now_us).await?;
        }
    } else {
        return Err(Refusal::Stale);
    }
    idempotency::insert(&mut tx, remember, now_us).await?;
    Ok(tx.commit().await?)
}

/// Deletes an endpoint of a version with its deliveries; `false` when there is none.
pub(crate) async fn delete_endpoint(
    store: &Store,
    organization: Uuid,
    id: Uuid,
    version: i64,
) -> Result<bool, Failure> {
    let mut tx = store.of(organization).begin().await?;
    if !lock_endpoint(&mut tx, organization, id, version).await? {
        return Ok(false);
    }
    delete_deliveries(&mut tx, organization, id).await?;
    webhook_endpoints::delete_endpoint(&mut tx, organization, id).await?;
    tx.commit().await?;
    Ok(true)
}

fn disabled() -> Refusal {
    Fault::new(Code::InvalidTransition, "the webhook endpoint is disabled; enable it first").into()
}
