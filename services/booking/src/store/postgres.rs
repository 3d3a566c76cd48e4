//! PostgreSQL: a batch is one call of `commit_batch`, one round trip; the feed is read below the oldest
//! transaction that still runs.

#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "live.rs"]
pub(crate) mod live;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "patients.rs"]
pub(crate) mod patients;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "queries.rs"]
pub(crate) mod queries;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "waitlist.rs"]
pub(crate) mod waitlist;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "zones.rs"]
pub(crate) mod zones;

use domain::claim::Kind;
use rpc::Code;
use sql::{Failure, feed::Position};
use sqlx::{PgPool, postgres::PgDatabaseError};
use uuid::Uuid;

use super::{
    Committed, Each, Early, Tail,
    batch::{Batch, Refusal},
    rows::ChangeRow,
};

pub(crate) type Db = sqlx::Postgres;

/// The statement that commits a batch; its parameter is the batch as JSON.
pub(crate) const COMMIT: &str = "SELECT feed_position, seqs, versions FROM commit_batch($1::jsonb)";
const EPOCH: &str = "SELECT value FROM epoch WHERE id = 1";
/// Server, timeline and database: where one of them is another, transaction numbers begin elsewhere and committed changes
/// may be missing. What was told in the life before is in no order with what comes, so it goes.
const NEW_LIFE: &str = "WITH present AS (SELECT concat_ws('/', s.system_identifier, c.timeline_id, d.oid) AS life \
     FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d WHERE d.datname = current_database()), \
     begun AS (UPDATE epoch SET life = present.life, floor_xid = 0, floor_seq = 0, \
     value = CASE WHEN epoch.life = '' THEN epoch.value ELSE 1 + floor(random() * 2000000000)::bigint END \
     FROM present, epoch AS old WHERE epoch.id = old.id AND epoch.life <> present.life RETURNING old.life AS before), \
     gone AS (DELETE FROM changes WHERE EXISTS (SELECT FROM begun WHERE before <> '') RETURNING seq) \
     SELECT count(*) FROM begun WHERE before <> ''";
const HORIZON: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
const END: &str = "SELECT value, pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM epoch WHERE id = 1";
const TAIL: &str = "SELECT epoch, floor_xid, floor_seq, seen, horizon, seq, xid, organization_id, version, changed_at_us, \
     payload FROM feed_tail($1::text::xid8, $2, $3, $4, $5)";
const SWEEP_CHANGES: &str = "WITH gone AS (DELETE FROM changes WHERE changed_at_us < $1 \
     AND seq < (SELECT min(seq) FROM changes) + $2 AND xid < pg_snapshot_xmin(pg_current_snapshot()) RETURNING xid, seq), \
     last AS (SELECT xid::text::bigint AS xid, seq FROM gone ORDER BY gone.xid DESC, seq DESC LIMIT 1), \
     risen AS (UPDATE epoch SET floor_xid = last.xid, floor_seq = last.seq FROM last \
     WHERE (last.xid, last.seq) > (epoch.floor_xid, epoch.floor_seq)) SELECT count(*) FROM gone";
/// Without waiting for the disk, in this transaction only.
const KEEP_PROPOSALS: &str = "INSERT INTO proposals SELECT $1, kept.id, $2, kept.sessions, $3 \
     FROM unnest($4::uuid[], $5::text[]) AS kept(id, sessions), set_config('synchronous_commit', 'off', true)";

/// Booking's schema.
#[derive(Clone)]
pub(crate) struct Store {
    pool: PgPool,
}

impl Store {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    pub(crate) fn reader(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) fn writer(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        super::SCHEMA.migrate_postgres(&self.pool).await
    }

    pub(crate) async fn commit(&self, batch: &Batch) -> Result<Committed, Refusal> {
        let document = serde_json::to_string(batch).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        let outcome = sqlx::query_as::<Db, (String, Vec<i64>, Vec<i64>)>(COMMIT).bind(document).fetch_one(&self.pool);
        let (text, seqs, versions) = outcome.await.map_err(refusal)?;
        let position: Position = text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let stored: Vec<(i64, i64)> = seqs.into_iter().zip(versions).collect();
        Ok(Committed { position, changes: batch.told(position.xid, &stored), at_us: 0 })
    }

    /// Reads everything live in one repeatable-read transaction: its snapshot's horizon is the position, so that
    /// whatever committed before is in the rows and whatever commits after is in the tail.
    pub(crate) async fn snapshot(&self, ends_after_us: i64, each: Each<'_>) -> Result<Position, Failure> {
        let mut tx = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let epoch = sqlx::query_scalar(EPOCH).fetch_one(&mut *tx).await?;
        let horizon: i64 = sqlx::query_scalar(HORIZON).fetch_one(&mut *tx).await?;
        live::read(&mut tx, ends_after_us, each).await?;
        tx.commit().await?;
        // Changes of transactions at or above the horizon come in the tail; those the snapshot saw already are
        // applied again to no effect.
        Ok(Position { epoch, xid: horizon - 1, seq: i64::MAX })
    }

