//! gRPC for clients: methods of the services under the keys, scopes and limits of REST.
//!
//! A call is checked here and forwarded as bytes. Start reading at [`methods`] for the table, at [`proxy`] for the path of a
//! call.

mod adjust;
mod frame;
mod health;
mod ids;
pub(crate) mod methods;
mod proxy;
mod reflection;
mod texts;

use std::sync::Arc;

use axum::{Router, extract::Request, http::header, response::Response, routing::post};
use rpc::{Code, Fault};
use tonic::Status;
use tonic_health::pb::health_server::HealthServer;

use crate::Inner;

/// Begins the media type of every gRPC message.
const MEDIA_TYPE: &str = "application/grpc";

/// The routes of the public methods, of health and of reflection.
pub(crate) fn router(inner: &Arc<Inner>) -> Router<Arc<Inner>> {
    let mut router = Router::new();
    for method in &methods::METHODS {
        let Some(operation) = inner.operation(method.operation) else { continue };
        let endpoint = proxy::Endpoint { inner: inner.clone(), method, operation };
        let serve = move |request: Request| endpoint.clone().serve(request);
        router = router.route(&format!("/{}", method.name), post(serve));
    }
    let health = HealthServer::new(health::Service(inner.clone()));
    router.route_service("/grpc.health.v1.Health/{method}", health).merge(reflection::router(inner))
}

/// Whether a request is a gRPC call.
pub(crate) fn is_call(request: &Request) -> bool {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type.is_some_and(|text| text.starts_with(MEDIA_TYPE))
}

/// The answer to a call of a method that is not offered to clients.
pub(crate) fn unimplemented() -> Response {
    refuse(Fault::new(
        Code::Unimplemented,
        "this method is not offered to clients; proto/README.md lists those that are",
    ))
}

pub(crate) fn refuse(fault: Fault) -> Response {
    Status::from(fault.for_clients()).into_http()
}
