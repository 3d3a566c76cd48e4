//! Group sessions.

use serde::{Deserialize, Serialize};
use sql::Failure;
use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use super::Store;

/// A group session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sql::FromRow)]
pub(crate) struct GroupRow {
    pub(crate) id: Uuid,
    pub(crate) service_id: Uuid,
    pub(crate) practitioner_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) room_id: Option<Uuid>,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) capacity: i32,
}

/// A live group session of a snapshot.
#[derive(Debug, Clone, sql::FromRow)]
pub(crate) struct LiveGroupRow {
    pub(crate) organization_id: Uuid,
    pub(crate) version: i64,
    #[sqlx(flatten)]
    pub(crate) group: GroupRow,
}

const SELECT_LIVE_GROUP: &str = r#"
    SELECT id, service_id, practitioner_id, location_id, room_id, starts_at_us, ends_at_us, capacity
    FROM groups
    WHERE organization_id = $1 AND id = $2 AND live
"#;
const SELECT_UPCOMING_AT_LOCATION: &str = r#"
    SELECT id, service_id, practitioner_id, location_id, room_id, starts_at_us, ends_at_us, capacity
    FROM groups
    WHERE organization_id = $1 AND location_id = $2 AND live AND starts_at_us > $3
"#;
/// Kind 6 is a place of a group session.
const SELECT_GROUPS_OF_HOLD: &str = r#"
    SELECT DISTINCT resource
    FROM claims
    WHERE organization_id = $1 AND owner = $2 AND kind = 6
"#;

/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SELECT_LIVE_GROUP, SELECT_UPCOMING_AT_LOCATION, SELECT_GROUPS_OF_HOLD];

impl Store {
    pub(crate) async fn live_group(&self, organization: Uuid, id: Uuid) -> Result<Option<GroupRow>, Failure> {
        service::read!(self.database.of(organization), "booking.live_group", |pool| {
            query_as(SELECT_LIVE_GROUP).bind(organization).bind(id).fetch_optional(pool).await
        })
    }

    /// The live group sessions at a location that start after an instant.
    pub(crate) async fn groups_at_location(
        &self,
        organization: Uuid,
        location: Uuid,
        now_us: i64,
    ) -> Result<Vec<GroupRow>, Failure> {
        service::write!(self.database.of(organization), "booking.groups_at_location", |pool| {
            query_as(SELECT_UPCOMING_AT_LOCATION).bind(organization).bind(location).bind(now_us).fetch_all(pool).await
        })
    }

    /// The group sessions in which a hold has a place.
    pub(crate) async fn groups_of_hold(&self, organization: Uuid, hold: Uuid) -> Result<Vec<Uuid>, Failure> {
        service::read!(self.database.of(organization), "booking.groups_of_hold", |pool| {
            query_scalar(SELECT_GROUPS_OF_HOLD).bind(organization).bind(hold).fetch_all(pool).await
        })
    }
}
