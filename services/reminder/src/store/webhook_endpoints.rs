//! Webhook endpoints. Transactions lock in one order: organisation, endpoint, delivery.

use std::fmt;

use domain::event::Kind;
use service::{read, statement, store::Tx};
use sql::Failure;
use sql::FromRow;
use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::Store;

const SELECT_ENDPOINT: &str = r#"
    SELECT organization_id, id, version, url, events, description, enabled, disabled_reason, secret, old_secret,
        old_until_us, failing_since_us, created_at_us, updated_at_us
    FROM webhook_endpoints
    WHERE organization_id = $1 AND id = $2
"#;
const SELECT_ENDPOINTS: &str = r#"
    SELECT organization_id, id, version, url, events, description, enabled, disabled_reason, secret, old_secret,
        old_until_us, failing_since_us, created_at_us, updated_at_us
    FROM webhook_endpoints
    WHERE organization_id = $1 AND id > $2
    ORDER BY id
    LIMIT $3
"#;
const COUNT_ENDPOINTS: &str = "SELECT count(*) FROM webhook_endpoints WHERE organization_id = $1";
const SELECT_SUBSCRIBERS: &str = r#"
    SELECT id, events
    FROM webhook_endpoints
    WHERE organization_id = $1 AND enabled
    ORDER BY id
"#;
const INSERT_ENDPOINT: &str = r#"
    INSERT INTO webhook_endpoints
        (organization_id, id, version, url, events, description, enabled, disabled_reason, secret, old_secret,
         old_until_us, queued, created_at_us, updated_at_us)
    VALUES ($1, $2, 1, $3, $4, $5, $6, '', $7, '', 0, 0, $8, $8)
"#;
// Enabling it forgets its failures; any other change keeps those that were recorded meanwhile.
const UPDATE_ENDPOINT: &str = r#"
    UPDATE webhook_endpoints
    SET version = $3, url = $4, events = $5, description = $6,
        failing_since_us = CASE WHEN $7 AND NOT enabled THEN NULL ELSE failing_since_us END,
        enabled = $7, disabled_reason = $8, secret = $9, old_secret = $10, old_until_us = $11, updated_at_us = $12
    WHERE organization_id = $1 AND id = $2 AND version = $3 - 1
"#;
const DISABLE_ENDPOINT: &str = r#"
    UPDATE webhook_endpoints
    SET enabled = false, disabled_reason = $3, version = version + 1, updated_at_us = $4
    WHERE organization_id = $1 AND id = $2 AND enabled
"#;
// An update, so that it locks the row: nothing is queued for an endpoint that is being deleted.
const LOCK_ENDPOINT: &str = r#"
    UPDATE webhook_endpoints
    SET version = version + 1
    WHERE organization_id = $1 AND id = $2 AND version = $3
"#;
const RESERVE_NUMBERS: &str = r#"
    UPDATE webhook_endpoints
    SET queued = queued + $3
    WHERE organization_id = $1 AND id = $2 AND enabled
    RETURNING queued
"#;
const RECORD_ATTEMPT: &str = r#"
    UPDATE webhook_endpoints
    SET failing_since_us = CASE WHEN $3 THEN NULL ELSE coalesce(failing_since_us, $4) END
    WHERE organization_id = $1 AND id = $2
    RETURNING failing_since_us
"#;
const DELETE_ENDPOINT: &str = "DELETE FROM webhook_endpoints WHERE organization_id = $1 AND id = $2";

const SELECT_TO_RESEAL: &str = r#"
    SELECT organization_id, id, url, secret, old_secret
    FROM webhook_endpoints
    WHERE (organization_id, id) > ($1, $2)
        AND (substr(url, 1, $3) <> $4 OR substr(secret, 1, $3) <> $4
            OR (old_secret <> '' AND substr(old_secret, 1, $3) <> $4))
    ORDER BY organization_id, id
    LIMIT $5
"#;
const REPLACE_SEALED: &str = r#"
    UPDATE webhook_endpoints
    SET url = $6, secret = $7, old_secret = $8
    WHERE organization_id = $1 AND id = $2 AND url = $3 AND secret = $4 AND old_secret = $5
"#;

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 13] = [
    SELECT_TO_RESEAL,
    REPLACE_SEALED,
    SELECT_ENDPOINT,
    SELECT_ENDPOINTS,
    COUNT_ENDPOINTS,
    SELECT_SUBSCRIBERS,
    INSERT_ENDPOINT,
    UPDATE_ENDPOINT,
    DISABLE_ENDPOINT,
    LOCK_ENDPOINT,
    RESERVE_NUMBERS,
    RECORD_ATTEMPT,
    DELETE_ENDPOINT,
];

