//! The change feed.

use service::store::{Database, Scoped, span};
use sql::{Failure, feed::Position};
use sqlx::{PgPool, query, query_as, query_scalar};
use tracing::Instrument;
use uuid::Uuid;

use super::Store;

/// A change of the feed: the encoded `meridian.booking.v1.Change` and its place.
#[derive(Debug, Clone, sql::FromRow)]
pub(crate) struct ChangeRow {
    pub(crate) seq: i64,
    /// The writing transaction on PostgreSQL; 0 on SQLite.
    pub(crate) xid: i64,
    pub(crate) organization_id: Uuid,
    pub(crate) version: i64,
    pub(crate) changed_at_us: i64,
    pub(crate) payload: Vec<u8>,
}

/// A committed batch.
pub(crate) struct Committed {
    /// The position of the batch's last change.
    pub(crate) position: Position,
    /// The batch's changes as a reader of the feed gets them; `None` where that is not certain, so that they must be read.
    pub(crate) changes: Option<Vec<ChangeRow>>,
    /// When the commit was known, by the clock of the process.
    pub(crate) at_us: i64,
}

/// The changes that a reader wants beyond its position.
#[derive(Default)]
pub(crate) struct Unordered {
    /// Whether changes may come before those of transactions that still run.
    pub(crate) wanted: bool,
    /// Sequence numbers of changes that were delivered so; they are left out.
    pub(crate) delivered: Vec<i64>,
}

/// What a read of the feed found.
pub(crate) struct Tail {
    pub(crate) changes: Vec<ChangeRow>,
    /// The reader's position after these changes; `None` where its position is no longer in the feed.
    pub(crate) position: Option<Position>,
    /// The snapshot that was read, where changes out of order were wanted and the read was not cut short.
    pub(crate) seen: Option<String>,
}

impl Tail {
    /// For a reader whose position is no longer in the feed.
    fn lost() -> Self {
        Self { changes: vec![], position: None, seen: None }
    }
}

pub(super) const SQLITE_EPOCH: &str = "SELECT value FROM epoch";
pub(super) const SQLITE_LAST_SEQ: &str = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes'";
const SQLITE_EPOCH_AND_FLOOR: &str = "SELECT value, floor_seq FROM epoch";
const SQLITE_BEGIN_EPOCH: &str = "UPDATE epoch SET value = 1 + abs(random() % 2000000000)";
/// The next look at the mark finds another place in it.
const POSTGRES_BEGIN_EPOCH: &str = "UPDATE epoch SET incarnation = 'restored'";
const SQLITE_RAISE_FLOOR: &str = r#"
    UPDATE epoch
    SET floor_seq = max(floor_seq, (
        SELECT coalesce(max(seq), 0)
        FROM changes
        WHERE changed_at_us < $1 AND seq < (SELECT min(seq) FROM changes) + $2))
"#;
const SQLITE_DELETE_OLD: &str = "DELETE FROM changes WHERE seq <= (SELECT floor_seq FROM epoch)";
const SQLITE_SELECT_AFTER: &str = r#"
    SELECT seq, 0 AS xid, organization_id, version, changed_at_us, payload
    FROM changes
    WHERE seq > $1
    ORDER BY seq
    LIMIT $2
"#;

/// Begins a new epoch where the database is not the one that the stored mark describes: then transaction numbers begin
/// elsewhere, or committed changes may be missing. The changes of the epoch before are in no order with later ones, so
/// they are deleted.
///
/// The mark names server, timeline, database and the tables of changes and appointments, and it ends with the transaction
/// that wrote it. A restore of rows writes the mark's own row again, in another transaction: its `xmin` differs then. So
/// every statement that updates the row renews the end of the mark.
const POSTGRES_DETECT_FAILOVER: &str = r#"
    WITH present AS (
        SELECT concat_ws('/', s.system_identifier, c.timeline_id, d.oid, 'changes'::regclass::oid,
                         'appointments'::regclass::oid) AS place
        FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d
        WHERE d.datname = current_database()
    ), begun AS (
        UPDATE epoch
        SET incarnation = present.place || '/' || pg_current_xact_id()::xid, floor_xid = 0, floor_seq = 0,
            value = CASE WHEN epoch.incarnation = '' THEN epoch.value ELSE 1 + floor(random() * 2000000000)::bigint END
        FROM present, epoch AS old
        WHERE epoch.id = old.id AND epoch.incarnation <> present.place || '/' || epoch.xmin
        RETURNING old.incarnation AS before
    ), deleted AS (
        DELETE FROM changes WHERE EXISTS (SELECT FROM begun WHERE before <> '') RETURNING seq
    )
    SELECT count(*) FROM begun WHERE before <> ''
