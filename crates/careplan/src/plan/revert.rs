//! The inverse of events: a plan as it is when the last event of a session's appointment is taken back.

use domain::id::{PlanSessionId, ServiceId};

use super::{Plan, PlanSession, SessionStatus, Status, Visit};
use crate::review::Decision;

/// The event of an appointment that is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reverted {
    /// Its cancellation.
    Cancelled,
    /// Its completion.
    Completed,
    /// That the patient did not come.
    Missed,
}

/// The later change of a plan that an event cannot be taken back under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// The session has been dropped.
    #[error("the plan has dropped the session since")]
    Dropped,
    /// The session has another service.
    #[error("a review has given the session another service since")]
    OtherService,
    /// The session is booked or over by another appointment.
    #[error("the session has another appointment by now; cancel that one first")]
    OtherAppointment,
    /// The session that was given back for the missed one is no longer to book.
    #[error("the session that was given back for the missed one is {} by now", .0.as_str())]
    GivenBackUsed(SessionStatus),
    /// The plan is paused or over.
    #[error("the plan is {} since", .0.as_str())]
    Closed(Status),
}

impl Plan {
    /// The plan as if the last event of a session's appointment had not been; `visit` is the appointment as it is then, with
    /// its service. `None` where the event did not change the plan.
    ///
    /// # Errors
    /// The later change of the plan that contradicts it.
    pub fn reverted(
        &self,
        session: PlanSessionId,
        visit: Visit,
        service: ServiceId,
        event: Reverted,
    ) -> Result<Option<Self>, Contradiction> {
        let at = self.sessions.iter().position(|own| own.id == session).ok_or(Contradiction::Dropped)?;
        let own = &self.sessions[at];
        let is_its_own = own.visit.is_some_and(|known| known.appointment == visit.appointment);
        let mut plan = self.clone();
        match event {
            Reverted::Cancelled if own.service != service => return Err(Contradiction::OtherService),
            Reverted::Cancelled => self.require_bookable_again(own, is_its_own)?,
            // The event was that of an earlier appointment.
            Reverted::Completed | Reverted::Missed if !is_its_own => return Ok(None),
            Reverted::Completed if own.status != SessionStatus::Done => return Ok(None),
            Reverted::Missed if own.status != SessionStatus::Missed => return Ok(None),
            Reverted::Completed => {}
            Reverted::Missed => plan.take_given_back(session)?,
        }
        // The session that was given back stands behind the missed one, so that the position is the same.
        let own = &mut plan.sessions[at];
        (own.status, own.visit, own.forfeited) = (SessionStatus::Booked, Some(visit), false);
        if !self.is_discharged() {
            plan.status = plan.status_now();
        }
        Ok(Some(plan))
    }

    /// Refuses a session that cannot have its cancelled appointment again. A cancellation left it to book, or used it up.
    fn require_bookable_again(&self, own: &PlanSession, is_its_own: bool) -> Result<(), Contradiction> {
        if own.status == SessionStatus::Skipped {
            return Err(Contradiction::Dropped);
        }
        if matches!(self.status, Status::OnHold | Status::Revoked) || self.is_discharged() {
            return Err(Contradiction::Closed(self.status));
        }
        let is_used_up = own.status == SessionStatus::Missed && own.forfeited && is_its_own;
        if own.status == SessionStatus::ToBook || is_used_up { Ok(()) } else { Err(Contradiction::OtherAppointment) }
    }

    /// Takes out the session that was given back for a missed one.
    fn take_given_back(&mut self, missed: PlanSessionId) -> Result<(), Contradiction> {
        let Some(at) = self.sessions.iter().position(|session| session.instead_of == Some(missed)) else {
            return Ok(());
        };
        match self.sessions[at].status {
            SessionStatus::ToBook => {
                self.sessions.remove(at);
                self.number();
                Ok(())
            }
            used => Err(Contradiction::GivenBackUsed(used)),
        }
    }

    fn is_discharged(&self) -> bool {
        self.reviews.last().is_some_and(|review| review.decision == Decision::Discharge)
    }
}
