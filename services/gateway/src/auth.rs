//! Authentication of callers, and their scopes.

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
use service::db_error;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use wire::availability::GetOrganizationRequest;

use crate::Inner;

/// The time for which a key's row is cached.
const KEY_CACHE_TTL: Duration = Duration::from_secs(5);
const CACHE_MAX: usize = 10_000;
/// The name of all patients with a link.
const PATIENT: &str = "patient";
/// The deadline of a look-up of an organisation.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// A permission of a key.
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
    #[serde(rename = "metrics:read")]
    MetricsRead,
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 9] = [
        Self::SlotsRead,
        Self::BookingsWrite,
        Self::PatientsRead,
        Self::PatientsWrite,
        Self::DirectoryWrite,
        Self::MessagesWrite,
        Self::ReportsRead,
        Self::MetricsRead,
        Self::Admin,
    ];

    /// The word of the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SlotsRead => "slots:read",
            Self::BookingsWrite => "bookings:write",
            Self::PatientsRead => "patients:read",
            Self::PatientsWrite => "patients:write",
            Self::DirectoryWrite => "directory:write",
            Self::MessagesWrite => "messages:write",
            Self::ReportsRead => "reports:read",
            Self::MetricsRead => "metrics:read",
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

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) organization: OrganizationId,
    /// A key's id, `admin` or `patient`.
    pub(crate) name: String,
    /// The name of a person by which people know them, for the audit log.
    pub(crate) display_name: Option<String>,
    scopes: Vec<Scope>,
    /// Whether it is the installation's own key.
    pub(crate) is_installation: bool,
}

impl Caller {
    /// A patient with a link of this organisation.
    pub(crate) fn patient(organization: OrganizationId) -> Self {
        Self { organization, name: PATIENT.into(), display_name: None, scopes: vec![], is_installation: false }
    }

    /// Whether it is a patient with a link.
    pub(crate) fn is_patient(&self) -> bool {
        self.name == PATIENT
    }

    /// Whether the caller has a scope. `admin` includes every scope.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Refuses a caller without a scope.
    ///
    /// # Errors
    /// `forbidden`, with the scope's name.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Fault> {
        if self.has(scope) {
            return Ok(());
        }
        Err(Fault::new(Code::Forbidden, format!("the key lacks the scope {}", scope.as_str())))
    }
}

/// A refusal, with the caller if the key was in use once.
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    pub(crate) caller: Option<Box<Caller>>,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { fault, caller: None }
    }
}

/// The callers of recent keys, and the ids of existing organisations.
#[derive(Default)]
pub(crate) struct Cache {
    callers: Mutex<HashMap<Vec<u8>, (Instant, Caller)>>,
    /// Organisations are never deleted.
    organizations: Mutex<HashSet<OrganizationId>>,
}

impl Cache {
    /// Drops every cached key, so that a revocation applies at once.
    pub(crate) fn clear(&self) {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get(&self, hash: &[u8]) -> Option<Caller> {
        let cache = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(hash).filter(|(cached_at, _)| cached_at.elapsed() < KEY_CACHE_TTL).map(|(_, caller)| caller.clone())
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

/// The SHA-256 of a key, which is stored instead of the key.
pub(crate) fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

/// The API key of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer "))?.trim())
}

/// Authenticates the caller of a request.
///
/// # Errors
/// `unauthenticated` without a valid key; `invalid_parameter` or `not_found` for a wrong `Meridian-Organization`.
pub(crate) async fn authenticate(inner: &Inner, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let refused = || Fault::new(Code::Unauthenticated, "send `Authorization: Bearer mrd_…` with a key that is in use");
    let key = bearer(headers).ok_or_else(refused)?;
    let hash = hash(key);
    if let Some(admin) = &inner.admin_key_hash
        && bool::from(admin.ct_eq(&hash))
    {
        return Ok(installation(inner, headers).await?);
    }
    if let Some(caller) = inner.auth_cache.get(&hash) {
        return Ok(caller);
    }
    let row = inner.store.find_key(&hash).await.map_err(db_error::fault)?.ok_or_else(refused)?;
    let caller = Caller {
        organization: OrganizationId::new(row.organization_id),
        name: KeyId::new(row.id).to_string(),
        display_name: None,
        scopes: row.scopes.split(' ').filter_map(|scope| scope.parse().ok()).collect(),
        is_installation: false,
    };
    if row.revoked_at_us.is_some() {
        return Err(Refusal { fault: refused(), caller: Some(Box::new(caller)) });
    }
    inner.auth_cache.put(hash, caller.clone());
    Ok(caller)
}

/// The caller with the installation's own key. It acts in the default organisation or in the one that the header
/// `Meridian-Organization` names.
async fn installation(inner: &Inner, headers: &HeaderMap) -> Result<Caller, Fault> {
    let organization = match headers.get("meridian-organization") {
        None => inner.default_organization,
        Some(value) => {
            let organization = value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
                let fault = Fault::violation("Meridian-Organization", "invalid_id", "name an organisation: org_…");
                Fault { code: Code::InvalidParameter, ..fault }
            })?;
            check_organization(inner, organization).await?;
            organization
        }
    };
    let (name, display_name) = ("admin".into(), None);
    Ok(Caller { organization, name, display_name, scopes: vec![Scope::Admin], is_installation: true })
}

/// Checks that an organisation exists.
async fn check_organization(inner: &Inner, organization: OrganizationId) -> Result<(), Fault> {
    if organization == inner.default_organization || inner.auth_cache.organizations().contains(&organization) {
        return Ok(());
    }
    let request = Context::new(organization, "meridian", LOOKUP_TIMEOUT).request(GetOrganizationRequest {});
    inner.directory.clone().get_organization(request).await.map_err(Fault::from).map_err(|fault| match fault.code {
        Code::NotFound => Fault::new(
            Code::NotFound,
            "there is no organisation with the id that the Meridian-Organization header names",
        ),
        _ => fault,
    })?;
    let mut known = inner.auth_cache.organizations();
    if known.len() >= CACHE_MAX {
        known.clear();
    }
    known.insert(organization);
    Ok(())
}
