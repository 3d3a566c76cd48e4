//! `Search`: open slots, the checks of booking, and the names that messages need.

use std::sync::Arc;

use rpc::{Context, Fault};
use tonic::{Request, Response, Status};
use wire::availability::{
    CheckReferencesRequest, CheckReferencesResponse, CheckSlotsRequest, CheckSlotsResponse, DescribeVisitRequest,
    DescribeVisitResponse, DescribeVisitsRequest, DescribeVisitsResponse, ExplainSlotRequest, ExplainSlotResponse,
    NearestSlotsRequest, NearestSlotsResponse, NextSlotsResponse, SearchDaysResponse, SearchSlotsRequest,
    SearchSlotsResponse, search_server,
};

use crate::{
    Inner,
    directory::{describe, references},
    slots::{self, check, explain, nearest, watch},
};

pub(crate) struct Service(pub(crate) Arc<Inner>);

impl Service {
    /// Waits for the caller's revision, and for the appointment that the request moves.
    async fn wait(&self, ctx: &Context, moving: &str) -> Result<(), Fault> {
        self.0.wait_for_revision(ctx).await?;
        self.0.wait_for_appointment(ctx, moving).await;
        Ok(())
    }
}

#[tonic::async_trait]
impl search_server::Search for Service {
    type WatchAvailabilityStream = watch::AvailabilityStream;

    async fn search_slots(
        &self,
        request: Request<SearchSlotsRequest>,
    ) -> Result<Response<SearchSlotsResponse>, Status> {
        let (ctx, request) = (Context::of(&request)?, request.into_inner());
        self.wait(&ctx, &request.moving).await?;
        Ok(Response::new(slots::search_slots(&self.0, &ctx, &request).await?))
    }

    async fn search_days(&self, request: Request<SearchSlotsRequest>) -> Result<Response<SearchDaysResponse>, Status> {
        let (ctx, request) = (Context::of(&request)?, request.into_inner());
        self.wait(&ctx, &request.moving).await?;
        Ok(Response::new(slots::search_days(&self.0, &ctx, &request).await?))
    }

    async fn next_slots(&self, request: Request<SearchSlotsRequest>) -> Result<Response<NextSlotsResponse>, Status> {
        let (ctx, request) = (Context::of(&request)?, request.into_inner());
        self.wait(&ctx, &request.moving).await?;
        Ok(Response::new(slots::next_slots(&self.0, &ctx, &request).await?))
    }

    async fn explain_slot(
        &self,
        request: Request<ExplainSlotRequest>,
    ) -> Result<Response<ExplainSlotResponse>, Status> {
        let (ctx, request) = (Context::of(&request)?, request.into_inner());
        self.wait(&ctx, &request.moving).await?;
        Ok(Response::new(explain::explain(&self.0, &ctx, &request)?))
    }

    async fn check_slots(&self, request: Request<CheckSlotsRequest>) -> Result<Response<CheckSlotsResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_revision(&ctx).await?;
        Ok(Response::new(check::check(&self.0, &ctx, request.get_ref())?))
    }

    async fn nearest_slots(
        &self,
        request: Request<NearestSlotsRequest>,
    ) -> Result<Response<NearestSlotsResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_revision(&ctx).await?;
        Ok(Response::new(nearest::nearest(&self.0, &ctx, request.get_ref()).await?))
    }

    async fn watch_availability(
        &self,
        request: Request<SearchSlotsRequest>,
    ) -> Result<Response<watch::AvailabilityStream>, Status> {
        let (ctx, request) = (Context::of(&request)?, request.into_inner());
        self.wait(&ctx, &request.moving).await?;
        Ok(Response::new(watch::watch(&self.0, &ctx, request).await?))
    }

    async fn describe_visit(
        &self,
        request: Request<DescribeVisitRequest>,
    ) -> Result<Response<DescribeVisitResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_directory(&ctx).await?;
        Ok(Response::new(describe::describe(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn describe_visits(
        &self,
        request: Request<DescribeVisitsRequest>,
    ) -> Result<Response<DescribeVisitsResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_directory(&ctx).await?;
        Ok(Response::new(describe::describe_all(&self.0, &ctx, request.get_ref()).await?))
    }

    async fn check_references(
        &self,
        request: Request<CheckReferencesRequest>,
    ) -> Result<Response<CheckReferencesResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_directory(&ctx).await?;
        references::check(&self.0, &ctx, request.get_ref()).await?;
        Ok(Response::new(CheckReferencesResponse {}))
    }
}
