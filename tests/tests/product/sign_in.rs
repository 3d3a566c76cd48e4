//! People who sign in at an OpenID provider, in both arrangements. `services/gateway/tests/oidc` has the tokens that do not
//! hold.

use anyhow::Result;
use reqwest::{Method, StatusCode};
use runtime::Clock;
use scenarios::{ADMIN, Answer, Product, patient};
use serde_json::{Value, json};
use testkit::oidc::{AUDIENCE, Issuer, KEYS_PATH, SigningKey};

const RULES: &str = r#"[{claim = "realm_access.roles", value = "desk", role = "reception"}, {claim = "realm_access.roles", value = "owner", role = "owner"}, {claim = "scope", value = "reports", scopes = ["reports:read"]}]"#;

fn settings(issuer: &Issuer) -> Vec<String> {
    let pairs = [
        format!("auth.oidc.issuer={}", issuer.url),
        format!("auth.oidc.audience={AUDIENCE}"),
        format!("auth.oidc.rules={RULES}"),
        "auth.oidc.organization_claim=org".to_owned(),
        "auth.oidc.name_claim=display".to_owned(),
    ];
    pairs.into_iter().flat_map(|pair| ["--set".to_owned(), pair]).collect()
}

/// An installation with an issuer and two organisations.
struct Fixture {
    product: Product,
    issuer: Issuer,
    key: SigningKey,
    default: String,
    other: String,
}

impl Fixture {
    async fn new(apart: bool) -> Result<Self> {
        let key = SigningKey::p256("a")?;
        let issuer = Issuer::start(&[&key]).await?;
        let settings = settings(&issuer);
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let product = if apart { Product::apart(&settings).await? } else { Product::embedded(&settings).await? };
        let organization = json!({"name": "Other", "default_language": "en", "country": "GB"});
        let other = product.post("/v1/organizations", organization).await?.text("/id");
        let default = product.get("/v1/caller").await?.text("/organization_id");
        Ok(Self { product, issuer, key, default, other })
    }

    /// A person's token, another one at each call.
    fn token(&self, subject: &str, organization: &Value, roles: Value) -> String {
        let mut claims = self.issuer.claims(subject, Clock::system().now().as_second());
        claims["org"] = organization.clone();
        claims["realm_access"] = json!({"roles": roles});
        claims["display"] = json!(format!("Full Name of {subject}"));
        self.key.token(&claims)
    }

    async fn get(&self, path: &str, token: &str) -> Result<Answer> {
        self.product.send(Method::GET, path, token, &[], None).await
    }

    async fn get_in(&self, organization: &str, path: &str, token: &str) -> Result<Answer> {
        self.product.send(Method::GET, path, token, &[("meridian-organization", organization)], None).await
    }
}

async fn people_act_in_their_own_organisation(fixture: &Fixture) -> Result<()> {
    let Fixture { product, default, other, .. } = fixture;
    let (here, there) = (json!(default), json!(other));
    let (ada, eve) = (fixture.token("ada", &here, json!(["desk"])), fixture.token("eve", &there, json!(["owner"])));
    let body = patient("Example", "+447700900123");
    let created = product.send(Method::POST, "/v1/patients", &ada, &[], Some(body)).await?;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    let path = format!("/v1/patients/{}", created.text("/id"));
    assert_eq!(fixture.get(&path, &ada).await?.status, StatusCode::OK);
    assert_eq!(fixture.get(&path, &eve).await?.status, StatusCode::NOT_FOUND, "it is another organisation's");
    assert_eq!(fixture.get("/v1/patients", &eve).await?.body["data"], json!([]));
    for (token, organization) in [(&eve, default), (&ada, other)] {
        let swapped = fixture.get_in(organization, &path, token).await?;
        assert_eq!(swapped.status, StatusCode::FORBIDDEN, "the header opens no other organisation: {}", swapped.body);
    }
    let both = fixture.token("bob", &json!([default, other]), json!(["owner"]));
    let unnamed = fixture.get("/v1/caller", &both).await?;
    assert_eq!(
        (unnamed.status, unnamed.text("/errors/0/pointer")),
        (StatusCode::BAD_REQUEST, "Meridian-Organization".into())
    );
    for organization in [default, other] {
        let caller = fixture.get_in(organization, "/v1/caller", &both).await?;
        assert_eq!(&caller.text("/organization_id"), organization);
    }
    for (claim, status) in [
        (json!(format!("{}zzzzzz", &default[..default.len() - 6])), StatusCode::FORBIDDEN),
        (json!("*"), StatusCode::FORBIDDEN),
        (json!(""), StatusCode::FORBIDDEN),
        (json!(null), StatusCode::FORBIDDEN),
        (json!([]), StatusCode::FORBIDDEN),
        (json!({"id": default}), StatusCode::FORBIDDEN),
    ] {
        let answer = fixture.get("/v1/caller", &fixture.token("mallory", &claim, json!(["owner"]))).await?;
        assert_eq!(answer.status, status, "{claim}: {}", answer.body);
    }
    Ok(())
}

