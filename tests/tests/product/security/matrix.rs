//! Every operation of `/openapi.json` as every kind of caller, in both arrangements: who may not call it is refused before the
//! request is read any further.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use gateway::auth::{Role, Scope};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Product};
use serde_json::{Value, json};

use super::{
    key, key_of, make_key,
    operations::{Callers, OPERATIONS, ROLES, callers_of},
};

/// An id that nothing has.
const UNKNOWN: &str = "loc_01h455vb4pex5vsknk084sn02q";
/// No rate limit: it would refuse what the matrix asks.
pub(super) const UNLIMITED: [&str; 8] = [
    "--set",
    "gateway.requests_per_second=100000",
    "--set",
    "gateway.rates.address_per_second=100000",
    "--set",
    "gateway.rates.link_per_second=100000",
    "--set",
    "gateway.rates.wrong_keys_per_second=100000",
];

/// An operation, as the document describes it.
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: Method,
    pub(super) path: String,
    /// Whether it answers a list of rows.
    pub(super) is_list: bool,
    body: Option<Value>,
    security: Value,
}

/// The operations of the document.
pub(super) fn operations() -> Result<Vec<Operation>> {
    let document = gateway::openapi();
    let is_list = |operation: &Value| {
        let schema = operation.pointer("/responses/200/content/application~1json/schema/$ref").and_then(Value::as_str);
        let schema = schema.and_then(|reference| document.pointer(reference.trim_start_matches('#')));
        schema.is_some_and(|schema| schema.pointer("/properties/data/type") == Some(&json!("array")))
    };
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().context("paths")? {
        for (method, operation) in methods.as_object().context("methods")? {
            found.push(Operation {
                id: operation["operationId"].as_str().context("an operation id")?.to_owned(),
                method: Method::from_bytes(method.to_uppercase().as_bytes())?,
                path: path.clone(),
                is_list: is_list(operation),
                body: operation.get("requestBody").map(|_| json!({})),
                security: operation.get("security").unwrap_or(&document["security"]).clone(),
            });
        }
    }
    Ok(found)
}

/// A kind of caller.
pub(super) struct Caller {
    pub(super) name: String,
    pub(super) key: String,
    /// `None` without a valid key.
    pub(super) scopes: Option<Vec<&'static str>>,
    is_installation: bool,
}

impl Caller {
    fn new(name: &str, key: &str, scopes: Option<Vec<&'static str>>) -> Self {
        Self { name: name.to_owned(), key: key.to_owned(), scopes, is_installation: false }
    }

    /// The code with which an operation for these callers refuses this one; `None` if it may call it.
    fn refusal(&self, callers: Callers) -> Option<(StatusCode, &'static str)> {
        let forbidden = Some((StatusCode::FORBIDDEN, "forbidden"));
        match (callers, &self.scopes) {
            (Callers::Anyone, _) => None,
            (_, None) => Some((StatusCode::UNAUTHORIZED, "unauthenticated")),
            (Callers::Installation, _) => {
                if self.is_installation {
                    None
                } else {
                    forbidden
                }
            }
            (Callers::With(needed), Some(scopes)) => {
                let has = |scope: &&str| scopes.contains(scope) || scopes.contains(&"admin");
                if needed.iter().all(has) { None } else { forbidden }
            }
        }
    }
}

