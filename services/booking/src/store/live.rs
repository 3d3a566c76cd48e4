// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db`.
// Reading everything that is live, row by row.

use futures::TryStreamExt;
use sql::Failure;
use sqlx::{FromRow, query::QueryAs, query_as};

use super::{
    super::{Each, Live, rows::ClaimColumns},
    Db,
};

const CLAIMS: &str = "SELECT organization_id, kind, resource, unit, starts_at_us, ends_at_us, owner, expires_at_us, \
     location_id, needling FROM claims WHERE ends_at_us > $1";
const APPOINTMENTS: &str = "SELECT * FROM appointments WHERE ends_at_us > $1";
const GROUPS: &str = "SELECT organization_id, version, id, service_id, practitioner_id, location_id, room_id, \
     starts_at_us, ends_at_us, capacity FROM groups WHERE live AND ends_at_us > $1";
const PLANS: &str = "SELECT organization_id, id, version, document, created_at_us, updated_at_us, at_risk FROM plans \
     WHERE at_risk";

/// Rows until others have their turn. The database is faster than what is made of its rows, so that reading never waits;
/// and while it does not, this thread does not look whether the follower can take more.
const TURN: u32 = 256;

type Connection = <Db as sqlx::Database>::Connection;
type Row = <Db as sqlx::Database>::Row;
type Arguments = <Db as sqlx::Database>::Arguments;

/// Reads it in one transaction, the claims first.
pub(crate) async fn read(tx: &mut Connection, ends_after_us: i64, each: Each<'_>) -> Result<(), Failure> {
    pass(query_as(CLAIMS).bind(ends_after_us), tx, |row: ClaimColumns| each(Live::Claim(row.into()))).await?;
    pass(query_as(APPOINTMENTS).bind(ends_after_us), tx, |row| each(Live::Appointment(Box::new(row)))).await?;
    pass(query_as(GROUPS).bind(ends_after_us), tx, |row| each(Live::Group(row))).await?;
    pass(query_as(PLANS), tx, |row| each(Live::Plan(row))).await
}

async fn pass<'q, R>(
    query: QueryAs<'q, Db, R, Arguments>,
    tx: &'q mut Connection,
    mut each: impl FnMut(R),
) -> Result<(), Failure>
where
    R: for<'r> FromRow<'r, Row> + Send + Unpin + 'q,
{
    let (mut rows, mut count) = (query.fetch(tx), 0_u32);
    while let Some(row) = rows.try_next().await? {
        each(row);
        count = count.wrapping_add(1);
        if count % TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
