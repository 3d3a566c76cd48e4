//! Deliveries to webhook endpoints. Whatever queues or ends one locks its endpoint first, so that exactly the first
//! pending delivery of each subject has a time to wake.

use service::{
    read, statement,
    store::{Scoped, Tx},
    write,
};
use sql::Failure;
use sql::FromRow;
use sqlx::{Encode, QueryBuilder, Type, query, query_as};
use uuid::Uuid;

use super::{
    Store,
    batch::{push_in, push_not_in},
    postgres, sqlite,
};

/// The columns of [`DeliveryRow`].
pub(super) const COLUMNS: &str = "organization_id, id, endpoint_id, number, subject_id, event, payload, status, \
     wake_at_us, since_us, fence, tries, attempts, last_status, last_error, created_at_us, delivered_at_us";
const SELECT_DELIVERY: &str = r#"
    SELECT organization_id, id, endpoint_id, number, subject_id, event, payload, status, wake_at_us, since_us, fence,
        tries, attempts, last_status, last_error, created_at_us, delivered_at_us
    FROM webhook_deliveries
    WHERE organization_id = $1 AND endpoint_id = $2 AND id = $3
"#;
const INSERT_DELIVERY: &str = r#"
    INSERT INTO webhook_deliveries
        (organization_id, id, endpoint_id, number, subject_id, event, payload, status, wake_at_us, since_us, fence,
         tries, attempts, last_status, last_error, created_at_us, updated_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending',
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM webhook_deliveries d
                WHERE d.organization_id = $1 AND d.endpoint_id = $3 AND d.subject_id = $5 AND d.status = 'pending'
            ) THEN NULL
            ELSE CAST($8 AS bigint)
        END,
        $8, 0, 0, 0, 0, '', $8, $8)
    RETURNING organization_id, id, endpoint_id, number, subject_id, event, payload, status, wake_at_us, since_us,
        fence, tries, attempts, last_status, last_error, created_at_us, delivered_at_us
"#;
const REPLAY_DELIVERY: &str = r#"
    UPDATE webhook_deliveries
    SET status = 'pending',
        number = $4,
        wake_at_us = CASE
            WHEN EXISTS (
                SELECT 1
                FROM webhook_deliveries d
                WHERE d.organization_id = webhook_deliveries.organization_id
                    AND d.endpoint_id = webhook_deliveries.endpoint_id
                    AND d.subject_id = webhook_deliveries.subject_id
                    AND d.status = 'pending'
            ) THEN NULL
            ELSE CAST($5 AS bigint)
        END,
        since_us = $5,
        fence = fence + 1,
        tries = 0,
        last_error = '',
        delivered_at_us = NULL,
        updated_at_us = $5
    WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status <> 'pending'
    RETURNING organization_id, id, endpoint_id, number, subject_id, event, payload, status, wake_at_us, since_us,
        fence, tries, attempts, last_status, last_error, created_at_us, delivered_at_us
"#;
const RECORD_RESULT: &str = r#"
    UPDATE webhook_deliveries
    SET status = $4, wake_at_us = $5, last_status = $6, last_error = $7,
        delivered_at_us = CASE WHEN $4 = 'delivered' THEN CAST($8 AS bigint) END, updated_at_us = $8
    WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status = 'pending'
"#;
const WAKE_NEXT: &str = r#"
    UPDATE webhook_deliveries
    SET wake_at_us = $4, since_us = $4
    WHERE organization_id = $1
        AND id = (
            SELECT id
            FROM webhook_deliveries
            WHERE organization_id = $1 AND endpoint_id = $2 AND subject_id = $3 AND status = 'pending'
            ORDER BY number
            LIMIT 1
        )
"#;
const END_PENDING: &str = r#"
    UPDATE webhook_deliveries
    SET status = 'dead', last_error = 'endpoint_disabled', wake_at_us = NULL, fence = fence + 1, updated_at_us = $3
    WHERE organization_id = $1 AND endpoint_id = $2 AND status = 'pending'
"#;
const DELETE_DELIVERIES: &str = "DELETE FROM webhook_deliveries WHERE organization_id = $1 AND endpoint_id = $2";
const DELETE_ENDED: &str = "DELETE FROM webhook_deliveries WHERE updated_at_us < $1 AND status <> 'pending'";
const FORGET_SECRETS: &str =
    "UPDATE webhook_endpoints SET old_secret = '' WHERE old_secret <> '' AND old_until_us < $1";

