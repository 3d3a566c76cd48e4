//! `Search`: open slots, the check before a booking, and what messages need to name a visit.

use std::sync::Arc;

use rpc::{Context, Fault};
use tonic::{Request, Response, Status};
use wire::availability::{self as wire_availability, search_server};

use crate::{
    Inner,
    directory::{describe, references},
    slots::{check, explain, list, nearest, watch},
};

/// The gRPC service.
pub(crate) struct Service(pub(crate) Arc<Inner>);

/// A question, once what its caller has written and the appointment that it names are known.
async fn asked<T>(
    inner: &Inner,
    ctx: &Context,
    request: Request<T>,
    moving: impl Fn(&T) -> &String,
) -> Result<T, Fault> {
    inner.fresh(ctx).await?;
    let request = request.into_inner();
    inner.knows(ctx, moving(&request)).await;
    Ok(request)
}

#[tonic::async_trait]
impl search_server::Search for Service {
    async fn search_slots(
        &self,
        request: Request<wire_availability::SearchSlotsRequest>,
    ) -> Result<Response<wire_availability::SearchSlotsResponse>, Status> {
        let ctx = Context::of(&request)?;
        let request = asked(&self.0, &ctx, request, |asked| &asked.moving).await?;
        Ok(Response::new(list::slots(&self.0, &ctx, &request).await?))
    }

    async fn search_days(
        &self,
        request: Request<wire_availability::SearchSlotsRequest>,
    ) -> Result<Response<wire_availability::SearchDaysResponse>, Status> {
        let ctx = Context::of(&request)?;
        let request = asked(&self.0, &ctx, request, |asked| &asked.moving).await?;
        Ok(Response::new(list::days(&self.0, &ctx, &request).await?))
    }

    async fn next_slots(
        &self,
        request: Request<wire_availability::SearchSlotsRequest>,
    ) -> Result<Response<wire_availability::NextSlotsResponse>, Status> {
        let ctx = Context::of(&request)?;
        let request = asked(&self.0, &ctx, request, |asked| &asked.moving).await?;
        Ok(Response::new(list::next(&self.0, &ctx, &request).await?))
    }

    async fn explain_slot(
        &self,
        request: Request<wire_availability::ExplainSlotRequest>,
    ) -> Result<Response<wire_availability::ExplainSlotResponse>, Status> {
        let ctx = Context::of(&request)?;
        let request = asked(&self.0, &ctx, request, |asked| &asked.moving).await?;
        Ok(Response::new(explain::explain(&self.0, &ctx, &request)?))
    }

    async fn check_slots(
        &self,
        request: Request<wire_availability::CheckSlotsRequest>,
    ) -> Result<Response<wire_availability::CheckSlotsResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.fresh(&ctx).await?;
        Ok(Response::new(check::check(&self.0, &ctx, &request.into_inner())?))
    }

    async fn nearest_slots(
        &self,
        request: Request<wire_availability::NearestSlotsRequest>,
    ) -> Result<Response<wire_availability::NearestSlotsResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.fresh(&ctx).await?;
        Ok(Response::new(nearest::nearest(&self.0, &ctx, &request.into_inner()).await?))
    }

    type WatchAvailabilityStream = watch::Changes;

    async fn watch_availability(
        &self,
        request: Request<wire_availability::SearchSlotsRequest>,
    ) -> Result<Response<watch::Changes>, Status> {
        let ctx = Context::of(&request)?;
        let request = asked(&self.0, &ctx, request, |asked| &asked.moving).await?;
        Ok(Response::new(watch::watch(&self.0, &ctx, request).await?))
    }

    async fn describe_visit(
        &self,
        request: Request<wire_availability::DescribeVisitRequest>,
    ) -> Result<Response<wire_availability::DescribeVisitResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.fresh_directory(&ctx).await?;
        Ok(Response::new(describe::describe(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn describe_visits(
        &self,
        request: Request<wire_availability::DescribeVisitsRequest>,
    ) -> Result<Response<wire_availability::DescribeVisitsResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.fresh_directory(&ctx).await?;
        Ok(Response::new(describe::describe_all(&self.0, &ctx, request.into_inner()).await?))
    }
    async fn check_references(
        &self,
        request: Request<wire_availability::CheckReferencesRequest>,
    ) -> Result<Response<wire_availability::CheckReferencesResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.fresh_directory(&ctx).await?;
        references::check(&self.0, &ctx, request.get_ref())?;
        Ok(Response::new(wire_availability::CheckReferencesResponse {}))
    }
}
