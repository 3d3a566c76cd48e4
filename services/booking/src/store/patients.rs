//! Patients, and the words by which they are found.

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

/// The words from one, included, to another, excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WordSpan {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// The patients of a list, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct PatientFilter {
    /// Of each list, a patient has a word in one of the spans; without lists, all patients.
    pub(crate) words: Vec<Vec<WordSpan>>,
    /// Whether changes of the patient are proposed.
    pub(crate) proposed_changes: Option<bool>,
    pub(crate) before: Option<Uuid>,
    pub(crate) limit: i64,
}

macro_rules! select_patients {
    ($clauses:literal) => {
        concat!("SELECT id, version, details, created_at_us, updated_at_us FROM patients ", $clauses)
    };
}

const SELECT_PATIENT: &str = select_patients!("WHERE organization_id = $1 AND id = $2");
const SELECT_OF_ORGANIZATION: &str = select_patients!("WHERE organization_id = ");
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

    pub(crate) async fn list_patients(
        &self,
        organization: Uuid,
        filter: &PatientFilter,
    ) -> Result<Vec<PatientRow>, Failure> {
        service::read!(self.database.of(organization), "booking.list_patients", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(SELECT_OF_ORGANIZATION);
            query.push_bind(organization).push(" AND id < ").push_bind(filter.before.unwrap_or(Uuid::max()));
            for spans in &filter.words {
                query.push(" AND id IN (");
                if spans.is_empty() {
                    query.push("NULL");
                }
                for (at, span) in spans.iter().enumerate() {
                    // `patient_words` is read by its key alone.
                    query.push(if at == 0 { "" } else { " UNION ALL " });
                    query.push("SELECT patient_id FROM patient_words WHERE organization_id = ");
                    query.push_bind(organization);
                    query.push(" AND word >= ").push_bind(span.from.clone());
                    query.push(" AND word < ").push_bind(span.to.clone());
                }
                query.push(")");
            }
            match filter.proposed_changes {
                Some(true) => query.push(" AND open_changes > 0"),
                Some(false) => query.push(" AND open_changes = 0"),
                None => &mut query,
            };
            query.push(" ORDER BY id DESC LIMIT ").push_bind(filter.limit);
            query.build_query_as().persistent(filter.words.is_empty()).fetch_all(pool).await
        })
    }
}
