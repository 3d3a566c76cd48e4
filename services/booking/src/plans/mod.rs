//! Care plans: made, read, proposed, booked, reviewed and repaired as one thing.
//!
//! What a plan is and how it changes is in `careplan::plan`; here it is loaded, changed in the one transaction of
//! booking, and shown.

mod book;
mod check_in;
mod create;
mod ledger;
pub(crate) mod on_visit;
pub(crate) mod propose;
mod report;
mod review;
mod view;

use std::sync::Arc;

use careplan::plan::{Plan, Status};
use domain::{fault::Faults, id::PlanId, time::from_micros};
use rpc::{Context, Fault};
use tonic::{Request, Response};
use uuid::Uuid;
use wire::{
    booking::{self as wire_booking, ListPlansRequest, ListPlansResponse, plans_server},
    convert,
};

use self::view::shown;
pub(crate) use self::view::{gap_to_wire, now, today};
use crate::{
    Inner, appointments, commit,
    feed::change,
    jobs::plan_risk,
    store::{
        batch::{Batch, PlanChange},
        rows::PlanRow,
    },
};

/// A plan and the version of it that is stored.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) plan: Plan,
    pub(crate) version: i64,
    created_at_us: i64,
    updated_at_us: i64,
    /// Whether it has been told to be at risk.
    at_risk: bool,
    /// What it was before the change at hand.
    before: Option<Box<Plan>>,
}

/// The gRPC service.
pub(crate) struct Service(pub(crate) Arc<Inner>);

type Answer<T> = Result<Response<T>, tonic::Status>;

