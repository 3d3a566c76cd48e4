//! The section `gateway`, and the section `auth.oidc`.

mod oidc;

use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};

pub use self::oidc::{Oidc, Rule};
use crate::client_address::Proxies;

/// The section `gateway`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The deadline of a request in milliseconds, 100 to 60000.
    pub deadline_ms: u64,
    /// The most requests of one key in a second, 1 to 100000.
    pub requests_per_second: u32,
    /// The most requests that run at one time; further ones are refused with `overloaded`.
    pub concurrency_max: usize,
    /// The most event streams that are open at one time; further ones are refused with `overloaded`.
    pub streams_max: usize,
    /// The largest request body in bytes.
    pub body_bytes_max: usize,
    /// The addresses and networks of the reverse proxies before the gateway, each with its length after a slash. Only they may name a
    /// client's address; without them, it is that of the connection.
    pub trusted_proxies: Vec<String>,
    /// The header in which the trusted proxies name their client: `X-Forwarded-For` or `Forwarded`.
    pub proxy_header: String,
    /// The origins whose pages may call the gateway from a browser; `*` for all.
    pub cors_origins: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deadline_ms: 10_000,
            requests_per_second: 500,
            concurrency_max: 512,
            streams_max: 1024,
            body_bytes_max: 256 * 1024,
            trusted_proxies: vec![],
            proxy_header: "X-Forwarded-For".into(),
            cors_origins: vec![],
        }
    }
}

impl Config {
    /// The proxies before the gateway.
    ///
    /// # Errors
    /// The setting that cannot be read.
    pub(crate) fn proxies(&self) -> Result<Proxies, String> {
        Proxies::parse(&self.trusted_proxies, &self.proxy_header).map_err(str::to_owned)
    }
}

impl Section for Config {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        let mut check = |holds: bool, key: &str, problem: &str| {
            if !holds {
                faults.push(Fault { key: format!("{at}{key}"), problem: problem.to_owned() });
            }
        };
        check((100..=60_000).contains(&self.deadline_ms), "deadline_ms", "must lie between 100 and 60000");
        let rate = (1..=100_000).contains(&self.requests_per_second);
        check(rate, "requests_per_second", "must lie between 1 and 100000");
        check((1..=65_536).contains(&self.concurrency_max), "concurrency_max", "must lie between 1 and 65536");
        check((1..=65_536).contains(&self.streams_max), "streams_max", "must lie between 1 and 65536");
        check((1024..=16 << 20).contains(&self.body_bytes_max), "body_bytes_max", "must lie between 1 KiB and 16 MiB");
        let proxies = Proxies::parse(&self.trusted_proxies, "forwarded").is_ok();
        check(proxies, "trusted_proxies", "write addresses or networks, such as 192.0.2.1 or 10.0.0.0/8");
        let header = Proxies::parse(&[], &self.proxy_header).is_ok();
        check(header, "proxy_header", "use X-Forwarded-For or Forwarded");
        let origins = self.cors_origins.iter().all(|origin| origin == "*" || origin.starts_with("http"));
        check(origins, "cors_origins", "write origins such as https://booking.example.org, or *");
    }
}
