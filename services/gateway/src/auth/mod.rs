//! Authentication of callers, by an API key or by a token of an OpenID provider, and their scopes.
//!
//! Start reading at `authenticate`. `role.rs` has the table of roles, `oidc/mod.rs` says how a token becomes a caller.

mod cache;
mod caller;
pub(crate) mod oidc;
mod organization;
mod role;
mod scope;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use axum::http::{HeaderMap, header};
use domain::id::{KeyId, LocationId, OrganizationId};
use rpc::{Code, Fault};
use service::db_error;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub(crate) use self::{
    cache::Cache,
    caller::{Caller, Refusal},
    role::stored_scopes,
};
pub use self::{role::Role, scope::Scope};
use crate::Inner;

/// The key of a fault's metadata whose value is the `error` of `WWW-Authenticate` (RFC 6750, section 3.1).
pub(crate) const CHALLENGE: &str = "www_authenticate_error";

const NO_CREDENTIAL: &str = "send `Authorization: Bearer mrd_…` with a key that is in use";
const REFUSED_KEY: &str = "the key is unknown or revoked; send `Authorization: Bearer mrd_…` with a key that is in use";

/// The SHA-256 of a key, which is stored instead of the key.
pub(crate) fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

/// The API key or the token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer "))?.trim())
}

/// The locations of a limited key.
pub(crate) type Locations = Arc<BTreeSet<LocationId>>;

/// The locations of a stored key, which are separated by spaces. A text without any gives an empty set, which opens nothing.
pub(crate) fn stored_locations(text: &str) -> Locations {
    Arc::new(text.split(' ').filter_map(|id| id.parse().ok()).collect())
}

/// The refusal of a key or a token. `detail` never repeats it.
fn invalid_token(detail: impl Into<String>) -> Fault {
    Fault::new(Code::Unauthenticated, detail).with(CHALLENGE, "invalid_token")
}

/// The treatment of keys that are limited to locations. Each caller of the authentication names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitedKeys {
    /// The calling code keeps them at their locations.
    Kept,
    /// They are refused, since the calling code cannot do that.
    Refused,
}

/// Authenticates the caller of a request from a client's network, by its headers or by the metadata of a gRPC call.
///
/// # Errors
/// `unauthenticated` without a valid key or token; `invalid_parameter`, `not_found` or `forbidden` for a wrong
/// `Meridian-Organization`; `forbidden` for a token that is of no organisation, and for a limited key where those are refused;
/// `unavailable` where the OpenID provider's keys cannot be fetched; `rate_limited` after many wrong keys from the network.
pub(crate) async fn authenticate(
    inner: &Inner,
    headers: &HeaderMap,
    network: IpAddr,
    limited: LimitedKeys,
) -> Result<Caller, Refusal> {
    let caller = identify(inner, headers, network).await?;
    if limited == LimitedKeys::Refused && caller.locations.is_some() {
        let fault = Fault::new(Code::Forbidden, "a key that is limited to locations may not do this");
        return Err(Refusal { fault, caller: Some(Box::new(caller)) });
    }
    Ok(caller)
}

/// The caller of a request.
async fn identify(inner: &Inner, headers: &HeaderMap, network: IpAddr) -> Result<Caller, Refusal> {
    let credential = bearer(headers).ok_or_else(|| Fault::new(Code::Unauthenticated, NO_CREDENTIAL))?;
    let hash = hash(credential);
    if let Some(admin) = &inner.admin_key_hash
        && bool::from(admin.ct_eq(&hash))
    {
        return Ok(installation(inner, headers).await?);
    }
    if oidc::is_token(credential) {
        return Ok(oidc::authenticate(inner, credential, headers).await?);
    }
    let now_us = inner.clock.now_us();
    if let Some(caller) = inner.auth_cache.get(&hash, now_us) {
        return Ok(caller);
    }
    // Wrong keys of others behind the same address do not delay a key that is known to be right.
    if !inner.auth_cache.was_right(&hash) {
        inner.rate_limits.check_wrong_keys(network)?;
    }
    let Some(row) = inner.store.find_key(&hash).await.map_err(db_error::fault)? else {
        inner.rate_limits.count_wrong_key(network)?;
        return Err(invalid_token(REFUSED_KEY).into());
    };
    let name = KeyId::new(row.id).to_string();
    let scopes = stored_scopes(row.role.as_deref(), &row.scopes);
    let locations = row.location_ids.as_deref().map(stored_locations);
    let caller = Caller { locations, ..Caller::key(OrganizationId::new(row.organization_id), name, scopes) };
    let refused = match (row.revoked_at_us.is_some(), row.has_expired(now_us)) {
        (true, _) => Some(REFUSED_KEY),
        (false, true) => Some("the key has expired; use another"),
        (false, false) => None,
    };
    if let Some(detail) = refused {
        inner.auth_cache.remove(&hash);
        inner.rate_limits.count_wrong_key(network)?;
        return Err(Refusal { fault: invalid_token(detail), caller: Some(Box::new(caller)) });
    }
    inner.auth_cache.put(hash, row.expires_at_us, caller.clone());
    Ok(caller)
}

/// The caller with the installation's own key. It acts in the default organisation or in the one that the header
/// `Meridian-Organization` names.
async fn installation(inner: &Inner, headers: &HeaderMap) -> Result<Caller, Fault> {
    let organization = match organization::named(headers)? {
        Some(named) => named,
        None => inner.default_organization().await?,
    };
    if !organization::exists(inner, organization).await? {
        let detail = "there is no organisation with the id that the Meridian-Organization header names";
        return Err(Fault::new(Code::NotFound, detail));
    }
    let caller = Caller::key(organization, "admin".to_owned(), vec![Scope::Admin]);
    Ok(Caller { is_installation: true, ..caller })
}
