//! Proposing the rest of a plan: availability finds the series, each slot is put to its session.

use careplan::plan::{Plan, PlanSession, SessionStatus, Status};
use domain::{fault::Faults, id::ProposalId};
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::{
    availability::{FixedVisit, ProposeSeriesRequest, SeriesSession},
    booking::{PlanProposal, ProposePlanRequest, ProposePlanResponse, ProposedSession},
};

use super::{gap_to_wire, load};
use crate::{Inner, write};

/// A day, in microseconds.
const KEPT_US: i64 = 24 * 3600 * 1_000_000;

pub(super) async fn propose(
    inner: &Inner,
    ctx: &Context,
    request: ProposePlanRequest,
) -> Result<ProposePlanResponse, Fault> {
    let mut faults = Faults::new();
    faults.check(request.limit <= 10, "/limit", "out_of_range", "must lie between 1 and 10");
    faults.result()?;
    let plan = load(inner, ctx, &request.id).await?.plan;
    if plan.status == Status::OnHold {
        let detail = "the plan is on-hold; a review that continues it comes first";
        return Err(Fault::new(Code::InvalidTransition, detail));
    }
    Ok(ProposePlanResponse { proposals: proposals(inner, ctx, &plan, request.limit, request.channel).await? })
}

/// The sessions and slots of a proposal that was made for this plan within the last day.
pub(super) async fn remembered(
    inner: &Inner,
    ctx: &Context,
    plan: &Plan,
    proposal: &str,
) -> Result<Vec<(String, String)>, Fault> {
    let unknown = || {
        Fault::violation(
            "/proposal_id",
            "unknown_reference",
            "no such proposal of this plan is remembered; propose again",
        )
    };
    let id: ProposalId = proposal.parse().map_err(|_| unknown())?;
    let (organization, now_us) = (ctx.organization.uuid(), inner.clock.now_us());
    let found = inner.store.proposal(organization, id.uuid(), plan.id.uuid(), now_us).await;
    serde_json::from_str(&found.map_err(write::failure)?.ok_or_else(unknown)?).map_err(Fault::internal)
}

/// Remembers a proposal for a day.
async fn remember(inner: &Inner, ctx: &Context, plan: &Plan, proposal: &PlanProposal, id: Uuid) -> Result<(), Fault> {
    let chosen = proposal.sessions.iter().map(|session| {
        let slot = session.slot.as_ref().map(|slot| slot.slot_id.as_str());
        (session.plan_session_id.as_str(), slot.unwrap_or_default())
    });
    let sessions = serde_json::to_string(&chosen.collect::<Vec<_>>()).map_err(Fault::internal)?;
    let expires_at_us = inner.clock.now_us() + KEPT_US;
    let (organization, plan) = (ctx.organization.uuid(), plan.id.uuid());
    inner.store.keep_proposal(organization, id, plan, &sessions, expires_at_us).await.map_err(write::failure)
}

/// The cheapest series for what is still to be booked; none where all is.
pub(super) async fn proposals(
    inner: &Inner,
    ctx: &Context,
    plan: &Plan,
    limit: u32,
    channel: i32,
) -> Result<Vec<PlanProposal>, Fault> {
    let open: Vec<&PlanSession> =
        plan.sessions.iter().filter(|session| session.status == SessionStatus::ToBook).collect();
    if open.is_empty() {
        return Ok(vec![]);
    }
    let today = inner.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let preferences = &plan.order.preferences;
    let wall = |time: Option<domain::time::WallTime>| time.map(|time| time.to_string()).unwrap_or_default();
    let request = ProposeSeriesRequest {
        sessions: plan.sessions.iter().map(series_session).collect(),
        start_on: plan.order.start_on.max(today).to_string(),
        practitioner_id: plan.order.practitioner.map(|id| id.to_string()).unwrap_or_default(),
        location_ids: plan.order.locations.iter().map(ToString::to_string).collect(),
        days: preferences.days.iter().map(|day| day.as_str().to_owned()).collect(),
        not_before: wall(preferences.not_before),
        not_after: wall(preferences.not_after),
        patient_id: plan.order.patient.to_string(),
        limit,
        channel,
    };
    let answer = inner.planner.clone().propose_series(ctx.request(request)).await?.into_inner();
    let put = |series: wire::availability::ProposedSeries| PlanProposal {
        id: String::new(),
        cost: series.cost,
        explanation: series.explanation,
        sessions: open
            .iter()
            .zip(series.slots)
            .map(|(session, slot)| ProposedSession { plan_session_id: session.id.to_string(), slot: Some(slot) })
            .collect(),
    };
    let mut proposals: Vec<PlanProposal> = answer.series.into_iter().map(put).collect();
    for proposal in &mut proposals {
        let id = inner.ids.uuid(inner.clock.now());
        remember(inner, ctx, plan, proposal, id).await?;
        proposal.id = ProposalId::new(id).to_string();
    }
    Ok(proposals)
}

/// A session that is not to be booked any more keeps the day that it had.
fn series_session(session: &PlanSession) -> SeriesSession {
    let kept = session.visit.filter(|_| session.status != SessionStatus::ToBook);
    SeriesSession {
        service_id: session.service.to_string(),
        gap: session.gap_days.map(gap_to_wire),
        back: session.back,
        paired: session.paired,
        fixed: kept.map(|visit| FixedVisit {
            starts_at_us: visit.starts_at.as_microsecond(),
            ends_at_us: visit.ends_at.as_microsecond(),
            practitioner_id: visit.practitioner.to_string(),
            location_id: visit.location.to_string(),
        }),
    }
}
