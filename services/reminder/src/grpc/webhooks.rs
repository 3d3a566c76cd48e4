//! The service `Webhooks`.

use std::sync::Arc;

use ::wire::reminder::{self as wire, webhooks_server};
use rpc::Context;
use tonic::{Request, Response, Status};

use crate::{
    Inner,
    webhooks::{deliveries, endpoints},
};

/// The gRPC service.
pub(crate) struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl webhooks_server::Webhooks for Service {
    async fn list_webhook_endpoints(
        &self,
        request: Request<wire::ListWebhookEndpointsRequest>,
    ) -> Result<Response<wire::ListWebhookEndpointsResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(endpoints::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn get_webhook_endpoint(
        &self,
        request: Request<wire::GetWebhookEndpointRequest>,
    ) -> Result<Response<wire::WebhookEndpoint>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(endpoints::get(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn create_webhook_endpoint(
        &self,
        request: Request<wire::CreateWebhookEndpointRequest>,
    ) -> Result<Response<wire::WebhookEndpoint>, Status> {
        let ctx = Context::of(&request)?;
        Ok(endpoints::create(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn update_webhook_endpoint(
        &self,
        request: Request<wire::UpdateWebhookEndpointRequest>,
    ) -> Result<Response<wire::WebhookEndpoint>, Status> {
        let ctx = Context::of(&request)?;
        Ok(endpoints::update(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<wire::DeleteWebhookEndpointRequest>,
    ) -> Result<Response<wire::DeleteWebhookEndpointResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(endpoints::delete(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<wire::RotateWebhookSecretRequest>,
    ) -> Result<Response<wire::WebhookEndpoint>, Status> {
        let ctx = Context::of(&request)?;
        Ok(endpoints::rotate(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn test_webhook_endpoint(
        &self,
        request: Request<wire::TestWebhookEndpointRequest>,
    ) -> Result<Response<wire::WebhookDelivery>, Status> {
        let ctx = Context::of(&request)?;
        Ok(deliveries::test(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn list_webhook_deliveries(
        &self,
        request: Request<wire::ListWebhookDeliveriesRequest>,
    ) -> Result<Response<wire::ListWebhookDeliveriesResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(deliveries::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn replay_webhook_delivery(
        &self,
        request: Request<wire::ReplayWebhookDeliveryRequest>,
    ) -> Result<Response<wire::WebhookDelivery>, Status> {
        let ctx = Context::of(&request)?;
        Ok(deliveries::replay(&self.0, &ctx, request.into_inner()).await?)
    }
}
