//! Holds.

use sqlx::{SqliteConnection, query};

use super::held_slots;
use crate::store::batch::{Batch, CommitError};

const CONSUME: &str = "DELETE FROM holds WHERE organization_id = $1 AND id = $2 AND expires_at_us > $3";
const DELETE: &str = "DELETE FROM holds WHERE organization_id = $1 AND id = $2";
const INSERT: &str = r#"
    INSERT INTO holds (organization_id, id, expires_at_us, slots, caller, visitor, created_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"#;

/// Ends the live hold that the batch books.
pub(super) async fn consume(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    let Some(hold) = batch.consume_hold else { return Ok(()) };
    let consume = query(CONSUME).bind(batch.organization_id).bind(hold).bind(batch.now_us);
    if consume.execute(&mut *conn).await?.rows_affected() == 0 {
        return Err(CommitError::HoldGone);
    }
    held_slots::delete(conn, batch, hold).await
}

/// Ends the holds that the batch releases.
pub(super) async fn delete(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    for hold in &batch.drop_holds {
        let delete = query(DELETE).bind(batch.organization_id).bind(hold);
        if delete.execute(&mut *conn).await?.rows_affected() == 0 {
            return Err(CommitError::HoldGone);
        }
        held_slots::end(conn, batch, *hold).await?;
    }
    Ok(())
}

pub(super) async fn insert(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    for hold in &batch.holds {
        let insert = query(INSERT).bind(batch.organization_id).bind(hold.id).bind(hold.expires_at_us);
        let insert = insert.bind(&hold.slots).bind(&hold.caller).bind(&hold.visitor).bind(batch.now_us);
        insert.execute(&mut *conn).await?;
    }
    Ok(())
}
