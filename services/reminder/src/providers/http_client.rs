//! The HTTP client of the providers: never retries, follows no redirects, and maps transport errors to outcomes.

use std::time::Duration;

use reqwest::{Client, Error, Response, header::HeaderMap, redirect, retry};
use serde::de::DeserializeOwned;

use super::SendOutcome;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A longer answer counts as unreadable.
const RESPONSE_BYTES_MAX: usize = 64 << 10;

/// A client for requests that are not idempotent.
///
/// # Errors
/// When no TLS backend can be set up.
pub(crate) fn client(timeout_seconds: u32) -> Result<Client, Error> {
    outbound::client_builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(Duration::from_secs(u64::from(timeout_seconds)))
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .build()
}

/// The outcome of a request without an answer.
pub(crate) fn outcome_of_error(error: &Error) -> SendOutcome {
    match error {
        error if error.is_connect() => SendOutcome::busy("not_connected"),
        error if error.is_builder() => SendOutcome::refused("invalid_request"),
        error if error.is_timeout() => SendOutcome::Unknown { detail: "the provider did not answer in time" },
        _ => SendOutcome::Unknown { detail: "the connection to the provider broke off" },
    }
}

/// The body of an answer; `None` where it is unreadable.
pub(crate) async fn read_json<T: DeserializeOwned>(mut response: Response) -> Option<T> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > RESPONSE_BYTES_MAX {
            return None;
        }
    }
    serde_json::from_slice(&bytes).ok()
}

/// The delay that the header `retry-after` asks for; only whole seconds are supported.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get("retry-after").and_then(|value| value.to_str().ok()).and_then(parse_seconds)
}

fn parse_seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use testkit::endpoint::{Answer, Endpoint};

    use super::*;

    #[tokio::test]
    async fn an_answer_is_read_up_to_the_limit() {
        let fake = Endpoint::start(Answer::Say(200, "[1]".into())).await.unwrap();
        let long = |bytes: usize| Answer::Say(200, format!("[1{}]", " ".repeat(bytes - 3)));
        fake.script([long(RESPONSE_BYTES_MAX), long(RESPONSE_BYTES_MAX + 1), Answer::Say(200, "[".into())]);
        for expected in [Some(vec![1]), None, None, Some(vec![1])] {
            let response = client(5).unwrap().post(fake.url()).send().await.unwrap();
            assert_eq!(read_json::<Vec<u32>>(response).await, expected);
        }
    }

    #[test]
    fn a_delay_is_read_in_seconds_only() {
        assert_eq!(parse_seconds(" 30 "), Some(Duration::from_secs(30)));
        assert_eq!(parse_seconds("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
