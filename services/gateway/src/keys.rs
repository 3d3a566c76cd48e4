//! The use cases of API keys, for the gateway's endpoints and for the command line.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::id::{KeyId, LocationId, OrganizationId};
use runtime::{Clock, Ids};
use sql::{Failure, Target};

use crate::{
    Error,
    auth::{Role, Scope, hash, stored_locations, stored_scopes},
    store::{
        Store,
        audit::Entry,
        keys::{KeyCursor, KeyRow},
    },
};

/// The caller, in the audit log, of what operators do at the command line.
const COMMAND_LINE: &str = "command_line";

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The id.
    pub id: KeyId,
    /// The name that people read.
    pub name: String,
    /// The role, if it was made with one.
    pub role: Option<Role>,
    /// The permissions, those of the role included.
    pub scopes: Vec<Scope>,
    /// The locations to which it is limited; `None` for all.
    pub locations: Option<Vec<LocationId>>,
    /// The time of creation, in microseconds since the Unix epoch.
    pub created_at_us: i64,
    /// The time of revocation, in microseconds since the Unix epoch.
    pub revoked_at_us: Option<i64>,
    /// The time from which on it opens nothing, in microseconds since the Unix epoch; `None` for never.
    pub expires_at_us: Option<i64>,
}

impl Key {
    /// The position in the list.
    pub(crate) fn cursor(&self) -> KeyCursor {
        KeyCursor { revoked: self.revoked_at_us.is_some(), id: self.id.uuid() }
    }
}

/// The permissions of a key to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions<'a> {
    /// The role, whose scopes the key has.
    pub role: Option<Role>,
    /// Further scopes.
    pub scopes: &'a [Scope],
    /// The locations to which it is limited; empty for all.
    pub locations: &'a [LocationId],
    /// The time from which on it opens nothing, in microseconds since the Unix epoch; `None` for never.
    pub expires_at_us: Option<i64>,
}

/// The API keys of an installation.
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

    pub(crate) fn new(inner: &crate::Inner) -> Self {
        Self { store: inner.store.clone(), clock: inner.clock.clone(), ids: inner.ids.clone() }
    }

    /// Creates a key. The second part is the secret, which is not stored.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create(
        &self,
        organization: OrganizationId,
        name: &str,
        permissions: Permissions<'_>,
    ) -> Result<(Key, String), Error> {
        let (row, secret) = self.generate(organization, name, permissions);
        self.store.insert_key(&row, None).await?;
        Ok((Key::from(&row), secret))
    }

    /// Records in the audit log that an operator has created or revoked a key at the command line.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record_command(&self, organization: OrganizationId, action: &str, key: KeyId) -> Result<(), Error> {
        let entry = Entry {
            organization_id: organization.uuid(),
            at_us: self.clock.now_us(),
            caller: COMMAND_LINE.to_owned(),
            action: action.to_owned(),
            target: key.to_string(),
            requests: 1,
            ..Entry::default()
        };
        Ok(self.store.append_audit_lines(organization.uuid(), &[entry]).await?)
    }

    /// Generates a key's row and its secret without storing them.
    pub(crate) fn generate(
        &self,
        organization: OrganizationId,
        name: &str,
        permissions: Permissions<'_>,
    ) -> (KeyRow, String) {
        let secret = format!("mrd_{}", URL_SAFE_NO_PAD.encode(self.ids.bytes::<32>()));
        let now = self.clock.now();
        let row = KeyRow {
            id: self.ids.uuid(now),
            organization_id: organization.uuid(),
            name: name.to_owned(),
            hash: hash(&secret),
            location_ids: (!permissions.locations.is_empty()).then(|| joined(permissions.locations)),
            role: permissions.role.map(|role| role.as_str().to_owned()),
            scopes: joined(permissions.scopes),
            created_at_us: now.as_microsecond(),
            revoked_at_us: None,
            expires_at_us: permissions.expires_at_us,
        };
        (row, secret)
    }

    /// A page of an organisation's keys, at most `limit`: active keys before revoked ones, the newest first. `after` is the
    /// last key of the previous page.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn page(&self, organization: OrganizationId, after: Option<&Key>, limit: u32) -> Result<Vec<Key>, Error> {
        let after = after.map_or(KeyCursor::START, Key::cursor);
        Ok(self.page_after(organization, after, limit).await?)
    }

    /// The same, after a position.
    pub(crate) async fn page_after(
        &self,
        organization: OrganizationId,
        after: KeyCursor,
        limit: u32,
    ) -> Result<Vec<Key>, Failure> {
        Ok(self.store.list_keys(organization.uuid(), after, i64::from(limit)).await?.iter().map(Key::from).collect())
    }

    /// Revokes a key; `None` for an unknown id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke(&self, organization: OrganizationId, id: KeyId) -> Result<Option<Key>, Error> {
        let row = self.store.revoke_key(organization.uuid(), id.uuid(), self.clock.now_us()).await?;
        Ok(row.as_ref().map(Key::from))
    }
}

/// Words with spaces between them.
fn joined(words: &[impl ToString]) -> String {
    words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl From<&KeyRow> for Key {
    fn from(row: &KeyRow) -> Self {
        Self {
            id: KeyId::new(row.id),
            name: row.name.clone(),
            role: row.role.as_ref().and_then(|role| role.parse().ok()),
            scopes: stored_scopes(row.role.as_deref(), &row.scopes),
            locations: row.location_ids.as_deref().map(|ids| stored_locations(ids).iter().copied().collect()),
            created_at_us: row.created_at_us,
            revoked_at_us: row.revoked_at_us,
            expires_at_us: row.expires_at_us,
        }
    }
}