/// Every statement of this file whose text is fixed, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 9] = [
    SELECT_DELIVERY,
    INSERT_DELIVERY,
    REPLAY_DELIVERY,
    RECORD_RESULT,
    WAKE_NEXT,
    END_PENDING,
    DELETE_DELIVERIES,
    DELETE_ENDED,
    FORGET_SECRETS,
];

/// A delivery to a webhook endpoint.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct DeliveryRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) endpoint_id: Uuid,
    pub(crate) number: i64,
    pub(crate) subject_id: Uuid,
    pub(crate) event: String,
    pub(crate) payload: String,
    pub(crate) status: String,
    pub(crate) wake_at_us: Option<i64>,
    pub(crate) since_us: i64,
    pub(crate) fence: i64,
    pub(crate) tries: i32,
    pub(crate) attempts: i32,
    pub(crate) last_status: i32,
    pub(crate) last_error: String,
    pub(crate) created_at_us: i64,
    pub(crate) delivered_at_us: Option<i64>,
}

/// A delivery to queue.
pub(crate) struct NewDelivery {
    pub(crate) id: Uuid,
    pub(crate) subject: Uuid,
    pub(crate) event: String,
    pub(crate) payload: String,
}

/// The result of an attempt to deliver.
pub(crate) struct DeliveryResult<'a> {
    pub(crate) delivery: &'a DeliveryRow,
    pub(crate) status: &'static str,
    pub(crate) error: &'static str,
    pub(crate) http: i32,
    /// The instant of the next attempt.
    pub(crate) wake_at_us: Option<i64>,
    /// Whether the receiver wants no deliveries any more.
    pub(crate) gone: bool,
    pub(crate) now_us: i64,
}

/// Deliveries that are not leased now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Excluded {
    /// Those that this process works on.
    pub(crate) deliveries: Vec<Uuid>,
    /// Endpoints without a free place.
    pub(crate) endpoints: Vec<Uuid>,
    /// Organisations without a free place.
    pub(crate) organizations: Vec<Uuid>,
}

/// Adds the condition that a delivery is not excluded.
pub(super) fn push_included<D: sqlx::Database>(query: &mut QueryBuilder<D>, excluded: &Excluded)
where
    Uuid: for<'q> Encode<'q, D> + Type<D>,
{
    push_not_in(query, "id", &excluded.deliveries);
    push_not_in(query, "endpoint_id", &excluded.endpoints);
    push_not_in(query, "organization_id", &excluded.organizations);
}

impl Store {
    /// One delivery.
    pub(crate) async fn delivery(
        &self,
        organization: Uuid,
        endpoint: Uuid,
        id: Uuid,
    ) -> Result<Option<DeliveryRow>, Failure> {
        read!(self.database.of(organization), "reminder.delivery", |pool| query_as(SELECT_DELIVERY)
            .bind(organization)
            .bind(endpoint)
            .bind(id)
            .fetch_optional(pool)
            .await)
    }

    /// Deliveries of an endpoint before a number, the latest first.
    pub(crate) async fn deliveries(
        &self,
        organization: Uuid,
        endpoint: Uuid,
        statuses: &[String],
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<DeliveryRow>, Failure> {
        read!(self.database.of(organization), "reminder.deliveries", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new("SELECT ");
            query.push(COLUMNS).push(" FROM webhook_deliveries WHERE organization_id = ").push_bind(organization);
            query.push(" AND endpoint_id = ").push_bind(endpoint);
            push_in(&mut query, "status", statuses);
            if let Some(number) = before {
                query.push(" AND number < ").push_bind(number);
            }
            query.push(" ORDER BY number DESC LIMIT ").push_bind(limit);
            query.build_query_as().fetch_all(pool).await
        })
    }

