//! The router: every operation, and what operators need beside them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, get, on},
};
use rpc::{Code, Fault};
use serde_json::{Value, json};
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};
use utoipa_swagger_ui::{Config as DocsConfig, SwaggerUi};

use crate::{
    Inner, dispatch,
    operation::Operation,
    v1::{self, problem},
};

/// Everything that the gateway serves.
pub(crate) fn router(inner: &Arc<Inner>) -> Router {
    let mut paths: BTreeMap<String, MethodRouter<Arc<Inner>>> = BTreeMap::new();
    for operation in v1::operations() {
        let path = operation.path.clone();
        let route = route(inner.clone(), Arc::new(operation));
        let merged = match paths.remove(&path) {
            Some(others) => others.merge(route),
            None => route,
        };
        paths.insert(path, merged);
    }
    let mut router = Router::new();
    for (path, route) in paths {
        router = router.route(&path, route);
    }
    let docs = SwaggerUi::new("/docs").config(DocsConfig::from("/openapi.json").validator_url("none"));
    router
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/readyz", get(ready))
        .route(
            "/metrics",
            get(|| async { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], runtime::telemetry::metrics()) }),
        )
        .route("/openapi.json", get(openapi))
        .method_not_allowed_fallback(wrong_method)
        .with_state(inner.clone())
        .merge(docs)
        .fallback(unknown)
        .layer(middleware::from_fn(secure))
        .layer(CatchPanicLayer::custom(|_| problem::answer(Fault::internal("a handler panicked"))))
        .layer(cors(inner))
}

fn route(inner: Arc<Inner>, operation: Arc<Operation>) -> MethodRouter<Arc<Inner>> {
    let filter = match operation.method {
        Method::POST => MethodFilter::POST,
        Method::PATCH => MethodFilter::PATCH,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    };
    on(filter, move |path: Result<Path<HashMap<String, String>>, PathRejection>, request: Request| {
        dispatch::serve(inner.clone(), operation.clone(), path, request)
    })
}

async fn ready(State(inner): State<Arc<Inner>>) -> Response {
    let missing = inner.readiness.missing();
    let parts: serde_json::Map<String, Value> = missing.into_iter().map(|(part, why)| (part, why.into())).collect();
    let (status, word) =
        if parts.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "unready") };
    (status, Json(json!({"status": word, "missing": parts}))).into_response()
}

async fn openapi(State(inner): State<Arc<Inner>>) -> Json<Value> {
    Json(inner.openapi.clone())
}

async fn unknown(request: Request) -> Response {
    outside(&request, Fault::new(Code::NotFound, "there is no such path; /docs shows those that there are"))
}

async fn wrong_method(request: Request) -> Response {
    outside(&request, Fault::new(Code::MethodNotAllowed, "the Allow header lists the methods that this path has"))
}

/// The answer to a request that belongs to no operation, in a span of its own under the caller's trace. It shows no path:
/// that of a mistyped link may hold the link.
fn outside(request: &Request, fault: Fault) -> Response {
    let span = tracing::info_span!(
        "http",
        otel.name = %request.method(),
        otel.kind = "server",
        http.request.method = %request.method(),
        http.response.status_code = fault.code.http(),
    );
    rpc::trace::set_parent(&span, request.headers());
    span.in_scope(|| problem::answer(fault))
}

/// Headers that keep browsers from guessing and framing.
async fn secure(request: Request, next: Next) -> Response {
    let docs = request.uri().path().starts_with("/docs");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if !docs && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn cors(inner: &Inner) -> CorsLayer {
    let origins = &inner.config.cors_origins;
    let names = ["authorization", "content-type", "idempotency-key", "if-match", "meridian-revision", "traceparent"];
    let shown = ["etag", "location", "meridian-revision", "idempotency-replayed", "retry-after", "ratelimit"];
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(names.map(HeaderName::from_static))
        .expose_headers(shown.map(HeaderName::from_static))
        .max_age(Duration::from_secs(600));
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(tower_http::cors::Any);
    }
    layer.allow_origin(origins.iter().filter_map(|origin| origin.parse().ok()).collect::<Vec<HeaderValue>>())
}
