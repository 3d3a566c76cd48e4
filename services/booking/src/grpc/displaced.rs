//! Displaced appointments.

use std::sync::Arc;

use ::wire::booking::{self as wire, displaced_server};
use rpc::Context;
use tonic::{Request, Response};

use super::Answer;
use crate::{
    Inner,
    displaced::{book, propose},
};

/// The service `Displaced`.
pub(crate) struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl displaced_server::Displaced for Service {
    async fn propose_displaced(
        &self,
        request: Request<wire::ProposeDisplacedRequest>,
    ) -> Answer<wire::DisplacedProposal> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(propose::propose(&self.0, &ctx, &request.into_inner()).await?))
    }

    async fn book_displaced(
        &self,
        request: Request<wire::BookDisplacedRequest>,
    ) -> Answer<wire::BookDisplacedResponse> {
        let ctx = Context::of(&request)?;
        Ok(book::book(&self.0, &ctx, request.into_inner()).await?)
    }
}