#[tonic::async_trait]
impl plans_server::Plans for Service {
    async fn create_plan(&self, request: Request<wire_booking::CreatePlanRequest>) -> Answer<wire_booking::Plan> {
        let ctx = Context::of(&request)?;
        Ok(create::create(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_plan(&self, request: Request<wire_booking::GetPlanRequest>) -> Answer<wire_booking::Plan> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(shown(&self.0, &load(&self.0, &ctx, &request.into_inner().id).await?)))
    }

    async fn list_plans(&self, request: Request<ListPlansRequest>) -> Answer<ListPlansResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn propose_plan(
        &self,
        request: Request<wire_booking::ProposePlanRequest>,
    ) -> Answer<wire_booking::ProposePlanResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(propose::propose(&self.0, &ctx, request.into_inner(), false).await?))
    }

    async fn repair_plan(
        &self,
        request: Request<wire_booking::ProposePlanRequest>,
    ) -> Answer<wire_booking::ProposePlanResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(propose::propose(&self.0, &ctx, request.into_inner(), true).await?))
    }

    async fn get_ledger(&self, request: Request<wire_booking::GetPlanRequest>) -> Answer<wire_booking::Ledger> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(ledger::ledger(&self.0, &ctx, &request.into_inner().id).await?))
    }

    async fn report_plans(
        &self,
        request: Request<wire_booking::ReportPlansRequest>,
    ) -> Answer<wire_booking::PlanReport> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(report::report(&self.0, &ctx, &request.into_inner()).await?))
    }

    async fn book_plan(&self, request: Request<wire_booking::BookPlanRequest>) -> Answer<wire_booking::Plan> {
        let ctx = Context::of(&request)?;
        Ok(book::book(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn record_check_in(
        &self,
        request: Request<wire_booking::RecordCheckInRequest>,
    ) -> Answer<wire_booking::RecordCheckInResponse> {
        let ctx = Context::of(&request)?;
        Ok(check_in::record(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn review_plan(&self, request: Request<wire_booking::ReviewPlanRequest>) -> Answer<wire_booking::Plan> {
        let ctx = Context::of(&request)?;
        Ok(review::review(&self.0, &ctx, request.into_inner()).await?)
    }
}

/// Loads a plan of the caller's organisation.
pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<Stored, Fault> {
    let id: PlanId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.plan(ctx.organization.uuid(), id.uuid()).await.map_err(commit::failure)?;
    read(found.ok_or_else(Fault::not_found)?)
}

/// The plan that a session belongs to.
pub(crate) async fn of_session(inner: &Inner, organization: Uuid, session: Uuid) -> Result<Option<Stored>, Fault> {
    inner.store.plan_of_session(organization, session).await.map_err(commit::failure)?.map(read).transpose()
}

pub(crate) fn read(row: PlanRow) -> Result<Stored, Fault> {
    let plan = serde_json::from_str(&row.document).map_err(|_| Fault::internal("a stored plan cannot be read"))?;
    Ok(Stored {
        plan,
        version: row.version,
        created_at_us: row.created_at_us,
        updated_at_us: row.updated_at_us,
        at_risk: row.at_risk,
        before: None,
    })
}

impl Stored {
    /// A plan that nothing stored precedes.
    fn new(plan: Plan, now_us: i64) -> Self {
        Self { plan, version: 1, created_at_us: now_us, updated_at_us: now_us, at_risk: false, before: None }
    }

    /// The plan as it is after a change.
    pub(crate) fn with(&self, plan: Plan, now_us: i64) -> Self {
        let before = Some(Box::new(self.plan.clone()));
        Self { plan, version: self.version + 1, updated_at_us: now_us, before, ..*self }
    }

    /// Adds to a batch what is written of the plan, its ledger's entries, and what the feed tells.
    pub(crate) fn put(&self, inner: &Inner, batch: &mut Batch) -> Result<(), Fault> {
        let now = from_micros(batch.now_us).ok_or_else(|| Fault::internal("a batch has no time"))?;
        let entries = careplan::ledger::entries(self.before.as_deref(), &self.plan, now);
        let entries = (!entries.is_empty()).then(|| serde_json::to_string(&entries)).transpose();
        let risk_at_us = plan_risk::begins(&self.plan, now, inner.config.at_risk_days);
        let at_risk = risk_at_us.is_some_and(|risk| risk <= batch.now_us);
        batch.plans.push(PlanChange {
            id: self.plan.id.uuid(),
            version: self.version,
            patient_id: self.plan.order.patient.uuid(),
            status: self.plan.status.as_str().to_owned(),
            document: serde_json::to_string(&self.plan).map_err(Fault::internal)?,
            sessions: self.plan.sessions.iter().map(|session| session.id.uuid()).collect(),
            risk_at_us,
            at_risk,
            entries: entries.map_err(Fault::internal)?,
        });
        let event = if at_risk && !self.at_risk { "plan_at_risk" } else { "plan_changed" };
        batch.changes.push(change::of_plan(&self.plan, self.version, now, at_risk, event));
        Ok(())
    }
}

async fn list(inner: &Inner, ctx: &Context, request: ListPlansRequest) -> Result<ListPlansResponse, Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = appointments::list::limit(&mut faults, page.limit);
    let before = appointments::list::cursor(&mut faults, &page.cursor).map(|(_, id)| id);
    let patient = convert::optional_id::<domain::id::Patient>(&mut faults, "patient_id", &request.patient_id);
    for status in &request.statuses {
        let known = Status::ALL.iter().any(|known| known.as_str() == status);
        faults.check(known, "status", "invalid_value", "expected one of draft, active, on-hold, completed, revoked");
    }
    faults.result()?;
    let patient = patient.map(domain::id::Id::uuid);
    let found = inner.store.plans(ctx.organization.uuid(), patient, &request.statuses, before, limit + 1).await;
    let mut rows = found.map_err(commit::failure)?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let last = rows.last().filter(|_| more);
    Ok(ListPlansResponse {
        next_cursor: last.map(|row| sql::cursor::encode(0, row.id.as_u128())).unwrap_or_default(),
        plans: rows.into_iter().map(|row| Ok(shown(inner, &read(row)?))).collect::<Result<_, Fault>>()?,
    })
}
