//! Proposals: availability finds series for the open sessions of a plan, or for its repair.

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
use service::db_error;
use wire::{
    availability::{FixedVisit, ProposeSeriesRequest, ProposedSeries, SeriesSession, Slot},
    booking::{PlanProposal, ProposePlanRequest, ProposePlanResponse, ProposedSession},
};

use super::{
    stored::load,
    view::{gap_to_wire, today},
};
use crate::{Inner, slots::zone_changes};

/// How long a proposal can be booked by its id: a day, in microseconds.
pub(crate) const VALID_US: i64 = 24 * 3600 * 1_000_000;
/// A session whose last day has passed is searched within so many days from today.
const OVERDUE_WITHIN_DAYS: u32 = 14;
const STRETCH_DAYS_MAX: u32 = 28;

/// The parameters of a search for series.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeriesQuery {
    pub(super) limit: u32,
    pub(super) channel: i32,
    /// How many days longer each gap may be.
    pub(super) stretch_days: u32,
    /// Without it, the plan's course decides.
    pub(super) prefer: Option<Preference>,
    /// Whether booked sessions that are ahead may move.
    pub(super) repair: bool,
}

pub(crate) async fn propose(
    inner: &Inner,
    ctx: &Context,
    request: ProposePlanRequest,
    repair: bool,
) -> Result<ProposePlanResponse, Fault> {
    let mut faults = Faults::new();
    faults.check(request.limit <= 10, "/limit", "out_of_range", "must lie between 1 and 10");
    let is_short = request.stretch_days <= STRETCH_DAYS_MAX;
    faults.check(is_short, "/stretch_days", "out_of_range", "must lie between 0 and 28");
    faults.result()?;
    let plan = load(inner, ctx, &request.id).await?.plan;
    if plan.status == Status::OnHold {
        let detail = "the plan is on-hold; a review that continues it comes first";
        return Err(Fault::new(Code::InvalidTransition, detail).with("allowed", "reviews"));
    }
    let query = SeriesQuery {
        limit: request.limit,
        channel: request.channel,
        stretch_days: request.stretch_days,
        prefer: wire::convert::preference(request.prefer()),
        repair,
    };
    Ok(ProposePlanResponse { proposals: proposals(inner, ctx, &plan, query).await? })
}

/// One session of a stored proposal: its slot, and the appointment that moves there. All are public ids.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ProposedSlot {
    pub(super) session: String,
    pub(super) slot: String,
    #[serde(default)]
    pub(super) appointment: String,
}

/// A stored proposal with the parameters of its search.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredProposal {
    pub(super) stretch_days: u32,
    pub(super) prefer: Option<Preference>,
    pub(super) sessions: Vec<ProposedSlot>,
}

/// A proposal that was made for this plan within the last day.
///
/// # Errors
/// `validation_failed` where there is none, or where a location's time zone has changed since.
pub(super) async fn stored_proposal(
    inner: &Inner,
    ctx: &Context,
    plan: &Plan,
    proposal: &str,
) -> Result<StoredProposal, Fault> {
    let unknown = || {
        Fault::violation(
            "/proposal_id",
            "unknown_reference",
            "no such proposal of this plan is remembered; propose again",
        )
    };
    let id: ProposalId = proposal.parse().map_err(|_| unknown())?;
    let (organization, now_us) = (ctx.organization.uuid(), inner.clock.now_us());
    let found = inner.store.plan_proposal(organization, id.uuid(), plan.id.uuid(), now_us).await;
    let text = found.map_err(db_error::fault)?.ok_or_else(unknown)?;
    let stored: StoredProposal = serde_json::from_str(&text).map_err(Fault::internal)?;
    let slots = stored.sessions.iter().map(|session| session.slot.as_str());
    if zone_changes::changed_since(inner, organization, id.uuid(), slots).await? {
        return Err(unknown());
    }
    Ok(stored)
}

