//! Rules as the store keeps them.

use sql::Failure;

use super::{Body, Rule};
use crate::store::rules::RuleRow;

impl Body {
    /// Reads the JSON of a rule.
    ///
    /// # Errors
    /// When it is no rule.
    pub(crate) fn from_json(json: &str) -> Result<Self, Failure> {
        serde_json::from_str(json).map_err(|error| sqlx::Error::Decode(Box::new(error)).into())
    }
}

impl Rule {
    /// Reads a row.
    ///
    /// # Errors
    /// When its body is no rule.
    pub(crate) fn from_row(row: RuleRow) -> Result<Self, Failure> {
        Ok(Self {
            id: row.id,
            version: row.version,
            body: Body::from_json(&row.body)?,
            created_at_us: row.created_at_us,
            updated_at_us: row.updated_at_us,
            archived_at_us: row.archived_at_us,
        })
    }

    /// The row of a rule.
    ///
    /// # Errors
    /// Never.
    pub(crate) fn to_row(&self) -> Result<RuleRow, Failure> {
        let encoded = serde_json::to_string(&self.body);
        Ok(RuleRow {
            id: self.id,
            version: self.version,
            body: encoded.map_err(|error| Failure::from(sqlx::Error::Encode(Box::new(error))))?,
            created_at_us: self.created_at_us,
            updated_at_us: self.updated_at_us,
            archived_at_us: self.archived_at_us,
        })
    }
}
