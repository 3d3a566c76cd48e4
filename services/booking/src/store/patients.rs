// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// Patients, and the visits that stand beside them. `patient_words` is read by its key alone.

use sql::Failure;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{
    super::{
        PatientFilter, WordSpan,
        rows::{AppointmentRow, PatientRow},
    },
    Db, Store,
    queries::any_of,
};

const SELECT_PATIENT: &str = "SELECT id, version, details, created_at_us, updated_at_us FROM patients \
     WHERE organization_id = $1 AND id = $2";
const SELECT_PATIENTS: &str =
    "SELECT id, version, details, created_at_us, updated_at_us FROM patients WHERE organization_id = ";
const SELECT_NAMESAKES: &str = "SELECT id, version, details, created_at_us, updated_at_us FROM patients \
     WHERE organization_id = $1 AND match_key = $2 ORDER BY id LIMIT $3";
/// By name, since the statement is kept.
const SELECT_VISITS: &str = "SELECT organization_id, id, version, status, service_id, practitioner_id, location_id, \
     room_id, group_id, starts_at_us, ends_at_us, time_zone, starts_local, patient_id, plan_session_id, displaced, \
     confirmed_at_us, cancel_reason_code, cancel_reason, cancel_by, cancel_late, rescheduled_late, note, previous_starts_at_us, \
     link_generation, created_at_us, updated_at_us FROM appointments WHERE organization_id = ";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 2] = [SELECT_PATIENT, SELECT_NAMESAKES];

impl Store {
    pub(crate) async fn patient(&self, organization: Uuid, id: Uuid) -> Result<Option<PatientRow>, Failure> {
        Ok(sqlx::query_as(SELECT_PATIENT).bind(organization).bind(id).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn patients_of(&self, organization: Uuid, ids: &[Uuid]) -> Result<Vec<PatientRow>, Failure> {
        if ids.is_empty() {
            return Ok(vec![]);
        }
        let mut query = QueryBuilder::<Db>::new(SELECT_PATIENTS);
        query.push_bind(organization);
        any_of(&mut query, "id", ids);
        Ok(query.build_query_as().persistent(sql::is_kept(ids.len())).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn patients_like(
        &self,
        organization: Uuid,
        match_key: &str,
        limit: i64,
    ) -> Result<Vec<PatientRow>, Failure> {
        let query = sqlx::query_as(SELECT_NAMESAKES).bind(organization).bind(match_key).bind(limit);
        Ok(query.fetch_all(self.reader()).await?)
    }

    pub(crate) async fn patients(
        &self,
        organization: Uuid,
        filter: &PatientFilter,
    ) -> Result<Vec<PatientRow>, Failure> {
        let mut query = QueryBuilder::<Db>::new(SELECT_PATIENTS);
        query.push_bind(organization).push(" AND id < ").push_bind(filter.before.unwrap_or(Uuid::max()));
        for spans in &filter.words {
            has_a_word(&mut query, organization, spans);
        }
        match filter.proposed_changes {
            Some(true) => query.push(" AND open_changes > 0"),
            Some(false) => query.push(" AND open_changes = 0"),
            None => &mut query,
        };
        query.push(" ORDER BY id DESC LIMIT ").push_bind(filter.limit);
        Ok(query.build_query_as().persistent(filter.words.is_empty()).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn visits_around(
        &self,
        organization: Uuid,
        patients: &[Uuid],
        at_us: i64,
    ) -> Result<Vec<AppointmentRow>, Failure> {
        if patients.is_empty() {
            return Ok(vec![]);
        }
        let mut query = QueryBuilder::<Db>::new(SELECT_VISITS);
        query.push_bind(organization).push(" AND id IN (");
        for (more, bound, statuses, order) in [
            ("", ">= ", "'pending', 'booked', 'arrived', 'checked-in'", "ASC"),
            (" UNION ALL ", "< ", "'pending', 'booked', 'arrived', 'checked-in', 'fulfilled'", "DESC"),
        ] {
            query.push(more).push("SELECT (SELECT a.id FROM appointments a WHERE a.organization_id = ");
            query.push_bind(organization).push(" AND a.patient_id = p.id AND a.starts_at_us ").push(bound);
            query
                .push_bind(at_us)
                .push(format_args!(" AND a.status IN ({statuses}) ORDER BY a.starts_at_us {order} LIMIT 1"));
            query.push(") FROM patients p WHERE p.organization_id = ").push_bind(organization);
            any_of(&mut query, "p.id", patients);
        }
        query.push(")");
        Ok(query.build_query_as().persistent(sql::is_kept(patients.len())).fetch_all(self.reader()).await?)
    }
}

/// Only who has a word in one of these spans.
fn has_a_word(query: &mut QueryBuilder<Db>, organization: Uuid, spans: &[WordSpan]) {
    query.push(" AND id IN (");
    if spans.is_empty() {
        query.push("NULL");
    }
    for (at, span) in spans.iter().enumerate() {
        query.push(if at == 0 { "" } else { " UNION ALL " });
        query.push("SELECT patient_id FROM patient_words WHERE organization_id = ").push_bind(organization);
        query.push(" AND word >= ").push_bind(span.from.clone()).push(" AND word < ").push_bind(span.to.clone());
    }
    query.push(")");
}
