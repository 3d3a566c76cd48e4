//! One patient's plan: its sessions, what became of each, and how it changes.

mod check_in;

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

/// The appointment of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Visit {
    /// Which.
    pub appointment: AppointmentId,
    /// When it starts.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// By whom.
    pub practitioner: PractitionerId,
    /// Where.
    pub location: LocationId,
    /// The day on the location's own calendar.
    pub on: Date,
    /// Whether the ground under it is gone: it waits for another time.
    pub displaced: bool,
}

/// A visit as it may have been written: the first plans kept no day, for which the one in UTC has to do.
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
    /// From start to end.
    pub fn interval(&self) -> Option<Interval> {
        Interval::new(self.starts_at, self.ends_at)
    }
}

/// A session of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSession {
    /// Its own id.
    pub id: PlanSessionId,
    /// Its place in the plan, from 1.
    pub ordinal: u32,
    /// The phase that it belongs to, from 1.
    pub phase: u32,
    /// What is given.
    pub service: ServiceId,
    /// Days to the session that it is measured from; none for the first.
    pub gap_days: Option<GapDays>,
    /// Which session that is: 1 for the one before, 2 for the one before that.
    pub back: u32,
    /// In the week of the session before, on another day.
    pub paired: bool,
    /// Whether a review follows it.
    pub review_after: bool,
    /// What became of it.
    pub status: SessionStatus,
    /// The appointment that it has, or last had.
    pub visit: Option<Visit>,
    /// Missed, and used up all the same.
    #[serde(default)]
    pub forfeited: bool,
    /// The missed session that it was given back for.
    #[serde(default)]
    pub instead_of: Option<PlanSessionId>,
}

/// When the patient can come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// On these days only; none: every day.
    pub days: Vec<Day>,
    /// No earlier than this.
    pub not_before: Option<WallTime>,
    /// Over by this.
    pub not_after: Option<WallTime>,
}

/// What a plan is made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// For whom.
    pub patient: PatientId,
    /// From which template.
    pub template: PlanTemplateId,
    /// The chain's own code of the complaint.
    pub condition_code: String,
    /// Only by this practitioner.
    pub practitioner: Option<PractitionerId>,
    /// Where the patient can come to.
    pub locations: Vec<LocationId>,
    /// When the patient can come.
    pub preferences: Preferences,
    /// The first day.
    pub start_on: Date,
}

/// A care plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// Short or long.
    pub course: Course,
    /// Where it stands.
    pub status: Status,
    /// What it was made for.
    pub order: Order,
    /// In their order.
    pub sessions: Vec<PlanSession>,
    /// In their order.
    #[serde(default)]
    pub reviews: Vec<Review>,
    /// What the patient answered when asked how it is after a session, the first one first.
    #[serde(default)]
    pub check_ins: Vec<CheckIn>,
}

/// What happened to the appointment of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was booked, or moved.
    Booked(Visit),
    /// It was called off.
    Cancelled {
        /// Which.
        appointment: AppointmentId,
        /// Whether the session is used up by it: called off late, where the clinic's policy says so.
        forfeits: bool,
    },
    /// The visit was given.
    Completed(AppointmentId),
    /// The patient did not come.
    Missed {
        /// Which.
        appointment: AppointmentId,
        /// The id of the session that is given back; none where the missed one is used up.
        given_back: Option<PlanSessionId>,
    },
    /// The ground under it went, or came back.
    Displaced {
        /// Which.
        appointment: AppointmentId,
        /// Whether it is gone.
        displaced: bool,
    },
}

/// Why a session cannot be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The plan has no such session.
    #[error("the plan has no such session")]
    UnknownSession,
    /// It has an appointment.
    #[error("the session is {} already", .0.as_str())]
    NotToBook(SessionStatus),
    /// The slot is of another service.
    #[error("the slot is of another service than the session")]
    OtherService,
    /// The session has another appointment by now, or none that could move.
    #[error("the session has no such appointment that could move")]
    OtherAppointment,
    /// The plan is over, or paused.
    #[error("the plan is {}", .0.as_str())]
    Closed(Status),
}

impl Plan {
    /// A new plan in `draft`, `count` sessions long or as short as the template allows; `id` gives each session its own.
    ///
    /// # Errors
    /// Where the template does not allow so many or so few.
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

    /// Whether a session may be booked with a slot of this service.
    ///
    /// # Errors
    /// Why not.
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

    /// Whether a session may be moved with its appointment.
    ///
    /// # Errors
    /// Why not.
    pub fn may_move(&self, id: PlanSessionId, appointment: AppointmentId, service: ServiceId) -> Result<(), Rejection> {
        let session = self.session(id).ok_or(Rejection::UnknownSession)?;
        let its_own = session.visit.is_some_and(|visit| visit.appointment == appointment);
        if session.status != SessionStatus::Booked || !its_own {
            return Err(Rejection::OtherAppointment);
        }
        if session.service == service { Ok(()) } else { Err(Rejection::OtherService) }
    }

    /// The plan after something happened to the appointment of a session; `None` where that is nothing to it: the
    /// session has another appointment by now.
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

    /// Puts a session to be booked in the place of a missed one.
    fn give_back(&mut self, missed: usize, id: PlanSessionId) {
        let instead = PlanSession {
            id,
            status: SessionStatus::ToBook,
            visit: None,
            instead_of: Some(self.sessions[missed].id),
            ..self.sessions[missed].clone()
        };
        self.sessions.insert(missed + 1, instead);
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
