use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use domain::id::OrganizationId;
use rpc::{Channel, Fault};
use runtime::{Clock, Ids, Readiness};
use serde_json::{Value, json};
use sql::Target;
use testkit::database::Database;
use tower::ServiceExt;
use uuid::Uuid;

use super::*;
use crate::{
    App, Config, Deps, Oidc,
    call::Call,
    interface::{Document, ErrorBody, Reader},
    operation::{Access, Handler, Operation, handler},
    reply::Reply,
    schema::Schemas,
    v1,
};

const MEDIA_TYPE: &str = "application/fhir+json";

async fn metadata(_: Call) -> Result<Reply, Fault> {
    Reply::json(200, &json!({"resourceType": "CapabilityStatement"}))
}

async fn refused(_: Call) -> Result<Reply, Fault> {
    Err(Fault::not_found())
}

fn outcome(fault: Fault, _: &Reader) -> ErrorBody {
    let body = json!({"resourceType": "OperationOutcome", "issue": [{"code": fault.code.as_str()}]});
    ErrorBody { media_type: MEDIA_TYPE, bytes: body.to_string().into_bytes() }
}

/// A dialect with two operations.
fn second_dialect() -> Interface {
    let operation = |id: &str, path: &str, handler: Handler| {
        Arc::new(Operation::new(id, Method::GET, path, "fhir", "", Access::Open, handler))
    };
    let json = json!({"second": true});
    Interface {
        base_paths: &["/fhir/R4"],
        operations: vec![
            operation("metadata", "/fhir/R4/metadata", handler!(metadata)),
            operation("refused", "/fhir/R4/refused", handler!(refused)),
        ],
        error_body: Box::new(outcome),
        schemas: Arc::new(Schemas::compile(&json, std::iter::empty()).unwrap()),
        document: Some(Document { path: "/fhir/R4/openapi.json", json }),
    }
}

/// A gateway without the other services.
fn deps(database: &Database) -> Deps {
    Deps {
        clock: Clock::system(),
        ids: Ids::system(),
        database: Target::from_url(&database.for_service("gateway")).unwrap(),
        availability: Channel::pending(),
        booking: Channel::pending(),
        reminder: Channel::pending(),
        admin_key: None,
        oidc: Oidc::default(),
        default_organization: Some(OrganizationId::new(Uuid::from_u128(1))),
        readiness: Readiness::new(),
        keyring: service::seal::Keyring::from_key(&[7; 32]),
        public_url: String::new(),
    }
}

/// Status, media type and JSON body of an answer.
async fn get(router: &Router, path: &str) -> (StatusCode, String, Value) {
    let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let media_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let status = response.status();
    let body = to_bytes(response.into_body(), 10_000_000).await.unwrap();
    (status, media_type, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_second_dialect_has_its_own_operations_errors_and_document() {
    let test = Database::sqlite().unwrap();
    let deps = deps(&test);
    let interfaces = vec![v1::interface().unwrap(), second_dialect()];
    let router = App::build_with(Config::default(), deps, interfaces).await.unwrap().router();

    let (status, _, body) = get(&router, "/fhir/R4/metadata").await;
    assert_eq!((status, &body["resourceType"]), (StatusCode::OK, &json!("CapabilityStatement")));
    for path in ["/fhir/R4/refused", "/fhir/R4/nothing"] {
        let (status, media_type, body) = get(&router, path).await;
        assert_eq!((status, media_type.as_str()), (StatusCode::NOT_FOUND, MEDIA_TYPE), "{path}");
        assert_eq!(body["issue"][0]["code"], "not_found", "{path}");
    }
    assert_eq!(get(&router, "/fhir/R4/openapi.json").await.2, json!({"second": true}));

    for path in ["/v1/nothing", "/fhir/R40", "/"] {
        let (status, media_type, body) = get(&router, path).await;
        assert_eq!((status, media_type.as_str()), (StatusCode::NOT_FOUND, "application/problem+json"), "{path}");
        assert_eq!(body["code"], "not_found", "{path}");
    }
    assert_eq!(get(&router, "/openapi.json").await.2["openapi"], "3.1.0");
}

#[tokio::test]
async fn metrics_are_closed_unless_the_gateway_listens_on_loopback() {
    let test = Database::sqlite().unwrap();
    let router = App::build(Config::default(), deps(&test)).await.unwrap().router();
    let (status, _, body) = get(&router, "/metrics").await;
    assert_eq!((status, &body["code"]), (StatusCode::UNAUTHORIZED, &json!("unauthenticated")));
}
