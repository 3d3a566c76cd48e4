//! The issuer's keys: fetched when a token needs them, cached, and fetched again when they are old or lack a token's key.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jsonwebtoken::{Algorithm, DecodingKey};
use rpc::{Code, Fault};
use runtime::Clock;
use serde::Deserialize;

use super::key_set::KeySet;
use crate::{auth::invalid_token, config::Oidc};

/// The least time between two fetches, in microseconds: no flood of unknown key ids makes the gateway ask more often.
const FETCH_INTERVAL_US: i64 = 60_000_000;
/// The time allowed for a fetch, discovery included.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest document in bytes.
const DOCUMENT_BYTES_MAX: usize = 512 << 10;

const UNKNOWN_KEY: &str = "the issuer has no key with the token's `kid` and `alg`; a key that it has just published is known \
                           within a minute";
const NO_KEYS: &str = "the OpenID provider's keys cannot be fetched; keys of this installation, `mrd_…`, still work";

/// Why the keys cannot be fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the server fails: {0}")]
    Http(#[from] outbound::Error),
    #[error("the document is not what it should be: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the discovery document is of another issuer")]
    OtherIssuer,
    #[error("the discovery document's `jwks_uri` is not https")]
    Insecure,
    #[error("the server took too long")]
    Timeout,
}

/// The keys with the time of the last fetch, in readings of `Clock::elapsed_us`: a clock that is set back neither keeps
/// old keys nor delays a fetch.
#[derive(Default, Clone)]
struct State {
    keys: Arc<KeySet>,
    /// The last success.
    fetched_us: Option<i64>,
    /// The last attempt.
    tried_us: Option<i64>,
}

impl State {
    fn age_us(&self, elapsed_us: i64) -> Option<i64> {
        self.fetched_us.map(|at| elapsed_us.saturating_sub(at))
    }

    fn is_due(&self, elapsed_us: i64) -> bool {
        self.tried_us.is_none_or(|at| elapsed_us.saturating_sub(at) >= FETCH_INTERVAL_US)
    }

    fn is_failing(&self) -> bool {
        self.tried_us > self.fetched_us
    }
}

/// The issuer's keys.
pub(super) struct IssuerKeys {
    config: Oidc,
    issuer: String,
    http: outbound::Client,
    clock: Clock,
    state: Mutex<State>,
    /// Held by the one fetch that runs.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

impl IssuerKeys {
    pub(super) fn new(config: &Oidc, issuer: &str, clock: Clock) -> Self {
        Self {
            config: config.clone(),
            issuer: issuer.to_owned(),
            // The operator names the issuer, which may well be in a private network.
            http: outbound::Client::new(true),
            clock,
            state: Mutex::default(),
            fetching: Arc::default(),
        }
    }

    /// The key of a token.
    ///
    /// # Errors
    /// `unauthenticated` for a key that the issuer does not have, `unavailable` where no keys could be fetched for too long.
    pub(super) async fn find(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<DecodingKey>, Fault> {
        let (max_age_us, stale_us) = (micros(self.config.keys_max_age_seconds), micros(self.config.keys_stale_seconds));
        let (state, elapsed_us) = (self.state().clone(), self.clock.elapsed_us());
        let age_us = state.age_us(elapsed_us);
        let is_known = state.keys.find(id, algorithm).is_some();
        let is_fresh = age_us.is_some_and(|age| age <= max_age_us);
        if !(is_known && is_fresh) && state.is_due(elapsed_us) {
            // While the issuer is away, callers whose key is known do not wait for it.
            let is_usable = is_known && age_us.is_some_and(|age| age <= stale_us);
            self.refresh(!(is_usable && state.is_failing())).await;
        }
        let state = self.state().clone();
        if state.age_us(self.clock.elapsed_us()).is_none_or(|age| age > stale_us) {
            return Err(Fault::new(Code::Unavailable, NO_KEYS).retry_after(Duration::from_secs(60)));
        }
        state.keys.find(id, algorithm).ok_or_else(|| invalid_token(UNKNOWN_KEY))
    }

    /// Fetches the keys, or waits for the fetch that runs.
    async fn refresh(self: &Arc<Self>, wait: bool) {
        let Ok(permit) = Arc::clone(&self.fetching).try_lock_owned() else {
            if wait {
                drop(self.fetching.lock().await);
            }
            return;
        };
        // Another call may have fetched since the caller looked.
        if !self.state().is_due(self.clock.elapsed_us()) {
            return;
        }
        let keys = Arc::clone(self);
        // A task of its own: a caller who hangs up would interrupt the fetch, and each call could begin one.
        let fetch = tokio::spawn(async move {
            keys.fetch().await;
            drop(permit);
        });
        if wait {
            // An error means that the task panicked, which is logged; the old keys stay.
            let _ = fetch.await;
        }
    }

    /// The number of keys that the issuer publishes.
    ///
    /// # Errors
    /// Why they cannot be fetched.
    pub(super) async fn count(&self) -> Result<usize, String> {
        self.download_in_time().await.map(|keys| keys.len()).map_err(|error| error.to_string())
    }

    async fn fetch(&self) {
        let fetched = self.download_in_time().await;
        let outcome = if fetched.is_ok() { "ok" } else { "failed" };
        metrics::counter!("oidc_key_fetches_total", "outcome" => outcome).increment(1);
        let elapsed_us = self.clock.elapsed_us();
        let mut state = self.state();
        state.tried_us = Some(elapsed_us);
        match fetched {
            Ok(keys) => {
                if keys.len() == 0 {
                    tracing::warn!("the OpenID provider publishes no key that verifies tokens");
                }
                state.keys = Arc::new(keys);
                state.fetched_us = Some(elapsed_us);
            }
            Err(error) => tracing::warn!(%error, "the OpenID provider's keys cannot be fetched"),
        }
    }

    async fn download_in_time(&self) -> Result<KeySet, FetchError> {
        tokio::time::timeout(FETCH_TIMEOUT, self.download()).await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn download(&self) -> Result<KeySet, FetchError> {
        let url = match &self.config.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        Ok(KeySet::parse(&self.http.get(&url, DOCUMENT_BYTES_MAX).await?)?)
    }

    /// The URL of the keys, by OpenID Connect Discovery 1.0, section 4.
    async fn discover(&self) -> Result<String, FetchError> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: String,
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let Document { issuer, jwks_uri } = serde_json::from_str(&self.http.get(&url, DOCUMENT_BYTES_MAX).await?)?;
        if issuer != self.issuer {
            return Err(FetchError::OtherIssuer);
        }
        if self.config.permits_url(&jwks_uri) { Ok(jwks_uri) } else { Err(FetchError::Insecure) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(seconds: u32) -> i64 {
    i64::from(seconds) * 1_000_000
}
