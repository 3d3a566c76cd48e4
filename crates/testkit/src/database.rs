//! Databases for tests, on both engines.
//!
//! PostgreSQL is found through `MERIDIAN_TEST_DATABASE_URL`, which `cargo xtask test` sets to a private cluster.

use anyhow::{Context, Result};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

/// The variable that names the cluster in which tests make their databases.
pub const VARIABLE: &str = "MERIDIAN_TEST_DATABASE_URL";

/// A database of one test's own; gone with it.
pub struct Database {
    /// `sqlite:…` for a folder of files, or `postgres://…`.
    pub url: String,
    /// Whether it is PostgreSQL.
    pub postgres: bool,
    folder: TempDir,
}

impl Database {
    /// A new folder for SQLite files.
    ///
    /// # Errors
    /// When no folder can be made.
    pub fn sqlite() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self { url: format!("sqlite:{}", folder.path().display()), postgres: false, folder })
    }

    /// A new PostgreSQL database.
    ///
    /// # Errors
    /// When the cluster is not there: run the tests with `cargo xtask test`.
    pub async fn postgres() -> Result<Self> {
        let cluster = std::env::var(VARIABLE)
            .with_context(|| format!("{VARIABLE} is not set: run the tests with `cargo xtask test`"))?;
        let folder = tempfile::tempdir()?;
        // A temporary folder's random name is a name that no other test has.
        let random = folder.path().file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let name: String = random.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("test_{name}_{}", std::process::id());
        let mut connection = PgConnection::connect(&cluster).await?;
        connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
        let (server, _) = cluster.rsplit_once('/').context("the URL of the cluster has no database")?;
        Ok(Self { url: format!("{server}/{name}"), postgres: true, folder })
    }

    /// The URL for one service: its own file, or the shared database in which it has its own schema.
    pub fn for_service(&self, service: &str) -> String {
        if self.postgres { self.url.clone() } else { format!("{}/{service}.sqlite", self.url) }
    }

    /// A folder that lives as long as the database.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}