/// One caller of each kind.
pub(super) async fn callers(product: &Product) -> Result<Vec<Caller>> {
    let (revoked_id, revoked) = key(product, &["admin"]).await?;
    let ended = product.send(Method::DELETE, &format!("/v1/keys/{revoked_id}"), ADMIN, &[], None).await?;
    assert_eq!(ended.status, StatusCode::OK, "{}", ended.body);
    let organization = json!({"name": "Other", "default_language": "en", "country": "GB"});
    let other = product.post("/v1/organizations", organization).await?.text("/id");
    let (_, of_other) = key_of(product, &["admin"], &[("meridian-organization", &other)]).await?;
    let (_, front_end) = key(product, &["slots:read", "bookings:write"]).await?;
    let mut callers = vec![
        Caller::new("no key", "", None),
        Caller::new("a wrong key", &format!("mrd_{}", "x".repeat(43)), None),
        Caller::new("a revoked key", &revoked, None),
        Caller::new("a front end's key", &front_end, Some(vec!["slots:read", "bookings:write"])),
        Caller::new("another organisation's key", &of_other, Some(vec!["admin"])),
        Caller { is_installation: true, ..Caller::new("the installation's key", ADMIN, Some(vec!["admin"])) },
    ];
    for scope in Scope::ALL.map(Scope::as_str) {
        callers.push(Caller::new(scope, &key(product, &[scope]).await?.1, Some(vec![scope])));
    }
    for role in Role::ALL.map(Role::as_str) {
        let (_, scopes) = ROLES.iter().find(|(name, _)| *name == role).context("give the role its scopes")?;
        let (_, secret) = make_key(product, json!({"name": "test", "role": role}), &[]).await?;
        callers.push(Caller::new(role, &secret, Some(scopes.to_vec())));
    }
    Ok(callers)
}

#[test]
fn the_table_of_callers_names_each_operation_with_its_scopes() {
    let operations = operations().unwrap();
    let ids: BTreeSet<&str> = operations.iter().map(|operation| operation.id.as_str()).collect();
    let listed: Vec<&str> = OPERATIONS.iter().flat_map(|(_, operations)| operations.iter().copied()).collect();
    assert_eq!(listed.len(), listed.iter().collect::<BTreeSet<_>>().len(), "an operation is listed twice");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), ids, "give each operation its callers in operations.rs");
    for Operation { id, security, .. } in &operations {
        let documented = match callers_of(id).unwrap() {
            Callers::Anyone => json!([]),
            Callers::With(scopes) => json!([{"key": scopes}]),
            Callers::Installation => json!([{"key": []}]),
        };
        assert_eq!(security, &documented, "{id}");
    }
}

#[tokio::test]
async fn every_operation_refuses_every_caller_that_may_not_call_it() -> Result<()> {
    for product in [Product::embedded(&UNLIMITED).await?, Product::apart(&UNLIMITED).await?] {
        let callers = callers(&product).await?;
        let client = testkit::http::client();
        let mut cases = 0;
        for operation in operations()? {
            let path =
                ["{id}", "{parent_id}"].iter().fold(operation.path.clone(), |path, id| path.replace(id, UNKNOWN));
            let path = path.replace("{file}", "x.ics").replace("{provider}", "http");
            let path = path.replace("{token}", "x").replace("{code}", "x");
            for caller in &callers {
                let mut request = client.request(operation.method.clone(), format!("{}{path}", product.url));
                if !caller.key.is_empty() {
                    request = request.bearer_auth(&caller.key);
                }
                if let Some(body) = &operation.body {
                    request = request.json(body);
                }
                let answer = request.send().await?;
                let case = format!("{} as {}", operation.id, caller.name);
                let expected = caller.refusal(callers_of(&operation.id).context("a row")?);
                check(&case, answer, expected).await?;
                cases += 1;
            }
        }
        assert!(cases > 2000, "{cases}");
    }
    Ok(())
}

/// Checks the answer to a caller. The body of one who may call is not read: streams do not end.
async fn check(case: &str, answer: reqwest::Response, expected: Option<(StatusCode, &str)>) -> Result<()> {
    let status = answer.status();
    let Some((expected_status, expected_code)) = expected else {
        let is_refused = status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN;
        // A provider's callback without a signature is refused, too, with another code.
        let code = if is_refused { answer.json::<Value>().await?["code"].clone() } else { Value::Null };
        assert!(!is_refused || code == "signature_invalid", "{case}: {status} {code}");
        assert_ne!(status, StatusCode::TOO_MANY_REQUESTS, "{case}");
        return Ok(());
    };
    assert_eq!(status, expected_status, "{case}");
    assert_eq!(answer.headers().contains_key("www-authenticate"), status == StatusCode::UNAUTHORIZED, "{case}");
    assert_eq!(answer.json::<Value>().await?["code"], expected_code, "{case}");
    Ok(())
}
