//! Care plans and their ledgers.

use careplan::plan::Plan;
use sql::Failure;
use sqlx::{QueryBuilder, query_as, query_scalar};
use uuid::Uuid;

use super::{Store, push_in};

/// A plan; `document` is the JSON of `careplan::plan::Plan`.
#[derive(Clone, PartialEq, sql::FromRow)]
pub(crate) struct PlanRow {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) document: String,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    pub(crate) at_risk: bool,
}

impl PlanRow {
    /// The plan in the document.
    pub(crate) fn plan(&self) -> Result<Plan, serde_json::Error> {
        serde_json::from_str(&self.document)
    }
}

/// A plan with its organisation.
#[derive(Clone, sql::FromRow)]
pub(crate) struct OwnedPlanRow {
    pub(crate) organization_id: Uuid,
    #[sqlx(flatten)]
    pub(crate) plan: PlanRow,
}

const SELECT_PLAN: &str = r#"
    SELECT id, version, document, created_at_us, updated_at_us, at_risk
    FROM plans
    WHERE organization_id = $1 AND id = $2
"#;
const SELECT_OF_ORGANIZATION: &str = r#"
    SELECT id, version, document, created_at_us, updated_at_us, at_risk
    FROM plans
    WHERE organization_id =
"#;
const SELECT_PLAN_OF_SESSION: &str = r#"
    SELECT p.id, p.version, p.document, p.created_at_us, p.updated_at_us, p.at_risk
    FROM plan_sessions s
    JOIN plans p ON p.organization_id = s.organization_id AND p.id = s.plan_id
    WHERE s.organization_id = $1 AND s.id = $2
"#;
/// Plans that are at risk by now and not marked so.
const SELECT_BECOMING_AT_RISK: &str = r#"
    SELECT organization_id, id, version, document, created_at_us, updated_at_us, at_risk
    FROM plans
    WHERE NOT at_risk AND risk_at_us <= $1
    ORDER BY risk_at_us
    LIMIT $2
"#;
const SELECT_LEDGER_ENTRIES: &str = r#"
    SELECT entries
    FROM plan_entries
    WHERE organization_id = $1 AND plan_id = $2
    ORDER BY version
"#;

/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[SELECT_PLAN, SELECT_PLAN_OF_SESSION, SELECT_BECOMING_AT_RISK, SELECT_LEDGER_ENTRIES];

impl Store {
    pub(crate) async fn plan(&self, organization: Uuid, id: Uuid) -> Result<Option<PlanRow>, Failure> {
        service::read!(self.database.of(organization), "booking.plan", |pool| {
            query_as(SELECT_PLAN).bind(organization).bind(id).fetch_optional(pool).await
        })
    }

    pub(crate) async fn plan_of_session(&self, organization: Uuid, session: Uuid) -> Result<Option<PlanRow>, Failure> {
        service::read!(self.database.of(organization), "booking.plan_of_session", |pool| {
            query_as(SELECT_PLAN_OF_SESSION).bind(organization).bind(session).fetch_optional(pool).await
        })
    }

    /// Newest first.
    pub(crate) async fn list_plans(
        &self,
        organization: Uuid,
        patient: Option<Uuid>,
        statuses: &[String],
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<PlanRow>, Failure> {
        service::read!(self.database.of(organization), "booking.list_plans", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(SELECT_OF_ORGANIZATION);
            query.push_bind(organization).push(" AND id < ").push_bind(before.unwrap_or(Uuid::max()));
            push_in(&mut query, "patient_id", patient.as_slice());
            push_in(&mut query, "status", statuses);
            query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
            query.build_query_as().fetch_all(pool).await
        })
    }

    /// Plans of all organisations that are at risk by now and not marked so.
    pub(crate) async fn plans_becoming_at_risk(&self, now_us: i64, limit: i64) -> Result<Vec<OwnedPlanRow>, Failure> {
        service::read!(self.database.across(), "booking.plans_becoming_at_risk", |pool| {
            query_as(SELECT_BECOMING_AT_RISK).bind(now_us).bind(limit).fetch_all(pool).await
        })
    }

    /// The entries of a plan's ledger, one JSON list for each version that changed a session.
    pub(crate) async fn ledger_entries(&self, organization: Uuid, plan: Uuid) -> Result<Vec<String>, Failure> {
        service::read!(self.database.of(organization), "booking.ledger_entries", |pool| {
            query_scalar(SELECT_LEDGER_ENTRIES).bind(organization).bind(plan).fetch_all(pool).await
        })
    }
}
