//! Sign-in by OpenID Connect: which tokens the gateway takes, and how it comes by the issuer's keys. The issuer listens on
//! this machine, and the clock stands still until a test moves it.

mod forged;
mod issuer_keys;
mod other_implementation;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use domain::id::OrganizationId;
use gateway::{App, Config, Deps, Oidc, Rule, auth::Role};
use jiff::SignedDuration;
use rpc::Channel;
use runtime::{Clock, Ids, Readiness};
use serde_json::{Value, json};
use sql::Target;
use testkit::{
    database::Database,
    oidc::{AUDIENCE, Issuer, KEYS_PATH, SigningKey},
};
use tower::ServiceExt;
use uuid::Uuid;

const ORGANIZATION: OrganizationId = OrganizationId::new(Uuid::from_u128(1));

/// A gateway with an issuer.
struct Fixture {
    router: Router,
    clock: Clock,
    issuer: Issuer,
    _database: Database,
}

/// An answer.
struct Answer {
    status: StatusCode,
    /// The header `WWW-Authenticate`.
    challenge: Option<String>,
    body: Value,
}

impl Fixture {
    /// A gateway that knows the address of the issuer's keys.
    async fn start(keys: &[&SigningKey]) -> Self {
        let issuer = Issuer::start(keys).await.unwrap();
        let jwks_url = Some(format!("{}{KEYS_PATH}", issuer.url));
        Self::with(issuer, |config| Oidc { jwks_url, ..config }).await
    }

    async fn with(issuer: Issuer, change: impl FnOnce(Oidc) -> Oidc) -> Self {
        let rule = |value: &str, role| Rule {
            claim: "groups".into(),
            value: value.into(),
            role: Some(role),
            scopes: vec![],
            organization: None,
        };
        let oidc = change(Oidc {
            issuer: Some(issuer.url.clone()),
            audience: Some(AUDIENCE.into()),
            rules: vec![rule("desk", Role::Reception), rule("owners", Role::Owner)],
            ..Oidc::default()
        });
        let database = Database::sqlite().unwrap();
        let clock = Clock::manual("2026-03-06T08:00:00Z".parse().unwrap());
        let deps = Deps {
            clock: clock.clone(),
            ids: Ids::seeded(1),
            database: Target::from_url(&database.for_service("gateway")).unwrap(),
            availability: Channel::pending(),
            booking: Channel::pending(),
            reminder: Channel::pending(),
            admin_key: None,
            oidc,
            default_organization: Some(ORGANIZATION),
            readiness: Readiness::new(),
            keyring: service::seal::Keyring::from_key(&[7; 32]),
            public_url: String::new(),
        };
        let router = App::build(Config::default(), deps).await.unwrap().router();
        Self { router, clock, issuer, _database: database }
    }

    /// The claims of a receptionist whose token is valid now.
    fn claims(&self) -> Value {
        let mut claims = self.issuer.claims("ada", self.now());
        claims["name"] = json!("Ada Example");
        claims["groups"] = json!(["staff", "desk"]);
        claims
    }

    /// Seconds since the Unix epoch.
    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    fn advance(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// Asks the gateway for the caller that it takes the sender of a token for.
    async fn caller(&self, token: &str) -> Answer {
        self.get("/v1/caller", token).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let challenge = response.headers().get(header::WWW_AUTHENTICATE);
        let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
        let body = to_bytes(response.into_body(), 100_000).await.unwrap();
        Answer { status, challenge, body: serde_json::from_slice(&body).unwrap() }
    }

    /// Fails unless the token is refused for this reason, in words that do not repeat it.
    async fn assert_refused(&self, name: &str, token: &str, reason: &str) {
        let answer = self.caller(token).await;
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::UNAUTHORIZED, &json!("unauthenticated")),
            "{name}"
        );
        assert!(detail.contains(reason), "{name}: {reason} is missing in: {detail}");
        assert_eq!(answer.challenge.as_deref(), Some(r#"Bearer error="invalid_token""#), "{name}");
        let text = answer.body.to_string();
        let parts = token.split('.').filter(|part| part.len() > 8);
        parts.for_each(|part| assert!(!text.contains(part), "{name}: the answer repeats the token"));
    }

    /// Fails unless the token is taken.
    async fn assert_taken(&self, name: &str, token: &str) {
        let answer = self.caller(token).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_token_that_holds_becomes_a_person_with_a_role() {
    let key = SigningKey::p256("a").unwrap();
    let gateway = Fixture::start(&[&key]).await;
    let answer = gateway.caller(&key.token(&gateway.claims())).await;
    let scopes = ["slots:read", "bookings:write", "patients:read", "patients:write", "messages:write"];
    let expected = json!({"id": "oidc:ada", "name": "Ada Example", "organization_id": ORGANIZATION.to_string(),
        "scopes": scopes, "location_ids": null});
    assert_eq!((answer.status, answer.body), (StatusCode::OK, expected));

    let refused = gateway.get("/v1/audit", &key.token(&gateway.claims())).await;
    assert_eq!(
        (refused.status, &refused.body["detail"]),
        (StatusCode::FORBIDDEN, &json!("the token lacks the scope admin"))
    );
    let mut owner = gateway.claims();
    owner["groups"] = json!("owners");
    assert_eq!(gateway.get("/v1/audit", &key.token(&owner)).await.status, StatusCode::OK);
    let own_key = gateway.get("/v1/keys", &key.token(&owner)).await;
    assert_eq!(own_key.status, StatusCode::FORBIDDEN, "no token is the installation's own key");
    owner["groups"] = json!(["nobody"]);
    let nobody = gateway.caller(&key.token(&owner)).await;
    assert_eq!((nobody.status, &nobody.body["scopes"]), (StatusCode::OK, &json!([])));
}

#[tokio::test]
async fn a_gateway_without_an_issuer_says_that_it_takes_no_tokens() {
    let key = SigningKey::p256("a").unwrap();
    let issuer = Issuer::start(&[&key]).await.unwrap();
    let gateway = Fixture::with(issuer, |_| Oidc::default()).await;
    gateway.assert_refused("no issuer", &key.token(&gateway.claims()), "no tokens").await;
    assert!(gateway.issuer.pages.received().is_empty(), "nothing was fetched");
    gateway.assert_refused("an unknown key", "mrd_unknown", "the key is unknown or revoked").await;
    let request = Request::get("/v1/caller").body(Body::empty()).unwrap();
    let response = gateway.router.clone().oneshot(request).await.unwrap();
    let challenge = &response.headers()[header::WWW_AUTHENTICATE];
    assert_eq!((response.status(), challenge.to_str().unwrap()), (StatusCode::UNAUTHORIZED, "Bearer"));
}
