//! Holds.

use sql::Failure;
use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use super::Store;

/// A hold; `slots` is a JSON list of slot ids.
#[derive(Debug, Clone, PartialEq, sql::FromRow)]
pub(crate) struct HoldRow {
    pub(crate) id: Uuid,
    pub(crate) expires_at_us: i64,
    pub(crate) slots: String,
    pub(crate) caller: String,
    /// As `rpc::Visitor` writes it; empty for staff.
    pub(crate) visitor: String,
    pub(crate) created_at_us: i64,
}

macro_rules! select_holds {
    ($clauses:literal) => {
        concat!("SELECT id, expires_at_us, slots, caller, visitor, created_at_us FROM holds ", $clauses)
    };
}

const SELECT_HOLD: &str = select_holds!("WHERE organization_id = $1 AND id = $2");
/// After a position, the first to expire first.
const SELECT_LIVE: &str = select_holds!(
    r#"
    WHERE organization_id = $1 AND expires_at_us > $2 AND (expires_at_us > $3 OR (expires_at_us = $3 AND id > $4))
    ORDER BY expires_at_us, id
    LIMIT $5
    "#
);
const SELECT_EXPIRED: &str = r#"
    SELECT organization_id, id
    FROM holds
    WHERE expires_at_us <= $1
    ORDER BY expires_at_us
    LIMIT $2
"#;
/// Kind 6 is a place of a group session.
const SELECT_LIVE_AT_LOCATION: &str = r#"
    SELECT DISTINCT c.owner
    FROM claims c
    WHERE c.organization_id = $1 AND c.expires_at_us > $3
      AND (c.location_id = $2 OR (c.kind = 6 AND EXISTS (
          SELECT 1
          FROM groups g
          WHERE g.organization_id = $1 AND g.id = c.resource AND g.location_id = $2)))
"#;

/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SELECT_HOLD, SELECT_LIVE, SELECT_EXPIRED, SELECT_LIVE_AT_LOCATION];

impl Store {
    pub(crate) async fn hold(&self, organization: Uuid, id: Uuid) -> Result<Option<HoldRow>, Failure> {
        service::read!(self.database.of(organization), "booking.hold", |pool| {
            query_as(SELECT_HOLD).bind(organization).bind(id).fetch_optional(pool).await
        })
    }

    /// Live holds after a position (expiry and id), the first to expire first.
    pub(crate) async fn live_holds(
        &self,
        organization: Uuid,
        now_us: i64,
        after: (i64, Uuid),
        limit: i64,
    ) -> Result<Vec<HoldRow>, Failure> {
        service::read!(self.database.of(organization), "booking.live_holds", |pool| {
            query_as(SELECT_LIVE)
                .bind(organization)
                .bind(now_us)
                .bind(after.0)
                .bind(after.1)
                .bind(limit)
                .fetch_all(pool)
                .await
        })
    }

    /// Organisation and id of expired holds of all organisations, the earliest first.
    pub(crate) async fn expired_holds(&self, now_us: i64, limit: i64) -> Result<Vec<(Uuid, Uuid)>, Failure> {
        service::read!(self.database.across(), "booking.expired_holds", |pool| {
            query_as(SELECT_EXPIRED).bind(now_us).bind(limit).fetch_all(pool).await
        })
    }

    /// The live holds at a location, those of places in its group sessions too.
    pub(crate) async fn holds_at_location(
        &self,
        organization: Uuid,
        location: Uuid,
        now_us: i64,
    ) -> Result<Vec<Uuid>, Failure> {
        service::write!(self.database.of(organization), "booking.holds_at_location", |pool| {
            query_scalar(SELECT_LIVE_AT_LOCATION).bind(organization).bind(location).bind(now_us).fetch_all(pool).await
        })
    }
}
