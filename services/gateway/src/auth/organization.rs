//! The organisation in which a caller acts.

use std::time::Duration;

use axum::http::HeaderMap;
use domain::id::OrganizationId;
use rpc::{Code, Context, Fault};
use service::feed_client::Backoff;
use uuid::Uuid;
use wire::availability::{GetDefaultOrganizationRequest, GetOrganizationRequest};

use super::cache::CACHE_MAX;
use crate::Inner;

/// The header with which a caller of several organisations names one.
pub(super) const HEADER: &str = "Meridian-Organization";
/// The deadline of a look-up of an organisation.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);
/// The deadline of the question for the default organisation.
const DEFAULT_ORGANIZATION_TIMEOUT: Duration = Duration::from_secs(5);

impl Inner {
    /// The organisation in which the installation's own key acts unless a request names another. Availability is asked once.
    ///
    /// # Errors
    /// When availability does not answer.
    pub(crate) async fn default_organization(&self) -> Result<OrganizationId, Fault> {
        let ask = async || {
            let ctx = Context::new(OrganizationId::new(Uuid::nil()), "gateway", DEFAULT_ORGANIZATION_TIMEOUT);
            let request = ctx.request(GetDefaultOrganizationRequest {});
            let answer = self.directory.clone().get_default_organization(request).await?;
            answer.into_inner().id.parse().map_err(Fault::internal)
        };
        self.default_organization.get_or_try_init(ask).await.copied()
    }

    /// The same as far as it is known; before the first answer of availability, the nil organisation, which has nothing.
    pub(crate) fn known_default_organization(&self) -> OrganizationId {
        self.default_organization.get().copied().unwrap_or(OrganizationId::new(Uuid::nil()))
    }

    /// Asks for the default organisation until availability answers or draining begins.
    pub(crate) async fn learn_default_organization(&self) {
        let mut backoff = Backoff::new(DEFAULT_ORGANIZATION_TIMEOUT);
        while self.default_organization().await.is_err() && backoff.wait(&self.draining).await.is_some() {}
    }
}

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
    if organization == inner.default_organization().await? || inner.auth_cache.organizations().contains(&organization) {
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