    pub(crate) async fn notice_new_life(&self) -> Result<bool, Failure> {
        Ok(sqlx::query_scalar::<Db, i64>(NEW_LIFE).fetch_one(&self.pool).await? > 0)
    }

    /// Forgets the oldest changes, and tells how many.
    pub(crate) async fn sweep_changes(&self, before_us: i64, limit: i64) -> Result<u64, Failure> {
        let gone: i64 = sqlx::query_scalar(SWEEP_CHANGES).bind(before_us).bind(limit).fetch_one(&self.pool).await?;
        Ok(gone.unsigned_abs())
    }

    pub(crate) async fn keep_proposals(
        &self,
        organization: Uuid,
        plan: Uuid,
        proposals: &[(Uuid, String)],
        expires_at_us: i64,
    ) -> Result<(), Failure> {
        let (ids, sessions): (Vec<Uuid>, Vec<String>) = proposals.iter().cloned().unzip();
        let query = sqlx::query(KEEP_PROPOSALS).bind(organization).bind(plan).bind(expires_at_us);
        query.bind(ids).bind(sessions).execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn end(&self) -> Result<Position, Failure> {
        let (epoch, horizon): (i64, i64) = sqlx::query_as(END).fetch_one(&self.pool).await?;
        Ok(Position { epoch, xid: horizon - 1, seq: i64::MAX })
    }

    pub(crate) async fn tail(&self, after: Position, early: &Early, limit: i64) -> Result<Tail, Failure> {
        let rows: Vec<TailRow> = sqlx::query_as(TAIL)
            .bind(after.xid.to_string())
            .bind(after.seq)
            .bind(early.wanted)
            .bind(&early.told)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        // Without an epoch there is no schema.
        let Some(TailRow { epoch, floor_xid, floor_seq, horizon, .. }) = rows.first() else { return Ok(Tail::lost()) };
        let (epoch, horizon) = (*epoch, *horizon);
        // Nobody has read at or past the horizon: who says so knows another life of the database.
        if after.epoch != epoch || (after.xid, after.seq) < (*floor_xid, *floor_seq) || after.xid >= horizon {
            return Ok(Tail::lost());
        }
        let seen = rows[0].seen.clone();
        let changes: Vec<ChangeRow> = rows.into_iter().filter_map(TailRow::change).collect();
        let full = i64::try_from(changes.len()).is_ok_and(|count| count == limit);
        let position = match changes.last() {
            Some(last) if full && last.xid < horizon => Position { epoch, xid: last.xid, seq: last.seq },
            // Everything below the horizon has been read, even where nothing was written there.
            _ if horizon > after.xid + 1 => Position { epoch, xid: horizon - 1, seq: i64::MAX },
            Some(last) if last.xid < horizon => Position { epoch, xid: last.xid, seq: last.seq },
            _ => after,
        };
        Ok(Tail { changes, position: Some(position), seen: (early.wanted && !full).then_some(seen) })
    }
}

/// A change of the tail, or nothing, and what it was read at.
#[derive(sqlx::FromRow)]
struct TailRow {
    epoch: i64,
    floor_xid: i64,
    floor_seq: i64,
    horizon: i64,
    seen: String,
    seq: Option<i64>,
    xid: Option<i64>,
    organization_id: Option<Uuid>,
    version: Option<i64>,
    changed_at_us: Option<i64>,
    payload: Option<Vec<u8>>,
}

impl TailRow {
    fn change(self) -> Option<ChangeRow> {
        Some(ChangeRow {
            seq: self.seq?,
            xid: self.xid?,
            organization_id: self.organization_id?,
            version: self.version?,
            changed_at_us: self.changed_at_us?,
            payload: self.payload?,
        })
    }
}

fn refusal(error: sqlx::Error) -> Refusal {
    let Some(db) = error.as_database_error().and_then(|db| db.try_downcast_ref::<PgDatabaseError>()) else {
        return error.into();
    };
    match db.code() {
        "MR001" => Refusal::Replay,
        "MR002" => Refusal::HoldGone,
        "MR003" => Refusal::Stale,
        "MR004" => Refusal::GroupChanged,
        "MR007" => Refusal::Zone,
        "MR006" => match db.detail().and_then(Code::from_name) {
            Some(code) => Refusal::Limit(code),
            None => error.into(),
        },
        "MR005" => Refusal::Taken(db.detail().unwrap_or_default().split(',').filter_map(taken).collect()),
        _ => error.into(),
    }
}

fn taken(pair: &str) -> Option<(Kind, Uuid)> {
    let (kind, resource) = pair.split_once(':')?;
    Some((Kind::from_number(kind.parse().ok()?)?, resource.parse().ok()?))
}
