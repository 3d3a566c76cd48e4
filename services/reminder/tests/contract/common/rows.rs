//! The tables of the service, read directly: due messages, and the outcome of each.

use std::collections::HashMap;

use sql::FromRow;
use sql::{SqlitePools, Target};
use sqlx::PgPool;
use uuid::Uuid;

const OPEN: &str =
    "SELECT id, subject_id AS appointment_id, status, fence, wake_at_us FROM messages WHERE wake_at_us <= $1";
const NEXT_WAKE: &str = "SELECT min(wake_at_us) FROM messages WHERE wake_at_us > $1";
const POSITION: &str = "SELECT position FROM feed_position WHERE id = 1";
const MOVE_POSITION: &str = "UPDATE feed_position SET position = $1 WHERE id = 1";
const MESSAGES: &str = "SELECT id, subject_id AS appointment_id, rule_id, trigger, channel, status, reason, \
     subject_version AS appointment_version, starts_at_us FROM messages";
const ATTEMPTS: &str = "SELECT message_id, at_us, outcome FROM attempts ORDER BY message_id, number";

/// A message at which something is still to be done.
#[derive(FromRow)]
pub struct Open {
    pub id: Uuid,
    pub appointment_id: Uuid,
    pub status: String,
    /// Rises with each lease.
    pub fence: i64,
    pub wake_at_us: i64,
}

#[derive(FromRow)]
pub struct Message {
    pub id: Uuid,
    pub appointment_id: Uuid,
    pub rule_id: Uuid,
    pub trigger: String,
    pub channel: String,
    pub status: String,
    pub reason: String,
    pub appointment_version: i64,
    pub starts_at_us: i64,
}

#[derive(FromRow)]
pub struct Attempt {
    pub message_id: Uuid,
    pub at_us: i64,
    pub outcome: String,
}

/// Either engine, beside the services.
pub enum Rows {
    Sqlite(SqlitePools),
    Postgres(PgPool),
}

/// The same on both engines.
macro_rules! both {
    ($rows:expr, $pool:ident => $read:expr) => {
        match $rows {
            Rows::Sqlite(pools) => {
                let $pool = &pools.reader;
                $read.await.unwrap()
            }
            Rows::Postgres($pool) => $read.await.unwrap(),
        }
    };
}

impl Rows {
    pub async fn open(url: &str) -> Self {
        match Target::from_url(url).unwrap() {
            Target::Sqlite(path) => Self::Sqlite(sql::connect_sqlite(&path).await.unwrap()),
            Target::Postgres(url) => Self::Postgres(sql::connect_postgres(&url, "reminder").await.unwrap()),
        }
    }

    /// The messages that somebody looks at until then.
    pub async fn until(&self, until_us: i64) -> Vec<Open> {
        both!(self, pool => sqlx::query_as(OPEN).bind(until_us).fetch_all(pool))
    }

    pub async fn next_wake(&self, after_us: i64) -> Option<i64> {
        both!(self, pool => sqlx::query_scalar(NEXT_WAKE).bind(after_us).fetch_one(pool))
    }

    /// Leaves the position elsewhere.
    pub async fn move_position(&self, position: &str) {
        let moved = match self {
            Self::Sqlite(pools) => {
                sqlx::query(MOVE_POSITION).bind(position).execute(&pools.writer).await.unwrap().rows_affected()
            }
            Self::Postgres(pool) => {
                sqlx::query(MOVE_POSITION).bind(position).execute(pool).await.unwrap().rows_affected()
            }
        };
        assert_eq!(moved, 1);
    }

    pub async fn position(&self) -> Option<String> {
        both!(self, pool => sqlx::query_scalar(POSITION).fetch_optional(pool))
    }

    pub async fn messages(&self) -> Vec<Message> {
        both!(self, pool => sqlx::query_as(MESSAGES).fetch_all(pool))
    }

    /// The attempts of each message, the first first.
    pub async fn attempts(&self) -> HashMap<Uuid, Vec<Attempt>> {
        let all: Vec<Attempt> = both!(self, pool => sqlx::query_as(ATTEMPTS).fetch_all(pool));
        let mut by_message = HashMap::<_, Vec<_>>::new();
        for one in all {
            by_message.entry(one.message_id).or_default().push(one);
        }
        by_message
    }
}
