//! A patient's answer, some time after a session, to how it is.

use std::sync::Arc;

use careplan::plan::CheckIn;
use domain::{
    fault::Faults,
    id::{AppointmentId, PlanId},
};
use rpc::{Context, Fault};
use service::idempotency::Begun;
use tonic::Response;
use wire::booking::{RecordCheckInRequest, RecordCheckInResponse};

use super::stored::of_session;
use crate::{
    Inner, appointments,
    commit::{self, begin},
    store::batch::Batch,
};

const ROUTE: &str = "RecordCheckIn";

pub(crate) async fn record(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RecordCheckInRequest,
) -> Result<Response<RecordCheckInResponse>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let mut faults = Faults::new();
    faults.check(request.score <= 10, "/score", "out_of_range", "must lie between 0 and 10");
    faults.result()?;
    commit::retry_stale(|| record_once(inner, ctx, &request)).await
}

async fn record_once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &RecordCheckInRequest,
) -> Result<Response<RecordCheckInResponse>, Fault> {
    let row = appointments::load(inner, ctx, &request.appointment_id).await?;
    let stored = match row.plan_session_id {
        Some(session) => of_session(inner, row.organization_id, session).await?,
        None => None,
    };
    let Some(stored) = stored else { return Ok(Response::new(RecordCheckInResponse::default())) };
    let now = inner.clock.now();
    let score = u8::try_from(request.score).unwrap_or(10);
    let plan = stored.plan.checked_in(CheckIn { appointment: AppointmentId::new(row.id), score, at: now });
    let answer = RecordCheckInResponse { plan_id: PlanId::new(plan.id.uuid()).to_string() };
    let now_us = now.as_microsecond();
    let mut batch = Batch::new(row.organization_id, now_us);
    stored.with(plan, now_us).put(&mut batch, inner.config.at_risk_days)?;
    commit::answer(inner, ctx, ROUTE, batch, answer).await
}
