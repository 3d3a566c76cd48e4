//! Entries as they are stored. The address of an imported calendar may hold a secret of its owner, so it is sealed.

use domain::directory::{Body, Busy};
use service::{
    reseal::{Progress, Resealed},
    seal::{self, Cell, Keyring},
};
use sql::Failure;
use uuid::Uuid;

use crate::{
    index::directory::Entry,
    store::{BodyRow, EntryRow, Store},
};

/// The rows of one page: a body has up to 10,000 busy times.
const PAGE: i64 = 20;

/// Why an entry cannot be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Seal(#[from] seal::Error),
}

/// The row of an entry.
pub(crate) fn to_row(keyring: &Keyring, organization: Uuid, entry: &Entry) -> Result<EntryRow, Error> {
    let Body::Busy(busy) = &entry.body else { return Ok(entry.to_row()?) };
    let Some(url) = &busy.url else { return Ok(entry.to_row()?) };
    let url = Some(keyring.seal_text(&cell(organization, entry.id), url)?);
    let sealed = Entry { body: Body::Busy(Busy { url, ..busy.clone() }), ..entry.clone() };
    Ok(sealed.to_row()?)
}

/// The entry of a row. A calendar whose address does not open keeps its times, and is not fetched.
pub(crate) fn from_row(keyring: &Keyring, organization: Uuid, row: &EntryRow) -> Result<Entry, serde_json::Error> {
    let mut entry = Entry::from_row(row)?;
    if let Body::Busy(busy) = &mut entry.body
        && let Some(url) = busy.url.take()
    {
        match keyring.open_text(&cell(organization, row.id), &url) {
            Ok(opened) => busy.url = Some(opened),
            Err(error) => tracing::error!(id = %row.id, %error, "the address of an imported calendar cannot be opened"),
        }
    }
    Ok(entry)
}

/// Seals all addresses under the key that seals, a page after another. Those that are sealed so already are skipped.
///
/// # Errors
/// When the database fails.
pub(crate) async fn reseal(store: &Store, keyring: &Keyring, progress: Progress<'_>) -> Result<Resealed, Failure> {
    let (mut resealed, mut after) = (Resealed::default(), (Uuid::nil(), Uuid::nil()));
    loop {
        let page = store.busy_bodies(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(resealed) };
        after = (last.organization_id, last.id);
        for row in &page {
            match sealed_again(keyring, row) {
                Ok(Some(body)) => resealed.count(store.replace_body(row, &body).await?),
                Ok(None) => {}
                Err(error) => resealed.fail(&error),
            }
        }
        progress("entries", resealed.sealed);
    }
}

/// The body with its address sealed under the key that seals; `None` where that changes nothing.
fn sealed_again(keyring: &Keyring, row: &BodyRow) -> Result<Option<String>, seal::Error> {
    let mut body: serde_json::Value = serde_json::from_str(&row.body).unwrap_or_default();
    let Some(stored) = body["url"].as_str().filter(|url| !url.starts_with(&keyring.text_prefix())) else {
        return Ok(None);
    };
    let cell = cell(row.organization_id, row.id);
    body["url"] = keyring.seal_text(&cell, &keyring.open_text(&cell, stored)?)?.into();
    Ok(Some(body.to_string()))
}

fn cell(organization: Uuid, entry: Uuid) -> Cell {
    Cell::new("entries.body.url", &[organization.as_bytes(), entry.as_bytes()])
}
