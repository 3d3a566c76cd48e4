// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// Webhook endpoints. Locks are taken in one order: organisation, endpoint, delivery.

use sql::Failure;
use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::{
    super::{EndpointWrite, Refusal, rows::EndpointRow},
    Db, Store,
    transactions::{Tx, remember, see},
};
use crate::webhooks::ENDPOINTS_MAX;

const ENDPOINT: &str = "SELECT * FROM webhook_endpoints WHERE organization_id = $1 AND id = $2";
const ENDPOINTS: &str = "SELECT * FROM webhook_endpoints WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3";
const COUNT: &str = "SELECT count(*) FROM webhook_endpoints WHERE organization_id = $1";
const NEW_ENDPOINT: &str = "INSERT INTO webhook_endpoints (organization_id, id, version, url, events, description, \
     enabled, disabled_reason, secret, old_secret, old_until_us, queued, created_at_us, updated_at_us) \
     VALUES ($1, $2, 1, $3, $4, $5, $6, '', $7, '', 0, 0, $8, $8)";
// Whoever enables it begins anew; an attempt that fails meanwhile must not be forgotten by any other change.
const CHANGE_ENDPOINT: &str = "UPDATE webhook_endpoints SET version = $3, url = $4, events = $5, description = $6, \
     failing_since_us = CASE WHEN $7 AND NOT enabled THEN NULL ELSE failing_since_us END, enabled = $7, \
     disabled_reason = $8, secret = $9, old_secret = $10, old_until_us = $11, updated_at_us = $12 \
     WHERE organization_id = $1 AND id = $2 AND version = $3 - 1";
const DISABLE: &str = "UPDATE webhook_endpoints SET enabled = false, disabled_reason = $3, version = version + 1, \
     updated_at_us = $4 WHERE organization_id = $1 AND id = $2 AND enabled";
const BURY: &str = "UPDATE webhook_deliveries SET status = 'dead', last_error = 'endpoint_disabled', wake_at_us = NULL, \
     fence = fence + 1, updated_at_us = $3 WHERE organization_id = $1 AND endpoint_id = $2 AND status = 'pending'";
// A write that locks the row: nothing is queued behind what is deleted.
const LOCK: &str = "UPDATE webhook_endpoints SET version = version + 1 \
     WHERE organization_id = $1 AND id = $2 AND version = $3";
const DELETE_DELIVERIES: &str = "DELETE FROM webhook_deliveries WHERE organization_id = $1 AND endpoint_id = $2";
const DELETE_ENDPOINT: &str = "DELETE FROM webhook_endpoints WHERE organization_id = $1 AND id = $2";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 10] = [
    ENDPOINT,
    ENDPOINTS,
    COUNT,
    NEW_ENDPOINT,
    CHANGE_ENDPOINT,
    DISABLE,
    BURY,
    LOCK,
    DELETE_DELIVERIES,
    DELETE_ENDPOINT,
];

impl Store {
    pub(crate) async fn endpoint(&self, organization: Uuid, id: Uuid) -> Result<Option<EndpointRow>, Failure> {
        Ok(query_as(ENDPOINT).bind(organization).bind(id).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn endpoints(
        &self,
        organization: Uuid,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<EndpointRow>, Failure> {
        let page = query_as(ENDPOINTS).bind(organization).bind(after.unwrap_or(Uuid::nil())).bind(limit);
        Ok(page.fetch_all(self.reader()).await?)
    }

    pub(crate) async fn write_endpoint(&self, write: &EndpointWrite<'_>) -> Result<(), Refusal> {
        let (endpoint, organization) = (write.endpoint, write.endpoint.organization_id);
        let now_us = endpoint.updated_at_us;
        let mut tx = self.begin().await?;
        // Two that are made at once are counted one after the other.
        see(&mut tx, organization, now_us, write.ids).await?;
        if endpoint.version == 1 {
            let count = query_scalar::<Db, i64>(COUNT).bind(organization).fetch_one(&mut *tx).await?;
            if count >= ENDPOINTS_MAX {
                return Err(Refusal::Full);
            }
            let insert = query(NEW_ENDPOINT).bind(organization).bind(endpoint.id).bind(&endpoint.url);
            let insert = insert.bind(&endpoint.events).bind(&endpoint.description).bind(endpoint.enabled);
            insert.bind(&endpoint.secret).bind(now_us).execute(&mut *tx).await?;
        } else {
            let change = query(CHANGE_ENDPOINT).bind(organization).bind(endpoint.id).bind(endpoint.version);
            let change = change.bind(&endpoint.url).bind(&endpoint.events).bind(&endpoint.description);
            let change = change.bind(endpoint.enabled).bind(&endpoint.disabled_reason).bind(&endpoint.secret);
            let change = change.bind(&endpoint.old_secret).bind(endpoint.old_until_us).bind(now_us);
            if change.execute(&mut *tx).await?.rows_affected() == 0 {
                return Err(Refusal::Stale);
            }
            if !endpoint.enabled {
                bury(&mut tx, organization, endpoint.id, now_us).await?;
            }
        }
        remember(&mut tx, organization, now_us, write.remember.as_ref()).await?;
        Ok(tx.commit().await?)
    }

    pub(crate) async fn delete_endpoint(&self, organization: Uuid, id: Uuid, version: i64) -> Result<bool, Failure> {
        let mut tx = self.begin().await?;
        let lock = query(LOCK).bind(organization).bind(id).bind(version);
        if lock.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        for statement in [DELETE_DELIVERIES, DELETE_ENDPOINT] {
            query(statement).bind(organization).bind(id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// Disables an endpoint for a reason, and ends what waits for it; answers whether it was enabled.
pub(super) async fn disable(
    tx: &mut Tx,
    organization: Uuid,
    id: Uuid,
    reason: &str,
    now_us: i64,
) -> Result<bool, sqlx::Error> {
    let disable = query(DISABLE).bind(organization).bind(id).bind(reason).bind(now_us);
    let disabled = disable.execute(&mut **tx).await?.rows_affected() == 1;
    bury(tx, organization, id, now_us).await?;
    Ok(disabled)
}

async fn bury(tx: &mut Tx, organization: Uuid, id: Uuid, now_us: i64) -> Result<(), sqlx::Error> {
    query(BURY).bind(organization).bind(id).bind(now_us).execute(&mut **tx).await?;
    Ok(())
}
