//! The section `gateway`, and the section `auth.oidc`.

mod oidc;

mod connections;
mod rates;
mod tls;

pub use connections::Connections;
pub use rates::Rates;
use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};
pub use tls::Tls;

pub use self::oidc::{Oidc, Rule};
use crate::client_address::Proxies;

/// The section `gateway`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The deadline of a request in milliseconds from the end of its body on, 100 to 60000.
    pub deadline_ms: u64,
    /// The most requests of one key in a second, 1 to 100000.
    pub requests_per_second: u32,
    /// The most requests with a key that run at one time; further ones are refused with `overloaded`. A request runs when its
    /// body is there.
    pub concurrency_max: usize,
    /// The same for requests without a key: those of links and of SMS providers.
    pub keyless_concurrency_max: usize,
    /// The most event streams that are open at one time; further ones are refused with `overloaded`.
    pub streams_max: usize,
    /// The most event streams of one key, which are also fewer than are free; further ones are refused with `rate_limited`.
    pub streams_per_caller_max: usize,
    /// The most event streams of one visitor of a front end, and an eighth of those of an address whose requests name none.
    pub streams_per_visitor_max: usize,
    /// The largest request body in bytes.
    pub body_bytes_max: usize,
    /// The addresses and networks of the reverse proxies before the gateway, such as 10.0.0.0/8. Only they may name a
    /// client's address; without them, it is that of the connection.
    pub trusted_proxies: Vec<String>,
    /// The header in which the trusted proxies name their client: `X-Forwarded-For` or `Forwarded`.
    pub proxy_header: String,
    /// The origins whose pages may call the gateway from a browser; `*` for all.
    pub cors_origins: Vec<String>,
    /// Connections: their number, and the times for what a client sends and takes.
    pub connections: Connections,
    /// Limits of callers without a key.
    pub rates: Rates,
    /// TLS at the gateway itself.
    pub tls: Tls,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deadline_ms: 10_000,
            requests_per_second: 500,
            concurrency_max: 512,
            keyless_concurrency_max: 128,
            streams_max: 4096,
            streams_per_caller_max: 2048,
            streams_per_visitor_max: 16,
            body_bytes_max: 256 * 1024,
            trusted_proxies: vec![],
            proxy_header: "X-Forwarded-For".into(),
            cors_origins: vec![],
            connections: Connections::default(),
            rates: Rates::default(),
            tls: Tls::default(),
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
        let keyless = (1..=65_536).contains(&self.keyless_concurrency_max);
        check(keyless, "keyless_concurrency_max", "must lie between 1 and 65536");
        for (key, streams) in [
            ("streams_max", self.streams_max),
            ("streams_per_caller_max", self.streams_per_caller_max),
            ("streams_per_visitor_max", self.streams_per_visitor_max),
        ] {
            check((1..=65_536).contains(&streams), key, "must lie between 1 and 65536");
        }
        check((1024..=16 << 20).contains(&self.body_bytes_max), "body_bytes_max", "must lie between 1 KiB and 16 MiB");
        let proxies = Proxies::parse(&self.trusted_proxies, "forwarded").is_ok();
        check(proxies, "trusted_proxies", "write addresses or networks, such as 192.0.2.1 or 10.0.0.0/8");
        let header = Proxies::parse(&[], &self.proxy_header).is_ok();
        check(header, "proxy_header", "use X-Forwarded-For or Forwarded");
        let origins = self.cors_origins.iter().all(|origin| origin == "*" || origin.starts_with("http"));
        check(origins, "cors_origins", "write origins such as https://booking.example.org, or *");
        self.connections.validate(&format!("{at}connections."), faults);
        self.rates.validate(&format!("{at}rates."), faults);
        self.tls.validate(&format!("{at}tls."), faults);
    }
}
