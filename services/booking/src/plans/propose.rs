//! Proposing the rest of a plan, or its repair: availability finds the series, each slot is put to its session.

use careplan::{
    chain::{Attention, Link, later},
    plan::{Plan, PlanSession, SessionStatus, Status, Visit},
};
use domain::{
    directory::{Course, GapDays},
    fault::Faults,
    id::ProposalId,
    preference::Preference,
};
use jiff::civil::Date;
use rpc::{Code, Context, Fault};
use serde::{Deserialize, Serialize};
use wire::{
    availability::{FixedVisit, ProposeSeriesRequest, ProposedSeries, SeriesSession, Slot},
    booking::{PlanProposal, ProposePlanRequest, ProposePlanResponse, ProposedSession},
};

use super::{
    load,
    view::{gap_to_wire, today},
};
use crate::{Inner, commit, rezone};

/// A day, in microseconds.
pub(crate) const KEPT_US: i64 = 24 * 3600 * 1_000_000;
/// Where the last day for a session has passed, it is looked for in so many days from today.
const OVERDUE_WITHIN_DAYS: u32 = 14;
const STRETCH_MAX: u32 = 28;

/// What is asked of a plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) limit: u32,
    pub(super) channel: i32,
    pub(super) stretch_days: u32,
    /// Without it, the plan's course says what counts most.
    pub(super) prefer: Option<Preference>,
    /// Whether booked sessions that are ahead may move.
    pub(super) repair: bool,
}

pub(super) async fn propose(
    inner: &Inner,
    ctx: &Context,
    request: ProposePlanRequest,
    repair: bool,
) -> Result<ProposePlanResponse, Fault> {
    let mut faults = Faults::new();
    faults.check(request.limit <= 10, "/limit", "out_of_range", "must lie between 1 and 10");
    faults.check(request.stretch_days <= STRETCH_MAX, "/stretch_days", "out_of_range", "must lie between 0 and 28");
    faults.result()?;
    let plan = load(inner, ctx, &request.id).await?.plan;
    if plan.status == Status::OnHold {
        let detail = "the plan is on-hold; a review that continues it comes first";
        return Err(Fault::new(Code::InvalidTransition, detail).with("allowed", "reviews"));
    }
    let asked = Asked {
        limit: request.limit,
        channel: request.channel,
        stretch_days: request.stretch_days,
        prefer: wire::convert::preference(request.prefer()),
        repair,
    };
    Ok(ProposePlanResponse { proposals: proposals(inner, ctx, &plan, asked).await? })
}

/// A session of a proposal as it is remembered: its slot, and the appointment that moves there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) session: String,
    pub(super) slot: String,
    #[serde(default)]
    pub(super) appointment: String,
}

/// A proposal as it is remembered, with what it was asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) stretch_days: u32,
    pub(super) prefer: Option<Preference>,
    pub(super) sessions: Vec<Kept>,
}

/// A proposal that was made for this plan within the last day.
pub(super) async fn remembered(inner: &Inner, ctx: &Context, plan: &Plan, proposal: &str) -> Result<Remembered, Fault> {
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
    let kept: Remembered =
        serde_json::from_str(&found.map_err(commit::failure)?.ok_or_else(unknown)?).map_err(Fault::internal)?;
    // Chosen by hours of the day that are others now.
    let slots = kept.sessions.iter().map(|kept| kept.slot.as_str());
    if rezone::since(inner, organization, id.uuid(), slots).await? {
        return Err(unknown());
    }
    Ok(kept)
}

