//! The paths of every process for operators: `/healthz`, `/readyz` and `/metrics`.

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::BoxFuture;
use runtime::{Readiness, Shutdown, telemetry};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// Media type of Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";

/// All routes, for an address that only operators reach.
pub fn router<S: Clone + Send + Sync + 'static>(readiness: Readiness) -> Router<S> {
    health(readiness).route("/metrics", get(async || metrics()))
}

/// The routes that tell nothing but health. `/readyz` answers 503 with the missing parts and their reasons while the register
/// lacks any.
pub fn health<S: Clone + Send + Sync + 'static>(readiness: Readiness) -> Router<S> {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/readyz", get(move || async move { ready(&readiness) }))
}

/// The process's metrics in Prometheus' text format.
pub fn metrics() -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], telemetry::metrics()).into_response()
}

/// Serves the routes on a socket of their own until draining begins. An error of the socket is logged.
pub fn serve(listener: TcpListener, readiness: Readiness, shutdown: Shutdown) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let router = router(readiness).into_make_service();
        let end = async move { shutdown.begun().await };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(end).await {
            tracing::error!(%error, "the endpoints for health and metrics have stopped");
        }
    })
}

fn ready(readiness: &Readiness) -> Response {
    let missing: Map<String, Value> =
        readiness.missing().into_iter().map(|(part, reason)| (part, reason.into())).collect();
    let (status, word) =
        if missing.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "unready") };
    (status, Json(json!({"status": word, "missing": missing}))).into_response()
}
