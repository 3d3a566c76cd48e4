//! Holds.

use sqlx::{SqliteConnection, query};

use crate::store::batch::{Batch, CommitError};

const CONSUME: &str = "DELETE FROM holds WHERE organization_id = $1 AND id = $2 AND expires_at_us > $3";
const DELETE: &str = "DELETE FROM holds WHERE organization_id = $1 AND id = $2";
const INSERT: &str = "INSERT INTO holds (organization_id, id, expires_at_us, slots) VALUES ($1, $2, $3, $4)";

/// Ends the live hold that the batch books.
pub(super) async fn consume(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    let Some(hold) = batch.consume_hold else { return Ok(()) };
    let consume = query(CONSUME).bind(batch.organization_id).bind(hold).bind(batch.now_us);
    if consume.execute(conn).await?.rows_affected() == 0 { Err(CommitError::HoldGone) } else { Ok(()) }
}

/// Ends the holds that the batch releases.
pub(super) async fn delete(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    for hold in &batch.drop_holds {
        let delete = query(DELETE).bind(batch.organization_id).bind(hold);
        if delete.execute(&mut *conn).await?.rows_affected() == 0 {
            return Err(CommitError::HoldGone);
        }
    }
    Ok(())
}

pub(super) async fn insert(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    for hold in &batch.holds {
        let insert = query(INSERT).bind(batch.organization_id).bind(hold.id);
        insert.bind(hold.expires_at_us).bind(&hold.slots).execute(&mut *conn).await?;
    }
    Ok(())
}