/// Gives proposals their ids, and remembers them for a day.
async fn remember(
    inner: &Inner,
    ctx: &Context,
    plan: &Plan,
    asked: Asked,
    proposals: &mut [PlanProposal],
) -> Result<(), Fault> {
    let now = inner.clock.now();
    let mut kept = Vec::with_capacity(proposals.len());
    for proposal in proposals {
        let id = inner.ids.uuid(now);
        proposal.id = ProposalId::new(id).to_string();
        let session = |session: &ProposedSession| Kept {
            session: session.plan_session_id.clone(),
            slot: session.slot.as_ref().map(|slot| slot.slot_id.clone()).unwrap_or_default(),
            appointment: session.appointment_id.clone(),
        };
        let remembered = Remembered {
            stretch_days: asked.stretch_days,
            prefer: asked.prefer,
            sessions: proposal.sessions.iter().map(session).collect(),
        };
        kept.push((id, serde_json::to_string(&remembered).map_err(Fault::internal)?));
    }
    let (organization, plan, expires_at_us) = (ctx.organization.uuid(), plan.id.uuid(), now.as_microsecond() + KEPT_US);
    inner.store.keep_proposals(organization, plan, &kept, expires_at_us).await.map_err(commit::failure)
}

/// The best series for what is still to be booked, or the best repairs; none where there is nothing to do.
pub(super) async fn proposals(
    inner: &Inner,
    ctx: &Context,
    plan: &Plan,
    asked: Asked,
) -> Result<Vec<PlanProposal>, Fault> {
    let rest = Rest::of(inner, plan, asked);
    if rest.is_whole() {
        return Ok(vec![]);
    }
    let answer = inner.planner.clone().propose_series(ctx.request(rest.request(asked))).await?.into_inner();
    let mut proposals: Vec<PlanProposal> = answer.series.into_iter().map(|series| rest.proposal(series)).collect();
    // The best repair moves the fewest: where it moves none, nothing need be done.
    if proposals.first().is_none_or(|best| best.sessions.is_empty()) {
        return Ok(vec![]);
    }
    remember(inner, ctx, plan, asked, &mut proposals).await?;
    Ok(proposals)
}

/// What a session is to the plan engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It stays.
    Fixed,
    /// It has a time, and may get another one.
    Movable,
    /// It needs a time.
    Open,
}

/// What is left of a plan.
struct Rest<'a> {
    plan: &'a Plan,
    chain: Vec<Link>,
    parts: Vec<Part>,
    attention: Vec<Attention>,
    today: Date,
}

impl<'a> Rest<'a> {
    fn of(inner: &Inner, plan: &'a Plan, asked: Asked) -> Self {
        let (now, today) = (inner.clock.now(), today(inner));
        let chain = plan.chain(now);
        let part = |link: &Link| match plan.sessions[link.session].status {
            _ if link.fixed => Part::Fixed,
            SessionStatus::ToBook => Part::Open,
            _ if !asked.repair => Part::Fixed,
            _ => Part::Movable,
        };
        let parts = chain.iter().map(part).collect();
        Self { plan, chain, parts, attention: plan.attention(now, today), today }
    }

    /// Whether nothing is to be booked, and nothing is wrong with what is.
    fn is_whole(&self) -> bool {
        let movable = self.parts.contains(&Part::Movable);
        !self.parts.contains(&Part::Open) && (!movable || self.attention.is_empty())
    }

