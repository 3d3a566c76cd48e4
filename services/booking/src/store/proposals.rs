//! Proposals for plans and for displaced appointments.

use service::store::Scoped;
use sql::Failure;
use sqlx::{query, query_scalar};
use tracing::Instrument;
use uuid::Uuid;

use super::Store;

const INSERT_DISPLACED_PROPOSAL: &str =
    "INSERT INTO displaced_proposals (organization_id, id, moves, expires_at_us) VALUES ($1, $2, $3, $4)";
const SELECT_DISPLACED_PROPOSAL: &str = r#"
    SELECT moves
    FROM displaced_proposals
    WHERE organization_id = $1 AND id = $2 AND expires_at_us > $3
"#;
const SELECT_PLAN_PROPOSAL: &str = r#"
    SELECT sessions
    FROM proposals
    WHERE organization_id = $1 AND id = $2 AND plan_id = $3 AND expires_at_us > $4
"#;
/// On SQLite.
const INSERT_PLAN_PROPOSAL: &str = r#"
    INSERT INTO proposals (organization_id, id, plan_id, sessions, expires_at_us)
    VALUES ($1, $2, $3, $4, $5)
"#;
/// On PostgreSQL: does not wait for the disk, in this transaction alone.
const INSERT_PLAN_PROPOSALS: &str = r#"
    INSERT INTO proposals (organization_id, id, plan_id, sessions, expires_at_us)
    SELECT $1, new.id, $2, new.sessions, $3
    FROM unnest($4::uuid[], $5::text[]) AS new(id, sessions), set_config('synchronous_commit', 'off', true)
"#;

/// The statements of this file for both engines, for the test that prepares them.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[INSERT_DISPLACED_PROPOSAL, SELECT_DISPLACED_PROPOSAL, SELECT_PLAN_PROPOSAL, INSERT_PLAN_PROPOSAL];

impl Store {
    pub(crate) async fn insert_displaced_proposal(
        &self,
        organization: Uuid,
        id: Uuid,
        moves: &str,
        expires_at_us: i64,
    ) -> Result<(), Failure> {
        service::write!(self.database.of(organization), "booking.insert_displaced_proposal", |pool| {
            query(INSERT_DISPLACED_PROPOSAL)
                .bind(organization)
                .bind(id)
                .bind(moves)
                .bind(expires_at_us)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    /// The moves of a proposal for displaced appointments that has not expired: JSON pairs of an appointment and a slot.
    pub(crate) async fn displaced_proposal(
        &self,
        organization: Uuid,
        id: Uuid,
        now_us: i64,
    ) -> Result<Option<String>, Failure> {
        service::read!(self.database.of(organization), "booking.displaced_proposal", |pool| {
            query_scalar(SELECT_DISPLACED_PROPOSAL).bind(organization).bind(id).bind(now_us).fetch_optional(pool).await
        })
    }

    /// Inserts proposals of a plan as JSON documents. They may be lost in a power failure: the caller proposes again.
    pub(crate) async fn insert_plan_proposals(
        &self,
        organization: Uuid,
        plan: Uuid,
        proposals: &[(Uuid, String)],
        expires_at_us: i64,
    ) -> Result<(), Failure> {
        let span = service::store::span(self.database.engine(), "booking.insert_plan_proposals");
        let insert = async {
            match self.database.of(organization) {
                Scoped::Sqlite(pools) => {
                    let mut tx = pools.writer.begin_with("BEGIN IMMEDIATE").await?;
                    for (id, sessions) in proposals {
                        let insert = query(INSERT_PLAN_PROPOSAL).bind(organization).bind(id).bind(plan);
                        insert.bind(sessions).bind(expires_at_us).execute(&mut *tx).await?;
                    }
                    tx.commit().await?;
                }
                Scoped::Postgres(pool) => {
                    let (ids, sessions): (Vec<Uuid>, Vec<String>) = proposals.iter().cloned().unzip();
                    let insert = query(INSERT_PLAN_PROPOSALS).bind(organization).bind(plan).bind(expires_at_us);
                    let mut tx = pool.begin().await?;
                    insert.bind(ids).bind(sessions).execute(&mut *tx).await?;
                    tx.commit().await?;
                }
            }
            Ok(())
        };
        insert.instrument(span).await
    }

    /// The JSON document of a plan's proposal that has not expired.
    pub(crate) async fn plan_proposal(
        &self,
        organization: Uuid,
        id: Uuid,
        plan: Uuid,
        now_us: i64,
    ) -> Result<Option<String>, Failure> {
        service::read!(self.database.of(organization), "booking.plan_proposal", |pool| {
            query_scalar(SELECT_PLAN_PROPOSAL)
                .bind(organization)
                .bind(id)
                .bind(plan)
                .bind(now_us)
                .fetch_optional(pool)
                .await
        })
    }
}
