//! What providers that are reached by HTTP have in common.

use std::time::Duration;

use reqwest::{Client, Error, Response, header::HeaderMap, redirect, retry};
use serde::de::DeserializeOwned;

use super::Outcome;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The most of an answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

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

/// An answer's body; `None` where it cannot be read, which is no reason to forget that there was an answer.
pub(crate) async fn json<T: DeserializeOwned>(mut response: Response) -> Option<T> {
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.ok()? {
        bytes.extend_from_slice(&part);
        if bytes.len() > ANSWER_BYTES_MAX {
            return None;
        }
    }
    serde_json::from_slice(&bytes).ok()
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
    use testkit::endpoint::{Answer, Endpoint};

    use super::*;

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_limit() {
        let fake = Endpoint::start(Answer::Say(200, "[1]".into())).await.unwrap();
        let long = |bytes: usize| Answer::Say(200, format!("[1{}]", " ".repeat(bytes - 3)));
        fake.script([long(ANSWER_BYTES_MAX), long(ANSWER_BYTES_MAX + 1), Answer::Say(200, "[".into())]);
        for read in [Some(vec![1]), None, None, Some(vec![1])] {
            let response = client(5).unwrap().post(fake.url()).send().await.unwrap();
            assert_eq!(json::<Vec<u32>>(response).await, read);
        }
    }

    #[test]
    fn a_wait_is_read_in_seconds_only() {
        assert_eq!(seconds(" 30 "), Some(Duration::from_secs(30)));
        assert_eq!(seconds("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
