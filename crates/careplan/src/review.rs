//! Reviews: the practitioner's findings, and their effect on the open sessions of a plan.
//!
//! | decision | the open sessions |
//! |---|---|
//! | continue | stay; a paused plan continues |
//! | extend | stay, and a number of sessions like the last one follow |
//! | taper | are to be booked anew, with every gap twice as long |
//! | change_service | are to be booked anew, with another service |
//! | pause | are to be booked again once the plan continues |
//! | discharge | are skipped, and the plan is completed |

use domain::{
    directory::GapDays,
    id::{AppointmentId, PlanSessionId, ServiceId},
    plan::ReviewDecision,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, PlanSession, SessionStatus, Status};

/// The longest gap, in days.
const GAP_MAX: u32 = 365;
/// The most sessions of a plan.
pub const SESSIONS_MAX: usize = 100;

/// The decision of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The plan stays as it is.
    Continue,
    /// This number of further sessions.
    Extend(u32),
    /// Longer gaps.
    Taper,
    /// Another service.
    ChangeService(ServiceId),
    /// The plan is paused.
    Pause,
    /// The treatment ends.
    Discharge,
}

impl Decision {
    /// The code of the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continue => ReviewDecision::Continue,
            Self::Extend(_) => ReviewDecision::Extend,
            Self::Taper => ReviewDecision::Taper,
            Self::ChangeService(_) => ReviewDecision::ChangeService,
            Self::Pause => ReviewDecision::Pause,
            Self::Discharge => ReviewDecision::Discharge,
        }
        .as_str()
    }
}

/// An activity that the condition impairs, on the Patient-Specific Functional Scale: 0 (unable) to 10 (as before; Stratford
/// et al., 1995).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The activity.
    pub activity: String,
    /// The score, 0 to 10.
    pub score: u8,
}

/// A review. It holds a patient's data: only callers who may read patients receive it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The time of the record.
    pub at: Timestamp,
    /// Pain now on the numeric rating scale, 0 to 10.
    pub nprs: u8,
    /// One to three activities.
    pub psfs: Vec<Activity>,
    /// The decision.
    pub decision: Decision,
    /// A note for the clinic's staff.
    pub note: String,
}

impl std::fmt::Debug for Review {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Review({}, {})", self.at, self.decision.as_str())
    }
}

/// The reason why a review is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The plan is over.
    #[error("the plan is {}", .0.as_str())]
    Closed(Status),
    /// The plan would have too many sessions.
    #[error("a plan has at most 100 sessions")]
    TooLong,
}

/// A plan after a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// The plan.
    pub plan: Plan,
    /// The appointments to cancel.
    pub cancelled: Vec<AppointmentId>,
}

impl Plan {
    /// Whether a session before a review is completed, and no review has been recorded since.
    pub fn review_due(&self) -> bool {
        let last = self.reviews.last().map(|review| review.at);
        let done = |session: &&PlanSession| session.review_after && session.status == SessionStatus::Done;
        let ends = self.sessions.iter().filter(done).filter_map(|session| session.visit.map(|visit| visit.starts_at));
        ends.max().is_some_and(|end| last.is_none_or(|last| last < end))
    }

    /// The plan after a review; `session_id` creates the ids of new sessions. A visit that has begun stays.
    ///
    /// # Errors
    /// When the plan is over, or would be too long.
    pub fn reviewed(&self, review: Review, session_id: impl FnMut() -> PlanSessionId) -> Result<Reviewed, Rejection> {
        if !matches!(self.status, Status::Draft | Status::Active | Status::OnHold) {
            return Err(Rejection::Closed(self.status));
        }
        let (now, decision) = (review.at, review.decision);
        let mut plan = self.clone();
        plan.reviews.push(review);
        let mut cancelled = Vec::new();
        if !matches!(decision, Decision::Continue | Decision::Extend(_)) {
            for session in plan.sessions.iter_mut().filter(|session| is_ahead(session, now)) {
                cancelled.extend(session.visit.take().map(|visit| visit.appointment));
                session.status = SessionStatus::ToBook;
            }
        }
        let open = |session: &&mut PlanSession| session.status == SessionStatus::ToBook;
        match decision {
            Decision::Continue => {}
            Decision::Extend(count) => extend(&mut plan, count, session_id)?,
            Decision::Taper => plan.sessions.iter_mut().filter(open).for_each(|session| {
                session.gap_days = session.gap_days.map(doubled);
            }),
            Decision::ChangeService(service) => {
                plan.sessions.iter_mut().filter(open).for_each(|session| session.service = service);
            }
            Decision::Pause => {}
            Decision::Discharge => {
                plan.sessions.iter_mut().filter(open).for_each(|session| session.status = SessionStatus::Skipped);
            }
        }
        plan.status = match decision {
            Decision::Pause => Status::OnHold,
            Decision::Discharge => Status::Completed,
            _ => Self { status: Status::Active, ..plan.clone() }.status_now(),
        };
        Ok(Reviewed { plan, cancelled })
    }
}

fn is_ahead(session: &PlanSession, now: Timestamp) -> bool {
    session.status == SessionStatus::Booked && session.visit.is_some_and(|visit| visit.starts_at > now)
}

fn doubled(gap: GapDays) -> GapDays {
    let twice = |days: u32| (days * 2).min(GAP_MAX);
    GapDays { least: twice(gap.least), ideal: twice(gap.ideal), most: twice(gap.most) }
}

fn extend(plan: &mut Plan, count: u32, mut session_id: impl FnMut() -> PlanSessionId) -> Result<(), Rejection> {
    if plan.sessions.len() + count as usize > SESSIONS_MAX {
        return Err(Rejection::TooLong);
    }
    let Some(last) = plan.sessions.last().cloned() else { return Ok(()) };
    for number in 1..=count {
        plan.sessions.push(PlanSession {
            id: session_id(),
            ordinal: last.ordinal + number,
            // The new sessions are not paired, even where the last one is.
            back: 1,
            paired: false,
            status: SessionStatus::ToBook,
            visit: None,
            forfeited: false,
            instead_of: None,
            ..last.clone()
        });
    }
    Ok(())
}