/// A webhook endpoint. Its `Debug` shows neither address nor secret.
#[derive(Clone, FromRow)]
pub(crate) struct EndpointRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    /// Sealed.
    pub(crate) url: String,
    /// JSON.
    pub(crate) events: String,
    pub(crate) description: String,
    pub(crate) enabled: bool,
    pub(crate) disabled_reason: String,
    /// Sealed, as is the old one.
    pub(crate) secret: String,
    pub(crate) old_secret: String,
    pub(crate) old_until_us: i64,
    pub(crate) failing_since_us: Option<i64>,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
}

impl fmt::Debug for EndpointRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}, version {})", self.id, self.version)
    }
}

impl EndpointRow {
    /// The events that the endpoint wants; empty for all.
    pub(crate) fn events(&self) -> Vec<Kind> {
        serde_json::from_str(&self.events).unwrap_or_default()
    }

    /// The text of the column `events`.
    pub(crate) fn events_text(events: &[Kind]) -> String {
        serde_json::to_string(events).unwrap_or_default()
    }

    /// The secrets that sign at an instant, the present one first, sealed.
    pub(crate) fn secrets(&self, now_us: i64) -> Vec<&str> {
        let old = (!self.old_secret.is_empty() && now_us < self.old_until_us).then_some(self.old_secret.as_str());
        std::iter::once(self.secret.as_str()).chain(old).collect()
    }
}

/// The sealed columns of an endpoint.
#[derive(FromRow)]
pub(crate) struct SealedRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) old_secret: String,
}

/// An enabled endpoint and the events that it wants.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct SubscriberRow {
    pub(crate) id: Uuid,
    /// JSON.
    events: String,
}

impl SubscriberRow {
    /// Whether it wants events of this kind.
    pub(crate) fn wants(&self, kind: Kind) -> bool {
        let events: Result<Vec<Kind>, _> = serde_json::from_str(&self.events);
        events.is_ok_and(|events| events.is_empty() || events.contains(&kind))
    }
}

impl Store {
    /// One endpoint.
    pub(crate) async fn endpoint(&self, organization: Uuid, id: Uuid) -> Result<Option<EndpointRow>, Failure> {
        read!(self.database.of(organization), "reminder.endpoint", |pool| query_as(SELECT_ENDPOINT)
            .bind(organization)
            .bind(id)
            .fetch_optional(pool)
            .await)
    }

    /// Endpoints after an id, in the order of their ids.
    pub(crate) async fn endpoints(
        &self,
        organization: Uuid,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<EndpointRow>, Failure> {
        read!(self.database.of(organization), "reminder.endpoints", |pool| query_as(SELECT_ENDPOINTS)
            .bind(organization)
            .bind(after.unwrap_or(Uuid::nil()))
            .bind(limit)
            .fetch_all(pool)
            .await)
    }
}

impl Store {
    /// Endpoints after a key with a sealed column that does not begin with `prefix`.
    pub(crate) async fn endpoints_to_reseal(
        &self,
        after: (Uuid, Uuid),
        prefix: &str,
        limit: i64,
    ) -> Result<Vec<SealedRow>, Failure> {
        let length = i32::try_from(prefix.len()).unwrap_or(0);
        read!(self.database.across(), "reminder.endpoints_to_reseal", |pool| query_as(SELECT_TO_RESEAL)
            .bind(after.0)
            .bind(after.1)
            .bind(length)
            .bind(prefix)
            .bind(limit)
            .fetch_all(pool)
            .await)
    }

