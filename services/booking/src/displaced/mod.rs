//! Displaced appointments: what a sick day, a closure or an expired certificate has taken the ground from, given new
//! times together.

mod book;
mod propose;
mod request;

use std::sync::Arc;

use rpc::Context;
use tonic::{Request, Response, Status};
use wire::booking::{
    BookDisplacedRequest, BookDisplacedResponse, DisplacedProposal, ProposeDisplacedRequest, displaced_server,
};

use crate::Inner;

/// The gRPC service.
pub(crate) struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl displaced_server::Displaced for Service {
    async fn propose_displaced(
        &self,
        request: Request<ProposeDisplacedRequest>,
    ) -> Result<Response<DisplacedProposal>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(propose::propose(&self.0, &ctx, &request.into_inner()).await?))
    }

    async fn book_displaced(
        &self,
        request: Request<BookDisplacedRequest>,
    ) -> Result<Response<BookDisplacedResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(book::book(&self.0, &ctx, request.into_inner()).await?)
    }
}
