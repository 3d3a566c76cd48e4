//! Migrations and functions of one service's database.
//!
//! Migrations run once, in the order of their numbers, and are never edited. A PostgreSQL function has one file, which is
//! edited: after the migrations, each function whose text this database has not seen is created or replaced.
//!
//! Migrations of one major step only expand a schema. So a process of an older build runs, and starts, on the schema of a
//! newer build of the same step: an upgrade replaces one process after the other.

use std::{error::Error, path::Path};

use sha2::{Digest, Sha256};
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, PgPool, SqlitePool,
    migrate::{MigrateError, Migrator},
    query, query_as, query_scalar,
};

use crate::{SqlitePools, Target, connect_postgres, connect_sqlite};

/// Numbers of one major step: 1 to 999 are step 0. The first migration that takes something away from processes of the step
/// before begins a new one.
const STEP: i64 = 1000;

/// The schema of one service, for both engines.
#[derive(Debug)]
pub struct Schema {
    /// Name of the PostgreSQL schema.
    pub name: &'static str,
    /// Migrations for SQLite.
    pub sqlite: Migrator,
    /// Migrations for PostgreSQL.
    pub postgres: Migrator,
    /// Functions for PostgreSQL; see [`functions!`](crate::functions).
    pub functions: &'static [Function],
}

/// A PostgreSQL function, in a file of its own.
#[derive(Debug)]
pub struct Function {
    /// Name of the function and of its file.
    pub name: &'static str,
    /// One `CREATE OR REPLACE FUNCTION` statement.
    pub text: &'static str,
}

/// The functions in `migrations/postgres/functions/` of the calling crate, by name, and the one that all services have.
///
/// ```text
/// functions: sql::functions!["commit_batch", "feed_tail"],
/// ```
#[macro_export]
macro_rules! functions {
    ($($name:literal),* $(,)?) => {
        &[$($crate::Function {
            name: $name,
            text: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/functions/", $name, ".sql"
            )),
        },)* $crate::statistics::ANALYZE_YOUNG_TABLES]
    };
}

impl Function {
    fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.text).to_vec()
    }
}

/// Every text of a function that was applied here. The newest row of a name is the function that stands.
const CREATE_FUNCTIONS: &str = r#"
    CREATE TABLE IF NOT EXISTS _functions (
        name       text        NOT NULL,
        hash       bytea       NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (name, hash)
    )
"#;
const SELECT_FUNCTION: &str = "SELECT count(*) FROM _functions WHERE name = $1 AND hash = $2";
const INSERT_FUNCTION: &str = "INSERT INTO _functions (name, hash) VALUES ($1, $2)";
const LOCK_FUNCTIONS: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
const SELECT_APPLIED: &str = "SELECT version, checksum FROM _sqlx_migrations WHERE success";
const SELECT_SQLITE_TABLE: &str =
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";
const SELECT_POSTGRES_TABLE: &str = "SELECT count(to_regclass($1))";
/// Whether the schema exists, and whether this role may migrate it: as its owner, or as who may create it.
const SELECT_RIGHTS: &str = r#"
    SELECT s.oid IS NOT NULL, CASE WHEN s.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
        ELSE pg_has_role(s.nspowner, 'USAGE') END
    FROM (SELECT $1) AS named (schema) LEFT JOIN pg_namespace s ON s.nspname = named.schema
"#;
/// Migrations copy the rows of all organisations: see `service::store`.
const SPAN_ORGANIZATIONS: &str = "SET meridian.organization = '*'";

/// The role of a service has found a schema that it may not bring up to date.
#[derive(Debug, thiserror::Error)]
#[error(
    "the schema {schema} is not up to date (migrations to run: {pending}), and this role of PostgreSQL does not own it: run \
     `meridian migrate` with database.url of the role that owns it (meridian_migrate, see deploy/postgres/roles.sql)"
)]
struct NotOwner {
    schema: &'static str,
    pending: usize,
}

/// A build of another major step has migrated the schema.
#[derive(Debug, thiserror::Error)]
#[error(
    "migration {version} of {schema} is unknown here, and processes of this build do not run beside the build that made it: \
     start that build (on PostgreSQL `meridian doctor` lists the builds that run), or restore a backup from before it"
)]
struct OtherStep {
    schema: &'static str,
    version: i64,
}

impl Schema {
    /// Brings a SQLite file up to date.
    ///
    /// # Errors
    /// When a migration fails, an applied migration was edited, or a build of another step has migrated the file.
    pub async fn migrate_sqlite(&self, pools: &SqlitePools) -> Result<(), MigrateError> {
        if self.pending_on_file(&pools.writer).await? == 0 {
            return Ok(());
        }
        beside_newer(&self.sqlite).run(&pools.writer).await
    }

    /// Brings a PostgreSQL schema up to date: creates it, runs its migrations, and replaces functions. A schema that is up to
    /// date stays untouched, so that a role which owns nothing can start a service.
    ///
    /// # Errors
    /// When a migration or a function fails, an applied migration was edited, a build of another step has migrated the schema,
    /// or the role may not migrate.
    pub async fn migrate_postgres(&self, pool: &PgPool) -> Result<(), MigrateError> {
        let pending = self.pending_in(pool).await?;
        if pending == 0 {
            return Ok(());
        }
        let (exists, may_migrate): (bool, bool) = query_as(SELECT_RIGHTS).bind(self.name).fetch_one(pool).await?;
        if !may_migrate {
            return Err(MigrateError::Source(NotOwner { schema: self.name, pending }.into()));
        }
        if !exists {
            self.create(pool).await?;
        }
        // A connection of its own: a migration may take longer than the statements of a service.
        let mut connection = pool.acquire().await?.detach();
        connection.execute("SET statement_timeout = 0").await?;
        connection.execute(SPAN_ORGANIZATIONS).await?;
        beside_newer(&self.postgres).run_direct(None, &mut connection, false).await?;
        connection.close().await?;
        Ok(self.replace_functions(pool).await?)
    }