"#;
const POSTGRES_END: &str = r#"
    SELECT value, pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    FROM epoch
    WHERE id = 1
"#;
const POSTGRES_SELECT_AFTER: &str = r#"
    SELECT epoch, floor_xid, floor_seq, seen, horizon, seq, xid, organization_id, version, changed_at_us, payload
    FROM feed_tail($1::text::xid8, $2, $3, $4, $5)
"#;
const POSTGRES_DELETE_OLD: &str = r#"
    WITH deleted AS (
        DELETE FROM changes
        WHERE changed_at_us < $1 AND seq < (SELECT min(seq) FROM changes) + $2
          AND xid < pg_snapshot_xmin(pg_current_snapshot())
        RETURNING xid, seq
    ), last AS (
        SELECT xid::text::bigint AS xid, seq FROM deleted ORDER BY deleted.xid DESC, seq DESC LIMIT 1
    ), raised AS (
        UPDATE epoch
        SET floor_xid = last.xid, floor_seq = last.seq,
            incarnation = regexp_replace(incarnation, '[^/]*$', pg_current_xact_id()::xid::text)
        FROM last
        WHERE (last.xid, last.seq) > (epoch.floor_xid, epoch.floor_seq)
    )
    SELECT count(*) FROM deleted
"#;

impl Store {
    /// Begins a new epoch where the database was restored, copied or failed over since it was last opened; answers whether
    /// it did.
    ///
    /// A SQLite file does not show that it was replaced by an older one: an operator who does that restores the other services'
    /// files with it. A subscriber ahead of the file has lost its position.
    pub(crate) async fn detect_failover(&self) -> Result<bool, Failure> {
        match self.database.across() {
            Scoped::Sqlite(_) => Ok(false),
            Scoped::Postgres(pool) => {
                let found: i64 = service::scoped!(end_write, pool, "booking.detect_failover", |conn| {
                    query_scalar(POSTGRES_DETECT_FAILOVER).fetch_one(conn).await
                })?;
                Ok(found > 0)
            }
        }
    }

    /// Begins a new epoch, for a database that an operator has put back: subscribers that have read further take a new snapshot.
    pub(crate) async fn begin_epoch(&self) -> Result<(), Failure> {
        let begun = async {
            match self.database.across() {
                Scoped::Sqlite(pools) => query(SQLITE_BEGIN_EPOCH).execute(&pools.writer).await.map(drop)?,
                Scoped::Postgres(pool) => service::scoped!(end_write, pool, "booking.begin_epoch", |conn| {
                    query(POSTGRES_BEGIN_EPOCH).execute(conn).await.map(drop)
                })?,
            }
            Ok(())
        };
        begun.instrument(self.span("booking.begin_epoch")).await
    }

    /// The position of a reader that wants only later changes.
    pub(crate) async fn feed_end(&self) -> Result<Position, Failure> {
        let end = async {
            match &self.database {
                Database::Sqlite(pools) => {
                    let mut tx = pools.reader.begin().await?;
                    let epoch = query_scalar(SQLITE_EPOCH).fetch_one(&mut *tx).await?;
                    let seq = query_scalar(SQLITE_LAST_SEQ).fetch_one(&mut *tx).await?;
                    Ok(Position { epoch, xid: 0, seq })
                }
                Database::Postgres(pool) => {
                    let (epoch, horizon): (i64, i64) = query_as(POSTGRES_END).fetch_one(pool).await?;
                    Ok(Position { epoch, xid: horizon - 1, seq: i64::MAX })
                }
            }
        };
        end.instrument(self.span("booking.feed_end")).await
    }

    /// Changes after a position: those of transactions before all that still run, and others where they are wanted.
    pub(crate) async fn changes_after(
        &self,
        after: Position,
        unordered: &Unordered,
        limit: i64,
    ) -> Result<Tail, Failure> {
        let read = async {
            match &self.database {
                Database::Sqlite(pools) => changes_after_on_sqlite(&pools.reader, after, limit).await,
                Database::Postgres(pool) => changes_after_on_postgres(pool, after, unordered, limit).await,
            }
        };
        read.instrument(self.span("booking.changes_after")).await
    }

