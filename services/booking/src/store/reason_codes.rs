//! The reason codes that organisations have written.

use sql::Failure;
use sqlx::query_as;
use uuid::Uuid;

use super::Store;

/// A reason code; `meaning` is the JSON of `reasons::Meaning`.
#[derive(Debug, Clone, PartialEq, sql::FromRow)]
pub(crate) struct ReasonRow {
    pub(crate) code: String,
    pub(crate) version: i64,
    pub(crate) meaning: String,
    pub(crate) archived: bool,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
}

const SELECT_REASON_CODE: &str = r#"
    SELECT code, version, meaning, archived, created_at_us, updated_at_us
    FROM reason_codes
    WHERE organization_id = $1 AND code = $2
"#;
const SELECT_REASON_CODES: &str = r#"
    SELECT code, version, meaning, archived, created_at_us, updated_at_us
    FROM reason_codes
    WHERE organization_id = $1
"#;

/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SELECT_REASON_CODE, SELECT_REASON_CODES];

impl Store {
    pub(crate) async fn reason_code(&self, organization: Uuid, code: &str) -> Result<Option<ReasonRow>, Failure> {
        service::read!(self.database.of(organization), "booking.reason_code", |pool| {
            query_as(SELECT_REASON_CODE).bind(organization).bind(code).fetch_optional(pool).await
        })
    }

    /// All reason codes that an organisation has written, archived ones too, in no order.
    pub(crate) async fn reason_codes(&self, organization: Uuid) -> Result<Vec<ReasonRow>, Failure> {
        service::read!(self.database.of(organization), "booking.reason_codes", |pool| {
            query_as(SELECT_REASON_CODES).bind(organization).fetch_all(pool).await
        })
    }
}