    async fn create(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let create = AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {}", self.name));
        match pool.execute(create).await {
            // Two processes that start together may both find the schema missing; the loser's error is no fault.
            Err(error) if !error.as_database_error().is_some_and(|db| db.is_unique_violation()) => Err(error),
            _ => Ok(()),
        }
    }

    /// Creates or replaces the functions whose text is new here. A text that was applied once and then replaced stays
    /// replaced: a process of an older build that restarts beside newer ones must not undo their functions.
    async fn replace_functions(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        if self.functions.is_empty() {
            return Ok(());
        }
        let mut tx = pool.begin().await?;
        query(LOCK_FUNCTIONS).bind(self.functions_table()).execute(&mut *tx).await?;
        tx.execute(CREATE_FUNCTIONS).await?;
        for function in self.new_functions(&mut tx).await? {
            tx.execute(function.text).await?;
            query(INSERT_FUNCTION).bind(function.name).bind(function.hash()).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    async fn new_functions(&self, connection: &mut PgConnection) -> Result<Vec<&Function>, sqlx::Error> {
        let mut new = Vec::new();
        for function in self.functions {
            let select = query_scalar::<_, i64>(SELECT_FUNCTION).bind(function.name).bind(function.hash());
            if select.fetch_one(&mut *connection).await? == 0 {
                new.push(function);
            }
        }
        Ok(new)
    }

    fn functions_table(&self) -> String {
        format!("{}._functions", self.name)
    }

    /// The number of migrations and functions that a database lacks. Changes nothing.
    ///
    /// # Errors
    /// When the database cannot be read; see [`is_of_another_build`] when another build has migrated it.
    pub async fn pending(&self, target: &Target) -> Result<usize, MigrateError> {
        match target {
            Target::Sqlite(path) => self.pending_on_sqlite(path).await,
            Target::Postgres(url) => self.pending_on_postgres(url).await,
        }
    }

    async fn pending_on_sqlite(&self, path: &Path) -> Result<usize, MigrateError> {
        self.pending_on_file(&connect_sqlite(path).await?.reader).await
    }

    async fn pending_on_file(&self, pool: &SqlitePool) -> Result<usize, MigrateError> {
        let tables: i64 = query_scalar(SELECT_SQLITE_TABLE).fetch_one(pool).await?;
        let applied = if tables == 0 { vec![] } else { query_as(SELECT_APPLIED).fetch_all(pool).await? };
        self.lacking(&self.sqlite, &applied)
    }

    async fn pending_on_postgres(&self, url: &str) -> Result<usize, MigrateError> {
        self.pending_in(&connect_postgres(url, self.name).await?).await
    }

    async fn pending_in(&self, pool: &PgPool) -> Result<usize, MigrateError> {
        // Named with its schema: another service's table must not be taken for this one's.
        let has_table = async |table: String| {
            query_scalar::<_, i64>(SELECT_POSTGRES_TABLE).bind(table).fetch_one(pool).await.map(|tables| tables > 0)
        };
        let migrated = has_table(format!("{}._sqlx_migrations", self.name)).await?;
        let applied = if migrated { query_as(SELECT_APPLIED).fetch_all(pool).await? } else { vec![] };
        let functions = if has_table(self.functions_table()).await? {
            self.new_functions(&mut *pool.acquire().await?).await?.len()
        } else {
            self.functions.len()
        };
        Ok(self.lacking(&self.postgres, &applied)? + functions)
    }

    /// The number of migrations that are not applied; `applied` holds version and checksum of each that is.
    fn lacking(&self, migrator: &Migrator, applied: &[(i64, Vec<u8>)]) -> Result<usize, MigrateError> {
        let step = migrator.iter().map(|migration| migration.version / STEP).max();
        for (version, checksum) in applied {
            match migrator.iter().find(|migration| migration.version == *version) {
                // A newer build of this step has expanded the schema.
                None if step == Some(version / STEP) => {}
                None => {
                    return Err(MigrateError::Source(OtherStep { schema: self.name, version: *version }.into()));
                }
                Some(known) if *known.checksum != **checksum => return Err(MigrateError::VersionMismatch(*version)),
                Some(_) => {}
            }
        }
        let known = migrator.iter().filter(|migration| migration.migration_type.is_up_migration());
        Ok(known.filter(|known| applied.iter().all(|(version, _)| *version != known.version)).count())
    }
}

/// The migrations, where the schema may have some of a newer build too.
fn beside_newer(migrator: &Migrator) -> Migrator {
    Migrator { migrations: migrator.migrations.clone(), ignore_missing: true, ..Migrator::DEFAULT }
}

/// Whether an error says that a build which does not run beside this one has migrated the database.
pub fn is_of_another_build(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<MigrateError>() {
        Some(MigrateError::VersionMismatch(_)) => true,
        Some(MigrateError::Source(source)) => source.is::<OtherStep>(),
        _ => false,
    }
}
