//! Questions that take whole calendars: series of open slots for a care plan, and new times for many appointments at
//! once. What is open is found as for any search; what is best is for `careplan` to say.

use std::sync::Arc;

use rpc::Context;
use tonic::{Request, Response, Status};
use wire::availability::{
    ProposeMovesRequest, ProposeMovesResponse, ProposeSeriesRequest, ProposeSeriesResponse, planner_server,
};

use crate::{
    Inner,
    planner::{moves, series},
};

/// The gRPC service.
pub(crate) struct Planner(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl planner_server::Planner for Planner {
    async fn propose_series(
        &self,
        request: Request<ProposeSeriesRequest>,
    ) -> Result<Response<ProposeSeriesResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.fresh(&ctx).await?;
        Ok(Response::new(series::propose(&self.0, &ctx, &request.into_inner()).await?))
    }

    async fn propose_moves(
        &self,
        request: Request<ProposeMovesRequest>,
    ) -> Result<Response<ProposeMovesResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.fresh(&ctx).await?;
        Ok(Response::new(moves::propose(&self.0, &ctx, &request.into_inner()).await?))
    }
}
