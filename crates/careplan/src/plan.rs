//! One patient's plan: its sessions, their states, and the events that change them.

mod check_in;
mod revert;

use domain::{
    directory::{Course, GapDays, PlanTemplate},
    id::{AppointmentId, LocationId, PatientId, PlanId, PlanSessionId, PlanTemplateId, PractitionerId, ServiceId},
    time::{Day, Interval, WallTime},
};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    review::Review,
    template::{self, OutOfRange},
};
pub use check_in::CheckIn;
pub use domain::plan::{SessionStatus, Status};
pub use revert::{Contradiction, Reverted};

/// The appointment of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Visit {
    /// The appointment's id.
    pub appointment: AppointmentId,
    /// The start.
    pub starts_at: Timestamp,
    /// The end.
    pub ends_at: Timestamp,
    /// The practitioner.
    pub practitioner: PractitionerId,
    /// The location.
    pub location: LocationId,
    /// The day on the location's own calendar.
    pub on: Date,
    /// Whether the appointment is displaced: it needs another time.
    pub displaced: bool,
}

/// The stored form of a visit. The first plans stored no day; the day in UTC replaces it.
#[derive(Deserialize)]
struct Written {
    appointment: AppointmentId,
    starts_at: Timestamp,
    ends_at: Timestamp,
    practitioner: PractitionerId,
    location: LocationId,
    on: Option<Date>,
    #[serde(default)]
    displaced: bool,
}

impl From<Written> for Visit {
    fn from(written: Written) -> Self {
        let Written { appointment, starts_at, ends_at, practitioner, location, on, displaced } = written;
        let on = on.unwrap_or_else(|| starts_at.to_zoned(jiff::tz::TimeZone::UTC).date());
        Self { appointment, starts_at, ends_at, practitioner, location, on, displaced }
    }
}

impl Visit {
    /// The time from start to end.
    pub fn interval(&self) -> Option<Interval> {
        Interval::new(self.starts_at, self.ends_at)
    }
}

/// A session of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSession {
    /// The id of the session.
    pub id: PlanSessionId,
    /// The position in the plan, from 1.
    pub ordinal: u32,
    /// The phase of the template, from 1.
    pub phase: u32,
    /// The service.
    pub service: ServiceId,
    /// The gap in days to the session that it is measured from; `None` for the first.
    pub gap_days: Option<GapDays>,
    /// The distance to that session: 1 or 2.
    pub back: u32,
    /// Whether it must be in the week of the previous session, on another day.
    pub paired: bool,
    /// Whether a review follows it.
    pub review_after: bool,
    /// The state.
    pub status: SessionStatus,
    /// The present or last appointment.
    pub visit: Option<Visit>,
    /// Whether it was missed and is used up.
    #[serde(default)]
    pub forfeited: bool,
    /// The missed session that it replaces.
    #[serde(default)]
    pub instead_of: Option<PlanSessionId>,
}

/// The days and hours at which the patient can come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// The only days; empty for every day.
    pub days: Vec<Day>,
    /// The earliest start.
    pub not_before: Option<WallTime>,
    /// The latest end.
    pub not_after: Option<WallTime>,
}

/// The order from which a plan is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The patient.
    pub patient: PatientId,
    /// The template.
    pub template: PlanTemplateId,
    /// The chain's own code of the condition.
    pub condition_code: String,
    /// The only practitioner, where one is named.
    pub practitioner: Option<PractitionerId>,
    /// The locations to which the patient can come.
    pub locations: Vec<LocationId>,
    /// The days and hours at which the patient can come.
    pub preferences: Preferences,
    /// The first possible day.
    pub start_on: Date,
}

/// A care plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The id of the plan.
    pub id: PlanId,
    /// The course: acute or chronic.
    pub course: Course,
    /// The state.
    pub status: Status,
    /// The order from which it was made.
    pub order: Order,
    /// The sessions in order.
    pub sessions: Vec<PlanSession>,
    /// The reviews, oldest first.
    #[serde(default)]
    pub reviews: Vec<Review>,
    /// The patient's answers to check-ins after sessions, oldest first.
    #[serde(default)]
    pub check_ins: Vec<CheckIn>,
}

/// An event of a session's appointment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was booked, or moved.
    Booked(Visit),
    /// It was cancelled.
    Cancelled {
        /// The appointment.
        appointment: AppointmentId,
        /// Whether the session is used up: cancelled late, where the clinic's policy says so.
        forfeits: bool,
    },
    /// It was completed.
    Completed(AppointmentId),
    /// The patient did not come.
    Missed {
        /// The appointment.
        appointment: AppointmentId,
        /// The id of the session that is given back; `None` where the missed one is used up.
        given_back: Option<PlanSessionId>,
    },
    /// It became displaced, or feasible again.
    Displaced {
        /// The appointment.
        appointment: AppointmentId,
        /// Whether it is displaced.
        displaced: bool,
    },
}

/// The reason why a session cannot be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The plan has no such session.
    #[error("the plan has no such session")]
    UnknownSession,
    /// The session has an appointment.
    #[error("the session is {} already", .0.as_str())]
    NotToBook(SessionStatus),
    /// The slot has another service.
    #[error("the slot is of another service than the session")]
    OtherService,
    /// The session has another appointment now, or none that can move.
    #[error("the session has no such appointment that could move")]
    OtherAppointment,
    /// The plan is over, or paused.
    #[error("the plan is {}", .0.as_str())]
    Closed(Status),
}