    /// Replaces address, secret and old secret; `false` when they have changed since they were read.
    pub(crate) async fn replace_sealed(&self, row: &SealedRow, new: &[String; 3]) -> Result<bool, Failure> {
        let [url, secret, old_secret] = new;
        service::write!(self.database.of(row.organization_id), "reminder.replace_sealed", |pool| query(REPLACE_SEALED)
            .bind(row.organization_id)
            .bind(row.id)
            .bind(&row.url)
            .bind(&row.secret)
            .bind(&row.old_secret)
            .bind(url)
            .bind(secret)
            .bind(old_secret)
            .execute(pool)
            .await
            .map(|done| done.rows_affected() > 0))
    }
}

/// The number of an organisation's endpoints.
pub(crate) async fn count_endpoints(tx: &mut Tx, organization: Uuid) -> Result<i64, Failure> {
    statement!(tx, "reminder.count_endpoints", |conn| query_scalar(COUNT_ENDPOINTS)
        .bind(organization)
        .fetch_one(conn)
        .await)
}

/// The enabled endpoints of an organisation and the events that each wants.
pub(crate) async fn select_subscribers(tx: &mut Tx, organization: Uuid) -> Result<Vec<SubscriberRow>, Failure> {
    statement!(tx, "reminder.subscribers", |conn| query_as(SELECT_SUBSCRIBERS).bind(organization).fetch_all(conn).await)
}

/// Inserts the first version of an endpoint.
pub(crate) async fn insert_endpoint(tx: &mut Tx, endpoint: &EndpointRow) -> Result<(), Failure> {
    statement!(tx, "reminder.insert_endpoint", |conn| query(INSERT_ENDPOINT)
        .bind(endpoint.organization_id)
        .bind(endpoint.id)
        .bind(&endpoint.url)
        .bind(&endpoint.events)
        .bind(&endpoint.description)
        .bind(endpoint.enabled)
        .bind(&endpoint.secret)
        .bind(endpoint.updated_at_us)
        .execute(conn)
        .await
        .map(drop))
}

/// Replaces the version before this one; `false` when the stored version is another.
pub(crate) async fn update_endpoint(tx: &mut Tx, endpoint: &EndpointRow) -> Result<bool, Failure> {
    let changed = statement!(tx, "reminder.update_endpoint", |conn| query(UPDATE_ENDPOINT)
        .bind(endpoint.organization_id)
        .bind(endpoint.id)
        .bind(endpoint.version)
        .bind(&endpoint.url)
        .bind(&endpoint.events)
        .bind(&endpoint.description)
        .bind(endpoint.enabled)
        .bind(&endpoint.disabled_reason)
        .bind(&endpoint.secret)
        .bind(&endpoint.old_secret)
        .bind(endpoint.old_until_us)
        .bind(endpoint.updated_at_us)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Disables an endpoint for a reason; `false` when it was disabled.
pub(crate) async fn disable_endpoint(
    tx: &mut Tx,
    organization: Uuid,
    id: Uuid,
    reason: &str,
    now_us: i64,
) -> Result<bool, Failure> {
    let disabled = statement!(tx, "reminder.disable_endpoint", |conn| query(DISABLE_ENDPOINT)
        .bind(organization)
        .bind(id)
        .bind(reason)
        .bind(now_us)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(disabled == 1)
}

/// Locks an endpoint of a version; `false` when there is none.
pub(crate) async fn lock_endpoint(tx: &mut Tx, organization: Uuid, id: Uuid, version: i64) -> Result<bool, Failure> {
    let locked = statement!(tx, "reminder.lock_endpoint", |conn| query(LOCK_ENDPOINT)
        .bind(organization)
        .bind(id)
        .bind(version)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(locked == 1)
}

/// Locks an endpoint and reserves delivery numbers; answers the last one, `None` when it is disabled or deleted.
pub(crate) async fn reserve_numbers(
    tx: &mut Tx,
    organization: Uuid,
    endpoint: Uuid,
    count: i64,
) -> Result<Option<i64>, Failure> {
    statement!(tx, "reminder.reserve_numbers", |conn| query_scalar(RESERVE_NUMBERS)
        .bind(organization)
        .bind(endpoint)
        .bind(count)
        .fetch_optional(conn)
        .await)
}

/// Records whether an attempt succeeded. Answers since when attempts fail, and nothing when the endpoint is deleted.
pub(crate) async fn record_endpoint_attempt(
    tx: &mut Tx,
    organization: Uuid,
    endpoint: Uuid,
    delivered: bool,
    now_us: i64,
) -> Result<Option<Option<i64>>, Failure> {
    statement!(tx, "reminder.record_endpoint_attempt", |conn| query_scalar::<_, Option<i64>>(RECORD_ATTEMPT)
        .bind(organization)
        .bind(endpoint)
        .bind(delivered)
        .bind(now_us)
        .fetch_optional(conn)
        .await)
}

/// Deletes an endpoint without deliveries.
pub(crate) async fn delete_endpoint(tx: &mut Tx, organization: Uuid, id: Uuid) -> Result<(), Failure> {
    statement!(tx, "reminder.delete_endpoint", |conn| query(DELETE_ENDPOINT)
        .bind(organization)
        .bind(id)
        .execute(conn)
        .await
        .map(drop))
}
