//! Recording a review: the plan changes and the appointments that it drops are cancelled in one transaction.

use std::sync::Arc;

use careplan::{
    plan::Plan,
    review::{Activity, Decision, Rejection, Review},
};
use domain::{
    appointment::{Actor, Status, Transition},
    fault::{Faults, check_note, check_text},
    id::PlanSessionId,
};
use rpc::{Code, Context, Fault};
use service::{db_error, idempotency::Begun};
use tonic::Response;
use wire::{
    booking::{self as wire_booking, ReviewPlanRequest},
    common::BookingChannel,
    convert,
};

use super::{
    propose::{SeriesQuery, proposals},
    stored::load,
    view,
};
use crate::{
    Inner,
    appointments::{permission, record},
    commit::{self, begin},
    feed::change,
    store::{appointments::AppointmentRow, batch::Batch},
};

const ROUTE: &str = "ReviewPlan";
/// The reason code of appointments that a review cancels.
const REASON_CODE: &str = "plan_review";
/// Series in the answer to a review.
const PROPOSALS_MAX: u32 = 3;

pub(crate) async fn review(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: ReviewPlanRequest,
) -> Result<Response<wire_booking::Plan>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    commit::retry_stale(|| review_once(inner, ctx, request.clone())).await
}

async fn review_once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: ReviewPlanRequest,
) -> Result<Response<wire_booking::Plan>, Fault> {
    let now = inner.clock.now();
    let review = read(request.review.unwrap_or_default(), now)?;
    let stored = load(inner, ctx, &request.id).await?;
    if request.if_version != 0 && request.if_version != stored.version {
        return Err(commit::version_mismatch());
    }
    let reviewed = stored.plan.reviewed(review, || PlanSessionId::new(inner.ids.uuid(now)));
    let reviewed = reviewed.map_err(|rejection| match rejection {
        Rejection::Closed(_) => Fault::new(Code::InvalidTransition, rejection.to_string()),
        Rejection::TooLong => Fault::violation("/sessions", "out_of_range", &rejection.to_string()),
    })?;
    let (organization, now_us) = (ctx.organization.uuid(), now.as_microsecond());
    let next = stored.with(reviewed.plan, now_us);
    let mut batch = Batch::new(organization, now_us);
    next.put(&mut batch, inner.config.at_risk_days)?;
    for appointment in reviewed.cancelled {
        let found = inner.store.appointment(organization, appointment.uuid()).await.map_err(db_error::fault)?;
        if let Some(row) = found {
            cancel(&mut batch, row)?;
        }
    }
    let response = commit::answer(inner, ctx, ROUTE, batch, view::to_wire(inner, &next)).await?;
    Ok(if rpc::is_replay(&response) { response } else { with_proposals(inner, ctx, &next.plan, response).await })
}

/// Adds the best series for the sessions that are left to book, to the answer and to the stored answer. The review stands
/// without them: a caller who misses them asks for proposals.
async fn with_proposals(
    inner: &Inner,
    ctx: &Context,
    plan: &Plan,
    mut response: Response<wire_booking::Plan>,
) -> Response<wire_booking::Plan> {
    if plan.status == careplan::plan::Status::OnHold {
        return response;
    }
    let channel = BookingChannel::Staff.into();
    let query = SeriesQuery { limit: PROPOSALS_MAX, channel, stretch_days: 0, prefer: None, repair: false };
    // The search must know that the time of the cancelled appointments is free.
    let ctx = ctx.after(&response);
    match proposals(inner, &ctx, plan, query).await {
        Ok(proposals) => response.get_mut().proposals = proposals,
        Err(fault) if fault.code == Code::NoSeries => return response,
        Err(fault) => {
            let (code, organization) = (fault.code.as_str(), ctx.organization);
            tracing::warn!(code, %organization, plan = %plan.id, "a review was recorded without proposals");
            return response;
        }
    }
    if let Ok(Some(record)) = commit::idempotency_record(inner, &ctx, ROUTE, response.get_ref())
        && let Err(error) = inner.store.replace_answer(ctx.organization.uuid(), &record).await
    {
        let organization = ctx.organization;
        tracing::warn!(%error, %organization, plan = %plan.id, "a repeated review will be answered without proposals");
    }
    response
}

/// Adds the cancellation of an appointment to a batch.
fn cancel(batch: &mut Batch, old: AppointmentRow) -> Result<(), Fault> {
    permission::check_transition(&old, Transition::Cancel, Actor::Staff, batch.now_us)?;
    if old.group_id.is_some() && batch.leave_group.is_some() {
        let detail = "the plan has several group sessions ahead; cancel them one by one first";
        return Err(Fault::new(Code::InvalidTransition, detail));
    }
    record::release(batch, &old);
    let row = AppointmentRow {
        version: old.version + 1,
        status: Status::Cancelled.as_str().to_owned(),
        cancel_reason_code: Some(REASON_CODE.to_owned()),
        cancel_by: Some(Actor::Staff.as_str().to_owned()),
        // The clinic decides it.
        cancel_late: Some(false),
        cancelled_at_us: Some(batch.now_us),
        updated_at_us: batch.now_us,
        ..old
    };
    batch.changes.push(change::of_appointment(&row, &[], "cancelled"));
    batch.appointments.push(row);
    Ok(())
}

fn read(wire: wire_booking::Review, now: jiff::Timestamp) -> Result<Review, Fault> {
    let mut faults = Faults::new();
    faults.check(wire.nprs <= 10, "/nprs", "out_of_range", "must lie between 0 and 10");
    let count = wire.psfs.len();
    faults.check((1..=3).contains(&count), "/psfs", "out_of_range", "give one to three activities");
    let psfs = wire.psfs.iter().enumerate().map(|(at, it)| {
        check_text(&mut faults, &format!("/psfs/{at}/activity"), &it.activity, 100);
        faults.check(it.score <= 10, format!("/psfs/{at}/score"), "out_of_range", "must lie between 0 and 10");
        Activity { activity: it.activity.clone(), score: u8::try_from(it.score).unwrap_or(0) }
    });
    let psfs = psfs.collect();
    let decision = decision(&mut faults, &wire);
    check_note(&mut faults, "/note", &wire.note, 4000);
    faults.result()?;
    let decision = decision.ok_or_else(|| Fault::internal("a review without faults lacks a part"))?;
    Ok(Review { at: now, nprs: u8::try_from(wire.nprs).unwrap_or(0), psfs, decision, note: wire.note })
}

fn decision(faults: &mut Faults, wire: &wire_booking::Review) -> Option<Decision> {
    let (extends, changes) = (wire.decision == "extend", wire.decision == "change_service");
    let sessions = (1..=50).contains(&wire.sessions);
    faults.check(!extends || sessions, "/sessions", "out_of_range", "say how many more, 1 to 50");
    faults.check(extends || wire.sessions == 0, "/sessions", "unexpected", "only `extend` adds sessions");
    faults.check(changes || wire.service_id.is_empty(), "/service_id", "unexpected", "only `change_service` has one");
    Some(match wire.decision.as_str() {
        "continue" => Decision::Continue,
        "extend" => Decision::Extend(wire.sessions),
        "taper" => Decision::Taper,
        "change_service" => {
            Decision::ChangeService(convert::id::<domain::id::Service>(faults, "/service_id", &wire.service_id)?)
        }
        "pause" => Decision::Pause,
        "discharge" => Decision::Discharge,
        _ => {
            let expected = "expected one of continue, extend, taper, change_service, pause, discharge";
            faults.push("/decision", "invalid_value", expected);
            return None;
        }
    })
}