async fn permissions_follow_the_rules(fixture: &Fixture) -> Result<()> {
    let here = json!(fixture.default);
    for (roles, path, status) in [
        (json!(["desk"]), "/v1/patients", StatusCode::OK),
        (json!(["desk"]), "/v1/audit", StatusCode::FORBIDDEN),
        (json!(["owner"]), "/v1/audit", StatusCode::OK),
        (json!(["owner"]), "/v1/keys", StatusCode::FORBIDDEN),
        (json!(["owner"]), "/v1/organizations", StatusCode::FORBIDDEN),
        (json!(["desk "]), "/v1/patients", StatusCode::FORBIDDEN),
        (json!([]), "/v1/locations", StatusCode::FORBIDDEN),
    ] {
        let answer = fixture.get(path, &fixture.token("ada", &here, roles.clone())).await?;
        assert_eq!(answer.status, status, "{roles} {path}: {}", answer.body);
    }
    Ok(())
}

/// A person's token changes while the person repeats a request.
async fn a_repeated_request_is_answered_alike_whichever_token_it_comes_with(fixture: &Fixture) -> Result<()> {
    let here = json!(fixture.default);
    let token = |subject: &str| fixture.token(subject, &here, json!(["desk"]));
    let send = async |token: &str, path: &str, body: Value| {
        let key = [("idempotency-key", "the-same")];
        fixture.product.send(Method::POST, path, token, &key, Some(body)).await
    };
    let body = patient("Repeated", "+447700900124");
    let (first, second) = (token("ada"), token("ada"));
    assert_ne!(first, second, "signatures differ");
    let created = send(&first, "/v1/patients", body.clone()).await?;
    let repeated = send(&second, "/v1/patients", body.clone()).await?;
    assert_eq!((created.status, &created.body), (StatusCode::CREATED, &repeated.body));
    // The gateway stores this answer itself.
    let path = format!("/v1/patients/{}/calendar", created.text("/id"));
    let (link, again) = (send(&first, &path, json!({})).await?, send(&second, &path, json!({})).await?);
    assert!(link.status.is_success(), "{}", link.body);
    assert_eq!(link.body, again.body);
    assert!(again.headers.contains_key("idempotency-replayed") && !link.headers.contains_key("idempotency-replayed"));
    let other = send(&token("bob"), &path, json!({})).await?;
    assert!(!other.headers.contains_key("idempotency-replayed"), "a key belongs to its caller");
    Ok(())
}

