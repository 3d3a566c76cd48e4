//! `Planner`: series of open slots, and new times for many appointments.

use std::sync::Arc;

use rpc::Context;
use tonic::{Request, Response, Status};
use wire::availability::{
    ProposeMovesRequest, ProposeMovesResponse, ProposeSeriesRequest, ProposeSeriesResponse, planner_server,
};

use crate::{Inner, planner};

pub(crate) struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl planner_server::Planner for Service {
    async fn propose_series(
        &self,
        request: Request<ProposeSeriesRequest>,
    ) -> Result<Response<ProposeSeriesResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_revision(&ctx).await?;
        Ok(Response::new(planner::propose_series(&self.0, &ctx, request.get_ref()).await?))
    }

    async fn propose_moves(
        &self,
        request: Request<ProposeMovesRequest>,
    ) -> Result<Response<ProposeMovesResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_revision(&ctx).await?;
        Ok(Response::new(planner::propose_moves(&self.0, &ctx, request.get_ref()).await?))
    }
}
