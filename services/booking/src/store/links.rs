//! Manage links.

use sql::Failure;
use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use super::Store;

/// The appointment of a manage link.
#[derive(Debug, Clone, sql::FromRow)]
pub(crate) struct LinkRow {
    pub(crate) organization_id: Uuid,
    pub(crate) appointment_id: Uuid,
    pub(crate) expires_at_us: i64,
}

const SELECT_LINK: &str =
    "SELECT organization_id, appointment_id, expires_at_us FROM manage_links WHERE token_hash = $1";
/// SQLite reads the tables of a `CROSS JOIN` in this order: the patient's appointments first. An `ORDER BY` would make it read
/// all appointments of the organisation in the order of the primary key.
const SELECT_LINKED: &str = r#"
    SELECT a.id
    FROM appointments a
    CROSS JOIN manage_links l
    WHERE a.organization_id = $1 AND a.patient_id = $2
      AND l.organization_id = a.organization_id AND l.appointment_id = a.id AND l.expires_at_us > $3
"#;

/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SELECT_LINK, SELECT_LINKED];

impl Store {
    pub(crate) async fn manage_link(&self, token_hash: &[u8]) -> Result<Option<LinkRow>, Failure> {
        service::read!(self.database.across(), "booking.manage_link", |pool| {
            query_as(SELECT_LINK).bind(token_hash.to_vec()).fetch_optional(pool).await
        })
    }

    /// The ids, in their order, of a patient's appointments whose links work after an instant.
    pub(crate) async fn appointments_with_link(
        &self,
        organization: Uuid,
        patient: Uuid,
        now_us: i64,
    ) -> Result<Vec<Uuid>, Failure> {
        let mut linked = service::read!(self.database.of(organization), "booking.appointments_with_link", |pool| {
            query_scalar(SELECT_LINKED).bind(organization).bind(patient).bind(now_us).fetch_all(pool).await
        })?;
        linked.sort_unstable();
        Ok(linked)
    }
}
