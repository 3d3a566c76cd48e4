//! Everything live, read row by row in one transaction.

use futures::TryStreamExt;
use service::store::Scoped;
use sql::{Failure, feed::Position};
use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use super::{
    Store,
    appointments::{AppointmentRow, select_appointments},
    changes::{SQLITE_EPOCH, SQLITE_LAST_SEQ},
    claims::ClaimRow,
    groups::LiveGroupRow,
    plans::OwnedPlanRow,
};

/// One live row.
pub(crate) enum LiveRow {
    Claim(OwnedClaimRow),
    Appointment(Box<AppointmentRow>),
    Group(LiveGroupRow),
    /// A plan at risk.
    Plan(OwnedPlanRow),
}

/// A claim with its organisation.
#[derive(Debug, Clone)]
pub(crate) struct OwnedClaimRow {
    pub(crate) organization_id: Uuid,
    pub(crate) claim: ClaimRow,
}

/// The columns of a claim in their order: a million of them are read by number, which is faster than by name.
type ClaimColumns = (Uuid, i16, Uuid, i16, i64, i64, Uuid, Option<i64>, Option<Uuid>, bool);

impl From<ClaimColumns> for OwnedClaimRow {
    fn from(columns: ClaimColumns) -> Self {
        let (
            organization_id,
            kind,
            resource,
            unit,
            starts_at_us,
            ends_at_us,
            owner,
            expires_at_us,
            location_id,
            needling,
        ) = columns;
        let claim =
            ClaimRow { kind, resource, unit, starts_at_us, ends_at_us, owner, expires_at_us, location_id, needling };
        Self { organization_id, claim }
    }
}

const SELECT_CLAIMS: &str = r#"
    SELECT organization_id, kind, resource, unit, starts_at_us, ends_at_us, owner, expires_at_us, location_id, needling
    FROM claims
    WHERE ends_at_us > $1
"#;
const SELECT_APPOINTMENTS: &str = select_appointments!("WHERE ends_at_us > $1");
const SELECT_GROUPS: &str = r#"
    SELECT organization_id, version, id, service_id, practitioner_id, location_id, room_id, starts_at_us, ends_at_us,
           capacity
    FROM groups
    WHERE live AND ends_at_us > $1
"#;
const SELECT_PLANS_AT_RISK: &str = r#"
    SELECT organization_id, id, version, document, created_at_us, updated_at_us, at_risk
    FROM plans
    WHERE at_risk
"#;
const POSTGRES_EPOCH: &str = "SELECT value FROM epoch WHERE id = 1";
const POSTGRES_HORIZON: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint";

/// Rows until other tasks may run. The database is faster than the work on its rows, so reading never waits; and a thread
/// that never waits does not notice that the subscriber can take more.
const ROWS_BEFORE_YIELD: u32 = 256;

/// Passes each row of a query to a visitor.
macro_rules! visit_rows {
    ($query:expr, $tx:ident, $visit:expr) => {{
        let (mut rows, mut count) = ($query.fetch(&mut *$tx), 0_u32);
        while let Some(row) = rows.try_next().await? {
            $visit(row);
            count = count.wrapping_add(1);
            if count % ROWS_BEFORE_YIELD == 0 {
                tokio::task::yield_now().await;
            }
        }
    }};
}

/// Passes everything that ends after an instant to a visitor, the claims first.
macro_rules! visit_live {
    ($tx:ident, $ends_after_us:ident, $visit:ident) => {{
        let claims = query_as::<_, ClaimColumns>(SELECT_CLAIMS).bind($ends_after_us);
        visit_rows!(claims, $tx, |row: ClaimColumns| $visit(LiveRow::Claim(row.into())));
        let appointments = query_as(SELECT_APPOINTMENTS).bind($ends_after_us);
        visit_rows!(appointments, $tx, |row| $visit(LiveRow::Appointment(Box::new(row))));
        visit_rows!(query_as(SELECT_GROUPS).bind($ends_after_us), $tx, |row| $visit(LiveRow::Group(row)));
        visit_rows!(query_as(SELECT_PLANS_AT_RISK), $tx, |row| $visit(LiveRow::Plan(row)));
    }};
}

impl Store {
    /// Reads everything live as of one instant, the claims first; answers the position that it was read at.
    ///
    /// Without a span of its own, and best in none at all: sqlx enters the present span for every row, which was a quarter
    /// of the time for a million rows.
    pub(crate) async fn snapshot(
        &self,
        ends_after_us: i64,
        visit: &mut (dyn FnMut(LiveRow) + Send),
    ) -> Result<Position, Failure> {
        match self.database.across() {
            Scoped::Sqlite(pools) => {
                // A deferred transaction that only reads sees one state of the file throughout.
                let mut tx = pools.reader.begin().await?;
                let epoch = query_scalar(SQLITE_EPOCH).fetch_one(&mut *tx).await?;
                let seq = query_scalar(SQLITE_LAST_SEQ).fetch_one(&mut *tx).await?;
                visit_live!(tx, ends_after_us, visit);
                Ok(Position { epoch, xid: 0, seq })
            }
            Scoped::Postgres(pool) => {
                // The snapshot's horizon is the position: an earlier commit is in the rows, a later one in the changes after
                // it. Changes at or above the horizon that the snapshot saw already are applied again without effect.
                let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
                let epoch = query_scalar(POSTGRES_EPOCH).fetch_one(&mut *tx).await?;
                let horizon: i64 = query_scalar(POSTGRES_HORIZON).fetch_one(&mut *tx).await?;
                visit_live!(tx, ends_after_us, visit);
                tx.commit().await?;
                Ok(Position { epoch, xid: horizon - 1, seq: i64::MAX })
            }
        }
    }
}
