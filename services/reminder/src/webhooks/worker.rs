//! The deliverer: leases what is due, sends it, records what came of it.
//!
//! A delivery that was sent and not recorded is sent again, with the same `webhook-id`: a receiver knows it by that. Each
//! runs in a task of its own, and one slow endpoint takes up some of the places and never all. Several processes may run
//! side by side.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use domain::id::{WebhookDeliveryId, WebhookId};
use runtime::Shutdown;
use signing::{ID_HEADER, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, signature_header};
use sql::Failure;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::retry::{Tried, Verdict, judge};
use crate::{
    Inner,
    sending::{Look, pause, rest},
    store::{
        Settle, Settled,
        rows::{DeliveryRow, EndpointRow},
    },
};

/// Deliveries on their way at a time.
const PLACES: usize = 32;
/// Leased at once, and so many of one endpoint on their way before no more of it are leased.
const AT_ONCE: usize = 4;
/// How long this process may be busy with one; longer than the client waits for an answer.
const LEASE_US: i64 = 60_000_000;
const PAUSE_FAILED: std::time::Duration = std::time::Duration::from_secs(1);
/// How often recording is tried.
const RECORDED_MAX: usize = 3;

/// Delivers until draining begins, then waits for what is on its way.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut running = JoinSet::new();
    while !shutdown.has_begun() {
        while let Some(ended) = running.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a delivery broke off; it is tried again when its lease is over");
            }
        }
        let free = PLACES.saturating_sub(running.len());
        if free == 0 {
            let done = async { running.join_next().await };
            let _ = shutdown.until(done).await;
            continue;
        }
        // Asked for before the look, so that what is told in between still rings.
        let told = inner.told.notified();
        match look(inner, free.min(AT_ONCE)).await {
            Ok(Look::Leased(deliveries)) => {
                for delivery in deliveries {
                    let busy = Busy::new(inner, &delivery);
                    let inner = inner.clone();
                    running.spawn(async move {
                        let _busy = busy;
                        one(&inner, &delivery).await;
                    });
                }
            }
            Ok(Look::Wait(until_us)) => {
                // Whatever ends lets the next of its line go.
                let ended = async {
                    if running.join_next().await.is_none() {
                        std::future::pending().await
                    }
                };
                rest(inner, shutdown, told, ended, until_us).await;
            }
            Err(error) => {
                tracing::warn!(%error, "due deliveries could not be read; it is tried again shortly");
                let _ = shutdown.until(pause(PAUSE_FAILED)).await;
            }
        }
    }
    while running.join_next().await.is_some() {}
}

async fn look(inner: &Arc<Inner>, limit: usize) -> Result<Look<DeliveryRow>, Failure> {
    let next = inner.store.next_delivery().await?;
    let now_us = inner.clock.now_us();
    if next.is_none_or(|next| next > now_us) {
        return Ok(Look::Wait(next));
    }
    let (busy, full) = held(inner);
    let limit = i64::try_from(limit).unwrap_or(1);
    let leased = inner.store.lease_deliveries(now_us, now_us + LEASE_US, limit, (&busy, &full)).await?;
    Ok(if leased.is_empty() { Look::Wait(next) } else { Look::Leased(leased) })
}

/// What this process is at, and the endpoints that have their share of it.
fn held(inner: &Inner) -> (Vec<Uuid>, Vec<Uuid>) {
    let delivering = inner.delivering.lock().unwrap_or_else(PoisonError::into_inner);
    let mut counts = HashMap::<Uuid, usize>::new();
    for endpoint in delivering.values() {
        *counts.entry(*endpoint).or_default() += 1;
    }
    let full = counts.into_iter().filter(|(_, count)| *count >= AT_ONCE).map(|(endpoint, _)| endpoint);
    (delivering.keys().copied().collect(), full.collect())
}

/// Sends one delivery and records what came of it.
async fn one(inner: &Inner, delivery: &DeliveryRow) {
    let verdict = match inner.store.endpoint(delivery.organization_id, delivery.endpoint_id).await {
        Ok(Some(endpoint)) if endpoint.enabled => attempt(inner, &endpoint, delivery).await,
        // Whoever disabled or deleted it has ended its deliveries, this one too.
        Ok(_) => return,
        Err(error) => {
            tracing::warn!(%error, "an endpoint could not be read; its delivery is tried again");
            return;
        }
    };
    let settle = Settle {
        delivery,
        status: verdict.status,
        error: verdict.error,
        http: i32::from(verdict.http),
        wake_at_us: verdict.wake_at_us,
        gone: verdict.gone,
        now_us: inner.clock.now_us(),
    };
    let outcome = if verdict.status == "pending" { "failed" } else { verdict.status };
    metrics::counter!("webhook_deliveries_total", "outcome" => outcome).increment(1);
    for _ in 0..RECORDED_MAX {
        match inner.store.settle_delivery(&settle).await {
            Ok(Settled::Disabled) => {
                let endpoint = WebhookId::new(delivery.endpoint_id);
                tracing::warn!(%endpoint, "a webhook endpoint is disabled: it is gone, or has failed for days");
                return;
            }
            Ok(Settled::Here | Settled::Elsewhere) => return,
            // Left unrecorded, it is sent again when the lease is over.
            Err(error) => tracing::error!(%error, "what became of a delivery could not be recorded"),
        }
    }
}

async fn attempt(inner: &Inner, endpoint: &EndpointRow, delivery: &DeliveryRow) -> Verdict {
    let now_us = inner.clock.now_us();
    let id = WebhookDeliveryId::new(delivery.id).to_string();
    let seconds = now_us.div_euclid(1_000_000);
    let secrets: Vec<Secret> = endpoint.secrets(now_us).iter().filter_map(|secret| secret.parse().ok()).collect();
    let signature = signature_header(&secrets, &id, seconds, delivery.payload.as_bytes());
    let timestamp = seconds.to_string();
    let headers = [
        ("user-agent", "Meridian"),
        (ID_HEADER, id.as_str()),
        (TIMESTAMP_HEADER, timestamp.as_str()),
        (SIGNATURE_HEADER, signature.as_str()),
    ];
    let heard = inner.outbound.post(&endpoint.url, &headers, &delivery.payload).await;
    let tried = Tried {
        tries: delivery.tries,
        since_us: delivery.since_us,
        now_us: inner.clock.now_us(),
        fraction: inner.ids.fraction(),
    };
    judge(heard, tried)
}

/// Marks a delivery as one that this process is at, until its task ends, however it ends.
struct Busy {
    inner: Arc<Inner>,
    id: Uuid,
}

impl Busy {
    fn new(inner: &Arc<Inner>, delivery: &DeliveryRow) -> Self {
        let mut delivering = inner.delivering.lock().unwrap_or_else(PoisonError::into_inner);
        delivering.insert(delivery.id, delivery.endpoint_id);
        Self { inner: inner.clone(), id: delivery.id }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.inner.delivering.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
