// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// Deliveries to webhook endpoints. Whoever queues or settles one locks its endpoint first, so that exactly the first
// pending delivery of each subject has a time to wake.

use std::collections::BTreeMap;

use runtime::Ids;
use sql::Failure;
use sqlx::{QueryBuilder, query, query_as, query_scalar};
use uuid::Uuid;

use super::{
    super::{
        Kept, NewDelivery, Refusal, Settle, Settled,
        rows::{DeliveryRow, wants},
    },
    Db, Store,
    endpoints::disable,
    transactions::{Tx, remember},
};
use crate::webhooks::{FAILING_MAX_US, event::WebhookEvent};

const DELIVERY: &str = "SELECT * FROM webhook_deliveries WHERE organization_id = $1 AND endpoint_id = $2 AND id = $3";
const NEXT_WAKE: &str = "SELECT min(wake_at_us) FROM webhook_deliveries WHERE wake_at_us IS NOT NULL";
const SELECT_SUBSCRIBERS: &str =
    "SELECT id, events FROM webhook_endpoints WHERE organization_id = $1 AND enabled ORDER BY id";
const NUMBER: &str = "UPDATE webhook_endpoints SET queued = queued + $3 \
     WHERE organization_id = $1 AND id = $2 AND enabled RETURNING queued";
const QUEUE: &str = "INSERT INTO webhook_deliveries (organization_id, id, endpoint_id, number, subject_id, event, \
     payload, status, wake_at_us, since_us, fence, tries, attempts, last_status, last_error, created_at_us, updated_at_us) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', CASE WHEN EXISTS (SELECT 1 FROM webhook_deliveries d \
     WHERE d.organization_id = $1 AND d.endpoint_id = $3 AND d.subject_id = $5 AND d.status = 'pending') \
     THEN NULL ELSE CAST($8 AS bigint) END, $8, 0, 0, 0, 0, '', $8, $8) RETURNING *";
const REPLAY: &str = "UPDATE webhook_deliveries SET status = 'pending', number = $4, \
     wake_at_us = CASE WHEN EXISTS (SELECT 1 FROM webhook_deliveries d \
     WHERE d.organization_id = webhook_deliveries.organization_id AND d.endpoint_id = webhook_deliveries.endpoint_id \
     AND d.subject_id = webhook_deliveries.subject_id AND d.status = 'pending') THEN NULL ELSE CAST($5 AS bigint) END, \
     since_us = $5, fence = fence + 1, tries = 0, last_error = '', delivered_at_us = NULL, updated_at_us = $5 \
     WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status <> 'pending' RETURNING *";
const FAILING: &str = "UPDATE webhook_endpoints SET failing_since_us = CASE WHEN $3 THEN NULL \
     ELSE coalesce(failing_since_us, $4) END WHERE organization_id = $1 AND id = $2 RETURNING failing_since_us";
const SETTLE: &str = "UPDATE webhook_deliveries SET status = $4, wake_at_us = $5, last_status = $6, last_error = $7, \
     delivered_at_us = CASE WHEN $4 = 'delivered' THEN CAST($8 AS bigint) END, updated_at_us = $8 \
     WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status = 'pending'";
const NEXT_IN_LINE: &str = "UPDATE webhook_deliveries SET wake_at_us = $4, since_us = $4 \
     WHERE organization_id = $1 AND id = (SELECT id FROM webhook_deliveries WHERE organization_id = $1 \
     AND endpoint_id = $2 AND subject_id = $3 AND status = 'pending' ORDER BY number LIMIT 1)";
const SWEEP: &str = "DELETE FROM webhook_deliveries WHERE updated_at_us < $1 AND status <> 'pending'";
const FORGET_SECRETS: &str =
    "UPDATE webhook_endpoints SET old_secret = '' WHERE old_secret <> '' AND old_until_us < $1";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 11] = [
    DELIVERY,
    NEXT_WAKE,
    SELECT_SUBSCRIBERS,
    NUMBER,
    QUEUE,
    REPLAY,
    FAILING,
    SETTLE,
    NEXT_IN_LINE,
    SWEEP,
    FORGET_SECRETS,
];