    /// Deletes the oldest changes; answers their number.
    pub(super) async fn delete_old_changes(&self, before_us: i64, limit: i64) -> Result<u64, Failure> {
        let delete = async {
            match self.database.across() {
                Scoped::Sqlite(pools) => {
                    let mut tx = pools.writer.begin_with("BEGIN IMMEDIATE").await?;
                    query(SQLITE_RAISE_FLOOR).bind(before_us).bind(limit).execute(&mut *tx).await?;
                    let deleted = query(SQLITE_DELETE_OLD).execute(&mut *tx).await?.rows_affected();
                    tx.commit().await?;
                    Ok(deleted)
                }
                Scoped::Postgres(pool) => {
                    let mut tx = pool.begin().await?;
                    let delete = query_scalar::<_, i64>(POSTGRES_DELETE_OLD).bind(before_us).bind(limit);
                    let deleted = delete.fetch_one(&mut *tx).await?.unsigned_abs();
                    tx.commit().await?;
                    Ok(deleted)
                }
            }
        };
        delete.instrument(self.span("booking.delete_old_changes")).await
    }

    fn span(&self, name: &'static str) -> tracing::Span {
        span(self.database.engine(), name)
    }
}

/// On SQLite one writer commits after another, so the sequence is the order of commits.
async fn changes_after_on_sqlite(reader: &sqlx::SqlitePool, after: Position, limit: i64) -> Result<Tail, Failure> {
    let mut tx = reader.begin().await?;
    let (epoch, floor): (i64, i64) = query_as(SQLITE_EPOCH_AND_FLOOR).fetch_one(&mut *tx).await?;
    let last: i64 = query_scalar(SQLITE_LAST_SEQ).fetch_one(&mut *tx).await?;
    if after.epoch != epoch || after.seq > last || after.seq < floor {
        return Ok(Tail::lost());
    }
    let changes: Vec<ChangeRow> = query_as(SQLITE_SELECT_AFTER).bind(after.seq).bind(limit).fetch_all(&mut *tx).await?;
    let seq = changes.last().map_or(after.seq, |change| change.seq);
    Ok(Tail { changes, position: Some(Position { epoch, xid: 0, seq }), seen: None })
}

/// On PostgreSQL the feed is in order below the oldest transaction that still runs, the horizon.
async fn changes_after_on_postgres(
    pool: &PgPool,
    after: Position,
    unordered: &Unordered,
    limit: i64,
) -> Result<Tail, Failure> {
    let rows: Vec<TailRow> = query_as(POSTGRES_SELECT_AFTER)
        .bind(after.xid.to_string())
        .bind(after.seq)
        .bind(unordered.wanted)
        .bind(&unordered.delivered)
        .bind(limit)
        .fetch_all(pool)
        .await?;
    // Without an epoch there is no schema.
    let Some(TailRow { epoch, floor_xid, floor_seq, horizon, .. }) = rows.first() else { return Ok(Tail::lost()) };
    let (epoch, horizon) = (*epoch, *horizon);
    // No reader has a position at or past the horizon: such a position is of another epoch.
    if after.epoch != epoch || (after.xid, after.seq) < (*floor_xid, *floor_seq) || after.xid >= horizon {
        return Ok(Tail::lost());
    }
    let seen = rows[0].seen.clone();
    let changes: Vec<ChangeRow> = rows.into_iter().filter_map(TailRow::change).collect();
    let is_full = i64::try_from(changes.len()).is_ok_and(|count| count == limit);
    let position = match changes.last() {
        Some(last) if is_full && last.xid < horizon => Position { epoch, xid: last.xid, seq: last.seq },
        // Everything below the horizon has been read, even where nothing was written there.
        _ if horizon > after.xid + 1 => Position { epoch, xid: horizon - 1, seq: i64::MAX },
        Some(last) if last.xid < horizon => Position { epoch, xid: last.xid, seq: last.seq },
        _ => after,
    };
    Ok(Tail { changes, position: Some(position), seen: (unordered.wanted && !is_full).then_some(seen) })
}

/// A row of `feed_tail`: a change or nothing, and the state that it was read at.
#[derive(sql::FromRow)]
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
