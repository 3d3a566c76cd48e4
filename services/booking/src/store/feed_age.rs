//! How far positions of the feed are behind, and what holds the feed up.

use service::{
    scoped, spanned,
    store::{Database, POSTGRES, SQLITE, Scoped},
};
use sql::{Failure, feed::Position};
use sqlx::{query_as, query_scalar};

use super::Store;

const SQLITE_NEXT_CHANGE: &str = "SELECT changed_at_us FROM changes WHERE seq > $1 ORDER BY seq LIMIT 1";
const POSTGRES_NEXT_CHANGE: &str = r#"
    SELECT changed_at_us
    FROM changes
    WHERE (xid, seq) > ($1::text::xid8, $2)
    ORDER BY xid, seq
    LIMIT 1
"#;
/// The oldest running transaction that writes, in any database of the cluster. Every role may read `pg_locks`; age and
/// application of another role's process are NULL without `pg_read_all_stats`. A prepared transaction has no process. The
/// text of its query is not read: it may hold personal data.
const POSTGRES_HOLDER: &str = r#"
    SELECT l.pid, extract(epoch FROM clock_timestamp() - a.xact_start)::bigint AS age_seconds, a.application_name
    FROM pg_locks l
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'transactionid'
        AND l.mode = 'ExclusiveLock'
        AND l.granted
        AND l.transactionid = pg_snapshot_xmin(pg_current_snapshot())::xid
    LIMIT 1
"#;

/// The transaction that holds the feed up.
#[derive(Debug, Clone, PartialEq, Eq, sql::FromRow)]
pub(crate) struct Holder {
    /// The process of the server; `None` for a prepared transaction.
    pub(crate) pid: Option<i32>,
    /// `None` where the database does not tell this role.
    pub(crate) age_seconds: Option<i64>,
    pub(crate) application_name: Option<String>,
}

impl Store {
    /// When the first change after a position was made; `None` where there is none.
    pub(crate) async fn next_change_us(&self, after: Position) -> Result<Option<i64>, Failure> {
        match self.database.across() {
            Scoped::Sqlite(pools) => spanned!(SQLITE, "booking.next_change", {
                query_scalar(SQLITE_NEXT_CHANGE).bind(after.seq).fetch_optional(&pools.reader).await
            }),
            Scoped::Postgres(pool) => scoped!(end_read, pool, "booking.next_change", |conn| {
                let next = query_scalar(POSTGRES_NEXT_CHANGE).bind(after.xid.to_string()).bind(after.seq);
                next.fetch_optional(conn).await
            }),
        }
    }

    /// The transaction that holds the feed up; `None` where none does.
    pub(crate) async fn feed_holder(&self) -> Result<Option<Holder>, Failure> {
        match &self.database {
            Database::Sqlite(_) => Ok(None),
            Database::Postgres(pool) => {
                spanned!(POSTGRES, "booking.feed_holder", query_as(POSTGRES_HOLDER).fetch_optional(pool).await)
            }
        }
    }
}
