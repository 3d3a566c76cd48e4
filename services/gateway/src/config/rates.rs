//! The section `gateway.rates`.

use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};

/// The section `gateway.rates`: limits of callers without a key. Those of keys are `gateway.requests_per_second`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// The most requests without a key from one address in a second, 1 to 100000. An IPv6 network of 64 bits is one address.
    pub address_per_second: u32,
    /// The most requests with one patient's or calendar's link in a second, 1 to 100000.
    pub link_per_second: u32,
    /// The most calls of SMS providers from one address in a second, before their signatures are checked, 1 to 100000. Those
    /// with a right signature are limited by `reminder.callbacks_per_second`.
    pub provider_address_per_second: u32,
    /// The most wrong keys from one address in a second, 1 to 100000. Keys that were right before are not delayed.
    pub wrong_keys_per_second: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            address_per_second: 200,
            link_per_second: 50,
            provider_address_per_second: 500,
            wrong_keys_per_second: 10,
        }
    }
}

impl Section for Rates {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        let rates = [
            ("address_per_second", self.address_per_second),
            ("link_per_second", self.link_per_second),
            ("provider_address_per_second", self.provider_address_per_second),
            ("wrong_keys_per_second", self.wrong_keys_per_second),
        ];
        let wrong = rates.into_iter().filter(|(_, rate)| !(1..=100_000).contains(rate));
        faults.extend(
            wrong.map(|(key, _)| Fault {
                key: format!("{at}{key}"),
                problem: "must lie between 1 and 100000".to_owned(),
            }),
        );
    }
}
