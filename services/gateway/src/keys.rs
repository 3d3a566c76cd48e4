//! API keys, for the gateway's own endpoints and for the command line.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::id::{KeyId, OrganizationId};
use runtime::{Clock, Ids};
use sql::{Failure, Target};
use uuid::Uuid;

use crate::{
    Error,
    auth::{Scope, hash},
    store::{KeyPlace, KeyRow, Store},
};

/// What is known of a key; never the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made, in microseconds since the Unix epoch.
    pub created_at_us: i64,
    /// When it was revoked, if it was.
    pub revoked_at_us: Option<i64>,
}

impl Key {
    /// Where it stands in the list.
    pub(crate) fn place(&self) -> KeyPlace {
        KeyPlace { revoked: self.revoked_at_us.is_some(), id: self.id.uuid() }
    }
}

/// Where keys are kept.
#[derive(Clone)]
pub struct Keys {
    store: Store,
    clock: Clock,
    ids: Ids,
}

impl Keys {
    /// Opens and migrates the gateway's database.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn open(database: &Target, clock: Clock, ids: Ids) -> Result<Self, Error> {
        let store = Store::open(database).await?;
        store.migrate().await?;
        Ok(Self { store, clock, ids })
    }

    pub(crate) fn of(inner: &crate::Inner) -> Self {
        Self { store: inner.store.clone(), clock: inner.clock.clone(), ids: inner.ids.clone() }
    }

    /// Makes a key; the second part is the key itself, which nobody can read again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create(
        &self,
        organization: OrganizationId,
        name: &str,
        scopes: &[Scope],
    ) -> Result<(Key, String), Error> {
        let (row, secret) = self.fresh(organization, name, scopes);
        self.store.add_key(&row, None).await?;
        Ok((shown(&row), secret))
    }

    /// A new key that is not stored yet, with the key itself.
    pub(crate) fn fresh(&self, organization: OrganizationId, name: &str, scopes: &[Scope]) -> (KeyRow, String) {
        let secret = format!("mrd_{}", URL_SAFE_NO_PAD.encode(self.ids.bytes::<32>()));
        let now = self.clock.now();
        let row = KeyRow {
            id: self.ids.uuid(now),
            organization_id: organization.uuid(),
            name: name.to_owned(),
            hash: hash(&secret),
            scopes: scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
            created_at_us: now.as_microsecond(),
            revoked_at_us: None,
        };
        (row, secret)
    }

    /// A page of an organisation's keys, at most so many: those in use first, of either the newest first. It begins after
    /// the last key of the page before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn page(&self, organization: OrganizationId, after: Option<&Key>, limit: u32) -> Result<Vec<Key>, Error> {
        let after = after.map_or(KeyPlace { revoked: false, id: Uuid::max() }, Key::place);
        Ok(self.after(organization, after, limit).await?)
    }

    pub(crate) async fn after(
        &self,
        organization: OrganizationId,
        after: KeyPlace,
        limit: u32,
    ) -> Result<Vec<Key>, Failure> {
        Ok(self.store.keys(organization.uuid(), after, i64::from(limit)).await?.iter().map(shown).collect())
    }

    /// Ends a key; `None` where there is none with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke(&self, organization: OrganizationId, id: KeyId) -> Result<Option<Key>, Error> {
        let row = self.store.revoke_key(organization.uuid(), id.uuid(), self.clock.now_us()).await?;
        Ok(row.as_ref().map(shown))
    }
}

pub(crate) fn shown(row: &KeyRow) -> Key {
    Key {
        id: KeyId::new(row.id),
        name: row.name.clone(),
        scopes: row.scopes.split(' ').filter_map(|scope| scope.parse().ok()).collect(),
        created_at_us: row.created_at_us,
        revoked_at_us: row.revoked_at_us,
    }
}
