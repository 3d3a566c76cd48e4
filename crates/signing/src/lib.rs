//! Signatures of HTTP requests to the Standard Webhooks specification, symmetric scheme `v1`.
//!
//! A sender signs `{id}.{timestamp}.{body}` with HMAC-SHA256 and sends three headers:
//!
//! - `webhook-id`: names the message, the same for every retry;
//! - `webhook-timestamp`: the time of this attempt, in seconds of the Unix epoch;
//! - `webhook-signature`: `v1,` and base64 of the code; several signatures stand side by side, separated by spaces, while
//!   the sender replaces its secret.
//!
//! The secret travels as `whsec_` and base64 of 24 to 64 bytes. Source: the
//! [specification](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), sections
//! "Signature scheme", "Webhook headers" and "Verifying signatures". The asymmetric scheme `v1a` is not implemented: a
//! receiver skips its signatures.

#![warn(clippy::unwrap_used)]

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The header that names the message.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the time of the attempt, in seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

const SECRET_PREFIX: &str = "whsec_";
const SIGNATURE_PREFIX: &str = "v1,";
/// The greatest distance between the time of a request and the receiver's clock, in seconds. The specification leaves the
/// number to the receiver; five minutes is that of its libraries.
const TOLERANCE_SECONDS: u64 = 300;
/// Signatures of one header that a receiver checks.
const SIGNATURES_MAX: usize = 16;

/// A symmetric signing key of 24 to 64 bytes. `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// A text that is no [`Secret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected whsec_ and base64 of 24 to 64 bytes")]
pub struct InvalidSecret;

/// The three headers of a signed request, as they arrived; a missing header is an empty text.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`
    pub timestamp: &'a str,
    /// `webhook-signature`
    pub signature: &'a str,
}

impl Secret {
    /// A new secret from 32 random bytes.
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        Self(bytes.to_vec())
    }

    /// The form in which a secret is given to its holder: `whsec_` and base64.
    pub fn encode(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// One signature for the header `webhook-signature`; `timestamp` in seconds.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        format!("{SIGNATURE_PREFIX}{}", STANDARD.encode(self.code(id, timestamp, body)))
    }

    /// Whether one of the header's signatures belongs to this id, time and body, and the time is within five minutes of
    /// `now`, in seconds. Compares in constant time.
    pub fn verifies(&self, headers: &Headers<'_>, body: &[u8], now: i64) -> bool {
        let Ok(seconds) = headers.timestamp.parse::<i64>() else { return false };
        // The signed text holds the header as it is: `+1` and `01` would parse to the number of another text.
        let canonical = seconds.to_string() == headers.timestamp;
        if headers.id.is_empty() || !canonical || seconds.abs_diff(now) > TOLERANCE_SECONDS {
            return false;
        }
        let expected = self.code(headers.id, seconds, body);
        let signatures = headers.signature.split(' ').take(SIGNATURES_MAX);
        signatures
            .filter_map(|signature| STANDARD.decode(signature.strip_prefix(SIGNATURE_PREFIX)?).ok())
            .any(|code| bool::from(expected.ct_eq(&code)))
    }

    fn code(&self, id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
        // HMAC takes a key of any length; were that wrong, the empty code equals no signature.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return vec![] };
        let timestamp = timestamp.to_string();
        for piece in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(piece);
        }
        mac.finalize().into_bytes().to_vec()
    }
}

impl FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(InvalidSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| InvalidSecret)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(InvalidSecret) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The header `webhook-signature`: one signature for each secret, in the order of the secrets; `timestamp` in seconds.
pub fn signature_header(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
