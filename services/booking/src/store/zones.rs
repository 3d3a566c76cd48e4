// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// The time zones of locations, and what lies ahead at a location whose zone changes.

use sql::Failure;
use sqlx::{QueryBuilder, query, query_as, query_scalar};
use uuid::Uuid;

use super::{
    super::rows::{ClaimRow, GroupRow, OfferRow, ZoneRow},
    Db, Store,
};

const ZONES: &str = "SELECT organization_id, location_id, time_zone, changed_at_us FROM location_zones \
     WHERE organization_id = $1";
const ZONES_UNSETTLED: &str = "SELECT organization_id, location_id, time_zone, changed_at_us FROM location_zones \
     WHERE NOT settled AND changed_at_us <= $1 ORDER BY changed_at_us LIMIT $2";
const SETTLE_ZONE: &str = "UPDATE location_zones SET settled = true \
     WHERE organization_id = $1 AND location_id = $2 AND changed_at_us = $3";
const SWEEP_ZONES: &str = "DELETE FROM location_zones WHERE settled AND changed_at_us < $1";
/// The live group sessions ahead at a location.
const GROUPS_AT: &str = "SELECT id, service_id, practitioner_id, location_id, room_id, starts_at_us, ends_at_us, capacity \
     FROM groups WHERE organization_id = $1 AND location_id = $2 AND live AND starts_at_us > $3";
/// The live holds that keep something at a location, a place of its group sessions too.
const HOLDS_AT: &str = "SELECT DISTINCT c.owner FROM claims c WHERE c.organization_id = $1 AND c.expires_at_us > $3 \
     AND (c.location_id = $2 OR (c.kind = 6 AND EXISTS (SELECT 1 FROM groups g WHERE g.organization_id = $1 \
     AND g.id = c.resource AND g.location_id = $2)))";
const LIVE_OFFERS: &str =
    "SELECT * FROM offers WHERE organization_id = $1 AND status IN ('making', 'open', 'accepting')";
const CLAIMS: &str = "SELECT kind, resource, unit, starts_at_us, ends_at_us, owner, expires_at_us, location_id, needling \
     FROM claims WHERE organization_id = ";
/// Owners, and claims that are looked for, in one statement.
const OWNERS_MAX: usize = 500;
const WANTED_MAX: usize = 100;

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 7] =
    [ZONES, ZONES_UNSETTLED, SETTLE_ZONE, SWEEP_ZONES, GROUPS_AT, HOLDS_AT, LIVE_OFFERS];

impl Store {
    pub(crate) async fn zones(&self, organization: Uuid) -> Result<Vec<ZoneRow>, Failure> {
        Ok(query_as(ZONES).bind(organization).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn zones_unsettled(&self, before_us: i64, limit: i64) -> Result<Vec<ZoneRow>, Failure> {
        Ok(query_as(ZONES_UNSETTLED).bind(before_us).bind(limit).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn settle_zone(&self, zone: &ZoneRow) -> Result<(), Failure> {
        let settle = query(SETTLE_ZONE).bind(zone.organization_id).bind(zone.location_id).bind(zone.changed_at_us);
        settle.execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn sweep_zones(&self, before_us: i64) -> Result<(), Failure> {
        query(SWEEP_ZONES).bind(before_us).execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn groups_at(
        &self,
        organization: Uuid,
        location: Uuid,
        now_us: i64,
    ) -> Result<Vec<GroupRow>, Failure> {
        let groups = query_as(GROUPS_AT).bind(organization).bind(location).bind(now_us);
        Ok(groups.fetch_all(self.writer()).await?)
    }

    pub(crate) async fn holds_at(&self, organization: Uuid, location: Uuid, now_us: i64) -> Result<Vec<Uuid>, Failure> {
        let holds = query_scalar(HOLDS_AT).bind(organization).bind(location).bind(now_us);
        Ok(holds.fetch_all(self.writer()).await?)
    }

    pub(crate) async fn live_offers(&self, organization: Uuid) -> Result<Vec<OfferRow>, Failure> {
        Ok(query_as(LIVE_OFFERS).bind(organization).fetch_all(self.writer()).await?)
    }

    pub(crate) async fn claims_of_all(&self, organization: Uuid, owners: &[Uuid]) -> Result<Vec<ClaimRow>, Failure> {
        let mut claims = Vec::new();
        for some in owners.chunks(OWNERS_MAX) {
            let mut query = QueryBuilder::<Db>::new(CLAIMS);
            query.push_bind(organization).push(" AND owner IN (");
            let mut list = query.separated(", ");
            for owner in some {
                list.push_bind(*owner);
            }
            query.push(")");
            let found: Vec<ClaimRow> = query.build_query_as().persistent(false).fetch_all(self.writer()).await?;
            claims.extend(found);
        }
        Ok(claims)
    }

    pub(crate) async fn claims_meeting(
        &self,
        organization: Uuid,
        wanted: &[ClaimRow],
        now_us: i64,
    ) -> Result<Vec<ClaimRow>, Failure> {
        let mut claims = Vec::new();
        for some in wanted.chunks(WANTED_MAX) {
            let mut query = QueryBuilder::<Db>::new(CLAIMS);
            query.push_bind(organization).push(" AND (expires_at_us IS NULL OR expires_at_us > ").push_bind(now_us);
            query.push(") AND (");
            let mut any = query.separated(" OR ");
            for claim in some {
                any.push("(kind = ").push_bind_unseparated(claim.kind);
                any.push_unseparated(" AND resource = ").push_bind_unseparated(claim.resource);
                any.push_unseparated(" AND unit = ").push_bind_unseparated(claim.unit);
                any.push_unseparated(" AND ends_at_us > ").push_bind_unseparated(claim.starts_at_us);
                any.push_unseparated(" AND starts_at_us < ").push_bind_unseparated(claim.ends_at_us);
                any.push_unseparated(")");
            }
            query.push(")");
            let found: Vec<ClaimRow> = query.build_query_as().persistent(false).fetch_all(self.writer()).await?;
            claims.extend(found);
        }
        Ok(claims)
    }
}
