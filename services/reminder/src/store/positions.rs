//! The applied position of booking's feed, and the progress through the visits from before the snapshot.

use service::{read, statement, store::Tx, write};
use sql::Failure;
use sql::FromRow;
use sqlx::{query, query_as, query_scalar};

use super::Store;

const SELECT_POSITION: &str = "SELECT position FROM feed_position WHERE id = 1";
const INSERT_POSITION: &str = r#"
    INSERT INTO feed_position (id, position, stored_at_us)
    VALUES (1, $1, $2)
    ON CONFLICT DO NOTHING
"#;
const UPDATE_POSITION: &str = r#"
    UPDATE feed_position
    SET position = $2, stored_at_us = $3
    WHERE id = 1 AND position = $1
"#;
const SELECT_HISTORY: &str = "SELECT begun_at_us, cursor FROM history WHERE id = 1";
const INSERT_HISTORY: &str = r#"
    INSERT INTO history (id, begun_at_us, cursor)
    VALUES (1, $1, '')
    ON CONFLICT (id) DO NOTHING
"#;
const UPDATE_HISTORY: &str = "UPDATE history SET cursor = $1 WHERE id = 1";
const DELETE_HISTORY: &str = "DELETE FROM history WHERE id = 1";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 7] =
    [SELECT_POSITION, INSERT_POSITION, UPDATE_POSITION, SELECT_HISTORY, INSERT_HISTORY, UPDATE_HISTORY, DELETE_HISTORY];

/// Progress through the visits that ended before the last snapshot.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct HistoryRow {
    pub(crate) begun_at_us: i64,
    /// Cursor of the next page; empty for the first one, `None` when all pages are read.
    pub(crate) cursor: Option<String>,
}

/// A step of the position: it fails when another process has moved the position from `from`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PositionStep<'a> {
    /// `None` before the first step.
    pub(crate) from: Option<&'a str>,
    pub(crate) to: &'a str,
}

impl Store {
    /// The applied position of the feed.
    pub(crate) async fn position(&self) -> Result<Option<String>, Failure> {
        read!(self.database.across(), "reminder.position", |pool| query_scalar(SELECT_POSITION)
            .fetch_optional(pool)
            .await)
    }

    /// The progress through the history; `None` before it begins.
    pub(crate) async fn history(&self) -> Result<Option<HistoryRow>, Failure> {
        read!(self.database.across(), "reminder.history", |pool| query_as(SELECT_HISTORY).fetch_optional(pool).await)
    }

    /// Begins the history: visits that ended before `now_us`.
    pub(crate) async fn insert_history(&self, now_us: i64) -> Result<(), Failure> {
        write!(self.database.across(), "reminder.insert_history", |pool| query(INSERT_HISTORY)
            .bind(now_us)
            .execute(pool)
            .await
            .map(drop))
    }

    /// Drops the progress, so that the history is read again.
    pub(crate) async fn delete_history(&self) -> Result<(), Failure> {
        write!(self.database.across(), "reminder.delete_history", |pool| query(DELETE_HISTORY)
            .execute(pool)
            .await
            .map(drop))
    }
}

/// Moves the position and locks it; `false` when another process has moved it.
pub(crate) async fn move_position(tx: &mut Tx, step: PositionStep<'_>, now_us: i64) -> Result<bool, Failure> {
    let moved = match step.from {
        Some(from) => statement!(tx, "reminder.update_position", |conn| query(UPDATE_POSITION)
            .bind(from)
            .bind(step.to)
            .bind(now_us)
            .execute(conn)
            .await
            .map(|done| done.rows_affected())),
        None => statement!(tx, "reminder.insert_position", |conn| query(INSERT_POSITION)
            .bind(step.to)
            .bind(now_us)
            .execute(conn)
            .await
            .map(|done| done.rows_affected())),
    };
    Ok(moved? == 1)
}

/// Moves the cursor through the history; `None` ends it.
pub(crate) async fn move_history(tx: &mut Tx, cursor: Option<&str>) -> Result<(), Failure> {
    statement!(tx, "reminder.update_history", |conn| query(UPDATE_HISTORY).bind(cursor).execute(conn).await.map(drop))
}
