//! An OpenID provider: its keys, its documents, and the tokens that it signs.

use anyhow::{Result, anyhow};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair,
    },
};
use serde_json::{Value, json};

use crate::http::Pages;

/// The path of the provider's keys.
pub const KEYS_PATH: &str = "/jwks";
/// The path of its discovery document.
pub const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";
/// The audience of its tokens.
pub const AUDIENCE: &str = "meridian";

/// A key that signs tokens.
pub struct SigningKey {
    /// Its id, the `kid` of tokens.
    pub id: String,
    pair: Pair,
}

enum Pair {
    Ecdsa { curve: &'static str, algorithm: &'static str, pair: EcdsaKeyPair },
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new key for ES256.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn p256(id: &str) -> Result<Self> {
        Self::ecdsa(id, "P-256", "ES256", &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    /// A new key for ES384.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn p384(id: &str) -> Result<Self> {
        Self::ecdsa(id, "P-384", "ES384", &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    /// A new key for EdDSA.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn ed25519(id: &str) -> Result<Self> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| anyhow!("no key"))?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| anyhow!("no key"))?;
        Ok(Self { id: id.to_owned(), pair: Pair::Ed25519(pair) })
    }

    fn ecdsa(
        id: &str,
        curve: &'static str,
        algorithm: &'static str,
        signing: &'static EcdsaSigningAlgorithm,
    ) -> Result<Self> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &random).map_err(|_| anyhow!("no key"))?;
        let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8.as_ref(), &random).map_err(|_| anyhow!("no key"))?;
        Ok(Self { id: id.to_owned(), pair: Pair::Ecdsa { curve, algorithm, pair } })
    }

    /// The bytes of the public key, which everybody knows.
    pub fn public_bytes(&self) -> &[u8] {
        match &self.pair {
            Pair::Ecdsa { pair, .. } => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    /// The public key as a JWK (RFC 7517).
    pub fn jwk(&self) -> Value {
        let public = self.public_bytes();
        match &self.pair {
            Pair::Ecdsa { curve, algorithm, .. } => {
                // An uncompressed point: 4, x, y.
                let (x, y) = public[1..].split_at(public.len() / 2);
                json!({"kty": "EC", "crv": curve, "alg": algorithm, "use": "sig", "kid": self.id, "x": encode(x),
                    "y": encode(y)})
            }
            Pair::Ed25519(_) => {
                json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.id, "x": encode(public)})
            }
        }
    }

    /// The usual header of a token.
    pub fn header(&self) -> Value {
        let algorithm = match &self.pair {
            Pair::Ecdsa { algorithm, .. } => *algorithm,
            Pair::Ed25519(_) => "EdDSA",
        };
        json!({"typ": "JWT", "alg": algorithm, "kid": self.id})
    }

    /// A token with the usual header.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    /// A token with any header.
    ///
    /// # Panics
    /// When the system has no random numbers.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = match &self.pair {
            Pair::Ecdsa { pair, .. } => pair.sign(&SystemRandom::new(), message.as_bytes()).expect("random numbers"),
            Pair::Ed25519(pair) => pair.sign(message.as_bytes()),
        };
        format!("{message}.{}", encode(signature.as_ref()))
    }
}

/// The part of a token that a signature covers.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

/// Base64url without padding, as JWTs have it.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A provider on a free port of this machine.
pub struct Issuer {
    /// The issuer, which is also its address.
    pub url: String,
    /// Its documents, and the requests for them.
    pub pages: Pages,
}

impl Issuer {
    /// A provider with these keys.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(keys: &[&SigningKey]) -> Result<Self> {
        let pages = Pages::serve().await?;
        let issuer = Self { url: pages.url.clone(), pages };
        let document = json!({"issuer": issuer.url, "jwks_uri": format!("{}{KEYS_PATH}", issuer.url)});
        issuer.pages.say(DISCOVERY_PATH, 200, "", document.to_string().as_bytes());
        issuer.publish(keys);
        Ok(issuer)
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.pages.say(KEYS_PATH, 200, "", json!({"keys": keys}).to_string().as_bytes());
    }

    /// How often a document was fetched.
    pub fn fetches(&self, path: &str) -> usize {
        self.pages.received().iter().filter(|request| request.path == path).count()
    }

    /// The claims of a token that is valid for five minutes from an instant, in seconds since the Unix epoch.
    pub fn claims(&self, subject: &str, now: i64) -> Value {
        json!({"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "nbf": now, "exp": now + 300})
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_token_is_signed_by_its_key() {
        let keys = [SigningKey::p256("a").unwrap(), SigningKey::p384("b").unwrap(), SigningKey::ed25519("c").unwrap()];
        for (key, algorithm) in keys.iter().zip([
            &ECDSA_P256_SHA256_FIXED as &'static dyn ring::signature::VerificationAlgorithm,
            &ECDSA_P384_SHA384_FIXED,
            &ED25519,
        ]) {
            let token = key.token(&json!({"sub": "ada"}));
            let (message, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let public = UnparsedPublicKey::new(algorithm, key.public_bytes());
            public.verify(message.as_bytes(), &signature).unwrap();
            assert!(public.verify(b"other", &signature).is_err());
        }
    }
}
