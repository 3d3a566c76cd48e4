//! The audit log.

use sql::Failure;
use sqlx::{QueryBuilder, query_as};
use uuid::Uuid;

use super::Store;

const INSERT_AUDIT_ENTRIES: &str = r#"
    INSERT INTO audit (organization_id, id, at_us, caller, action, target, patient_id)
"#;
const SELECT_AUDIT: &str = r#"
    SELECT organization_id, id, at_us, caller, action, target, patient_id
    FROM audit
    WHERE organization_id = $1 AND id < $2
    ORDER BY id DESC
    LIMIT $3
"#;
const SELECT_AUDIT_OF_PATIENT: &str = r#"
    SELECT organization_id, id, at_us, caller, action, target, patient_id
    FROM audit
    WHERE organization_id = $1 AND id < $2 AND patient_id = $4
    ORDER BY id DESC
    LIMIT $3
"#;

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, sql::FromRow)]
pub(crate) struct AuditRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    /// Microseconds since the Unix epoch.
    pub(crate) at_us: i64,
    /// A key's id, `admin` or `patient`.
    pub(crate) caller: String,
    /// The id of the operation.
    pub(crate) action: String,
    /// The id of the resource; empty without one.
    pub(crate) target: String,
    pub(crate) patient_id: Option<Uuid>,
}

impl Store {
    /// Inserts entries in one statement.
    pub(crate) async fn insert_audit_entries(&self, rows: &[AuditRow]) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        service::write!(self.database, "gateway.insert_audit_entries", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(INSERT_AUDIT_ENTRIES);
            query.push_values(rows, |mut values, row| {
                values.push_bind(row.organization_id).push_bind(row.id).push_bind(row.at_us).push_bind(&row.caller);
                values.push_bind(&row.action).push_bind(&row.target).push_bind(row.patient_id);
            });
            query.build().persistent(sql::is_kept(rows.len())).execute(pool).await.map(drop)
        })
    }

    /// The newest entries before `before`, of one patient or of all.
    pub(crate) async fn list_audit_entries(
        &self,
        organization: Uuid,
        patient: Option<Uuid>,
        before: Uuid,
        limit: i64,
    ) -> Result<Vec<AuditRow>, Failure> {
        service::read!(self.database, "gateway.list_audit_entries", |pool| {
            let statement = if patient.is_some() { SELECT_AUDIT_OF_PATIENT } else { SELECT_AUDIT };
            let query = query_as(statement).bind(organization).bind(before).bind(limit);
            let query = match patient {
                Some(patient) => query.bind(patient),
                None => query,
            };
            query.fetch_all(pool).await
        })
    }
}
