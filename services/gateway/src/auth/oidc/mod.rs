//! Tokens of an OpenID provider: signed JWTs (RFC 7519) that people send instead of a key.
//!
//! `token.rs` verifies a token, with the issuer's keys of `issuer_keys.rs`. `access.rs` reads the person, the organisation and
//! the permissions from its claims, by the configured rules. `ring_provider.rs` gives the JWT library its cryptography.

mod access;
mod claims;
mod issuer_keys;
mod key_set;
mod ring_provider;
mod token;

use std::sync::Arc;

use axum::http::HeaderMap;
use rpc::{Code, Fault};
use runtime::Clock;

use self::issuer_keys::IssuerKeys;
use super::{Caller, invalid_token, organization};
use crate::{Inner, config::Oidc};

/// The OpenID provider, with its keys.
pub(crate) struct Provider {
    config: Oidc,
    /// The configured issuer, which every token must name.
    issuer: String,
    keys: Arc<IssuerKeys>,
    clock: Clock,
}

impl Provider {
    /// The configured provider; `None` without an issuer.
    pub(crate) fn new(config: Oidc, clock: Clock) -> Option<Self> {
        let issuer = config.issuer.clone()?;
        ring_provider::install();
        let keys = Arc::new(IssuerKeys::new(&config, &issuer, clock.clone()));
        Some(Self { config, issuer, keys, clock })
    }
}

/// The number of keys that the configured issuer publishes; `None` without an issuer.
///
/// # Errors
/// Why they cannot be fetched.
pub(crate) async fn count_keys(config: &Oidc) -> Result<Option<usize>, String> {
    let Some(provider) = Provider::new(config.clone(), Clock::system()) else { return Ok(None) };
    provider.keys.count().await.map(Some)
}

/// Whether a credential has the form of a token. A key has no full stop.
pub(super) fn is_token(credential: &str) -> bool {
    credential.contains('.') && !credential.starts_with("mrd_")
}

/// The person who sends a token.
///
/// # Errors
/// `unauthenticated` for a token that does not hold, `forbidden` for one without an organisation, `invalid_parameter` for one
/// of several organisations without `Meridian-Organization`, `unavailable` where the issuer's keys cannot be fetched.
pub(super) async fn authenticate(inner: &Inner, token: &str, headers: &HeaderMap) -> Result<Caller, Fault> {
    let Some(provider) = &inner.oidc else {
        let detail = "this installation takes keys, `mrd_…`, and no tokens: it names no issuer (`auth.oidc.issuer`)";
        return Err(invalid_token(detail));
    };
    let claims = provider.verify(token).await?;
    let named = organization::named(headers)?;
    let caller = access::caller(&provider.config, &claims, named, inner.default_organization().await?)?;
    if !organization::exists(inner, caller.organization).await? {
        let detail = "the token's organisation does not exist in this installation";
        return Err(Fault::new(Code::Forbidden, detail));
    }
    Ok(caller)
}