/// Gives proposals their ids, and stores them for a day.
async fn store_proposals(
    inner: &Inner,
    ctx: &Context,
    plan: &Plan,
    query: SeriesQuery,
    proposals: &mut [PlanProposal],
) -> Result<(), Fault> {
    let now = inner.clock.now();
    let mut documents = Vec::with_capacity(proposals.len());
    for proposal in proposals {
        let id = inner.ids.uuid(now);
        proposal.id = ProposalId::new(id).to_string();
        let session = |session: &ProposedSession| ProposedSlot {
            session: session.plan_session_id.clone(),
            slot: session.slot.as_ref().map(|slot| slot.slot_id.clone()).unwrap_or_default(),
            appointment: session.appointment_id.clone(),
        };
        let stored = StoredProposal {
            stretch_days: query.stretch_days,
            prefer: query.prefer,
            sessions: proposal.sessions.iter().map(session).collect(),
        };
        documents.push((id, serde_json::to_string(&stored).map_err(Fault::internal)?));
    }
    let (organization, plan) = (ctx.organization.uuid(), plan.id.uuid());
    let expires_at_us = now.as_microsecond() + VALID_US;
    inner.store.insert_plan_proposals(organization, plan, &documents, expires_at_us).await.map_err(db_error::fault)
}

/// The best series for the sessions that are left to book, or the best repairs; none where there is nothing to do.
pub(super) async fn proposals(
    inner: &Inner,
    ctx: &Context,
    plan: &Plan,
    query: SeriesQuery,
) -> Result<Vec<PlanProposal>, Fault> {
    let remaining = Remaining::of(inner, plan, query);
    if remaining.is_settled() {
        return Ok(vec![]);
    }
    let request = ctx.request(remaining.request(query));
    let answer = inner.planner.clone().propose_series(request).await?.into_inner();
    let mut proposals: Vec<PlanProposal> = answer.series.into_iter().map(|series| remaining.proposal(series)).collect();
    // The best repair moves the fewest appointments: where it moves none, nothing need be done.
    if proposals.first().is_none_or(|best| best.sessions.is_empty()) {
        return Ok(vec![]);
    }
    store_proposals(inner, ctx, plan, query, &mut proposals).await?;
    Ok(proposals)
}

/// What the planner may do with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It stays.
    Fixed,
    /// It has a time, and may get another one.
    Movable,
    /// It needs a time.
    Open,
}

/// The remaining sessions of a plan.
struct Remaining<'a> {
    plan: &'a Plan,
    chain: Vec<Link>,
    /// One for each link of the chain.
    roles: Vec<Role>,
    attention: Vec<Attention>,
    today: Date,
}

impl<'a> Remaining<'a> {
    fn of(inner: &Inner, plan: &'a Plan, query: SeriesQuery) -> Self {
        let (now, today) = (inner.clock.now(), today(inner));
        let chain = plan.chain(now);
        let role = |link: &Link| match plan.sessions[link.session].status {
            _ if link.fixed => Role::Fixed,
            SessionStatus::ToBook => Role::Open,
            _ if !query.repair => Role::Fixed,
            _ => Role::Movable,
        };
        let roles = chain.iter().map(role).collect();
        Self { plan, chain, roles, attention: plan.attention(now, today), today }
    }

    /// Whether nothing is left to book, and no booked session needs attention.
    fn is_settled(&self) -> bool {
        let is_movable = self.roles.contains(&Role::Movable);
        !self.roles.contains(&Role::Open) && (!is_movable || self.attention.is_empty())
    }

