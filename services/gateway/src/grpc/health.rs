//! gRPC's health service: the gateway's readiness, without a key, as `/readyz` answers it.

use std::sync::Arc;

use futures::stream::Empty;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
};

use super::methods;
use crate::Inner;

/// The health of the gateway.
pub(super) struct Service(pub(super) Arc<Inner>);

#[tonic::async_trait]
impl Health for Service {
    type WatchStream = Empty<Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if !service.is_empty() && !methods::services().contains(&service.as_str()) {
            return Err(Status::not_found("there is no such service"));
        }
        let ready = self.0.readiness.is_ready() && !self.0.draining.has_begun();
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    /// Not offered: a stream without a key could be held open by anybody.
    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask with Check"))
    }
}
