//! The router: the operations and documents of every dialect, and the endpoints of operators.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{self, Next},
    response::Response,
    routing::{MethodFilter, MethodRouter, get, on},
};
use rpc::{Code, Fault};
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
    cors::CorsLayer,
};
use utoipa_swagger_ui::{Config as DocsConfig, SwaggerUi};

use crate::{
    Inner,
    dispatch::Endpoint,
    grpc,
    interface::{Interface, Reader},
    metrics_endpoint, negotiation, pages,
};

/// The largest age of a CORS preflight answer in a browser's cache.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// Smaller answers are sent as they are: they fit one packet, and compression would cost more than it saves.
const COMPRESSED_BYTES_MIN: u16 = 1024;

/// All routes of the gateway.
pub(crate) fn router(inner: &Arc<Inner>) -> Router {
    let mut router = Router::new();
    for (path, route) in routes(inner) {
        router = router.route(&path, route);
    }
    let documents = || inner.interfaces.iter().filter_map(|interface| interface.document.as_ref());
    for document in documents() {
        let json = document.json.clone();
        router = router.route(document.path, get(async move || Json(json)));
    }
    let documents = documents().map(|document| document.path);
    let docs = SwaggerUi::new("/docs").config(DocsConfig::new(documents).validator_url("none"));
    let panicked = inner.clone();
    router
        .merge(service::ops::health(inner.readiness.clone()))
        .route("/metrics", get(metrics_endpoint::show))
        .route(pages::assets::ROUTE, get(pages::assets::serve))
        .merge(grpc::router(inner))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(inner.clone())
        .merge(docs)
        .layer(middleware::from_fn(security_headers))
        .layer(CatchPanicLayer::custom(move |_| {
            panicked.default_interface().error(Fault::internal("a handler panicked"))
        }))
        .layer(cors(inner))
        .layer(compression())
}

/// Compresses what a client accepts compressed. Events and gRPC messages stay as they are, since compression would hold them
/// back.
fn compression() -> CompressionLayer<impl Predicate> {
    let worth_it = SizeAbove::new(COMPRESSED_BYTES_MIN)
        .and(NotForContentType::GRPC)
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it)
}

/// The routes of all operations, by their paths.
fn routes(inner: &Arc<Inner>) -> BTreeMap<String, MethodRouter<Arc<Inner>>> {
    let mut routes: BTreeMap<String, MethodRouter<Arc<Inner>>> = BTreeMap::new();
    for interface in &inner.interfaces {
        for operation in &interface.operations {
            let (inner, interface, operation) = (inner.clone(), interface.clone(), operation.clone());
            let path = operation.path.clone();
            let route = route(Endpoint { inner, interface, operation });
            let merged = match routes.remove(&path) {
                Some(others) => others.merge(route),
                None => route,
            };
            routes.insert(path, merged);
        }
    }
    routes
}

fn route(endpoint: Endpoint) -> MethodRouter<Arc<Inner>> {
    let filter = match endpoint.operation.method {
        Method::POST => MethodFilter::POST,
        Method::PATCH => MethodFilter::PATCH,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    };
    on(filter, move |path: Result<Path<HashMap<String, String>>, PathRejection>, request: Request| {
        endpoint.clone().serve(path, request)
    })
}

async fn not_found(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    if grpc::is_call(&request) {
        return grpc::unimplemented();
    }
    if request.uri().path() == "/" && request.method() == Method::GET && negotiation::prefers_page(request.headers()) {
        return pages::start::show(&inner, &request);
    }
    let fault = Fault::new(Code::NotFound, "there is no such path; /docs shows those that there are");
    without_operation(&inner, &request, fault)
}

async fn method_not_allowed(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let fault = Fault::new(Code::MethodNotAllowed, "the Allow header lists the methods that this path has");
    without_operation(&inner, &request, fault)
}

/// The answer to a request that no operation serves, in a span under the caller's trace. The span does not show the path,
/// which may hold a mistyped link.
fn without_operation(inner: &Inner, request: &Request, fault: Fault) -> Response {
    let span = tracing::info_span!(
        "http",
        otel.name = %request.method(),
        otel.kind = "server",
        http.request.method = %request.method(),
        http.response.status_code = fault.code.http(),
    );
    rpc::trace::set_parent(&span, request.headers());
    span.in_scope(|| inner.interface_of(request.uri().path()).error_for(fault, &Reader::of(request)))
}

impl Inner {
    /// The dialect of which a base path begins this path.
    fn interface_of(&self, path: &str) -> &Interface {
        let begins = |base: &&str| path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let interface = self.interfaces.iter().find(|interface| interface.base_paths.iter().any(begins));
        interface.map_or_else(|| self.default_interface(), Arc::as_ref)
    }
}

/// Adds headers that forbid browsers content sniffing, framing, referrers and caching.
async fn security_headers(request: Request, next: Next) -> Response {
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
    let allowed = [
        "authorization",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "meridian-revision",
        "meridian-visitor",
        "traceparent",
    ];
    let exposed = [
        "etag",
        "location",
        "meridian-next-cursor",
        "meridian-revision",
        "idempotency-replayed",
        "retry-after",
        "ratelimit",
    ];
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(allowed.map(HeaderName::from_static))
        .expose_headers(exposed.map(HeaderName::from_static))
        .max_age(PREFLIGHT_MAX_AGE);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(tower_http::cors::Any);
    }
    layer.allow_origin(origins.iter().filter_map(|origin| origin.parse().ok()).collect::<Vec<HeaderValue>>())
}

#[cfg(test)]
mod tests;