    /// The next instant at which a delivery is due that is not excluded.
    pub(crate) async fn next_delivery(&self, excluded: &Excluded) -> Result<Option<i64>, Failure> {
        read!(self.database.across(), "reminder.next_delivery", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(
                "SELECT min(wake_at_us) FROM webhook_deliveries WHERE wake_at_us IS NOT NULL",
            );
            push_included(&mut query, excluded);
            query.build_query_scalar::<Option<i64>>().fetch_one(pool).await
        })
    }

    /// Leases due deliveries that are not excluded.
    pub(crate) async fn lease_deliveries(
        &self,
        now_us: i64,
        until_us: i64,
        limit: i64,
        excluded: &Excluded,
    ) -> Result<Vec<DeliveryRow>, Failure> {
        match self.database.across() {
            Scoped::Sqlite(pools) => sqlite::lease_deliveries(&pools.writer, now_us, until_us, limit, excluded).await,
            Scoped::Postgres(pool) => postgres::lease_deliveries(pool, now_us, until_us, limit, excluded).await,
        }
    }

    /// Deletes deliveries that ended before an instant, and secrets that no longer sign.
    pub(crate) async fn sweep_deliveries(&self, before_us: i64, now_us: i64) -> Result<(), Failure> {
        for (sweep, before_us) in [(DELETE_ENDED, before_us), (FORGET_SECRETS, now_us)] {
            write!(self.database.across(), "reminder.sweep_deliveries", |pool| query(sweep)
                .bind(before_us)
                .execute(pool)
                .await
                .map(drop))?;
        }
        Ok(())
    }
}

/// Queues a delivery behind the pending ones of its subject.
pub(crate) async fn insert_delivery(
    tx: &mut Tx,
    organization: Uuid,
    endpoint: Uuid,
    (number, new): (i64, &NewDelivery),
    now_us: i64,
) -> Result<DeliveryRow, Failure> {
    statement!(tx, "reminder.insert_delivery", |conn| query_as(INSERT_DELIVERY)
        .bind(organization)
        .bind(new.id)
        .bind(endpoint)
        .bind(number)
        .bind(new.subject)
        .bind(&new.event)
        .bind(&new.payload)
        .bind(now_us)
        .fetch_one(conn)
        .await)
}

/// Queues an ended delivery again, with another number; `None` when it has changed since it was read.
pub(crate) async fn replay_delivery(
    tx: &mut Tx,
    delivery: &DeliveryRow,
    number: i64,
    now_us: i64,
) -> Result<Option<DeliveryRow>, Failure> {
    statement!(tx, "reminder.replay_delivery", |conn| query_as(REPLAY_DELIVERY)
        .bind(delivery.organization_id)
        .bind(delivery.id)
        .bind(delivery.fence)
        .bind(number)
        .bind(now_us)
        .fetch_optional(conn)
        .await)
}

/// Records the result of an attempt; `false` when the lease is lost.
pub(crate) async fn record_result(tx: &mut Tx, result: &DeliveryResult<'_>) -> Result<bool, Failure> {
    let recorded = statement!(tx, "reminder.record_result", |conn| query(RECORD_RESULT)
        .bind(result.delivery.organization_id)
        .bind(result.delivery.id)
        .bind(result.delivery.fence)
        .bind(result.status)
        .bind(result.wake_at_us)
        .bind(result.http)
        .bind(result.error)
        .bind(result.now_us)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(recorded == 1)
}

/// Makes the first pending delivery of a subject due.
pub(crate) async fn wake_next(
    tx: &mut Tx,
    organization: Uuid,
    endpoint: Uuid,
    subject: Uuid,
    now_us: i64,
) -> Result<(), Failure> {
    statement!(tx, "reminder.wake_next", |conn| query(WAKE_NEXT)
        .bind(organization)
        .bind(endpoint)
        .bind(subject)
        .bind(now_us)
        .execute(conn)
        .await
        .map(drop))
}

/// Ends the pending deliveries of an endpoint.
pub(crate) async fn end_pending(tx: &mut Tx, organization: Uuid, endpoint: Uuid, now_us: i64) -> Result<(), Failure> {
    statement!(tx, "reminder.end_pending", |conn| query(END_PENDING)
        .bind(organization)
        .bind(endpoint)
        .bind(now_us)
        .execute(conn)
        .await
        .map(drop))
}

/// Deletes the deliveries of an endpoint.
pub(crate) async fn delete_deliveries(tx: &mut Tx, organization: Uuid, endpoint: Uuid) -> Result<(), Failure> {
    statement!(tx, "reminder.delete_deliveries", |conn| query(DELETE_DELIVERIES)
        .bind(organization)
        .bind(endpoint)
        .execute(conn)
        .await
        .map(drop))
}
