//! The rate limits: a token bucket for each key, link and address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rpc::{Code, Fault};
use service::buckets::Buckets;
pub(crate) use service::buckets::Remaining as Quota;
use sha2::{Digest, Sha256};

use crate::{
    config::Config,
    operation::{Access, Operation},
};

/// How long an address waits that has sent too many wrong keys.
const WRONG_KEYS_PAUSE: Duration = Duration::from_secs(1);
/// The most addresses that wait.
const WAITING_MAX: usize = 10_000;

/// The buckets of all callers. Addresses are those of clients' networks.
pub(crate) struct RateLimits {
    keys: Buckets<String>,
    links: Buckets<[u8; 32]>,
    addresses: Buckets<IpAddr>,
    provider_addresses: Buckets<IpAddr>,
    wrong_keys: Buckets<IpAddr>,
    /// The addresses that sent too many wrong keys, and until when they wait.
    waiting: Mutex<HashMap<IpAddr, Instant>>,
}

impl RateLimits {
    /// The limits of a configuration.
    pub(crate) fn new(config: &Config) -> Self {
        let rates = &config.rates;
        Self {
            keys: Buckets::new(config.requests_per_second),
            links: Buckets::new(rates.link_per_second),
            addresses: Buckets::new(rates.address_per_second),
            provider_addresses: Buckets::new(rates.provider_address_per_second),
            wrong_keys: Buckets::new(rates.wrong_keys_per_second),
            waiting: Mutex::default(),
        }
    }

    /// Takes a request from a key's bucket.
    ///
    /// # Errors
    /// `rate_limited` when the bucket is empty.
    pub(crate) fn take_keyed(&self, key: &str) -> Result<Quota, Fault> {
        self.keys.take(&key.to_owned())
    }

    /// Takes a request without a key from the buckets of its address and of its link. A provider's call has no link; the
    /// reminder service counts it again when its signature is checked.
    ///
    /// # Errors
    /// `rate_limited` when a bucket is empty.
    pub(crate) fn take_keyless(
        &self,
        operation: &Operation,
        path_params: &HashMap<String, String>,
        address: IpAddr,
    ) -> Result<Quota, Fault> {
        let Some(token) = operation.link_param().and_then(|name| path_params.get(name)) else {
            return self.provider_addresses.take(&address);
        };
        self.addresses.take(&address)?;
        // Links open a patient's data, so their hashes stand for them.
        self.links.take(&Sha256::digest(token.as_bytes()).into())
    }

    /// Refuses an address that has sent too many wrong keys, before its next one is looked up.
    ///
    /// # Errors
    /// `rate_limited` while the address waits.
    pub(crate) fn check_wrong_keys(&self, address: IpAddr) -> Result<(), Fault> {
        let until = self.waiting().get(&address).copied();
        if until.is_some_and(|until| until > Instant::now()) { Err(too_many_wrong_keys()) } else { Ok(()) }
    }

    /// Counts a wrong key of an address.
    ///
    /// # Errors
    /// `rate_limited` when there have been too many, after which the address waits.
    pub(crate) fn count_wrong_key(&self, address: IpAddr) -> Result<(), Fault> {
        if self.wrong_keys.take(&address).is_ok() {
            return Ok(());
        }
        metrics::counter!("http_wrong_keys_refused_total").increment(1);
        let (now, mut waiting) = (Instant::now(), self.waiting());
        if waiting.len() >= WAITING_MAX {
            waiting.retain(|_, until| *until > now);
        }
        if waiting.len() < WAITING_MAX {
            waiting.insert(address, now + WRONG_KEYS_PAUSE);
        }
        Err(too_many_wrong_keys())
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many_wrong_keys() -> Fault {
    let detail = "too many wrong keys came from this address; check the key, and wait a second";
    Fault::new(Code::RateLimited, detail).retry_after(WRONG_KEYS_PAUSE)
}

impl Operation {
    /// The path parameter that holds a link's token; `None` for operations with keys and for those of providers.
    fn link_param(&self) -> Option<&'static str> {
        let is_open = self.access == Access::Open;
        ["token", "file"].into_iter().find(|name| is_open && self.path.contains(&format!("{{{name}}}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pages, v1};

    #[test]
    fn every_operation_without_a_key_has_a_link_or_is_a_providers() {
        let interfaces = [v1::interface().unwrap(), pages::interface("").unwrap()];
        let operations = interfaces.iter().flat_map(|interface| &interface.operations);
        let open = operations.filter(|operation| operation.access == Access::Open);
        let (links, others): (Vec<_>, Vec<_>) = open.partition(|operation| operation.link_param().is_some());
        assert!(others.iter().all(|operation| operation.path.starts_with("/v1/providers/")) && others.len() == 2);
        assert!(links.iter().all(|operation| operation.path.matches('{').count() == 1) && links.len() > 10);
    }

    #[test]
    fn a_flood_from_one_address_leaves_the_others_and_providers_alone() {
        let rates = crate::config::Rates { address_per_second: 2, link_per_second: 2, ..Default::default() };
        let limits = RateLimits::new(&Config { rates, ..Config::default() });
        let interface = v1::interface().unwrap();
        let operation = |id: &str| interface.operations.iter().find(|operation| operation.id == id).unwrap().clone();
        let (manage, inbound) = (operation("manage_get"), operation("provider_inbound"));
        let ask = |operation: &Operation, token: &str, last: u8| {
            let params = HashMap::from([("token".to_owned(), token.to_owned())]);
            limits.take_keyless(operation, &params, IpAddr::from([192, 0, 2, last])).is_ok()
        };
        assert_eq!([ask(&manage, "a", 1), ask(&manage, "b", 1), ask(&manage, "c", 1)], [true, true, false]);
        assert_eq!([ask(&manage, "c", 2), ask(&manage, "c", 3), ask(&manage, "c", 4)], [true, true, false], "one link");
        assert!(ask(&inbound, "", 1), "a provider behind the same address");
    }

    #[test]
    fn an_address_with_wrong_keys_waits_and_others_do_not() {
        let rates = crate::config::Rates { wrong_keys_per_second: 2, ..Default::default() };
        let limits = RateLimits::new(&Config { rates, ..Config::default() });
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        assert!(limits.count_wrong_key(one).is_ok() && limits.count_wrong_key(one).is_ok());
        assert!(limits.check_wrong_keys(one).is_ok());
        assert_eq!(limits.count_wrong_key(one).unwrap_err().code, Code::RateLimited);
        assert!(limits.check_wrong_keys(one).is_err() && limits.check_wrong_keys(other).is_ok());
    }
}
