//! What providers that are reached by HTTP have in common.

use std::time::Duration;

use reqwest::{Client, Error, header::HeaderMap, redirect, retry};

use super::Outcome;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A client for what is not idempotent: it is neither repeated nor sent elsewhere.
pub(crate) fn client(timeout_seconds: u32) -> Result<Client, Error> {
    Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .timeout(Duration::from_secs(u64::from(timeout_seconds)))
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .build()
}

/// What it means that no answer came.
pub(crate) fn unanswered(error: &Error) -> Outcome {
    match error {
        error if error.is_connect() => Outcome::busy("not_connected"),
        error if error.is_builder() => Outcome::refused("invalid_request"),
        error if error.is_timeout() => Outcome::Unknown { detail: "the provider did not answer in time" },
        _ => Outcome::Unknown { detail: "the connection to the provider broke off" },
    }
}

/// When the provider says to come back.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get("retry-after").and_then(|value| value.to_str().ok()).and_then(seconds)
}

fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_seconds_only() {
        assert_eq!(seconds(" 30 "), Some(Duration::from_secs(30)));
        assert_eq!(seconds("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
