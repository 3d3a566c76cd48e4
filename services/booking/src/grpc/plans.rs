//! Care plans.

use std::sync::Arc;

use ::wire::booking::{self as wire, plans_server};
use rpc::Context;
use tonic::{Request, Response};

use super::Answer;
use crate::{
    Inner,
    plans::{book, check_in, create, ledger, list, propose, report, review, stored::load, view},
};

/// The service `Plans`.
pub(crate) struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl plans_server::Plans for Service {
    async fn create_plan(&self, request: Request<wire::CreatePlanRequest>) -> Answer<wire::Plan> {
        let ctx = Context::of(&request)?;
        Ok(create::create(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_plan(&self, request: Request<wire::GetPlanRequest>) -> Answer<wire::Plan> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(view::to_wire(&self.0, &load(&self.0, &ctx, &request.into_inner().id).await?)))
    }

    async fn list_plans(&self, request: Request<wire::ListPlansRequest>) -> Answer<wire::ListPlansResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(list::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn propose_plan(&self, request: Request<wire::ProposePlanRequest>) -> Answer<wire::ProposePlanResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(propose::propose(&self.0, &ctx, request.into_inner(), false).await?))
    }

    async fn repair_plan(&self, request: Request<wire::ProposePlanRequest>) -> Answer<wire::ProposePlanResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(propose::propose(&self.0, &ctx, request.into_inner(), true).await?))
    }

    async fn get_ledger(&self, request: Request<wire::GetPlanRequest>) -> Answer<wire::Ledger> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(ledger::ledger(&self.0, &ctx, &request.into_inner().id).await?))
    }

    async fn report_plans(&self, request: Request<wire::ReportPlansRequest>) -> Answer<wire::PlanReport> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(report::report(&self.0, &ctx, &request.into_inner()).await?))
    }

    async fn book_plan(&self, request: Request<wire::BookPlanRequest>) -> Answer<wire::Plan> {
        let ctx = Context::of(&request)?;
        Ok(book::book(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn record_check_in(
        &self,
        request: Request<wire::RecordCheckInRequest>,
    ) -> Answer<wire::RecordCheckInResponse> {
        let ctx = Context::of(&request)?;
        Ok(check_in::record(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn review_plan(&self, request: Request<wire::ReviewPlanRequest>) -> Answer<wire::Plan> {
        let ctx = Context::of(&request)?;
        Ok(review::review(&self.0, &ctx, request.into_inner()).await?)
    }
}
