//! Proposals of whole series and of repairs, and what is booked of them.

use domain::preference::Preference;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::booking;

use super::super::{slots::Slot, time};

/// How many proposals are wanted, and what counts most.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskProposals {
    /// 3 without it.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10, nullable = false)]
    pub(crate) limit: Option<u32>,
    /// Lets each gap be so many days longer than planned; for a plan that no series fits.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 28, nullable = false)]
    pub(crate) stretch_days: Option<u32>,
    /// What counts most: `soonest` (each session as near as can be to the first day that the ideal gaps give: a day later
    /// costs 20 times as much), `continuity` (a change of practitioner costs 5 times as much) or `hours` (an hour or a day
    /// that is not wished costs 10 times as much, and so does an hour outside the part of the day that suits the series
    /// best). Without it, `soonest` for an acute plan, and the costs as they are configured for a chronic one.
    #[serde(default)]
    #[schema(value_type = Preference)]
    pub(crate) prefer: Option<Preference>,
}

/// What a series costs, in points, term by term; less is better.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostTerms {
    /// Gaps that are not ideal.
    pub(crate) gaps: u64,
    /// Changes of practitioner.
    pub(crate) practitioner: u64,
    /// Changes of location.
    pub(crate) location: u64,
    /// Hours and days that are not wished; with `prefer: hours` also hours outside one part of the day (morning before
    /// 12:00, afternoon, evening from 17:00), whichever suits the series best.
    pub(crate) hours: u64,
    /// Days after the earliest.
    pub(crate) lateness: u64,
    /// The chain's most wanted hours.
    pub(crate) demand: u64,
}

/// A session and the slot that is proposed for it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProposedSession {
    pub(crate) plan_session_id: String,
    /// For a booked session that moves: from where, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) moves: Option<PlannedMove>,
    #[serde(flatten)]
    pub(crate) slot: Slot,
}

/// A booked session that moves.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlannedMove {
    pub(crate) appointment_id: String,
    /// Its start before.
    #[schema(format = DateTime)]
    pub(crate) from_starts_at: String,
    /// What is wrong with it where it is (`displaced`, `gap_too_long`, `gap_too_short`, `other_week`), or `keeps_gap`: it
    /// keeps its gap to a session that is booked or moves.
    pub(crate) reason: String,
}

/// A whole series; in a repair, what is booked or moves.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Proposal {
    /// Remembered for a day; it keeps nobody else from the slots: a hold does.
    pub(crate) id: String,
    /// The sum of its terms. Of two repairs the one that moves fewer booked sessions is better, whatever they cost.
    pub(crate) cost: u64,
    pub(crate) cost_terms: CostTerms,
    /// One sentence: what it is, where it departs from the best, and how it differs from the first proposal.
    pub(crate) explanation: String,
    pub(crate) sessions: Vec<ProposedSession>,
}

/// Proposals, best first; none where every session is booked. The first one is the cheapest. Each one after it is the
/// cheapest of those that differ from every one before it: in each session that both give a new time, by practitioner, or
/// in each by part of the day, or in each by day. There are fewer than asked for where no more differ.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProposalPage {
    pub(crate) data: Vec<Proposal>,
}

/// A session and the slot to book for it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChosenSession {
    #[schema(max_length = 64)]
    pub(crate) plan_session_id: String,
    #[schema(max_length = 200)]
    pub(crate) slot_id: String,
    /// The session's appointment, where it has one: it moves.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(crate) appointment_id: Option<String>,
}

/// What to book: a proposal, or sessions with their slots.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookPlan {
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(crate) proposal_id: Option<String>,
    #[serde(default)]
    #[schema(min_items = 1, max_items = 60, nullable = false)]
    pub(crate) sessions: Option<Vec<ChosenSession>>,
    /// The hold that keeps these slots; it ends with the booking.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(crate) hold_id: Option<String>,
}

impl From<&booking::PlanProposal> for Proposal {
    fn from(it: &booking::PlanProposal) -> Self {
        let cost = it.cost.unwrap_or_default();
        let put = |session: &booking::ProposedSession| {
            let slot = Slot::from(session.slot.as_ref()?);
            let moves = (!session.appointment_id.is_empty()).then(|| PlannedMove {
                appointment_id: session.appointment_id.clone(),
                from_starts_at: time::shown(session.from_starts_at_us, &slot.time_zone),
                reason: session.reason.clone(),
            });
            Some(ProposedSession { plan_session_id: session.plan_session_id.clone(), moves, slot })
        };
        Self {
            id: it.id.clone(),
            cost: cost.gaps + cost.practitioner + cost.location + cost.hours + cost.lateness + cost.demand,
            cost_terms: CostTerms {
                gaps: cost.gaps,
                practitioner: cost.practitioner,
                location: cost.location,
                hours: cost.hours,
                lateness: cost.lateness,
                demand: cost.demand,
            },
            explanation: it.explanation.clone(),
            sessions: it.sessions.iter().filter_map(put).collect(),
        }
    }
}