async fn the_audit_log_names_the_person_and_the_logs_hold_no_token(fixture: &Fixture) -> Result<()> {
    let token = fixture.token("ada", &json!(fixture.default), json!(["owner"]));
    let made =
        fixture.product.send(Method::POST, "/v1/patients", &token, &[], Some(patient("Audited", "+447700900125")));
    let id = made.await?.text("/id");
    let entry = testkit::poll::until("the audit log", std::time::Duration::from_secs(30), || async {
        let log = fixture.product.get(&format!("/v1/audit?patient_id={id}")).await.ok()?;
        log.body["data"].as_array()?.iter().find(|entry| entry["action"] == "create_patient").cloned()
    });
    let entry = entry.await;
    assert_eq!((&entry["caller"], &entry["person"]), (&json!("oidc:ada"), &json!("Full Name of ada")));
    // Reads and refusals, too, and found by the name.
    let desk = fixture.token("eve", &json!(fixture.default), json!(["desk"]));
    assert_eq!(fixture.get("/v1/patients?limit=1", &desk).await?.status, StatusCode::OK);
    assert_eq!(fixture.get("/v1/audit", &desk).await?.status, StatusCode::FORBIDDEN);
    let found = testkit::poll::until("a person's lines", std::time::Duration::from_secs(30), || async {
        let log = fixture.product.get("/v1/audit?actor=Full%20Name%20of%20eve").await.ok()?;
        let lines = log.body["data"].as_array()?.clone();
        let has = |action: &str, status: u16| {
            lines
                .iter()
                .any(|line| line["action"] == action && line["status"] == status && line["caller"] == "oidc:eve")
        };
        (has("list_patients", 200) && has("audit", 403)).then_some(())
    });
    found.await;
    let broken = format!("{token}x");
    assert_eq!(fixture.get("/v1/caller", &broken).await?.status, StatusCode::UNAUTHORIZED);
    let printed = fixture.product.printed();
    for secret in token.split('.').chain(["Full Name of", ADMIN]) {
        assert!(!printed.contains(secret), "a log holds {secret}");
    }
    Ok(())
}

async fn the_doctor_asks_the_issuer_for_its_keys(fixture: &Fixture) -> Result<()> {
    let settings = settings(&fixture.issuer);
    let doctor: Vec<&str> = ["doctor"].into_iter().chain(settings.iter().map(String::as_str)).collect();
    let (_, printed) = fixture.product.command(&doctor).await?;
    assert!(printed.contains("publishes keys that verify tokens: 1"), "{printed}");
    fixture.issuer.pages.say(KEYS_PATH, 500, "", b"");
    let (succeeded, printed) = fixture.product.command(&doctor).await?;
    assert!(!succeeded && printed.contains("cannot be fetched, so no token is taken"), "{printed}");
    Ok(())
}

async fn all(apart: bool) -> Result<()> {
    let fixture = Fixture::new(apart).await?;
    people_act_in_their_own_organisation(&fixture).await?;
    permissions_follow_the_rules(&fixture).await?;
    a_repeated_request_is_answered_alike_whichever_token_it_comes_with(&fixture).await?;
    the_audit_log_names_the_person_and_the_logs_hold_no_token(&fixture).await?;
    the_doctor_asks_the_issuer_for_its_keys(&fixture).await
}

#[tokio::test]
async fn people_sign_in_in_one_process() -> Result<()> {
    all(false).await
}

#[tokio::test]
async fn people_sign_in_apart() -> Result<()> {
    all(true).await
}

#[tokio::test]
async fn a_configuration_that_takes_any_token_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let issuer = ["--set", "auth.oidc.issuer=https://login.example.org"];
    let audience = ["--set", "auth.oidc.audience=meridian"];
    let rules = |rules: &'static str| [&issuer[..], &audience, &["--set", rules]].concat();
    for (settings, expected) in [
        (issuer.to_vec(), "auth.oidc.audience: name the audience"),
        (audience.to_vec(), "auth.oidc.issuer: name the issuer"),
        (vec!["--set", "auth.oidc.issuer=http://login.example.org"], "auth.oidc.issuer: write a URL"),
        (rules(r#"auth.oidc.rules=[{claim = "groups", value = "a"}]"#), "rule 1 needs a role or scopes"),
        (rules(r#"auth.oidc.rules=[{claim = "groups", value = "a", role = "king"}]"#), "auth.oidc.rules"),
        (rules(r#"auth.oidc.rules=[{claim = "groups", valeu = "a", role = "owner"}]"#), "auth.oidc.rules"),
    ] {
        let output = testkit::product::run(folder.path(), &[&["config"][..], &settings[..]].concat(), &[]).await?;
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && printed.contains(expected),
            "{settings:?}: {expected} is missing in {printed}"
        );
    }
    let good = rules(r#"auth.oidc.rules=[{claim = "groups", value = "a", role = "owner"}]"#);
    let output = testkit::product::run(folder.path(), &[&["config"][..], &good[..]].concat(), &[]).await?;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        printed.lines().any(|line| line.starts_with("auth.oidc.rules = ") && line.ends_with("# flag")),
        "{printed}"
    );
    Ok(())
}