    fn session(&self, at: usize) -> &'a PlanSession {
        &self.plan.sessions[self.chain[at].session]
    }

    fn request(&self, query: SeriesQuery) -> ProposeSeriesRequest {
        let order = &self.plan.order;
        let hours = (order.preferences.not_before, order.preferences.not_after);
        let filters = wire::convert::slot_filters(&order.locations, order.practitioner, &order.preferences.days, hours);
        let movable = (0..self.chain.len()).filter(|at| self.roles[*at] == Role::Movable);
        ProposeSeriesRequest {
            sessions: (0..self.chain.len()).map(|at| self.series_session(at, query.stretch_days)).collect(),
            start_on: order.start_on.max(self.today).to_string(),
            filters: Some(filters),
            patient_id: order.patient.to_string(),
            limit: query.limit,
            channel: query.channel,
            prefer: wire::convert::preference_to_wire(query.prefer.or(self.preference())).into(),
            ignore_owners: movable
                .filter_map(|at| self.session(at).visit.map(|visit| visit.appointment.to_string()))
                .collect(),
        }
    }

    /// The preference of a query that names none: an acute plan prefers the soonest series.
    fn preference(&self) -> Option<Preference> {
        (self.plan.course == Course::Acute).then_some(Preference::Soonest)
    }

    fn series_session(&self, at: usize, stretch_days: u32) -> SeriesSession {
        let (link, session) = (&self.chain[at], self.session(at));
        let visit = |role: Role| session.visit.as_ref().filter(|_| self.roles[at] == role).map(visit_to_wire);
        // A displaced session has lost its time: it cannot keep it.
        let keeps_time = session.visit.is_some_and(|visit| !visit.displaced);
        SeriesSession {
            service_id: session.service.to_string(),
            gap: link.gap.map(|gap| gap_to_wire(self.allowed_gap(at, gap, stretch_days))),
            back: u32::try_from(link.back).unwrap_or(1),
            paired: link.paired,
            fixed: visit(Role::Fixed),
            current: visit(Role::Movable).filter(|_| keeps_time),
            minutes: session.visit.filter(|_| self.roles[at] == Role::Movable).map_or(0, minutes),
        }
    }

    /// The gap that a session may have now: longer by `stretch_days`, and longer where its last day has passed.
    fn allowed_gap(&self, at: usize, gap: GapDays, stretch_days: u32) -> GapDays {
        if self.roles[at] == Role::Fixed {
            return gap;
        }
        let from = at.checked_sub(self.chain[at].back).filter(|from| self.roles[*from] == Role::Fixed);
        let from = from.and_then(|from| self.session(from).visit);
        let gap = GapDays { most: gap.most + stretch_days, ..gap };
        from.map_or(gap, |from| extended_gap(gap, from.on, self.today))
    }

    /// A series as a proposal: the sessions that are booked or move, and why they move.
    fn proposal(&self, series: ProposedSeries) -> PlanProposal {
        let open = (0..self.chain.len()).filter(|at| self.roles[*at] != Role::Fixed);
        let changed = open.zip(series.slots).filter(|(_, slot)| !slot.slot_id.is_empty());
        PlanProposal {
            id: String::new(),
            cost: series.cost,
            explanation: series.explanation,
            sessions: changed.map(|(at, slot)| self.proposed_session(at, slot)).collect(),
        }
    }

    fn proposed_session(&self, at: usize, slot: Slot) -> ProposedSession {
        let session = self.session(at);
        let moving = session.visit.filter(|_| self.roles[at] == Role::Movable);
        ProposedSession {
            plan_session_id: session.id.to_string(),
            slot: Some(slot),
            appointment_id: moving.map(|visit| visit.appointment.to_string()).unwrap_or_default(),
            from_starts_at_us: moving.map_or(0, |visit| visit.starts_at.as_microsecond()),
            reason: moving.map(|_| self.reason(session).to_owned()).unwrap_or_default(),
        }
    }

    /// The code of why a booked session moves.
    fn reason(&self, session: &PlanSession) -> &'static str {
        let attention = self.attention.iter().find(|attention| attention.session == session.id);
        attention.map_or("keeps_gap", |attention| attention.trouble.code())
    }
}

/// A gap from a visit that stays, extended where its last day has passed.
pub(crate) fn extended_gap(gap: GapDays, from: Date, today: Date) -> GapDays {
    if later(from, gap.most) >= today {
        return gap;
    }
    let passed = (today - from).get_days().unsigned_abs();
    GapDays { most: passed + OVERDUE_WITHIN_DAYS, ..gap }
}

/// The length of a visit, which it keeps where it moves.
fn minutes(visit: Visit) -> u32 {
    u32::try_from(visit.ends_at.duration_since(visit.starts_at).as_mins()).unwrap_or(0)
}

/// A visit for the planner.
pub(crate) fn visit_to_wire(visit: &Visit) -> FixedVisit {
    FixedVisit {
        starts_at_us: visit.starts_at.as_microsecond(),
        ends_at_us: visit.ends_at.as_microsecond(),
        practitioner_id: visit.practitioner.to_string(),
        location_id: visit.location.to_string(),
    }
}
