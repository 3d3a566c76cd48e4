//! The gateway's own database, on either engine; `queries.rs` is one text for both.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use sql::{Failure, Target};
use tracing::Instrument;
use uuid::Uuid;

use crate::calendar_link::Subject;

/// The database.
#[derive(Clone)]
pub(crate) enum Store {
    Sqlite(sqlite::Store),
    Postgres(postgres::Store),
}

/// An API key, as it is kept.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct KeyRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) name: String,
    pub(crate) hash: Vec<u8>,
    pub(crate) scopes: String,
    pub(crate) created_at_us: i64,
    pub(crate) revoked_at_us: Option<i64>,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct AuditRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) at_us: i64,
    pub(crate) caller: String,
    pub(crate) action: String,
    pub(crate) target: String,
    pub(crate) patient_id: Option<Uuid>,
}

/// An answer for an idempotency key, as it is kept.
#[derive(Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct AnswerRow {
    pub(crate) organization_id: Uuid,
    pub(crate) caller: String,
    pub(crate) action: String,
    pub(crate) key: String,
    pub(crate) fingerprint: String,
    pub(crate) salt: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at_us: i64,
}

/// Where a page of keys begins: after this key of those in use, or of those that were revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyPlace {
    pub(crate) revoked: bool,
    pub(crate) id: Uuid,
}

/// The span of one call of the database, by OpenTelemetry's names; never a value.
macro_rules! span {
    ($engine:literal, $name:ident) => {
        tracing::info_span!(
            "sql",
            otel.name = concat!("gateway.", stringify!($name)),
            otel.kind = "client",
            db.system.name = $engine,
            db.operation.name = stringify!($name),
        )
    };
}

macro_rules! on_both {
    ($(fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $result:ty;)*) => {
        impl Store {
            $(pub(crate) async fn $name(&self $(, $arg: $type)*) -> $result {
                match self {
                    Self::Sqlite(store) => store.$name($($arg),*).instrument(span!("sqlite", $name)).await,
                    Self::Postgres(store) => store.$name($($arg),*).instrument(span!("postgresql", $name)).await,
                }
            })*
        }
    };
}

on_both! {
    fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError>;
    fn add_key(&self, row: &KeyRow, answer: Option<&AnswerRow>) -> Result<(), Failure>;
    fn keep_answer(&self, answer: &AnswerRow) -> Result<(), Failure>;
    fn answer(&self, organization: Uuid, caller: &str, action: &str, key: &str, since_us: i64) -> Result<Option<AnswerRow>, Failure>;
    fn key_by_hash(&self, hash: &[u8]) -> Result<Option<KeyRow>, Failure>;
    fn keys(&self, organization: Uuid, after: KeyPlace, limit: i64) -> Result<Vec<KeyRow>, Failure>;
    fn revoke_key(&self, organization: Uuid, id: Uuid, now_us: i64) -> Result<Option<KeyRow>, Failure>;
    fn open_calendar(&self, subject: &Subject) -> Result<i32, Failure>;
    fn close_calendar(&self, subject: &Subject) -> Result<bool, Failure>;
    fn calendar(&self, subject: &Subject) -> Result<Option<i32>, Failure>;
    fn secret(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, Failure>;
    fn add_audits(&self, rows: &[AuditRow]) -> Result<(), Failure>;
    fn audit(&self, organization: Uuid, patient: Option<Uuid>, before: Uuid, limit: i64) -> Result<Vec<AuditRow>, Failure>;
}

impl Store {
    /// Opens the database; nothing is migrated yet.
    pub(crate) async fn open(target: &Target) -> Result<Self, sqlx::Error> {
        Ok(match target {
            Target::Sqlite(path) => Self::Sqlite(sqlite::Store { pools: sql::connect_sqlite(path).await? }),
            Target::Postgres(url) => {
                Self::Postgres(postgres::Store { pool: sql::connect_postgres(url, "gateway").await? })
            }
        })
    }
}
