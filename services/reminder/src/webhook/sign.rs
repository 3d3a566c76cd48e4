//! Secrets and signatures of our own webhooks, by the Standard Webhooks specification, version 1.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::provider::standard::{secret_bytes, sign};

const PREFIX: &str = "whsec_";

/// A secret of these bytes.
pub(crate) fn secret(bytes: &[u8; 32]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(bytes))
}

/// The header `webhook-signature`: one signature for each secret, the present one first; the time in seconds.
pub(crate) fn signatures(secrets: &[&str], id: &str, timestamp: i64, body: &str) -> String {
    let keys = secrets.iter().filter_map(|secret| secret_bytes(secret));
    keys.map(|key| sign(&key, id, timestamp, body.as_bytes())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_specification_is_met() {
        let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        let signed = |secrets: &[&str]| signatures(secrets, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
        let expected = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
        assert_eq!(signed(&[secret]), expected);
        let other = self::secret(&[7; 32]);
        assert_eq!(STANDARD.decode(&other[PREFIX.len()..]).unwrap(), [7; 32]);
        let both = signed(&[&other, secret]);
        assert!(both.starts_with("v1,") && both.ends_with(&format!(" {expected}")), "{both}");
        assert_eq!(signed(&["", "whsec_?"]), "");
    }
}