impl Store {
    pub(crate) async fn delivery(
        &self,
        organization: Uuid,
        endpoint: Uuid,
        id: Uuid,
    ) -> Result<Option<DeliveryRow>, Failure> {
        let found = query_as(DELIVERY).bind(organization).bind(endpoint).bind(id);
        Ok(found.fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn deliveries(
        &self,
        organization: Uuid,
        endpoint: Uuid,
        statuses: &[String],
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<DeliveryRow>, Failure> {
        let mut query = QueryBuilder::<Db>::new("SELECT * FROM webhook_deliveries WHERE organization_id = ");
        query.push_bind(organization).push(" AND endpoint_id = ").push_bind(endpoint);
        if !statuses.is_empty() {
            query.push(" AND status IN (");
            let mut list = query.separated(", ");
            for status in statuses {
                list.push_bind(status.clone());
            }
            query.push(")");
        }
        if let Some(number) = before {
            query.push(" AND number < ").push_bind(number);
        }
        query.push(" ORDER BY number DESC LIMIT ").push_bind(limit);
        Ok(query.build_query_as().fetch_all(self.reader()).await?)
    }

    pub(crate) async fn next_delivery(&self) -> Result<Option<i64>, Failure> {
        Ok(query_scalar::<Db, Option<i64>>(NEXT_WAKE).fetch_one(self.reader()).await?)
    }

    pub(crate) async fn test_endpoint(
        &self,
        organization: Uuid,
        endpoint: Uuid,
        new: &NewDelivery,
        now_us: i64,
        kept: &Kept<'_>,
    ) -> Result<DeliveryRow, Refusal> {
        let mut tx = self.begin().await?;
        let number = number(&mut tx, organization, endpoint, 1).await?.ok_or(Refusal::Disabled)?;
        let row = queue(&mut tx, organization, endpoint, (number, new), now_us).await?;
        remember(&mut tx, organization, now_us, kept(&row).as_ref()).await?;
        tx.commit().await?;
        Ok(row)
    }

    pub(crate) async fn replay_delivery(
        &self,
        row: &DeliveryRow,
        now_us: i64,
        kept: &Kept<'_>,
    ) -> Result<DeliveryRow, Refusal> {
        let organization = row.organization_id;
        let mut tx = self.begin().await?;
        let number = number(&mut tx, organization, row.endpoint_id, 1).await?.ok_or(Refusal::Disabled)?;
        let again = query_as(REPLAY).bind(organization).bind(row.id).bind(row.fence).bind(number).bind(now_us);
        let row: DeliveryRow = again.fetch_optional(&mut *tx).await?.ok_or(Refusal::Stale)?;
        remember(&mut tx, organization, now_us, kept(&row).as_ref()).await?;
        tx.commit().await?;
        Ok(row)
    }

    pub(crate) async fn settle_delivery(&self, settle: &Settle<'_>) -> Result<Settled, Failure> {
        let (delivery, now_us) = (settle.delivery, settle.now_us);
        let (organization, endpoint) = (delivery.organization_id, delivery.endpoint_id);
        let delivered = settle.status == "delivered";
        let mut tx = self.begin().await?;
        let failing = query_scalar::<Db, Option<i64>>(FAILING).bind(organization).bind(endpoint);
        let failing = failing.bind(delivered).bind(now_us).fetch_optional(&mut *tx).await?;
        let Some(failing_since_us) = failing else { return Ok(Settled::Elsewhere) };
        let update = query(SETTLE).bind(organization).bind(delivery.id).bind(delivery.fence).bind(settle.status);
        let update = update.bind(settle.wake_at_us).bind(settle.http).bind(settle.error).bind(now_us);
        if update.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(Settled::Elsewhere);
        }
        if settle.wake_at_us.is_none() {
            let next = query(NEXT_IN_LINE).bind(organization).bind(endpoint).bind(delivery.subject_id);
            next.bind(now_us).execute(&mut *tx).await?;
        }
        let failing = failing_since_us.is_some_and(|since_us| now_us - since_us >= FAILING_MAX_US);
        let reason = if settle.gone { Some("gone") } else { failing.then_some("failing") };
        let disabled = match reason {
            Some(reason) => disable(&mut tx, organization, endpoint, reason, now_us).await?,
            None => false,
        };
        tx.commit().await?;
        Ok(if disabled { Settled::Disabled } else { Settled::Here })
    }

    pub(crate) async fn sweep_deliveries(&self, before_us: i64, now_us: i64) -> Result<(), Failure> {
        for (statement, before) in [(SWEEP, before_us), (FORGET_SECRETS, now_us)] {
            query(statement).bind(before).execute(self.writer()).await?;
        }
        Ok(())
    }
}

/// Queues each event for the endpoints that subscribe to it.
pub(super) async fn queue_events(
    tx: &mut Tx,
    events: &[WebhookEvent],
    now_us: i64,
    ids: &Ids,
) -> Result<(), sqlx::Error> {
    let mut by_organization = BTreeMap::<Uuid, Vec<&WebhookEvent>>::new();
    for event in events {
        by_organization.entry(event.organization).or_default().push(event);
    }
    let now = jiff::Timestamp::from_microsecond(now_us).unwrap_or_default();
    for (organization, events) in by_organization {
        let subscribers: Vec<(Uuid, String)> =
            query_as(SELECT_SUBSCRIBERS).bind(organization).fetch_all(&mut **tx).await?;
        for (endpoint, subscribed) in subscribers {
            let wanted: Vec<&WebhookEvent> =
                events.iter().copied().filter(|event| wants(&subscribed, event.kind)).collect();
            let count = i64::try_from(wanted.len()).unwrap_or(0);
            if count == 0 {
                continue;
            }
            // `None`: disabled or deleted by now.
            let Some(last) = number(tx, organization, endpoint, count).await? else { continue };
            for (number, event) in (last - count + 1..).zip(wanted) {
                let (kind, payload) = (event.kind.to_string(), event.payload.clone());
                let new = NewDelivery { id: ids.uuid(now), subject: event.subject, event: kind, payload };
                queue(tx, organization, endpoint, (number, &new), now_us).await?;
            }
        }
    }
    Ok(())
}

/// Locks an endpoint and takes so many numbers; answers the last one, or nothing where it is disabled or gone.
async fn number(tx: &mut Tx, organization: Uuid, endpoint: Uuid, count: i64) -> Result<Option<i64>, sqlx::Error> {
    query_scalar(NUMBER).bind(organization).bind(endpoint).bind(count).fetch_optional(&mut **tx).await
}

async fn queue(
    tx: &mut Tx,
    organization: Uuid,
    endpoint: Uuid,
    (number, new): (i64, &NewDelivery),
    now_us: i64,
) -> Result<DeliveryRow, sqlx::Error> {
    let insert = query_as(QUEUE).bind(organization).bind(new.id).bind(endpoint).bind(number).bind(new.subject);
    insert.bind(&new.event).bind(&new.payload).bind(now_us).fetch_one(&mut **tx).await
}
