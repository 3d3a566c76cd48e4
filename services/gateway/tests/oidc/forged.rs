//! Tokens that do not hold.

use ring::hmac;
use testkit::oidc::{encode, unsigned};

use super::*;

/// A token that is signed with a shared secret.
fn signed_with_secret(algorithm: &str, secret: &[u8], claims: &Value) -> String {
    let message = unsigned(&json!({"typ": "JWT", "alg": algorithm, "kid": "a"}), claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", encode(signature.as_ref()))
}

/// The claims with one of them replaced; null removes it.
fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

#[tokio::test]
async fn a_token_without_the_issuers_signature_is_refused() {
    let (key, other) = (SigningKey::p256("a").unwrap(), SigningKey::p256("a").unwrap());
    let (edwards, larger) = (SigningKey::ed25519("e").unwrap(), SigningKey::p384("l").unwrap());
    let gateway = Fixture::start(&[&key, &edwards, &larger]).await;
    let claims = gateway.claims();
    let good = key.token(&claims);
    for (name, token) in [("P-256", &good), ("Ed25519", &edwards.token(&claims)), ("P-384", &larger.token(&claims))] {
        gateway.assert_taken(name, token).await;
    }
    let (unreadable, mismatch) = ("is not a JWT that is signed by", "signature does not match");
    let unsigned_token = |algorithm: &str| unsigned(&json!({"typ": "JWT", "alg": algorithm, "kid": "a"}), &claims);
    for algorithm in ["none", "None", "NONE", "nOnE", "", "ES512", "ES256K"] {
        let bare = unsigned_token(algorithm);
        gateway.assert_refused(algorithm, &format!("{bare}."), unreadable).await;
        let borrowed = good.rsplit_once('.').unwrap().1;
        gateway.assert_refused(algorithm, &format!("{bare}.{borrowed}"), unreadable).await;
    }
    let public_jwk = key.jwk().to_string();
    for secret in [key.public_bytes(), public_jwk.as_bytes(), &key.public_bytes()[1..], b""] {
        for algorithm in ["HS256", "HS384", "HS512"] {
            gateway.assert_refused(algorithm, &signed_with_secret(algorithm, secret, &claims), unreadable).await;
        }
    }
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (_, payload) = message.split_once('.').unwrap();
    let promoted = encode(with(&claims, "groups", json!("owners")).to_string().as_bytes());
    let zeros = encode(&[0; 64]);
    for (name, token, reason) in [
        ("another key of the same id", other.token(&claims), mismatch),
        ("changed claims", good.replace(payload, &promoted), mismatch),
        ("no signature", format!("{message}."), mismatch),
        ("a signature of zeros", format!("{message}.{zeros}"), mismatch),
        ("a cut signature", format!("{message}.{}", &signature[..signature.len() - 2]), mismatch),
        ("two parts", message.to_owned(), unreadable),
        ("four parts", format!("{good}.x"), unreadable),
        ("full stops", "..".to_owned(), unreadable),
        ("not base64", good.replace(payload, "!!!"), "the token"),
        ("a JWE", "eyJhbGciOiJSU0EtT0FFUCJ9.AAAA.BBBB.CCCC.DDDD".to_owned(), unreadable),
        ("a header that is no object", format!("{}.{payload}.{signature}", encode(b"[]")), unreadable),
    ] {
        gateway.assert_refused(name, &token, reason).await;
    }
}

#[tokio::test]
async fn a_token_with_wrong_claims_is_refused() {
    let key = SigningKey::p256("a").unwrap();
    let gateway = Fixture::start(&[&key]).await;
    let (claims, now, url) = (gateway.claims(), gateway.now(), gateway.issuer.url.clone());
    for (name, value, reason) in [
        ("iss", json!("https://login.example.org"), "another issuer"),
        ("iss", json!(format!("{url}/")), "another issuer"),
        ("iss", json!([url, "https://login.example.org"]), "another issuer"),
        ("iss", json!(null), "lacks the claim `iss`"),
        ("aud", json!("another"), "another audience"),
        ("aud", json!(["another", "meridian2"]), "another audience"),
        ("aud", json!([]), "another audience"),
        ("aud", json!(null), "lacks the claim `aud`"),
        ("exp", json!(now - 61), "has expired"),
        ("exp", json!(now - 60), "has expired"),
        ("exp", json!(0), "has expired"),
        ("exp", json!(null), "lacks the claim `exp`"),
        ("exp", json!("tomorrow"), "`exp`"),
        ("exp", json!(-1), "`exp`"),
        ("nbf", json!(now + 61), "not valid yet"),
        ("nbf", json!("tomorrow"), "`nbf`"),
        ("iat", json!(now + 61), "issued in the future"),
        ("iat", json!({}), "`iat`"),
        ("sub", json!(null), "lacks the claim `sub`"),
        ("sub", json!(""), "`sub`"),
        ("sub", json!("ada\r\nadmin"), "`sub`"),
        ("sub", json!("x".repeat(256)), "`sub`"),
    ] {
        gateway.assert_refused(name, &key.token(&with(&claims, name, value)), reason).await;
    }
    for (name, value) in [
        ("exp", json!(now - 59)),
        ("exp", json!(4_000_000_000_i64)),
        ("nbf", json!(now + 60)),
        ("nbf", json!(null)),
        ("iat", json!(now + 60)),
        ("iat", json!(null)),
        ("aud", json!(["another", AUDIENCE])),
    ] {
        gateway.assert_taken(name, &key.token(&with(&claims, name, value))).await;
    }
    // A subject never makes a caller that is no person.
    for subject in ["admin", "patient", "meridian", "key_01kaztbq1qe00b2v1b5qj6d9ya"] {
        let answer = gateway.caller(&key.token(&with(&claims, "sub", json!(subject)))).await;
        assert_eq!(answer.body["id"], format!("oidc:{subject}"));
    }
}

#[tokio::test]
async fn a_header_that_names_another_key_is_not_followed() {
    let (key, forger) = (SigningKey::p256("a").unwrap(), SigningKey::p256("forger").unwrap());
    let gateway = Fixture::start(&[&key]).await;
    let theirs = Issuer::start(&[&forger]).await.unwrap();
    let claims = gateway.claims();
    gateway.assert_taken("the issuer's", &key.token(&claims)).await;
    let keys = format!("{}{KEYS_PATH}", theirs.url);
    for more in [
        json!({"jku": keys}),
        json!({"jwk": forger.jwk()}),
        json!({"x5u": keys}),
        json!({"x5c": ["MIIB"]}),
        json!({"kid": "forger", "jku": keys}),
        json!({"kid": "../../../../dev/null"}),
        json!({"kid": "' OR 1=1 --"}),
        json!({"kid": ""}),
        json!({"kid": keys}),
        json!({"kid": "k".repeat(10_000)}),
    ] {
        let mut header = json!({"typ": "JWT", "alg": "ES256", "kid": "a"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.assert_refused(&more.to_string(), &forger.token_with(&header, &claims), "the ").await;
    }
    assert!(theirs.pages.received().is_empty(), "the forger's server was never asked");
    let critical = json!({"alg": "ES256", "kid": "a", "crit": ["b64"], "b64": false});
    gateway.assert_refused("crit", &key.token_with(&critical, &claims), "`crit`").await;
    let without_id = json!({"alg": "ES256"});
    gateway.assert_taken("one key fits", &key.token_with(&without_id, &claims)).await;
    gateway.assert_refused("another key", &forger.token_with(&without_id, &claims), "does not match").await;
}

#[tokio::test]
async fn a_huge_token_is_refused_before_it_is_read() {
    let key = SigningKey::p256("a").unwrap();
    let gateway = Fixture::start(&[&key]).await;
    let padded = with(&gateway.claims(), "groups", json!(vec!["a group with a long name"; 2000]));
    gateway.assert_refused("huge", &key.token(&padded), "at most 16384 bytes").await;
    assert!(gateway.issuer.pages.received().is_empty(), "nothing was fetched for it");
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let deep = format!("{}.{}.AAAA", encode(key.header().to_string().as_bytes()), encode(deep.as_bytes()));
    gateway.assert_refused("deep", &deep, "the token").await;
}
