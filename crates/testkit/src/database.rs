//! Databases for tests, on both engines.

use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use crate::postgres;

/// A database of one test, removed when it is dropped.
#[derive(Debug)]
pub struct Database {
    /// `sqlite:…` for a folder of files, or `postgres://…`.
    pub url: String,
    /// The URL as a superuser of PostgreSQL, for a test's own statements: policies do not bind it. As [`Self::url`] on SQLite.
    pub admin_url: String,
    /// Whether it is PostgreSQL.
    pub postgres: bool,
    folder: TempDir,
    _kept: Option<postgres::Database>,
}

impl Database {
    /// A new folder for SQLite files.
    ///
    /// # Errors
    /// When no folder can be made.
    pub fn sqlite() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite:{}", folder.path().display());
        Ok(Self { admin_url: url.clone(), url, postgres: false, folder, _kept: None })
    }

    /// A new PostgreSQL database, in the cluster that [`postgres::cluster`] finds or starts.
    ///
    /// # Errors
    /// When there is no cluster and none can be started.
    pub async fn postgres() -> Result<Self> {
        let database = postgres::database().await?;
        let (url, admin_url) = (database.url.clone(), database.admin_url.clone());
        Ok(Self { url, admin_url, postgres: true, folder: tempfile::tempdir()?, _kept: Some(database) })
    }

    /// The URL for one service: its own file, or the shared database in which it has its own schema.
    pub fn for_service(&self, service: &str) -> String {
        if self.postgres { self.url.clone() } else { format!("{}/{service}.sqlite", self.url) }
    }

    /// As [`Self::for_service`], with [`Self::admin_url`].
    pub fn admin_for_service(&self, service: &str) -> String {
        if self.postgres { self.admin_url.clone() } else { self.for_service(service) }
    }

    /// A folder that lives as long as the database.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Defines two tests, `on_sqlite::NAME` and `on_postgres::NAME`, for each `async fn NAME(database: Database)` of the module.
/// The crate needs tokio among its dev-dependencies.
///
/// ```text
/// testkit::engines!(a_taken_slot_is_refused, an_expired_hold_blocks_nobody);
///
/// async fn a_taken_slot_is_refused(database: testkit::database::Database) { … }
/// ```
#[macro_export]
macro_rules! engines {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::database::Database::sqlite().unwrap()).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::database::Database::postgres().await.unwrap()).await;
            })+
        }
    };
}

#[cfg(test)]
mod tests {
    use sqlx::{PgPool, SqlitePool, sqlite::SqliteConnectOptions};

    use super::Database;

    crate::engines!(it_can_be_opened);

    async fn it_can_be_opened(database: Database) {
        let url = database.for_service("booking");
        match url.strip_prefix("sqlite:") {
            Some(file) => {
                assert!(file.ends_with("/booking.sqlite") && database.folder().is_dir());
                let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
                let pool = SqlitePool::connect_with(options).await.unwrap();
                let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(&pool).await.unwrap();
                assert_eq!(one, 1);
            }
            None => {
                let pool = PgPool::connect(&url).await.unwrap();
                sqlx::query("CREATE EXTENSION btree_gist").execute(&pool).await.unwrap();
            }
        }
    }
}
