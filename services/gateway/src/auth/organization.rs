//! The organisation in which a caller acts.

use std::time::Duration;

use axum::http::HeaderMap;
use domain::id::OrganizationId;
use rpc::{Code, Context, Fault};
use wire::availability::GetOrganizationRequest;

use super::cache::CACHE_MAX;
use crate::Inner;

/// The header with which a caller of several organisations names one.
pub(super) const HEADER: &str = "Meridian-Organization";
/// The deadline of a look-up of an organisation.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// The organisation that the header names; `None` without the header.
///
/// # Errors
/// `invalid_parameter` where the header holds no organisation's id.
pub(super) fn named(headers: &HeaderMap) -> Result<Option<OrganizationId>, Fault> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    id.map(Some).ok_or_else(|| invalid("invalid_id", "name an organisation: org_…"))
}

/// A fault of the header.
pub(super) fn invalid(code: &str, detail: &str) -> Fault {
    Fault { code: Code::InvalidParameter, ..Fault::violation(HEADER, code, detail) }
}

/// Whether an organisation exists.
///
/// # Errors
/// When availability cannot be asked.
pub(super) async fn exists(inner: &Inner, organization: OrganizationId) -> Result<bool, Fault> {
    if organization == inner.default_organization || inner.auth_cache.organizations().contains(&organization) {
        return Ok(true);
    }
    let request = Context::new(organization, "meridian", LOOKUP_TIMEOUT).request(GetOrganizationRequest {});
    match inner.directory.clone().get_organization(request).await.map_err(Fault::from) {
        Ok(_) => {}
        Err(fault) if fault.code == Code::NotFound => return Ok(false),
        Err(fault) => return Err(fault),
    }
    let mut known = inner.auth_cache.organizations();
    if known.len() >= CACHE_MAX {
        known.clear();
    }
    known.insert(organization);
    Ok(true)
}
