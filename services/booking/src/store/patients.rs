//! Patients. `patient_search.rs` finds them.

use service::store::{POSTGRES, SQLITE};
use sql::Failure;
use sqlx::{QueryBuilder, query_as};
use uuid::Uuid;

use super::{Database, Store, push_in};

/// A patient; `details` is the JSON of `patients::document::Document`.
#[derive(Clone, PartialEq, sql::FromRow)]
pub(crate) struct PatientRow {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) details: String,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
}

macro_rules! select_patients {
    ($clauses:literal) => {
        concat!("SELECT id, version, details, created_at_us, updated_at_us FROM patients ", $clauses)
    };
}

const SELECT_PATIENT: &str = select_patients!("WHERE organization_id = $1 AND id = $2");
pub(super) const SELECT_OF_ORGANIZATION: &str = select_patients!("WHERE organization_id = ");
const SQLITE_SELECT_NAMESAKES: &str =
    select_patients!("WHERE organization_id = $1 AND match_key = $2 ORDER BY id LIMIT $3");
const POSTGRES_SELECT_NAMESAKES: &str =
    "SELECT id, version, details, created_at_us, updated_at_us FROM namesakes($1, $2, $3)";

/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SELECT_PATIENT, SQLITE_SELECT_NAMESAKES];

impl Store {
    pub(crate) async fn patient(&self, organization: Uuid, id: Uuid) -> Result<Option<PatientRow>, Failure> {
        service::read!(self.database.of(organization), "booking.patient", |pool| {
            query_as(SELECT_PATIENT).bind(organization).bind(id).fetch_optional(pool).await
        })
    }

    /// The patients with these ids that exist, in no order.
    pub(crate) async fn patients_by_id(&self, organization: Uuid, ids: &[Uuid]) -> Result<Vec<PatientRow>, Failure> {
        if ids.is_empty() {
            return Ok(vec![]);
        }
        service::read!(self.database.of(organization), "booking.patients_by_id", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(SELECT_OF_ORGANIZATION);
            query.push_bind(organization);
            push_in(&mut query, "id", ids);
            query.build_query_as().persistent(sql::is_kept(ids.len())).fetch_all(pool).await
        })
    }

    /// The patients of one name and telephone number, the oldest first.
    pub(crate) async fn namesakes(
        &self,
        organization: Uuid,
        match_key: &str,
        limit: i64,
    ) -> Result<Vec<PatientRow>, Failure> {
        match &self.database {
            Database::Sqlite(pools) => service::spanned!(SQLITE, "booking.namesakes", {
                let select = query_as(SQLITE_SELECT_NAMESAKES).bind(organization).bind(match_key).bind(limit);
                select.fetch_all(&pools.reader).await
            }),
            Database::Postgres(pool) => service::spanned!(POSTGRES, "booking.namesakes", {
                let select = query_as(POSTGRES_SELECT_NAMESAKES).bind(organization).bind(match_key).bind(limit);
                select.fetch_all(pool).await
            }),
        }
    }
}
