//! Databases in a PostgreSQL cluster, one for each test.
//!
//! The cluster is the one that `MERIDIAN_TEST_DATABASE_URL` names (the URL of a superuser's database), else a
//! private one of this process.

mod cluster;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

pub(crate) use cluster::unprivileged;
pub use cluster::{CREATE_PRODUCT_ROLE, Cluster, Options, PRODUCT_ROLE, find_programs, product_url};

/// The variable that names a cluster for tests.
pub const VARIABLE: &str = "MERIDIAN_TEST_DATABASE_URL";

/// Longest time to create or drop a database.
const SERVER_TIMEOUT: Duration = Duration::from_secs(60);

/// A new, empty database, dropped with this value even if it has connections.
#[derive(Debug)]
pub struct Database {
    /// Its URL, as [`PRODUCT_ROLE`]: the owner, whom policies bind.
    pub url: String,
    /// Its URL as a superuser, who sees the rows of all organisations.
    pub admin_url: String,
    /// Its name, random.
    pub name: String,
}

/// The URL of the cluster that this process's tests share; starts it at the first call. Blocks.
///
/// # Errors
/// When no cluster can be started.
pub fn cluster() -> Result<String> {
    static OWN: Mutex<Option<Cluster>> = Mutex::new(None);
    if let Ok(url) = std::env::var(VARIABLE) {
        return Ok(url);
    }
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = match own.take() {
        Some(cluster) => cluster,
        None => Cluster::start(Options::default()).context("`cargo xtask test` installs what is missing")?,
    };
    Ok(own.insert(cluster).url().to_owned())
}

/// Creates a database.
///
/// # Errors
/// When there is no cluster or it refuses.
pub async fn database() -> Result<Database> {
    let admin = tokio::task::spawn_blocking(cluster).await??;
    let name = format!("t_{:032x}", rand::random::<u128>());
    // From template0, which has no connections: copying a template with connections fails.
    execute(&admin, CREATE_PRODUCT_ROLE.to_owned()).await?;
    execute(&admin, format!("CREATE DATABASE {name} OWNER {PRODUCT_ROLE} TEMPLATE template0")).await?;
    let admin_url = with_database(&admin, &name);
    Ok(Database { url: product_url(&admin_url), admin_url, name })
}

impl Drop for Database {
    fn drop(&mut self) {
        let admin = with_database(&self.admin_url, "postgres");
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A separate thread and runtime, since the test's runtime is busy dropping this value or has ended.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(execute(&admin, statement)).is_ok())
        });
        // If this fails, the database is removed with its cluster.
        let _ = dropping.join();
    }
}

async fn execute(url: &str, statement: String) -> Result<(), sqlx::Error> {
    let work = async {
        let mut connection = PgConnection::connect(url).await?;
        connection.execute(AssertSqlSafe(statement)).await?;
        connection.close().await
    };
    tokio::time::timeout(SERVER_TIMEOUT, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// The same URL for another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let host = base.find("://").map_or(0, |at| at + 3);
    let end = base[host..].find('/').map_or(base.len(), |at| host + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &base[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn count(url: &str, statement: String) -> i64 {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut connection).await.unwrap()
    }

    #[tokio::test]
    async fn each_database_is_separate_and_is_dropped_with_its_owner() {
        let (one, two) = (database().await.unwrap(), database().await.unwrap());
        execute(&one.url, "CREATE TABLE only_here ()".into()).await.unwrap();
        let tables = "SELECT count(*) FROM pg_class WHERE relname = 'only_here'";
        assert_eq!(count(&one.url, tables.into()).await, 1);
        assert_eq!(count(&two.url, tables.into()).await, 0);

        let admin = with_database(&two.admin_url, "postgres");
        let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", one.name);
        assert_eq!(count(&admin, there.clone()).await, 1);
        // Dropped despite an open connection.
        let _still_connected = PgConnection::connect(&one.url).await.unwrap();
        drop(one);
        assert_eq!(count(&admin, there).await, 0);
    }

    #[tokio::test]
    async fn a_cluster_leaves_nothing_behind() {
        let cluster = tokio::task::spawn_blocking(|| Cluster::start(Options::default())).await.unwrap().unwrap();
        let url = cluster.url().to_owned();
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await.unwrap();
        assert!(cluster.bin().join("initdb").is_file());
        let directory = std::path::Path::new(&data).parent().unwrap().to_owned();
        assert!(directory.exists());
        tokio::task::spawn_blocking(|| drop(cluster)).await.unwrap();
        assert!(!directory.exists());
        assert!(PgConnection::connect(&url).await.is_err());
    }

    #[test]
    fn the_products_url_differs_in_its_user() {
        for (url, expected) in [
            ("postgres://a:b@h:1/x", "postgres://meridian_product:meridian_product@h:1/x"),
            ("postgres://a@h/x?sslmode=disable", "postgres://meridian_product@h/x?sslmode=disable"),
            ("postgres://h", "postgres://meridian_product@h"),
        ] {
            assert_eq!(product_url(url), expected);
        }
    }

    #[test]
    fn a_url_keeps_its_host_and_query() {
        for (url, expected) in [
            ("postgres://a:b@h:1/x", "postgres://a:b@h:1/n"),
            ("postgres://h", "postgres://h/n"),
            ("postgres://h/x?sslmode=disable", "postgres://h/n?sslmode=disable"),
        ] {
            assert_eq!(with_database(url, "n"), expected);
        }
    }
}
