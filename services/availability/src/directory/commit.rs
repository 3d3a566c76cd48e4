//! The transactions that change the directory.

use service::idempotency::{self, Remember};
use sql::Failure;
use uuid::Uuid;

use crate::{
    Inner,
    store::{self, EntryRow, OrganizationRow},
};

/// A change of one entry, checked against a version of the directory.
pub(super) struct EntryWrite {
    pub(super) organization: Uuid,
    pub(super) from_version: i64,
    pub(super) now_us: i64,
    pub(super) entry: EntryRow,
    pub(super) remember: Option<Remember>,
}

/// Commits an organisation; an existing one with its id stays as it is.
///
/// # Errors
/// [`Failure::Duplicate`] when another request with the same idempotency key was faster.
pub(super) async fn organization(
    inner: &Inner,
    row: &OrganizationRow,
    remember: Option<&Remember>,
    now_us: i64,
) -> Result<(), Failure> {
    let mut tx = inner.store.database.begin().await?;
    store::insert_organization(&mut tx, row).await?;
    keep_answer(&mut tx, remember, now_us).await?;
    tx.commit().await
}

/// Commits a change of an entry; `false` where the directory has changed since the version of the check.
///
/// # Errors
/// [`Failure::Duplicate`] when another request with the same idempotency key was faster.
pub(super) async fn entry(inner: &Inner, write: &EntryWrite) -> Result<bool, Failure> {
    let mut tx = inner.store.database.begin().await?;
    if !store::advance_version(&mut tx, write.organization, write.from_version).await? {
        return Ok(false);
    }
    store::upsert_entry(&mut tx, write.organization, &write.entry).await?;
    keep_answer(&mut tx, write.remember.as_ref(), write.now_us).await?;
    tx.commit().await?;
    Ok(true)
}

/// Keeps the answer of a request with an idempotency key, and deletes the expired ones.
async fn keep_answer(tx: &mut service::store::Tx, remember: Option<&Remember>, now_us: i64) -> Result<(), Failure> {
    if remember.is_some() {
        idempotency::delete_before(tx, now_us - idempotency::KEPT_US).await?;
    }
    idempotency::insert(tx, remember, now_us).await
}
