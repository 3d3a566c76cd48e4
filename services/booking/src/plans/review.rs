//! Recording a review: the plan and the appointments that fall away change in one transaction.

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
use tonic::Response;
use wire::{
    booking::{self as wire_booking, ReviewPlanRequest},
    common::BookingChannel,
    convert,
};

use super::{
    load,
    propose::{Asked, proposals},
    shown,
};
use crate::{
    Inner,
    appointments::permission,
    commit::{self, Begun, begin, remember, stale},
    feed::change,
    store::{batch::Batch, rows::AppointmentRow},
};

const ROUTE: &str = "ReviewPlan";
/// The reason that an appointment shows which a review has removed.
const REASON: &str = "plan_review";
/// How many series a review's answer proposes.
const PROPOSED: u32 = 3;

pub(super) async fn review(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: ReviewPlanRequest,
) -> Result<Response<wire_booking::Plan>, Fault> {
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let now = inner.clock.now();
    let review = read(request.review.unwrap_or_default(), now)?;
    let stored = load(inner, ctx, &request.id).await?;
    if request.if_version != 0 && request.if_version != stored.version {
        return Err(stale());
    }
    let reviewed = stored.plan.reviewed(review, || PlanSessionId::new(inner.ids.uuid(now)));
    let reviewed = reviewed.map_err(|rejection| match rejection {
        Rejection::Closed(_) => Fault::new(Code::InvalidTransition, rejection.to_string()),
        Rejection::TooLong => Fault::violation("/sessions", "out_of_range", &rejection.to_string()),
    })?;
    let now_us = now.as_microsecond();
    let next = stored.with(reviewed.plan, now_us);
    let answer = shown(inner, &next);
    let mut batch = Batch {
        organization_id: ctx.organization.uuid(),
        now_us,
        idempotency: remember(ctx, ROUTE, &answer),
        ..Batch::default()
    };
    next.put(inner, &mut batch)?;
    for appointment in reviewed.cancelled {
        let found =
            inner.store.appointment(ctx.organization.uuid(), appointment.uuid()).await.map_err(commit::failure)?;
        if let Some(row) = found {
            cancel(&mut batch, row)?;
        }
    }
    let answer = commit::finish(inner, ctx, ROUTE, batch, answer).await?;
    Ok(if rpc::is_replay(&answer) { answer } else { with_proposals(inner, ctx, &next.plan, answer).await })
}

/// Adds the best series for what is left to book, to the answer and to what is kept of it. The review stands whatever
/// becomes of that: a caller who misses them asks for proposals.
async fn with_proposals(
    inner: &Inner,
    ctx: &Context,
    plan: &Plan,
    mut answer: Response<wire_booking::Plan>,
) -> Response<wire_booking::Plan> {
    if plan.status == careplan::plan::Status::OnHold {
        return answer;
    }
    let channel = BookingChannel::Staff.into();
    let asked = Asked { limit: PROPOSED, channel, stretch_days: 0, prefer: None, repair: false };
    // The time of the appointments that fell away is free for the search.
    let ctx = ctx.after(&answer);
    match proposals(inner, &ctx, plan, asked).await {
        Ok(proposals) => answer.get_mut().proposals = proposals,
        Err(fault) if fault.code == Code::NoSeries => return answer,
        Err(fault) => {
            tracing::warn!(code = fault.code.as_str(), "a review was recorded, but no series could be looked for");
            return answer;
        }
    }
    if let Some(remembered) = remember(&ctx, ROUTE, answer.get_ref())
        && let Err(error) = inner.store.amend(ctx.organization.uuid(), &remembered).await
    {
        tracing::warn!(%error, "a repeated request will be answered without the proposals");
    }
    answer
}

/// Adds the cancellation of an appointment to a batch.
fn cancel(batch: &mut Batch, old: AppointmentRow) -> Result<(), Fault> {
    permission::target(&old, Transition::Cancel, Actor::Staff, batch.now_us)?;
    if old.group_id.is_some() && batch.leave_group.is_some() {
        let detail = "the plan has several group sessions ahead; cancel them one by one first";
        return Err(Fault::new(Code::InvalidTransition, detail));
    }
    let row = AppointmentRow {
        version: old.version + 1,
        status: Status::Cancelled.as_str().to_owned(),
        cancel_reason_code: Some(REASON.to_owned()),
        cancel_by: Some("staff".to_owned()),
        // It is the clinic's decision.
        cancel_late: Some(false),
        updated_at_us: batch.now_us,
        ..old
    };
    batch.release.push(row.id);
    if let Some(group) = row.group_id {
        batch.leave_group = Some(change::leave_group(group));
    }
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
            let words = "expected one of continue, extend, taper, change_service, pause, discharge";
            faults.push("/decision", "invalid_value", words);
            return None;
        }
    })
}

/// A review for the wire.
pub(super) fn review_shown(review: &Review) -> wire_booking::Review {
    let (sessions, service_id) = match review.decision {
        Decision::Extend(count) => (count, String::new()),
        Decision::ChangeService(service) => (0, service.to_string()),
        _ => (0, String::new()),
    };
    let activity = |it: &Activity| wire_booking::Activity { activity: it.activity.clone(), score: u32::from(it.score) };
    wire_booking::Review {
        at_us: review.at.as_microsecond(),
        nprs: u32::from(review.nprs),
        psfs: review.psfs.iter().map(activity).collect(),
        decision: review.decision.as_str().to_owned(),
        sessions,
        service_id,
        note: review.note.clone(),
    }
}
