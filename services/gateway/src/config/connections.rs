//! The section `gateway.connections`.

use std::time::Duration;

use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};

/// The section `gateway.connections`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// The most connections that are open at one time, 16 to 1000000, and at most three quarters of the process's descriptors.
    /// A further connection takes the place of the one that has been idle longest; without an idle one it is refused.
    pub max: usize,
    /// The most connections of one address, 1 to 1000000, and of one IPv6 network of 64 bits.
    pub per_address_max: usize,
    /// The time in milliseconds for the headers of a request, and for the first request of a connection, 100 to 60000.
    pub header_timeout_ms: u64,
    /// The time in milliseconds for the body of a request, 100 to 300000; then the answer is `request_timeout`.
    pub body_timeout_ms: u64,
    /// The time in milliseconds after which a connection without requests is closed, 1000 to 3600000.
    pub idle_timeout_ms: u64,
    /// The time in milliseconds after which a connection is closed whose client does not take its answer, 1000 to 300000.
    pub stall_timeout_ms: u64,
    /// The most requests at one time on one connection of HTTP/2, 1 to 10000.
    pub http2_requests_max: u32,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: 8192,
            per_address_max: 1024,
            header_timeout_ms: 10_000,
            body_timeout_ms: 20_000,
            idle_timeout_ms: 75_000,
            stall_timeout_ms: 20_000,
            http2_requests_max: 100,
        }
    }
}

impl Connections {
    /// The time for the body of a request.
    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }
}

impl Section for Connections {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        let mut check = |holds: bool, key: &str, problem: &str| {
            if !holds {
                faults.push(Fault { key: format!("{at}{key}"), problem: problem.to_owned() });
            }
        };
        check((16..=1_000_000).contains(&self.max), "max", "must lie between 16 and 1000000");
        check((1..=1_000_000).contains(&self.per_address_max), "per_address_max", "must lie between 1 and 1000000");
        let header = (100..=60_000).contains(&self.header_timeout_ms);
        check(header, "header_timeout_ms", "must lie between 100 and 60000");
        check((100..=300_000).contains(&self.body_timeout_ms), "body_timeout_ms", "must lie between 100 and 300000");
        let idle = (1000..=3_600_000).contains(&self.idle_timeout_ms);
        check(idle, "idle_timeout_ms", "must lie between 1000 and 3600000");
        check(
            (1000..=300_000).contains(&self.stall_timeout_ms),
            "stall_timeout_ms",
            "must lie between 1000 and 300000",
        );
        check((1..=10_000).contains(&self.http2_requests_max), "http2_requests_max", "must lie between 1 and 10000");
    }
}
