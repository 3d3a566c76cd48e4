//! Reason codes.

use std::sync::Arc;

use ::wire::booking::{self as wire, reason_codes_server};
use rpc::Context;
use tonic::{Request, Response};

use super::Answer;
use crate::{
    Inner,
    reasons::{self, write},
};

/// The service `ReasonCodes`.
pub(crate) struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl reason_codes_server::ReasonCodes for Service {
    async fn list_reason_codes(
        &self,
        request: Request<wire::ListReasonCodesRequest>,
    ) -> Answer<wire::ListReasonCodesResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(reasons::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn get_reason_code(&self, request: Request<wire::GetReasonCodeRequest>) -> Answer<wire::ReasonCode> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(reasons::load(&self.0, &ctx, &request.into_inner().code, 0).await?.to_wire()))
    }

    async fn create_reason_code(&self, request: Request<wire::CreateReasonCodeRequest>) -> Answer<wire::ReasonCode> {
        let ctx = Context::of(&request)?;
        Ok(write::create(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn update_reason_code(&self, request: Request<wire::UpdateReasonCodeRequest>) -> Answer<wire::ReasonCode> {
        let ctx = Context::of(&request)?;
        Ok(write::update(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn delete_reason_code(
        &self,
        request: Request<wire::DeleteReasonCodeRequest>,
    ) -> Answer<wire::DeleteReasonCodeResponse> {
        let ctx = Context::of(&request)?;
        Ok(write::delete(&self.0, &ctx, request.into_inner()).await?)
    }
}
