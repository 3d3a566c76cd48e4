//! How the gateway comes by the issuer's keys.

use std::time::Duration;

use testkit::{oidc::DISCOVERY_PATH, poll};

use super::*;

const WITHIN: Duration = Duration::from_secs(30);

/// A token by a key that nobody has published.
fn unknown(gateway: &Fixture, number: usize) -> String {
    SigningKey::p256(&format!("unknown {number}")).unwrap().token(&gateway.claims())
}

#[tokio::test]
async fn unknown_keys_are_looked_for_once_a_minute() {
    let key = SigningKey::p256("a").unwrap();
    let gateway = Fixture::start(&[&key]).await;
    gateway.assert_taken("the first", &key.token(&gateway.claims())).await;
    assert_eq!(gateway.issuer.fetches(KEYS_PATH), 1);
    for number in 0..20 {
        gateway.assert_refused("unknown", &unknown(&gateway, number), "no key with the token's `kid`").await;
    }
    assert_eq!(gateway.issuer.fetches(KEYS_PATH), 1, "the keys are less than a minute old");
    gateway.advance(60);
    for number in 0..20 {
        gateway.assert_refused("unknown", &unknown(&gateway, number), "no key with the token's `kid`").await;
    }
    gateway.assert_taken("a known key", &key.token(&gateway.claims())).await;
    assert_eq!(gateway.issuer.fetches(KEYS_PATH), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_share_one_fetch_that_outlives_the_first() {
    let key = SigningKey::p256("a").unwrap();
    let gateway = std::sync::Arc::new(Fixture::start(&[&key]).await);
    let gate = gateway.issuer.pages.hold(KEYS_PATH);
    let send = || {
        let (gateway, token) = (gateway.clone(), key.token(&gateway.claims()));
        tokio::spawn(async move { gateway.caller(&token).await.status })
    };
    let first = send();
    let fetch = poll::until("the fetch", WITHIN, || async { (gateway.issuer.fetches(KEYS_PATH) > 0).then_some(()) });
    fetch.await;
    let others: Vec<_> = (0..20).map(|_| send()).collect();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled(), "its caller hung up");
    drop(gate);
    for other in others {
        assert_eq!(other.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(gateway.issuer.fetches(KEYS_PATH), 1);
}

#[tokio::test]
async fn a_key_that_was_published_is_taken_and_a_withdrawn_one_ends() {
    let (first, second) = (SigningKey::p256("a").unwrap(), SigningKey::ed25519("b").unwrap());
    let gateway = Fixture::start(&[&first]).await;
    gateway.assert_taken("the first key", &first.token(&gateway.claims())).await;
    gateway.issuer.publish(&[&first, &second]);
    gateway.assert_refused("just published", &second.token(&gateway.claims()), "within a minute").await;
    gateway.advance(60);
    gateway.assert_taken("published", &second.token(&gateway.claims())).await;
    gateway.issuer.publish(&[&second]);
    gateway.advance(600);
    gateway.assert_taken("withdrawn just before", &first.token(&gateway.claims())).await;
    gateway.advance(1);
    gateway.assert_refused("withdrawn", &first.token(&gateway.claims()), "no key with the token's `kid`").await;
    gateway.assert_taken("published", &second.token(&gateway.claims())).await;
}

#[tokio::test]
async fn known_keys_are_used_for_a_day_while_the_issuer_is_away() {
    let key = SigningKey::p256("a").unwrap();
    let gateway = Fixture::start(&[&key]).await;
    gateway.assert_taken("fresh keys", &key.token(&gateway.claims())).await;
    gateway.issuer.pages.say(KEYS_PATH, 500, "", b"");
    for (pause, is_taken) in [(601, true), (60, true), (43_200, true), (42_539, true), (1, false), (60, false)] {
        gateway.advance(pause);
        let answer = gateway.caller(&key.token(&gateway.claims())).await;
        let expected = if is_taken { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(answer.status, expected, "after {pause} more seconds: {}", answer.body);
    }
    gateway.issuer.publish(&[&key]);
    gateway.advance(60);
    gateway.assert_taken("the issuer is back", &key.token(&gateway.claims())).await;
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_a_failure_and_not_the_callers_fault() {
    let key = SigningKey::p256("a").unwrap();
    let gateway = Fixture::start(&[&key]).await;
    let good = json!({"keys": [key.jwk()]}).to_string();
    let padded = format!("{good}{}", " ".repeat(600 << 10));
    for (name, status, document) in [
        ("an error", 503, ""),
        ("no JSON", 200, "<html>"),
        ("no keys", 200, "{}"),
        ("too large", 200, padded.as_str()),
        ("not found", 404, &good),
    ] {
        gateway.issuer.pages.say(KEYS_PATH, status, "", document.as_bytes());
        let answer = gateway.caller(&key.token(&gateway.claims())).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")),
            "{name}"
        );
        gateway.advance(60);
    }
    gateway.issuer.pages.say(KEYS_PATH, 200, "", good.as_bytes());
    gateway.assert_taken("good", &key.token(&gateway.claims())).await;
}

#[tokio::test]
async fn the_issuers_own_document_names_its_keys() {
    let key = SigningKey::p256("a").unwrap();
    let gateway = Fixture::with(Issuer::start(&[&key]).await.unwrap(), |config| config).await;
    gateway.assert_taken("discovered", &key.token(&gateway.claims())).await;
    let fetches = [DISCOVERY_PATH, KEYS_PATH].map(|path| gateway.issuer.fetches(path));
    assert_eq!(fetches, [1, 1]);

    let keys = format!("{}{KEYS_PATH}", gateway.issuer.url);
    for (name, document) in [
        ("of another issuer", json!({"issuer": "https://login.example.org", "jwks_uri": keys})),
        ("with a slash more", json!({"issuer": format!("{}/", gateway.issuer.url), "jwks_uri": keys})),
        ("not https", json!({"issuer": gateway.issuer.url, "jwks_uri": "http://192.0.2.1/jwks"})),
        ("a file", json!({"issuer": gateway.issuer.url, "jwks_uri": "file:///etc/passwd"})),
        ("without keys", json!({"issuer": gateway.issuer.url})),
    ] {
        let issuer = Issuer::start(&[&key]).await.unwrap();
        let text = document.to_string().replace(&gateway.issuer.url, &issuer.url);
        issuer.pages.say(DISCOVERY_PATH, 200, "", text.as_bytes());
        let other = Fixture::with(issuer, |config| config).await;
        let answer = other.caller(&key.token(&other.claims())).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{name}: {}", answer.body);
        assert_eq!(other.issuer.fetches(KEYS_PATH), 0, "{name}");
    }
}
