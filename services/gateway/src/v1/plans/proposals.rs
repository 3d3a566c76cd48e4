//! Proposals of series and of repairs, and their booking.

use domain::preference::Preference;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::booking;

use super::super::{slots::Slot, time};

/// The number of proposals, and the preference between them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProposalOptions {
    /// 3 without it.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10, nullable = false)]
    pub(crate) limit: Option<u32>,
    /// Extends the longest allowed gap by this many days; for a plan that has no series otherwise.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 28, nullable = false)]
    pub(crate) stretch_days: Option<u32>,
    /// The property that counts most: `soonest` (each session as near as possible to the first day that the ideal gaps give:
    /// a later day costs 20 times as much), `continuity` (a change of practitioner costs 5 times as much) or `hours` (an
    /// hour or a day outside the preferences costs 10 times as much, and so does an hour outside the part of the day that
    /// suits the series best). Without it, `soonest` for an acute plan and the configured costs for a chronic one.
    #[serde(default)]
    #[schema(value_type = Preference)]
    pub(crate) prefer: Option<Preference>,
}

/// The cost of a series in points, term by term; less is better.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostTerms {
    /// Gaps that are not ideal.
    pub(crate) gaps: u64,
    /// Changes of practitioner.
    pub(crate) practitioner: u64,
    /// Changes of location.
    pub(crate) location: u64,
    /// Hours and days outside the preferences; with `prefer: hours` also hours outside one part of the day (morning before
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
    /// The move of a booked session.
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
    /// Why it moves (`displaced`, `gap_too_long`, `gap_too_short`, `other_week`), or `keeps_gap`: so
    /// that it keeps its gap to a booked or moved session.
    pub(crate) reason: String,
}

/// A whole series; in a repair, the sessions to book or to move.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Proposal {
    /// Valid for a day; it does not hold the slots.
    pub(crate) id: String,
    /// The sum of its terms. Of two repairs the one that moves fewer booked sessions is better, whatever they cost.
    pub(crate) cost: u64,
    pub(crate) cost_terms: CostTerms,
    /// One sentence about the series, its departures from the ideal, and its difference from the first proposal.
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

/// The sessions to book: a proposal, or sessions with their slots.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookPlan {
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(crate) proposal_id: Option<String>,
    #[serde(default)]
    #[schema(min_items = 1, max_items = 60, nullable = false)]
    pub(crate) sessions: Option<Vec<ChosenSession>>,
    /// The hold of these slots; the booking ends it.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(crate) hold_id: Option<String>,
}

impl From<&booking::PlanProposal> for Proposal {
    fn from(proposal: &booking::PlanProposal) -> Self {
        let cost = proposal.cost.unwrap_or_default();
        let to_json = |session: &booking::ProposedSession| {
            let slot = Slot::from(session.slot.as_ref()?);
            let moves = (!session.appointment_id.is_empty()).then(|| PlannedMove {
                appointment_id: session.appointment_id.clone(),
                from_starts_at: time::local(session.from_starts_at_us, &slot.time_zone),
                reason: session.reason.clone(),
            });
            Some(ProposedSession { plan_session_id: session.plan_session_id.clone(), moves, slot })
        };
        Self {
            id: proposal.id.clone(),
            cost: cost.gaps + cost.practitioner + cost.location + cost.hours + cost.lateness + cost.demand,
            cost_terms: CostTerms {
                gaps: cost.gaps,
                practitioner: cost.practitioner,
                location: cost.location,
                hours: cost.hours,
                lateness: cost.lateness,
                demand: cost.demand,
            },
            explanation: proposal.explanation.clone(),
            sessions: proposal.sessions.iter().filter_map(to_json).collect(),
        }
    }
}
