//! Availability's own database, on either engine; `queries.rs` is one text for both.

pub(crate) mod postgres;
pub(crate) mod sqlite;
#[cfg(test)]
mod tests;

use sql::{Failure, Target};
use tracing::Instrument;
use uuid::Uuid;

/// The database.
#[derive(Clone)]
pub(crate) enum Store {
    Sqlite(sqlite::Store),
    Postgres(postgres::Store),
}

/// An organisation.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct OrganizationRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) default_language: String,
    pub(crate) country: String,
    pub(crate) created_at_us: i64,
    pub(crate) directory_version: i64,
}

/// An entry of the directory.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct EntryRow {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) parent_id: Option<Uuid>,
    pub(crate) version: i64,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    pub(crate) archived_at_us: Option<i64>,
    pub(crate) body: String,
}

/// The answer to keep for an idempotency key.
#[derive(Debug, Clone)]
pub(crate) struct Remember {
    pub(crate) organization: Uuid,
    pub(crate) caller: String,
    pub(crate) route: &'static str,
    pub(crate) key: String,
    pub(crate) fingerprint: String,
    pub(crate) response: Vec<u8>,
    pub(crate) revision: String,
}

/// The answer kept for an idempotency key.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ReplayRow {
    pub(crate) fingerprint: String,
    pub(crate) response: Vec<u8>,
    pub(crate) revision: String,
}

/// A write of one entry, made from a version of the directory.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) organization: Uuid,
    pub(crate) from_version: i64,
    pub(crate) now_us: i64,
    pub(crate) entry: EntryRow,
    pub(crate) remember: Option<Remember>,
}

/// The span of one call of the database, by OpenTelemetry's names; never a value.
macro_rules! span {
    ($engine:literal, $name:ident) => {
        tracing::info_span!(
            "sql",
            otel.name = concat!("availability.", stringify!($name)),
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
    fn organizations(&self) -> Result<Vec<OrganizationRow>, Failure>;
    fn organization(&self, id: Uuid) -> Result<Option<OrganizationRow>, Failure>;
    fn create_organization(&self, row: &OrganizationRow, remember: Option<&Remember>, now_us: i64) -> Result<(), Failure>;
    fn entries(&self, organization: Uuid) -> Result<Option<(i64, Vec<EntryRow>)>, Failure>;
    fn replay(&self, organization: Uuid, caller: &str, route: &str, key: &str) -> Result<Option<ReplayRow>, Failure>;
    fn write(&self, write: &Write) -> Result<bool, Failure>;
}

impl Store {
    /// Opens the database; nothing is migrated yet.
    pub(crate) async fn open(target: &Target) -> Result<Self, sqlx::Error> {
        Ok(match target {
            Target::Sqlite(path) => Self::Sqlite(sqlite::Store { pools: sql::connect_sqlite(path).await? }),
            Target::Postgres(url) => {
                Self::Postgres(postgres::Store { pool: sql::connect_postgres(url, "availability").await? })
            }
        })
    }
}
