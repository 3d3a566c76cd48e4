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

/// `Retry-After` of a process that is not ready.
const RETRY_AFTER_SECONDS: &str = "1";
/// Media type of Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";

/// All routes, for an address that only operators reach. `/readyz` also has the notes for operators.
pub fn router<S: Clone + Send + Sync + 'static>(readiness: Readiness) -> Router<S> {
    Router::new()
        .route("/healthz", get(healthy))
        .route("/readyz", get(move || async move { ready(&readiness, &readiness.notes()) }))
        .route("/metrics", get(async || metrics()))
}

/// The routes that tell nothing but health. `/readyz` answers 503 with the missing parts and their reasons while the register
/// lacks any.
pub fn health<S: Clone + Send + Sync + 'static>(readiness: Readiness) -> Router<S> {
    Router::new().route("/healthz", get(healthy)).route("/readyz", get(move || async move { ready(&readiness, &[]) }))
}

async fn healthy() -> Json<Value> {
    Json(json!({"status": "ok"}))
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

fn ready(readiness: &Readiness, notes: &[(String, String)]) -> Response {
    let by_part = |texts: &[(String, String)]| -> Map<String, Value> {
        texts.iter().map(|(part, text)| (part.clone(), text.as_str().into())).collect()
    };
    let missing = by_part(&readiness.missing());
    let is_ready = missing.is_empty();
    let mut body = json!({"status": if is_ready { "ready" } else { "unready" }, "missing": missing});
    if !notes.is_empty() {
        body["notes"] = by_part(notes).into();
    }
    if is_ready {
        return Json(body).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)], Json(body)).into_response()
}
