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
    delete_expired(inner, remember, now_us).await?;
    // The answer belongs to the caller's organisation, which is another one.
    let mut tx = inner.store.database.across().begin().await?;
    store::insert_organization(&mut tx, row).await?;
    idempotency::insert(&mut tx, remember, now_us).await?;
    tx.commit().await
}

/// Commits a change of an entry; `false` where the directory has changed since the version of the check.
///
/// # Errors
/// [`Failure::Duplicate`] when another request with the same idempotency key was faster.
pub(super) async fn entry(inner: &Inner, write: &EntryWrite) -> Result<bool, Failure> {
    delete_expired(inner, write.remember.as_ref(), write.now_us).await?;
    let mut tx = inner.store.database.of(write.organization).begin().await?;
    if !store::advance_version(&mut tx, write.organization, write.from_version).await? {
        return Ok(false);
    }
    store::upsert_entry(&mut tx, write.organization, &write.entry).await?;
    idempotency::insert(&mut tx, write.remember.as_ref(), write.now_us).await?;
    tx.commit().await?;
    Ok(true)
}

/// Deletes the expired answers of all organisations where an answer is to be kept.
async fn delete_expired(inner: &Inner, remember: Option<&Remember>, now_us: i64) -> Result<(), Failure> {
    if remember.is_none() {
        return Ok(());
    }
    idempotency::delete_before(&inner.store.database, now_us - idempotency::KEPT_US).await
}
