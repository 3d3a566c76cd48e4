//! The table `secrets`: signing keys that an installation makes for itself, each sealed and written once.

use sql::Failure;
use sqlx::{query, query_as, query_scalar};

use crate::{
    reseal::Resealed,
    seal::{self, Cell, Keyring},
    store::Database,
};

const INSERT_SECRET: &str = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const SELECT_SECRET: &str = "SELECT value FROM secrets WHERE name = $1";
const REPLACE_SECRET: &str = "UPDATE secrets SET value = $3 WHERE name = $1 AND value = $2";
// The table has a few rows.
const SELECT_OLD_SECRETS: &str = "SELECT name, value FROM secrets WHERE substr(value, 1, $1) <> $2";

/// The statements on the table, for tests that prepare them on both engines.
pub const STATEMENTS: [&str; 4] = [INSERT_SECRET, SELECT_SECRET, REPLACE_SECRET, SELECT_OLD_SECRETS];

/// Why a secret is not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error("the database failed")]
    Failure(#[from] Failure),
    /// It does not open.
    #[error(transparent)]
    Seal(#[from] seal::Error),
}

/// The secret with this name; `generated` becomes it if there is none. One that was stored before secrets were sealed is
/// sealed.
///
/// # Errors
/// When the database fails, and when the secret is sealed under a key that is not in the ring.
pub async fn load_or_insert(
    database: &Database,
    keyring: &Keyring,
    name: &'static str,
    generated: &[u8],
) -> Result<Vec<u8>, Error> {
    let cell = cell(name);
    let sealed = keyring.seal(&cell, generated)?;
    crate::write!(database.across(), "secrets.insert", |pool| {
        query(INSERT_SECRET).bind(name).bind(sealed).execute(pool).await.map(drop)
    })?;
    let stored: Vec<u8> = crate::write!(database.across(), "secrets.select", |pool| {
        query_scalar(SELECT_SECRET).bind(name).fetch_one(pool).await
    })?;
    let secret = keyring.open(&cell, &stored)?;
    if !seal::is_sealed(&stored) {
        replace(database, name, stored, keyring.seal(&cell, &secret)?).await?;
    }
    Ok(secret)
}

/// Seals all secrets under the key that seals.
///
/// # Errors
/// When the database fails.
pub async fn reseal(database: &Database, keyring: &Keyring) -> Result<Resealed, Failure> {
    let prefix = keyring.prefix();
    let length = i32::try_from(prefix.len()).unwrap_or(0);
    let old: Vec<(String, Vec<u8>)> = crate::write!(database.across(), "secrets.select_old", |pool| {
        query_as(SELECT_OLD_SECRETS).bind(length).bind(prefix.clone()).fetch_all(pool).await
    })?;
    let mut resealed = Resealed::default();
    for (name, stored) in old {
        match keyring.reseal(&cell(&name), &stored) {
            Ok(sealed) => resealed.count(replace(database, &name, stored, sealed).await?),
            Err(error) => resealed.fail(&error),
        }
    }
    Ok(resealed)
}

fn cell(name: &str) -> Cell {
    Cell::new("secrets.value", &[name.as_bytes()])
}

/// `false` when another process has replaced it.
async fn replace(database: &Database, name: &str, stored: Vec<u8>, sealed: Vec<u8>) -> Result<bool, Failure> {
    crate::write!(database.across(), "secrets.replace", |pool| {
        query(REPLACE_SECRET)
            .bind(name)
            .bind(&stored)
            .bind(&sealed)
            .execute(pool)
            .await
            .map(|done| done.rows_affected() > 0)
    })
}
