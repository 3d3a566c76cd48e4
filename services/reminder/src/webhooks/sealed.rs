//! The sealed columns of endpoints: the address, which may hold a secret of its owner, and the secrets that sign.

use service::{
    reseal::{PAGE, Progress, Resealed},
    seal::{Cell, Error, Keyring},
};
use signing::Secret;
use sql::Failure;
use uuid::Uuid;

use crate::store::{
    Store,
    webhook_endpoints::{EndpointRow, SealedRow},
};

const URL: &str = "webhook_endpoints.url";
/// Of both secrets: a rotation makes the present one the old one.
const SECRET: &str = "webhook_endpoints.secret";

/// Organisation and endpoint.
type Key = (Uuid, Uuid);

/// The stored form of an address.
pub(crate) fn seal_url(keyring: &Keyring, key: Key, url: &str) -> Result<String, Error> {
    keyring.seal_text(&cell(URL, key), url)
}

/// The stored form of a secret.
pub(crate) fn seal_secret(keyring: &Keyring, key: Key, secret: &Secret) -> Result<String, Error> {
    keyring.seal_text(&cell(SECRET, key), &secret.encode())
}

/// The address of an endpoint.
pub(crate) fn open_url(keyring: &Keyring, row: &EndpointRow) -> Result<String, Error> {
    keyring.open_text(&cell(URL, (row.organization_id, row.id)), &row.url)
}

/// The secrets that sign at an instant, the present one first.
pub(crate) fn open_secrets(keyring: &Keyring, row: &EndpointRow, now_us: i64) -> Result<Vec<Secret>, Error> {
    let cell = cell(SECRET, (row.organization_id, row.id));
    let opened = row.secrets(now_us).into_iter().map(|sealed| {
        let text = keyring.open_text(&cell, sealed)?;
        text.parse().map_err(|_| Error::Altered)
    });
    opened.collect()
}

/// Seals all of these columns under the key that seals, a page after another. Those that are sealed so already are skipped,
/// so that an interrupted run goes on where it ended.
///
/// # Errors
/// When the database fails.
pub(crate) async fn reseal(store: &Store, keyring: &Keyring, progress: Progress<'_>) -> Result<Resealed, Failure> {
    let prefix = keyring.text_prefix();
    let (mut resealed, mut after) = (Resealed::default(), (Uuid::nil(), Uuid::nil()));
    loop {
        let page = store.endpoints_to_reseal(after, &prefix, PAGE).await?;
        let Some(last) = page.last() else { return Ok(resealed) };
        after = (last.organization_id, last.id);
        for row in &page {
            match sealed_again(keyring, row) {
                Ok(new) => resealed.count(store.replace_sealed(row, &new).await?),
                Err(error) => resealed.fail(&error),
            }
        }
        progress("webhook_endpoints", resealed.sealed);
    }
}

/// Address, secret and old secret, sealed under the key that seals; an empty one stays empty.
fn sealed_again(keyring: &Keyring, row: &SealedRow) -> Result<[String; 3], Error> {
    let key = (row.organization_id, row.id);
    let again = |column: &'static str, stored: &str| match stored {
        "" => Ok(String::new()),
        stored => keyring.seal_text(&cell(column, key), &keyring.open_text(&cell(column, key), stored)?),
    };
    Ok([again(URL, &row.url)?, again(SECRET, &row.secret)?, again(SECRET, &row.old_secret)?])
}

fn cell(column: &'static str, (organization, endpoint): Key) -> Cell {
    Cell::new(column, &[organization.as_bytes(), endpoint.as_bytes()])
}
