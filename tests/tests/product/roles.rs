//! Keys with a role: each role may do exactly what the guide's table says, in both arrangements.

use anyhow::Result;
use reqwest::{Method, StatusCode};
use scenarios::{Product, service};
use serde_json::{Value, json};

/// The scopes of each role, as the guide has them.
const ROLES: [(&str, &[&str]); 4] = [
    ("reception", &["slots:read", "bookings:write", "patients:read", "patients:write", "messages:write"]),
    ("practitioner", &["slots:read", "bookings:write", "patients:read"]),
    (
        "operations",
        &[
            "slots:read",
            "bookings:write",
            "patients:read",
            "patients:write",
            "directory:write",
            "messages:write",
            "reports:read",
        ],
    ),
    ("owner", &["admin"]),
];

/// A request for each scope. A caller who has it gets another answer than 403.
fn requests(practitioner: &str) -> Vec<(&'static str, Method, String, Option<Value>)> {
    let read = |scope, path: &str| (scope, Method::GET, path.to_owned(), None);
    let write = |scope, path: &str| (scope, Method::POST, path.to_owned(), Some(json!({})));
    vec![
        read("slots:read", "/v1/locations"),
        write("bookings:write", "/v1/holds"),
        read("patients:read", "/v1/patients"),
        write("patients:write", "/v1/patients"),
        read("directory:write", &format!("/v1/practitioners/{practitioner}/rosters")),
        read("messages:write", "/v1/messages"),
        read("reports:read", "/v1/reports/plans?from=2026-01-01&to=2026-01-31"),
        read("admin", "/v1/audit"),
    ]
}

async fn each_role_may_do_what_the_table_says(product: &Product) -> Result<()> {
    let clinic = product.clinic("Europe/London", service()).await?;
    for (role, scopes) in ROLES {
        let made = product.post("/v1/keys", json!({"name": format!("{role} key"), "role": role})).await?;
        assert_eq!((made.status, &made.body["role"]), (StatusCode::CREATED, &json!(role)), "{}", made.body);
        assert_eq!(made.body["scopes"], json!(scopes), "{role}");
        let key = made.text("/key");
        let caller = product.send(Method::GET, "/v1/caller", &key, &[], None).await?;
        assert_eq!((caller.text("/id"), &caller.body["scopes"]), (made.text("/id"), &json!(scopes)), "{role}");
        for (scope, method, path, body) in requests(&clinic.practitioner) {
            let may = scopes.contains(&scope) || scopes.contains(&"admin");
            let answer = product.send(method, &path, &key, &[], body).await?;
            assert_eq!(answer.status != StatusCode::FORBIDDEN, may, "{role} {path}: {}", answer.body);
        }
    }
    let further = json!({"name": "desk", "role": "practitioner", "scopes": ["reports:read", "slots:read"]});
    let joined = product.post("/v1/keys", further).await?;
    let all = json!(["slots:read", "bookings:write", "patients:read", "reports:read"]);
    assert_eq!(joined.body["scopes"], all, "{}", joined.body);
    let listed = product.get("/v1/keys?limit=1").await?;
    assert_eq!((&listed.body["data"][0]["role"], &listed.body["data"][0]["scopes"]), (&json!("practitioner"), &all));
    let plain = product.post("/v1/keys", json!({"name": "web", "scopes": ["slots:read"]})).await?;
    assert_eq!((&plain.body["role"], &plain.body["scopes"]), (&json!(null), &json!(["slots:read"])));
    Ok(())
}

async fn a_key_without_a_known_role_or_a_scope_is_refused(product: &Product) -> Result<()> {
    for (body, pointer, code) in [
        (json!({"name": "web"}), "/scopes", "missing"),
        (json!({"name": "web", "scopes": []}), "/scopes", "missing"),
        (json!({"name": "web", "role": "doctor"}), "/role", "invalid_value"),
        (json!({"name": "web", "role": "owner", "scopes": ["all"]}), "/scopes/0", "invalid_value"),
        (json!({"name": "web", "role": "owner", "expires_at": "2020-01-01T00:00:00Z"}), "/expires_at", "out_of_range"),
        (json!({"name": "web", "role": "owner", "expires_at": "2090-01-01"}), "/expires_at", "invalid_form"),
    ] {
        let refused = product.post("/v1/keys", body.clone()).await?;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let fault = &refused.body["errors"][0];
        assert_eq!((fault["pointer"].as_str(), fault["code"].as_str()), (Some(pointer), Some(code)), "{fault}");
    }
    Ok(())
}

async fn the_command_line_makes_keys_with_a_role(product: &Product) -> Result<()> {
    let (made, printed) = product.command(&["keys", "create", "--name", "front desk", "--role", "reception"]).await?;
    assert!(made, "{printed}");
    let key = printed.lines().find(|line| line.starts_with("mrd_")).unwrap_or_default().to_owned();
    let caller = product.send(Method::GET, "/v1/caller", &key, &[], None).await?;
    assert_eq!(caller.body["scopes"], json!(ROLES[0].1), "{printed}");
    let (listed, printed) = product.command(&["keys", "list"]).await?;
    assert!(
        listed && printed.lines().any(|line| line.contains("reception: ") && line.ends_with("front desk")),
        "{printed}"
    );
    for (wrong, named) in [
        (&["--name", "x"][..], "--scope"),
        (&["--name", "x", "--role", "doctor"], "--role"),
        (&["--name", "x", "--role", "owner", "--expires-at", "2020-01-01T00:00:00Z"], "--expires-at"),
    ] {
        let (made, printed) = product.command(&[&["keys", "create"][..], wrong].concat()).await?;
        assert!(!made && printed.contains(named), "{printed}");
    }
    Ok(())
}

async fn all(product: &Product) -> Result<()> {
    each_role_may_do_what_the_table_says(product).await?;
    a_key_without_a_known_role_or_a_scope_is_refused(product).await?;
    the_command_line_makes_keys_with_a_role(product).await
}

#[tokio::test]
async fn a_role_is_a_bundle_of_scopes_in_one_process() -> Result<()> {
    all(&Product::embedded(&[]).await?).await
}

#[tokio::test]
async fn a_role_is_a_bundle_of_scopes_apart() -> Result<()> {
    all(&Product::apart(&[]).await?).await
}
