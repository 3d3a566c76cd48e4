//! Facts about a page of appointments from other rows: first visits, places of group sessions, plans. One statement for each.

use sql::Failure;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{Store, plans::PlanRow, push_in};

/// The earliest visit of a patient that was neither cancelled nor missed.
#[derive(Debug, Clone, sql::FromRow)]
pub(crate) struct FirstVisit {
    pub(crate) patient_id: Uuid,
    pub(crate) starts_at_us: Option<i64>,
}

/// The places of a group session.
#[derive(Debug, Clone, sql::FromRow)]
pub(crate) struct GroupPlaces {
    pub(crate) group_id: Uuid,
    pub(crate) capacity: i32,
    /// Also by holds that have not expired.
    pub(crate) taken: i64,
}

impl Store {
    /// The first visits of these patients, in no order.
    pub(crate) async fn first_visits(&self, organization: Uuid, patients: &[Uuid]) -> Result<Vec<FirstVisit>, Failure> {
        if patients.is_empty() {
            return Ok(vec![]);
        }
        service::read!(self.database.of(organization), "booking.first_visits", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(
                "SELECT p.id AS patient_id, (SELECT a.starts_at_us FROM appointments a WHERE a.organization_id = ",
            );
            query.push_bind(organization);
            query.push(" AND a.patient_id = p.id AND a.status IN ('pending', 'booked', 'arrived', 'checked-in', ");
            query.push("'fulfilled') ORDER BY a.starts_at_us LIMIT 1) AS starts_at_us FROM patients p ");
            query.push("WHERE p.organization_id = ").push_bind(organization);
            push_in(&mut query, "p.id", patients);
            query.build_query_as().persistent(sql::is_kept(patients.len())).fetch_all(pool).await
        })
    }

    /// The places of these group sessions, if they are live, in no order.
    pub(crate) async fn group_places(
        &self,
        organization: Uuid,
        groups: &[Uuid],
        now_us: i64,
    ) -> Result<Vec<GroupPlaces>, Failure> {
        if groups.is_empty() {
            return Ok(vec![]);
        }
        service::read!(self.database.of(organization), "booking.group_places", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(
                "SELECT g.id AS group_id, g.capacity, (SELECT count(*) FROM claims c WHERE c.organization_id = ",
            );
            // Kind 6 is a place of a group session.
            query.push_bind(organization).push(" AND c.kind = 6 AND c.resource = g.id ");
            query.push("AND (c.expires_at_us IS NULL OR c.expires_at_us > ").push_bind(now_us);
            query.push(")) AS taken FROM groups g WHERE g.live AND g.organization_id = ").push_bind(organization);
            push_in(&mut query, "g.id", groups);
            query.build_query_as().persistent(sql::is_kept(groups.len())).fetch_all(pool).await
        })
    }

    /// The plans that these sessions belong to, each once, in no order.
    pub(crate) async fn plans_of_sessions(
        &self,
        organization: Uuid,
        sessions: &[Uuid],
    ) -> Result<Vec<PlanRow>, Failure> {
        if sessions.is_empty() {
            return Ok(vec![]);
        }
        service::read!(self.database.of(organization), "booking.plans_of_sessions", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(
                "SELECT id, version, document, created_at_us, updated_at_us, at_risk FROM plans WHERE organization_id = ",
            );
            query.push_bind(organization);
            query.push(" AND id IN (SELECT s.plan_id FROM plan_sessions s WHERE s.organization_id = ");
            query.push_bind(organization);
            push_in(&mut query, "s.id", sessions);
            query.push(")");
            query.build_query_as().persistent(sql::is_kept(sessions.len())).fetch_all(pool).await
        })
    }
}
