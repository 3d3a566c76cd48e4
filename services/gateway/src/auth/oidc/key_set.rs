//! An issuer's keys, a JWK Set (RFC 7517).

use std::sync::Arc;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// The most keys of a set. Further keys are ignored.
const KEYS_MAX: usize = 100;
const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// A key with the algorithms that it may verify.
struct IssuerKey {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: Arc<DecodingKey>,
}

/// The keys of an issuer that verify tokens.
#[derive(Default)]
pub(super) struct KeySet(Vec<IssuerKey>);

impl KeySet {
    /// Reads a JWK Set. Keys of another use, of another kind or without a meaning here are ignored, since one of them must not
    /// take the others away.
    ///
    /// # Errors
    /// When the text is no JWK Set.
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let Document { keys } = serde_json::from_str(text)?;
        Ok(Self(keys.into_iter().take(KEYS_MAX).filter_map(read).collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key with this id. Without an id: the one key that fits the algorithm, if there is exactly one.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Arc<DecodingKey>> {
        let mut fitting = self.0.iter().filter(|key| key.algorithms.contains(&algorithm));
        let found = match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id))?,
            None => fitting.next().filter(|_| fitting.next().is_none())?,
        };
        Some(Arc::clone(&found.key))
    }
}

fn read(value: Value) -> Option<IssuerKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let is_for_signatures =
        jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let operations = jwk.common.key_operations.as_ref();
    let verifies = operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !is_for_signatures || !verifies {
        return None;
    }
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => RSA.to_vec(),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
        _ => return None,
    };
    if let Some(own) = jwk.common.key_algorithm {
        let own = Algorithm::try_from(own).ok()?;
        algorithms.retain(|algorithm| *algorithm == own);
    }
    let key = Arc::new(DecodingKey::from_jwk(&jwk).ok()?);
    (!algorithms.is_empty()).then_some(IssuerKey { id: jwk.common.key_id, algorithms, key })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(more: Value) -> Value {
        let mut key = json!({"kty": "RSA", "n": "sXch", "e": "AQAB", "kid": "a"});
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    }

    fn set(keys: Value) -> KeySet {
        KeySet::parse(&json!({"keys": keys}).to_string()).unwrap()
    }

    #[test]
    fn a_key_verifies_only_its_own_algorithms() {
        let any = set(json!([rsa(json!({}))]));
        assert!(any.find(Some("a"), Algorithm::RS256).is_some() && any.find(Some("a"), Algorithm::PS512).is_some());
        assert!(any.find(Some("a"), Algorithm::ES256).is_none() && any.find(Some("a"), Algorithm::HS256).is_none());
        assert!(any.find(Some("b"), Algorithm::RS256).is_none() && any.find(None, Algorithm::RS256).is_some());
        let one = set(json!([rsa(json!({"alg": "RS384", "use": "sig", "key_ops": ["verify"]}))]));
        assert!(one.find(Some("a"), Algorithm::RS384).is_some() && one.find(Some("a"), Algorithm::RS256).is_none());
        let two = set(json!([rsa(json!({})), rsa(json!({"kid": "b"}))]));
        assert!(two.find(None, Algorithm::RS256).is_none(), "two keys fit: the token must say which");
    }

    #[test]
    fn keys_for_other_purposes_and_of_other_kinds_are_ignored() {
        let shared = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "a"});
        let unknown = json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "a"});
        let others = json!([
            rsa(json!({"use": "enc"})),
            rsa(json!({"key_ops": ["encrypt"]})),
            rsa(json!({"alg": "RSA-OAEP"})),
            rsa(json!({"alg": "HS256"})),
            shared,
            unknown,
            {"kty": "XYZ"},
            7,
            rsa(json!({"kid": "last"})),
        ]);
        let set = set(others);
        assert_eq!(set.len(), 1);
        assert!(set.find(Some("last"), Algorithm::RS256).is_some());
        for broken in ["", "[]", "{}", r#"{"keys": 1}"#] {
            assert!(KeySet::parse(broken).is_err(), "{broken}");
        }
    }
}
