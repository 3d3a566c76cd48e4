//! Who calls, and what they may do.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header};
use domain::id::{KeyId, OrganizationId};
use rpc::{Code, Context, Fault};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use wire::availability::GetOrganizationRequest;

use crate::{Inner, failure};

/// How long a key that was looked up is trusted without looking again.
const TRUSTED_FOR: Duration = Duration::from_secs(5);
const CACHE_MAX: usize = 10_000;
/// How long the directory may take to say whether there is an organisation.
const LOOKED_UP_WITHIN: Duration = Duration::from_secs(2);

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names are the public interface's own")]
pub enum Scope {
    #[serde(rename = "slots:read")]
    SlotsRead,
    #[serde(rename = "bookings:write")]
    BookingsWrite,
    #[serde(rename = "patients:read")]
    PatientsRead,
    #[serde(rename = "patients:write")]
    PatientsWrite,
    #[serde(rename = "directory:write")]
    DirectoryWrite,
    #[serde(rename = "messages:write")]
    MessagesWrite,
    #[serde(rename = "reports:read")]
    ReportsRead,
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 8] = [
        Self::SlotsRead,
        Self::BookingsWrite,
        Self::PatientsRead,
        Self::PatientsWrite,
        Self::DirectoryWrite,
        Self::MessagesWrite,
        Self::ReportsRead,
        Self::Admin,
    ];

    /// The name in the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SlotsRead => "slots:read",
            Self::BookingsWrite => "bookings:write",
            Self::PatientsRead => "patients:read",
            Self::PatientsWrite => "patients:write",
            Self::DirectoryWrite => "directory:write",
            Self::MessagesWrite => "messages:write",
            Self::ReportsRead => "reports:read",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| format!("expected one of {}", all()))
    }
}

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) organization: OrganizationId,
    /// A key's id, `admin` or `patient`.
    pub(crate) name: String,
    scopes: Vec<Scope>,
    pub(crate) installation: bool,
}

impl Caller {
    /// A patient with a manage link of this organisation.
    pub(crate) fn patient(organization: OrganizationId) -> Self {
        Self { organization, name: "patient".into(), scopes: vec![], installation: false }
    }

    /// Whether the caller has a scope; `admin` has all of its organisation's.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Refuses a caller who lacks a scope.
    pub(crate) fn needs(&self, scope: Scope) -> Result<(), Fault> {
        if self.has(scope) {
            return Ok(());
        }
        Err(Fault::new(Code::Forbidden, format!("the key lacks the scope {}", scope.as_str())))
    }
}

/// Keys that were looked up a moment ago, and organisations that there are.
#[derive(Default)]
pub(crate) struct Cache {
    callers: Mutex<HashMap<Vec<u8>, (Instant, Caller)>>,
    /// An organisation never goes.
    organizations: Mutex<HashSet<OrganizationId>>,
}

impl Cache {
    /// Forgets every key, so that a revoked one ends at once.
    pub(crate) fn clear(&self) {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get(&self, hash: &[u8]) -> Option<Caller> {
        let cache = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(hash).filter(|(since, _)| since.elapsed() < TRUSTED_FOR).map(|(_, caller)| caller.clone())
    }

    fn put(&self, hash: Vec<u8>, caller: Caller) {
        let mut cache = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        cache.insert(hash, (Instant::now(), caller));
    }

    fn organizations(&self) -> MutexGuard<'_, HashSet<OrganizationId>> {
        self.organizations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hash under which a key is kept.
pub(crate) fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

/// The API key that a request brings.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer "))?.trim())
}

/// Finds out who calls.
pub(crate) async fn caller(inner: &Inner, headers: &HeaderMap) -> Result<Caller, Fault> {
    let refused = || Fault::new(Code::Unauthenticated, "send `Authorization: Bearer mrd_…` with a key that is in use");
    let key = bearer(headers).ok_or_else(refused)?;
    let hash = hash(key);
    if let Some(admin) = &inner.admin_hash
        && bool::from(admin.ct_eq(&hash))
    {
        return installation(inner, headers).await;
    }
    if let Some(caller) = inner.cache.get(&hash) {
        return Ok(caller);
    }
    let row = inner.store.key_by_hash(&hash).await.map_err(failure)?.filter(|row| row.revoked_at_us.is_none());
    let row = row.ok_or_else(refused)?;
    let caller = Caller {
        organization: OrganizationId::new(row.organization_id),
        name: KeyId::new(row.id).to_string(),
        scopes: row.scopes.split(' ').filter_map(|scope| scope.parse().ok()).collect(),
        installation: false,
    };
    inner.cache.put(hash, caller.clone());
    Ok(caller)
}

/// The installation's own key: every scope, in the default organisation or the one that a header names.
async fn installation(inner: &Inner, headers: &HeaderMap) -> Result<Caller, Fault> {
    let organization = match headers.get("meridian-organization") {
        None => inner.default_organization,
        Some(value) => {
            let named = value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
                let fault = Fault::violation("Meridian-Organization", "invalid_id", "name an organisation: org_…");
                Fault { code: Code::InvalidParameter, ..fault }
            })?;
            exists(inner, named).await?;
            named
        }
    };
    Ok(Caller { organization, name: "admin".into(), scopes: vec![Scope::Admin], installation: true })
}

/// Refuses an organisation that there is not.
async fn exists(inner: &Inner, organization: OrganizationId) -> Result<(), Fault> {
    if organization == inner.default_organization || inner.cache.organizations().contains(&organization) {
        return Ok(());
    }
    let request = Context::new(organization, "meridian", LOOKED_UP_WITHIN).request(GetOrganizationRequest {});
    inner.directory.clone().get_organization(request).await.map_err(Fault::from).map_err(|fault| match fault.code {
        Code::NotFound => Fault::new(
            Code::NotFound,
            "there is no organisation with the id that the Meridian-Organization header names",
        ),
        _ => fault,
    })?;
    let mut known = inner.cache.organizations();
    if known.len() >= CACHE_MAX {
        known.clear();
    }
    known.insert(organization);
    Ok(())
}
