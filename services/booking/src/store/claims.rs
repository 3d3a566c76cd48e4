//! Claims: one row for each time of one unit of one resource.

use serde::{Deserialize, Serialize};
use sql::Failure;
use sqlx::{QueryBuilder, query_as, query_scalar};
use uuid::Uuid;

use super::Store;

/// A claim on one unit of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sql::FromRow)]
pub(crate) struct ClaimRow {
    /// The number of `domain::claim::Kind`.
    pub(crate) kind: i16,
    pub(crate) resource: Uuid,
    pub(crate) unit: i16,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    /// An appointment, a hold or a group session.
    pub(crate) owner: Uuid,
    pub(crate) expires_at_us: Option<i64>,
    pub(crate) location_id: Option<Uuid>,
    pub(crate) needling: bool,
}

impl ClaimRow {
    /// Moves the claim in time.
    pub(crate) fn shift(&mut self, by_us: i64) {
        self.starts_at_us += by_us;
        self.ends_at_us += by_us;
    }
}

macro_rules! select_claims {
    ($clauses:literal) => {
        concat!(
            r#"
            SELECT kind, resource, unit, starts_at_us, ends_at_us, owner, expires_at_us, location_id, needling
            FROM claims
            "#,
            $clauses
        )
    };
}

/// `+kind` keeps SQLite from reading all claims of the organisation in the order of the index by resource.
const SELECT_OF_OWNER: &str =
    select_claims!("WHERE organization_id = $1 AND owner = $2 ORDER BY +kind, resource, unit, starts_at_us");
const SELECT_OF_ORGANIZATION: &str = select_claims!("WHERE organization_id = ");
const SELECT_CONFLICTING_OWNERS: &str = r#"
    SELECT owner
    FROM claims
    WHERE organization_id = $1 AND kind = $2 AND resource = $3 AND unit = $4
      AND ends_at_us > $5 AND starts_at_us < $6
      AND (expires_at_us IS NULL OR expires_at_us > $7)
"#;
/// Owners, and claims, in one statement.
const OWNERS_MAX: usize = 500;
const CLAIMS_MAX: usize = 100;

/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SELECT_OF_OWNER, SELECT_CONFLICTING_OWNERS];

impl Store {
    pub(crate) async fn claims_of(&self, organization: Uuid, owner: Uuid) -> Result<Vec<ClaimRow>, Failure> {
        service::read!(self.database.of(organization), "booking.claims_of", |pool| {
            query_as(SELECT_OF_OWNER).bind(organization).bind(owner).fetch_all(pool).await
        })
    }

    /// The claims of these owners, in no order.
    pub(crate) async fn claims_of_owners(&self, organization: Uuid, owners: &[Uuid]) -> Result<Vec<ClaimRow>, Failure> {
        let mut claims: Vec<ClaimRow> = Vec::new();
        for owners in owners.chunks(OWNERS_MAX) {
            let mut found =
                service::write!(self.database.of(organization), "booking.claims_of_owners", |pool: Engine| {
                    let mut query = QueryBuilder::<Engine>::new(SELECT_OF_ORGANIZATION);
                    query.push_bind(organization);
                    super::push_in(&mut query, "owner", owners);
                    query.build_query_as().persistent(false).fetch_all(pool).await
                })?;
            claims.append(&mut found);
        }
        Ok(claims)
    }

    /// The owners of live claims that overlap this one.
    pub(crate) async fn conflicting_owners(
        &self,
        organization: Uuid,
        claim: &ClaimRow,
        now_us: i64,
    ) -> Result<Vec<Uuid>, Failure> {
        service::write!(self.database.of(organization), "booking.conflicting_owners", |pool| {
            query_scalar(SELECT_CONFLICTING_OWNERS)
                .bind(organization)
                .bind(claim.kind)
                .bind(claim.resource)
                .bind(claim.unit)
                .bind(claim.starts_at_us)
                .bind(claim.ends_at_us)
                .bind(now_us)
                .fetch_all(pool)
                .await
        })
    }

    /// The live claims that overlap any of these, in no order.
    pub(crate) async fn overlapping_claims(
        &self,
        organization: Uuid,
        wanted: &[ClaimRow],
        now_us: i64,
    ) -> Result<Vec<ClaimRow>, Failure> {
        let mut claims: Vec<ClaimRow> = Vec::new();
        for wanted in wanted.chunks(CLAIMS_MAX) {
            let mut found =
                service::write!(self.database.of(organization), "booking.overlapping_claims", |pool: Engine| {
                    let mut query = QueryBuilder::<Engine>::new(SELECT_OF_ORGANIZATION);
                    query
                        .push_bind(organization)
                        .push(" AND (expires_at_us IS NULL OR expires_at_us > ")
                        .push_bind(now_us);
                    query.push(") AND (");
                    let mut any = query.separated(" OR ");
                    for claim in wanted {
                        any.push("(kind = ").push_bind_unseparated(claim.kind);
                        any.push_unseparated(" AND resource = ").push_bind_unseparated(claim.resource);
                        any.push_unseparated(" AND unit = ").push_bind_unseparated(claim.unit);
                        any.push_unseparated(" AND ends_at_us > ").push_bind_unseparated(claim.starts_at_us);
                        any.push_unseparated(" AND starts_at_us < ").push_bind_unseparated(claim.ends_at_us);
                        any.push_unseparated(")");
                    }
                    query.push(")");
                    query.build_query_as().persistent(false).fetch_all(pool).await
                })?;
            claims.append(&mut found);
        }
        Ok(claims)
    }
}
