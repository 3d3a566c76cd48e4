//! The paths of every process for operators: `/healthz`, `/readyz` and `/metrics`.

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use runtime::{Readiness, telemetry};
use serde_json::{Map, Value, json};

/// Media type of Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";

/// The routes. `/readyz` answers 503 with the missing parts and their reasons while the register lacks any.
pub fn router<S: Clone + Send + Sync + 'static>(readiness: Readiness) -> Router<S> {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/readyz", get(move || async move { ready(&readiness) }))
        .route("/metrics", get(|| async { ([(header::CONTENT_TYPE, METRICS_TYPE)], telemetry::metrics()) }))
}

fn ready(readiness: &Readiness) -> Response {
    let missing: Map<String, Value> =
        readiness.missing().into_iter().map(|(part, reason)| (part, reason.into())).collect();
    let (status, word) =
        if missing.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "unready") };
    (status, Json(json!({"status": word, "missing": missing}))).into_response()
}