impl Plan {
    /// A new plan in `draft` with `count` sessions, or the fewest that the template allows; `session_id` creates their ids.
    ///
    /// # Errors
    /// When the template does not allow this number.
    pub fn new(
        id: PlanId,
        order: Order,
        template: &PlanTemplate,
        count: Option<u32>,
        mut session_id: impl FnMut() -> PlanSessionId,
    ) -> Result<Self, OutOfRange> {
        let sessions = template::sessions(template, count)?.into_iter().map(|session| PlanSession {
            id: session_id(),
            ordinal: session.ordinal,
            phase: session.phase,
            service: session.service,
            gap_days: session.gap_days,
            back: session.back,
            paired: session.paired,
            review_after: session.review_after,
            status: SessionStatus::ToBook,
            visit: None,
            forfeited: false,
            instead_of: None,
        });
        Ok(Self {
            id,
            course: template.course,
            status: Status::Draft,
            order,
            sessions: sessions.collect(),
            reviews: vec![],
            check_ins: vec![],
        })
    }

    /// The session with an id.
    pub fn session(&self, id: PlanSessionId) -> Option<&PlanSession> {
        self.sessions.iter().find(|session| session.id == id)
    }

    /// Checks that a session may be booked with a slot of this service.
    ///
    /// # Errors
    /// The reason why it may not.
    pub fn may_book(&self, id: PlanSessionId, service: ServiceId) -> Result<(), Rejection> {
        if !matches!(self.status, Status::Draft | Status::Active) {
            return Err(Rejection::Closed(self.status));
        }
        let session = self.session(id).ok_or(Rejection::UnknownSession)?;
        if session.status != SessionStatus::ToBook {
            return Err(Rejection::NotToBook(session.status));
        }
        if session.service == service { Ok(()) } else { Err(Rejection::OtherService) }
    }

    /// Checks that a session may move with its appointment.
    ///
    /// # Errors
    /// The reason why it may not.
    pub fn may_move(&self, id: PlanSessionId, appointment: AppointmentId, service: ServiceId) -> Result<(), Rejection> {
        let session = self.session(id).ok_or(Rejection::UnknownSession)?;
        let its_own = session.visit.is_some_and(|visit| visit.appointment == appointment);
        if session.status != SessionStatus::Booked || !its_own {
            return Err(Rejection::OtherAppointment);
        }
        if session.service == service { Ok(()) } else { Err(Rejection::OtherService) }
    }

    /// The plan after an event of a session's appointment; `None` where the event does not change it, such as that of an
    /// earlier appointment.
    pub fn after(&self, session: PlanSessionId, event: Event) -> Option<Self> {
        let mut plan = self.clone();
        let at = plan.sessions.iter().position(|own| own.id == session)?;
        let own = &mut plan.sessions[at];
        let has = |appointment: AppointmentId| own.visit.is_some_and(|visit| visit.appointment == appointment);
        match event {
            Event::Booked(visit) => (own.status, own.visit) = (SessionStatus::Booked, Some(visit)),
            Event::Cancelled { appointment, forfeits: true } if has(appointment) => {
                (own.status, own.forfeited) = (SessionStatus::Missed, true);
            }
            Event::Cancelled { appointment, forfeits: false } if has(appointment) => {
                (own.status, own.visit) = (SessionStatus::ToBook, None);
            }
            Event::Completed(appointment) if has(appointment) => own.status = SessionStatus::Done,
            Event::Missed { appointment, given_back } if has(appointment) => {
                (own.status, own.forfeited) = (SessionStatus::Missed, given_back.is_none());
                if let Some(id) = given_back {
                    plan.give_back(at, id);
                }
            }
            Event::Displaced { appointment, displaced } if has(appointment) => {
                own.visit.iter_mut().for_each(|visit| visit.displaced = displaced);
            }
            _ => return None,
        }
        plan.status = plan.status_now();
        (plan != *self).then_some(plan)
    }

    /// Adds a session to book after a missed one.
    fn give_back(&mut self, missed: usize, id: PlanSessionId) {
        let instead = PlanSession {
            id,
            status: SessionStatus::ToBook,
            visit: None,
            instead_of: Some(self.sessions[missed].id),
            ..self.sessions[missed].clone()
        };
        self.sessions.insert(missed + 1, instead);
        self.number();
    }

    /// Numbers the sessions anew.
    fn number(&mut self) {
        for (ordinal, session) in (1..).zip(&mut self.sessions) {
            session.ordinal = ordinal;
        }
    }

    /// The status that follows from the sessions.
    pub(crate) fn status_now(&self) -> Status {
        use SessionStatus::{Done, Missed, Skipped, ToBook};
        let over = |session: &PlanSession| matches!(session.status, Done | Missed | Skipped);
        match self.status {
            Status::OnHold | Status::Revoked => self.status,
            _ if self.sessions.iter().all(over) => Status::Completed,
            _ if self.sessions.iter().all(|session| session.status == ToBook) => Status::Draft,
            _ => Status::Active,
        }
    }
}

#[cfg(test)]
mod tests;
