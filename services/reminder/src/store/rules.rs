//! Rules.

use service::{read, statement, store::Tx};
use sql::Failure;
use sql::FromRow;
use sqlx::{query, query_as};
use uuid::Uuid;

use super::Store;

const SELECT_RULE: &str = r#"
    SELECT id, version, body, created_at_us, updated_at_us, archived_at_us
    FROM rules
    WHERE organization_id = $1 AND id = $2
"#;
const SELECT_RULES: &str = r#"
    SELECT id, version, body, created_at_us, updated_at_us, archived_at_us
    FROM rules
    WHERE organization_id = $1 AND id > $2 AND (archived_at_us IS NULL OR $3)
    ORDER BY id
    LIMIT $4
"#;
const SELECT_ACTIVE_RULES: &str = r#"
    SELECT id, version, body, created_at_us, updated_at_us, archived_at_us
    FROM rules
    WHERE organization_id = $1 AND archived_at_us IS NULL
    ORDER BY id
"#;
const INSERT_RULE: &str = r#"
    INSERT INTO rules
        (organization_id, id, version, body, created_at_us, updated_at_us, archived_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"#;
const UPDATE_RULE: &str = r#"
    UPDATE rules
    SET version = $3, body = $4, updated_at_us = $5, archived_at_us = $6
    WHERE organization_id = $1 AND id = $2 AND version = $3 - 1
"#;

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 5] = [SELECT_RULE, SELECT_RULES, SELECT_ACTIVE_RULES, INSERT_RULE, UPDATE_RULE];

/// A rule.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct RuleRow {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    /// JSON.
    pub(crate) body: String,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    pub(crate) archived_at_us: Option<i64>,
}

impl Store {
    /// One rule.
    pub(crate) async fn rule(&self, organization: Uuid, id: Uuid) -> Result<Option<RuleRow>, Failure> {
        read!(self.database.of(organization), "reminder.rule", |pool| query_as(SELECT_RULE)
            .bind(organization)
            .bind(id)
            .fetch_optional(pool)
            .await)
    }

    /// Rules after an id, in the order of their ids.
    pub(crate) async fn rules(
        &self,
        organization: Uuid,
        archived: bool,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<RuleRow>, Failure> {
        read!(self.database.of(organization), "reminder.rules", |pool| query_as(SELECT_RULES)
            .bind(organization)
            .bind(after.unwrap_or(Uuid::nil()))
            .bind(archived)
            .bind(limit)
            .fetch_all(pool)
            .await)
    }
}

/// The rules of an organisation that are not archived.
pub(crate) async fn select_active_rules(tx: &mut Tx, organization: Uuid) -> Result<Vec<RuleRow>, Failure> {
    statement!(tx, "reminder.active_rules", |conn| query_as(SELECT_ACTIVE_RULES)
        .bind(organization)
        .fetch_all(conn)
        .await)
}

/// Inserts a rule.
pub(crate) async fn insert_rule(tx: &mut Tx, organization: Uuid, rule: &RuleRow) -> Result<(), Failure> {
    statement!(tx, "reminder.insert_rule", |conn| query(INSERT_RULE)
        .bind(organization)
        .bind(rule.id)
        .bind(rule.version)
        .bind(&rule.body)
        .bind(rule.created_at_us)
        .bind(rule.updated_at_us)
        .bind(rule.archived_at_us)
        .execute(conn)
        .await
        .map(drop))
}

/// Replaces the version before this one; `false` when the stored version is another.
pub(crate) async fn update_rule(tx: &mut Tx, organization: Uuid, rule: &RuleRow) -> Result<bool, Failure> {
    let changed = statement!(tx, "reminder.update_rule", |conn| query(UPDATE_RULE)
        .bind(organization)
        .bind(rule.id)
        .bind(rule.version)
        .bind(&rule.body)
        .bind(rule.updated_at_us)
        .bind(rule.archived_at_us)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}