    fn session(&self, place: usize) -> &'a PlanSession {
        &self.plan.sessions[self.chain[place].session]
    }

    fn request(&self, asked: Asked) -> ProposeSeriesRequest {
        let order = &self.plan.order;
        let wall = |time: Option<domain::time::WallTime>| time.map(|time| time.to_string()).unwrap_or_default();
        let movable = (0..self.chain.len()).filter(|place| self.parts[*place] == Part::Movable);
        ProposeSeriesRequest {
            sessions: (0..self.chain.len()).map(|place| self.series_session(place, asked.stretch_days)).collect(),
            start_on: order.start_on.max(self.today).to_string(),
            practitioner_id: order.practitioner.map(|id| id.to_string()).unwrap_or_default(),
            location_ids: order.locations.iter().map(ToString::to_string).collect(),
            days: order.preferences.days.iter().map(|day| day.as_str().to_owned()).collect(),
            not_before: wall(order.preferences.not_before),
            not_after: wall(order.preferences.not_after),
            patient_id: order.patient.to_string(),
            limit: asked.limit,
            channel: asked.channel,
            prefer: wire::convert::preference_to_wire(asked.prefer.or(self.preference())).into(),
            ignore_owners: movable
                .filter_map(|place| self.session(place).visit.map(|visit| visit.appointment.to_string()))
                .collect(),
        }
    }

    /// What counts most of this plan's series where nothing else is asked for: acute means soon.
    fn preference(&self) -> Option<Preference> {
        (self.plan.course == Course::Acute).then_some(Preference::Soonest)
    }

    fn series_session(&self, place: usize, stretch_days: u32) -> SeriesSession {
        let (link, session) = (&self.chain[place], self.session(place));
        let visit = |part: Part| session.visit.as_ref().filter(|_| self.parts[place] == part).map(fixed);
        // A displaced session has lost its time: it cannot keep it.
        let stands = session.visit.is_some_and(|visit| !visit.displaced);
        SeriesSession {
            service_id: session.service.to_string(),
            gap: link.gap.map(|gap| gap_to_wire(self.allowed(place, gap, stretch_days))),
            back: u32::try_from(link.back).unwrap_or(1),
            paired: link.paired,
            fixed: visit(Part::Fixed),
            current: visit(Part::Movable).filter(|_| stands),
            minutes: session.visit.filter(|_| self.parts[place] == Part::Movable).map_or(0, minutes),
        }
    }

    /// A gap as it may be now: longer by what is asked, and longer where its last day has passed.
    fn allowed(&self, place: usize, gap: GapDays, stretch_days: u32) -> GapDays {
        if self.parts[place] == Part::Fixed {
            return gap;
        }
        let from = place.checked_sub(self.chain[place].back).filter(|from| self.parts[*from] == Part::Fixed);
        let from = from.and_then(|from| self.session(from).visit);
        let gap = GapDays { most: gap.most + stretch_days, ..gap };
        from.map_or(gap, |from| in_time(gap, from.on, self.today))
    }

    /// A series as a proposal: what is booked or moves, and why it moves.
    fn proposal(&self, series: ProposedSeries) -> PlanProposal {
        let places = (0..self.chain.len()).filter(|place| self.parts[*place] != Part::Fixed);
        let fresh = places.zip(series.slots).filter(|(_, slot)| !slot.slot_id.is_empty());
        PlanProposal {
            id: String::new(),
            cost: series.cost,
            explanation: series.explanation,
            sessions: fresh.map(|(place, slot)| self.proposed(place, slot)).collect(),
        }
    }

    fn proposed(&self, place: usize, slot: Slot) -> ProposedSession {
        let session = self.session(place);
        let moving = session.visit.filter(|_| self.parts[place] == Part::Movable);
        ProposedSession {
            plan_session_id: session.id.to_string(),
            slot: Some(slot),
            appointment_id: moving.map(|visit| visit.appointment.to_string()).unwrap_or_default(),
            from_starts_at_us: moving.map_or(0, |visit| visit.starts_at.as_microsecond()),
            reason: moving.map(|_| self.reason(session).to_owned()).unwrap_or_default(),
        }
    }

    /// Why a booked session moves.
    fn reason(&self, session: &PlanSession) -> &'static str {
        let found = self.attention.iter().find(|found| found.session == session.id);
        found.map_or("keeps_gap", |found| found.trouble.code())
    }
}

/// A gap from a visit that stays, long enough to be kept from today on.
pub(crate) fn in_time(gap: GapDays, from: Date, today: Date) -> GapDays {
    if later(from, gap.most) >= today {
        return gap;
    }
    let past = (today - from).get_days().unsigned_abs();
    GapDays { most: past + OVERDUE_WITHIN_DAYS, ..gap }
}

/// How many minutes a visit takes: as many as before, where it moves.
fn minutes(visit: Visit) -> u32 {
    u32::try_from(visit.ends_at.duration_since(visit.starts_at).as_mins()).unwrap_or(0)
}

/// A visit as the plan engine is told of it.
pub(crate) fn fixed(visit: &Visit) -> FixedVisit {
    FixedVisit {
        starts_at_us: visit.starts_at.as_microsecond(),
        ends_at_us: visit.ends_at.as_microsecond(),
        practitioner_id: visit.practitioner.to_string(),
        location_id: visit.location.to_string(),
    }
}
