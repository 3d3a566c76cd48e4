//! Signatures of Standard Webhooks (<https://www.standardwebhooks.com>): HMAC-SHA256 over id, time and body.

use base64::{Engine, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq;

use super::hmac_sha256;

/// How far the time of a call may be from ours, in seconds.
const TOLERANCE_SECONDS: u64 = 300;
/// How many signatures of a list are looked at: a sender has a few while it changes its secret.
const SIGNATURES_MAX: usize = 16;

/// The bytes of a secret, `whsec_` and base64 of 24 to 64 bytes; `None` where it is none.
pub(crate) fn secret_bytes(secret: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    (24..=64).contains(&bytes.len()).then_some(bytes)
}

/// The signature of a call, as the header `webhook-signature` holds it; the time in seconds.
pub(crate) fn sign(secret: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    format!("v1,{}", STANDARD.encode(mac(secret, id, timestamp, body)))
}

/// Whether one of the signatures in the header is that of a call with this id, time (both as its headers say) and body.
pub(crate) fn is_valid(secret: &[u8], (id, timestamp, signatures): (&str, &str, &str), body: &[u8], now: i64) -> bool {
    let Ok(seconds) = timestamp.parse::<i64>() else { return false };
    // A sign or a zero in front would be signed otherwise than it is read.
    if id.is_empty() || seconds.to_string() != timestamp || seconds.abs_diff(now) > TOLERANCE_SECONDS {
        return false;
    }
    let expected = mac(secret, id, seconds, body);
    let versions = signatures.split(' ').take(SIGNATURES_MAX).filter_map(|one| one.strip_prefix("v1,"));
    versions.filter_map(|text| STANDARD.decode(text).ok()).any(|given| bool::from(expected.ct_eq(&given)))
}

fn mac(secret: &[u8], id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    hmac_sha256(secret, &[id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body])
}

/// The `webhook-signature` of a call by whoever has this secret; `None` where the secret is none.
pub fn standard_signature(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    Some(sign(&secret_bytes(secret)?, id, timestamp, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const AT: i64 = 1_649_367_553;
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn valid(id: &str, at: &str, signature: &str, body: &[u8], now: i64) -> bool {
        is_valid(&secret_bytes(SECRET).unwrap(), (id, at, signature), body, now)
    }

    #[test]
    fn the_known_vector_passes_and_whatever_differs_does_not() {
        let at = AT.to_string();
        assert_eq!(standard_signature(SECRET, ID, AT, BODY).as_deref(), Some(SIGNATURE));
        assert!(valid(ID, &at, SIGNATURE, BODY, AT));
        assert!(!valid("msg_1", &at, SIGNATURE, BODY, AT));
        assert!(!valid(ID, &at, SIGNATURE, b"{}", AT));
        assert!(!valid(ID, &(AT + 1).to_string(), SIGNATURE, BODY, AT));
        assert!(!is_valid(&[7; 24], (ID, &at, SIGNATURE), BODY, AT));
        for bad in ["", "v1,", "v1,AAAA", "v1a,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=", &SIGNATURE[3..]] {
            assert!(!valid(ID, &at, bad, BODY, AT), "{bad}");
        }
    }

    #[test]
    fn one_of_several_signatures_is_enough_and_their_number_has_an_end() {
        let at = AT.to_string();
        assert!(valid(ID, &at, &format!("v1,AAAA v2,x {SIGNATURE}"), BODY, AT));
        assert!(!valid(ID, &at, &format!("{}{SIGNATURE}", "v1,AAAA ".repeat(SIGNATURES_MAX)), BODY, AT));
    }

    #[test]
    fn five_minutes_are_the_most_that_clocks_may_differ() {
        let at = AT.to_string();
        for (now, holds) in
            [(AT + 300, true), (AT - 300, true), (AT + 301, false), (AT - 301, false), (i64::MIN, false)]
        {
            assert_eq!(valid(ID, &at, SIGNATURE, BODY, now), holds, "{now}");
        }
        for odd in [format!("+{AT}"), format!("0{AT}"), format!("{AT}.0"), String::new()] {
            assert!(!valid(ID, &odd, SIGNATURE, BODY, AT), "{odd}");
        }
    }

    #[test]
    fn a_secret_is_24_to_64_bytes() {
        let secret = |bytes| format!("whsec_{}", STANDARD.encode(vec![7u8; bytes]));
        let lengths = [23, 24, 64, 65].map(|bytes| secret_bytes(&secret(bytes)).map(|it| it.len()));
        assert_eq!(lengths, [None, Some(24), Some(64), None]);
        for bad in ["C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_", "whsec_?"] {
            assert_eq!(secret_bytes(bad), None, "{bad}");
        }
    }
}
