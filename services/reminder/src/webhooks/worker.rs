//! The delivery worker: leases due deliveries, sends them, and records the results.
//!
//! A delivery that was sent and not recorded is sent again with the same `webhook-id`, by which a receiver recognises it. Each
//! delivery runs in a task of its own; `places.rs` shares the tasks among organisations and endpoints, so that slow ones delay
//! only themselves. Several processes may run side by side.

use std::sync::{Arc, PoisonError};

use domain::{
    id::{OrganizationId, WebhookDeliveryId, WebhookId},
    webhook::DeliveryStatus,
};
use runtime::Shutdown;
use service::seal;
use signing::{ID_HEADER, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, signature_header};
use sql::Failure;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    places::{LEASE_MAX, PLACES},
    queue::{Recorded, finish_attempt},
    retry::{AttemptResult, Attempts, evaluate},
    sealed::{open_secrets, open_url},
};
use crate::{
    Inner,
    polling::{Poll, wait, wait_after_failure},
    store::{
        webhook_deliveries::{DeliveryResult, DeliveryRow},
        webhook_endpoints::EndpointRow,
    },
};

/// The lease of a delivery; longer than the timeout of a request.
const LEASE_US: i64 = 60_000_000;
/// Attempts to record a result.
const RECORD_ATTEMPTS: usize = 3;

/// Delivers until the shutdown begins, then waits for the running deliveries.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut running = JoinSet::new();
    while !shutdown.has_begun() {
        while let Some(ended) = running.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "the task of a delivery failed; the delivery is retried when its lease expires");
            }
        }
        let free = PLACES.saturating_sub(running.len());
        if free == 0 {
            let done = async { running.join_next().await };
            let _ = shutdown.until(done).await;
            continue;
        }
        // Registered before the poll, so that no delivery queued in between is missed.
        let queued = inner.deliveries_queued.notified();
        match poll(inner, free.min(LEASE_MAX)).await {
            Ok(Poll::Leased(deliveries)) => {
                for delivery in deliveries {
                    let in_flight = InFlight::new(inner, &delivery);
                    let inner = inner.clone();
                    running.spawn(async move {
                        let _in_flight = in_flight;
                        deliver(&inner, &delivery).await;
                    });
                }
            }
            Ok(Poll::Wait(until_us)) => {
                // A finished delivery wakes the next one of its subject.
                let ended = async {
                    if running.join_next().await.is_none() {
                        std::future::pending().await
                    }
                };
                wait(&inner.clock, shutdown, queued, ended, until_us).await;
            }
            Err(error) => {
                tracing::warn!(%error, "due deliveries could not be read; the worker retries");
                wait_after_failure(shutdown).await;
            }
        }
    }
    while running.join_next().await.is_some() {}
}

/// Leases up to `limit` due deliveries.
async fn poll(inner: &Arc<Inner>, limit: usize) -> Result<Poll<DeliveryRow>, Failure> {
    let excluded = inner.delivering.lock().unwrap_or_else(PoisonError::into_inner).excluded();
    let next = inner.store.next_delivery(&excluded).await?;
    let now_us = inner.clock.now_us();
    if next.is_none_or(|next| next > now_us) {
        return Ok(Poll::Wait(next));
    }
    let limit = i64::try_from(limit).unwrap_or(1);
    let deliveries = inner.store.lease_deliveries(now_us, now_us + LEASE_US, limit, &excluded).await?;
    Ok(if deliveries.is_empty() { Poll::Wait(next) } else { Poll::Leased(deliveries) })
}

/// Sends a delivery and records the result.
async fn deliver(inner: &Inner, delivery: &DeliveryRow) {
    let result = match inner.store.endpoint(delivery.organization_id, delivery.endpoint_id).await {
        Ok(Some(endpoint)) if endpoint.enabled => match Target::open(inner, &endpoint) {
            Ok(target) => attempt(inner, &target, delivery).await,
            // The delivery is leased again: the key may be among those of another process.
            Err(error) => {
                let endpoint = WebhookId::new(endpoint.id);
                tracing::error!(%endpoint, %error, "the secrets of a webhook endpoint cannot be opened");
                return;
            }
        },
        // Disabling or deleting the endpoint has ended its deliveries.
        Ok(_) => return,
        Err(error) => {
            let delivery = WebhookDeliveryId::new(delivery.id);
            tracing::warn!(%delivery, %error, "an endpoint could not be read; its delivery is retried");
            return;
        }
    };
    let recorded = DeliveryResult {
        delivery,
        status: result.status.as_str(),
        error: result.error,
        http: i32::from(result.http_status),
        wake_at_us: result.next_try_at_us,
        gone: result.gone,
        now_us: inner.clock.now_us(),
    };
    let outcome = match result.status {
        DeliveryStatus::Pending => "failed",
        status => status.as_str(),
    };
    metrics::counter!("webhook_deliveries_total", "outcome" => outcome).increment(1);
    for _ in 0..RECORD_ATTEMPTS {
        match finish_attempt(&inner.store, &recorded).await {
            Ok(Recorded::Disabled) => {
                let endpoint = WebhookId::new(delivery.endpoint_id);
                let organization = OrganizationId::new(delivery.organization_id);
                tracing::warn!(%organization, %endpoint, "a webhook endpoint is disabled: it answered 410 or failed for days");
                return;
            }
            Ok(Recorded::Kept | Recorded::LeaseLost) => return,
            // Without a record the delivery is sent again when its lease expires.
            Err(error) => {
                let delivery = WebhookDeliveryId::new(delivery.id);
                tracing::error!(%delivery, %error, "the result of a delivery could not be recorded");
            }
        }
    }
}

/// The address and the secrets of an endpoint.
struct Target {
    url: String,
    secrets: Vec<Secret>,
}

impl Target {
    fn open(inner: &Inner, endpoint: &EndpointRow) -> Result<Self, seal::Error> {
        let secrets = open_secrets(&inner.keyring, endpoint, inner.clock.now_us())?;
        Ok(Self { url: open_url(&inner.keyring, endpoint)?, secrets })
    }
}

/// Posts a delivery once.
async fn attempt(inner: &Inner, target: &Target, delivery: &DeliveryRow) -> AttemptResult {
    let now_us = inner.clock.now_us();
    let id = WebhookDeliveryId::new(delivery.id).to_string();
    let seconds = now_us.div_euclid(1_000_000);
    let signature = signature_header(&target.secrets, &id, seconds, delivery.payload.as_bytes());
    let timestamp = seconds.to_string();
    let headers = [
        ("user-agent", "Meridian"),
        (ID_HEADER, id.as_str()),
        (TIMESTAMP_HEADER, timestamp.as_str()),
        (SIGNATURE_HEADER, signature.as_str()),
    ];
    let answer = inner.outbound.post(&target.url, &headers, &delivery.payload).await;
    let attempts = Attempts {
        count: delivery.tries,
        since_us: delivery.since_us,
        now_us: inner.clock.now_us(),
        fraction: inner.ids.fraction(),
    };
    evaluate(answer, attempts)
}

/// Marks a delivery as running in this process until its task ends in any way.
struct InFlight {
    inner: Arc<Inner>,
    id: Uuid,
}

impl InFlight {
    fn new(inner: &Arc<Inner>, delivery: &DeliveryRow) -> Self {
        let mut delivering = inner.delivering.lock().unwrap_or_else(PoisonError::into_inner);
        delivering.take(delivery.id, delivery.endpoint_id, delivery.organization_id);
        Self { inner: inner.clone(), id: delivery.id }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.inner.delivering.lock().unwrap_or_else(PoisonError::into_inner).give_back(self.id);
    }
}
