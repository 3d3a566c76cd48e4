//! Care plans: made, read, proposed and booked as one thing.
//!
//! What a plan is and how it changes is in `careplan::plan`; here it is loaded, changed in the one transaction of
//! booking, and shown.

mod book;
mod create;
pub(crate) mod follow;
mod propose;
mod review;

use std::sync::Arc;

use careplan::plan::{Plan, Status};
use domain::{fault::Faults, id::PlanId};
use rpc::{Context, Fault};
use tonic::{Request, Response};
use uuid::Uuid;
use wire::{
    availability::GapDays,
    booking::{self as wire_booking, ListPlansRequest, ListPlansResponse, PlanPreferences, plans_server},
    convert,
};

use crate::{
    Inner, appointments,
    store::{batch::PlanChange, rows::PlanRow},
    write,
};

/// A plan and the version of it that is stored.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) plan: Plan,
    pub(crate) version: i64,
    created_at_us: i64,
    updated_at_us: i64,
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
        Ok(Response::new(shown(&load(&self.0, &ctx, &request.into_inner().id).await?)))
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
        Ok(Response::new(propose::propose(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn book_plan(&self, request: Request<wire_booking::BookPlanRequest>) -> Answer<wire_booking::Plan> {
        let ctx = Context::of(&request)?;
        Ok(book::book(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn review_plan(&self, request: Request<wire_booking::ReviewPlanRequest>) -> Answer<wire_booking::Plan> {
        let ctx = Context::of(&request)?;
        Ok(review::review(&self.0, &ctx, request.into_inner()).await?)
    }
}

/// Loads a plan of the caller's organisation.
pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<Stored, Fault> {
    let id: PlanId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.plan(ctx.organization.uuid(), id.uuid()).await.map_err(write::failure)?;
    read(found.ok_or_else(Fault::not_found)?)
}

/// The plan that a session belongs to.
pub(crate) async fn of_session(inner: &Inner, organization: Uuid, session: Uuid) -> Result<Option<Stored>, Fault> {
    inner.store.plan_of_session(organization, session).await.map_err(write::failure)?.map(read).transpose()
}

fn read(row: PlanRow) -> Result<Stored, Fault> {
    let plan = serde_json::from_str(&row.document).map_err(|_| Fault::internal("a stored plan cannot be read"))?;
    Ok(Stored { plan, version: row.version, created_at_us: row.created_at_us, updated_at_us: row.updated_at_us })
}

impl Stored {
    /// A plan that nothing stored precedes.
    fn new(plan: Plan, now_us: i64) -> Self {
        Self { plan, version: 1, created_at_us: now_us, updated_at_us: now_us }
    }

    /// The plan as it is after a change.
    pub(crate) fn with(&self, plan: Plan, now_us: i64) -> Self {
        Self { plan, version: self.version + 1, updated_at_us: now_us, ..*self }
    }

    /// What a batch writes of it.
    pub(crate) fn change(&self) -> Result<PlanChange, Fault> {
        Ok(PlanChange {
            id: self.plan.id.uuid(),
            version: self.version,
            patient_id: self.plan.order.patient.uuid(),
            status: self.plan.status.as_str().to_owned(),
            document: serde_json::to_string(&self.plan).map_err(Fault::internal)?,
            sessions: self.plan.sessions.iter().map(|session| session.id.uuid()).collect(),
        })
    }
}

/// A plan for the wire.
pub(crate) fn shown(stored: &Stored) -> wire_booking::Plan {
    let Plan { id, course, status, order, sessions, reviews } = &stored.plan;
    let wall = |time: Option<domain::time::WallTime>| time.map(|time| time.to_string()).unwrap_or_default();
    wire_booking::Plan {
        id: id.to_string(),
        version: stored.version,
        status: status.as_str().to_owned(),
        patient_id: order.patient.to_string(),
        plan_template_id: order.template.to_string(),
        condition_code: order.condition_code.clone(),
        course: match course {
            domain::directory::Course::Acute => "acute".to_owned(),
            domain::directory::Course::Chronic => "chronic".to_owned(),
        },
        practitioner_id: order.practitioner.map(|id| id.to_string()).unwrap_or_default(),
        location_ids: order.locations.iter().map(ToString::to_string).collect(),
        preferences: Some(PlanPreferences {
            days: order.preferences.days.iter().map(|day| day.as_str().to_owned()).collect(),
            not_before: wall(order.preferences.not_before),
            not_after: wall(order.preferences.not_after),
        }),
        start_on: order.start_on.to_string(),
        sessions: sessions.iter().map(session_shown).collect(),
        created_at_us: stored.created_at_us,
        updated_at_us: stored.updated_at_us,
        reviews: reviews.iter().map(review::review_shown).collect(),
        review_due: stored.plan.review_due(),
    }
}

fn session_shown(session: &careplan::plan::PlanSession) -> wire_booking::PlanSession {
    wire_booking::PlanSession {
        id: session.id.to_string(),
        ordinal: session.ordinal,
        phase: session.phase,
        service_id: session.service.to_string(),
        gap: session.gap_days.map(gap_to_wire),
        back: session.back,
        paired: session.paired,
        review_after: session.review_after,
        status: session.status.as_str().to_owned(),
        appointment_id: session.visit.map(|visit| visit.appointment.to_string()).unwrap_or_default(),
    }
}

fn gap_to_wire(gap: domain::directory::GapDays) -> GapDays {
    GapDays { least: gap.least, ideal: gap.ideal, most: gap.most }
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
    let mut rows = found.map_err(write::failure)?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let last = rows.last().filter(|_| more);
    Ok(ListPlansResponse {
        next_cursor: last.map(|row| sql::cursor::encode(0, row.id.as_u128())).unwrap_or_default(),
        plans: rows.into_iter().map(|row| Ok(shown(&read(row)?))).collect::<Result<_, Fault>>()?,
    })
}
