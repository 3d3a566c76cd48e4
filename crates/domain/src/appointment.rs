//! The statuses of appointments, and the transitions between them.
//!
//! The statuses are those of FHIR R4's [AppointmentStatus](https://hl7.org/fhir/R4/valueset-appointmentstatus.html).

use jiff::{SignedDuration, Timestamp};

use crate::words::words;

words! {
    /// FHIR R4 AppointmentStatus, as far as scheduling uses it.
    pub enum Status as "AppointmentStatus" {
        /// Requested, not yet agreed.
        Pending = "pending",
        /// Agreed; its time is claimed.
        Booked = "booked",
        /// The patient is at the location.
        Arrived = "arrived",
        /// The visit has begun.
        CheckedIn = "checked-in",
        /// The visit is over and done.
        Fulfilled = "fulfilled",
        /// Cancelled; its time is free.
        Cancelled = "cancelled",
        /// The patient did not come.
        Noshow = "noshow",
        /// Recorded by mistake.
        EnteredInError = "entered-in-error",
    }
}

impl Status {
    /// Whether an appointment in this status keeps its claims. A missed appointment frees its time and its needling interval.
    pub fn claims_time(self) -> bool {
        matches!(self, Self::Pending | Self::Booked | Self::Arrived | Self::CheckedIn | Self::Fulfilled)
    }

    /// Whether the appointment is upcoming, so that messages about it are useful.
    pub fn is_upcoming(self) -> bool {
        matches!(self, Self::Pending | Self::Booked)
    }

    /// The transitions that this status allows.
    pub fn allowed(self) -> Vec<Transition> {
        Transition::ALL.into_iter().filter(|transition| transition.from(self).is_some()).collect()
    }

    /// The transitions that this status allows to this actor at this time.
    pub fn allowed_now(self, actor: Actor, timing: Timing) -> Vec<Transition> {
        self.allowed().into_iter().filter(|transition| transition.is_timely(actor, timing)).collect()
    }
}

words! {
    /// The person who changes an appointment.
    pub enum Actor as "AppointmentActor" {
        /// Its patient, through a link, a reply or an offer.
        Patient = "patient",
        /// A member of the clinic's staff.
        Staff = "staff",
    }
}

words! {
    /// The channel through which an appointment is booked.
    pub enum BookingChannel as "BookingChannel" {
        /// The patient's own booking.
        Online = "online",
        /// A booking by the clinic's staff.
        Staff = "staff",
    }
}

/// The instants that decide which transitions are timely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The present.
    pub now: Timestamp,
    /// The beginning of the appointment's day at its location.
    pub day_starts_at: Timestamp,
    /// The start of the appointment.
    pub starts_at: Timestamp,
}

/// A transition of an appointment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    /// The patient confirms it.
    Confirm,
    /// The patient or the clinic cancels it.
    Cancel,
    /// It moves to another slot.
    Reschedule,
    /// The patient arrives.
    Arrive,
    /// The visit begins.
    Start,
    /// The visit ends.
    Complete,
    /// The patient did not come.
    NoShow,
}

impl Transition {
    /// Every transition.
    pub const ALL: [Self; 7] =
        [Self::Confirm, Self::Cancel, Self::Reschedule, Self::Arrive, Self::Start, Self::Complete, Self::NoShow];

    /// The last segment of its path in the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
            Self::Reschedule => "reschedule",
            Self::Arrive => "arrive",
            Self::Start => "start",
            Self::Complete => "complete",
            Self::NoShow => "no_show",
        }
    }

    /// The status after this transition from `status`; `None` if it is not allowed.
    pub fn from(self, status: Status) -> Option<Status> {
        use Status as S;
        match (self, status) {
            (Self::Confirm | Self::Reschedule, S::Pending | S::Booked) => Some(S::Booked),
            (Self::Cancel, S::Pending | S::Booked | S::Arrived) => Some(S::Cancelled),
            (Self::Arrive, S::Booked) => Some(S::Arrived),
            (Self::Start, S::Booked | S::Arrived) => Some(S::CheckedIn),
            (Self::Complete, S::Arrived | S::CheckedIn) => Some(S::Fulfilled),
            (Self::NoShow, S::Booked) => Some(S::Noshow),
            _ => None,
        }
    }

    /// Whether this actor may make the transition now, whatever the status. A patient may confirm, cancel and reschedule until
    /// the start. Staff may receive a patient on the appointment's own day, and mark a no-show from the start on.
    pub fn is_timely(self, actor: Actor, timing: Timing) -> bool {
        match (actor, self) {
            (Actor::Patient, Self::Confirm | Self::Cancel | Self::Reschedule) => timing.now < timing.starts_at,
            (Actor::Patient, _) => false,
            (Actor::Staff, Self::Confirm | Self::Cancel | Self::Reschedule) => true,
            (Actor::Staff, Self::Arrive | Self::Start | Self::Complete) => timing.now >= timing.day_starts_at,
            (Actor::Staff, Self::NoShow) => timing.now >= timing.starts_at,
        }
    }
}

/// The instants that an appointment keeps of its transitions; `None` for one that has not happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamps {
    /// When the patient confirmed it.
    pub confirmed_at: Option<Timestamp>,
    /// When the patient arrived.
    pub arrived_at: Option<Timestamp>,
    /// When the visit began.
    pub started_at: Option<Timestamp>,
    /// When the visit ended.
    pub completed_at: Option<Timestamp>,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// When it was marked as missed.
    pub missed_at: Option<Timestamp>,
}

impl Stamps {
    /// The stamp of a transition; `None` for a move, which has none.
    pub fn of(&mut self, transition: Transition) -> Option<&mut Option<Timestamp>> {
        Some(match transition {
            Transition::Confirm => &mut self.confirmed_at,
            Transition::Arrive => &mut self.arrived_at,
            Transition::Start => &mut self.started_at,
            Transition::Complete => &mut self.completed_at,
            Transition::Cancel => &mut self.cancelled_at,
            Transition::NoShow => &mut self.missed_at,
            Transition::Reschedule => return None,
        })
    }
}

/// Hours for which staff take a transition back.
pub const REVERT_HOURS: i64 = 24;

/// The last transition of an appointment, which a revert takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTransition {
    /// The transition.
    pub transition: Transition,
    /// The status before it.
    pub before: Status,
    /// When it was made; `None` where that was not kept.
    pub at: Option<Timestamp>,
}

impl LastTransition {
    /// The transition that led to a status. A status tells its own transition, and the stamps tell the status before it.
    /// `None` for an appointment that has only been booked: a move is taken back by another move.
    pub fn of(status: Status, stamps: &Stamps) -> Option<Self> {
        let arrived = if stamps.arrived_at.is_some() { Status::Arrived } else { Status::Booked };
        let started = if stamps.started_at.is_some() { Status::CheckedIn } else { Status::Arrived };
        let (transition, before, at) = match status {
            Status::Booked => (Transition::Confirm, Status::Booked, Some(stamps.confirmed_at?)),
            Status::Arrived => (Transition::Arrive, Status::Booked, stamps.arrived_at),
            Status::CheckedIn => (Transition::Start, arrived, stamps.started_at),
            Status::Fulfilled => (Transition::Complete, started, stamps.completed_at),
            Status::Cancelled => (Transition::Cancel, arrived, stamps.cancelled_at),
            Status::Noshow => (Transition::NoShow, Status::Booked, stamps.missed_at),
            Status::Pending | Status::EnteredInError => return None,
        };
        Some(Self { transition, before, at })
    }

    /// Whether it was made within [`REVERT_HOURS`]. One of unknown age was not.
    pub fn is_recent(&self, now: Timestamp) -> bool {
        self.at.is_some_and(|at| now.duration_since(at) <= SignedDuration::from_hours(REVERT_HOURS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every path of transitions is walked back step by step, to the statuses that it came through.
    #[test]
    fn reverts_walk_a_history_back() {
        use Transition as T;
        let at = |hour: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour);
        for history in [
            &[T::Confirm, T::Arrive, T::Start, T::Complete][..],
            &[T::Start, T::Complete],
            &[T::Arrive, T::Complete],
            &[T::Confirm, T::Arrive, T::Cancel],
            &[T::Confirm, T::Cancel],
            &[T::NoShow],
        ] {
            let (mut status, mut stamps) = (Status::Booked, Stamps::default());
            let mut past = vec![];
            for (hour, transition) in (1..).zip(history) {
                past.push((status, stamps, at(hour)));
                status = transition.from(status).unwrap();
                *stamps.of(*transition).unwrap() = Some(at(hour));
            }
            for ((before, old, made_at), transition) in past.into_iter().zip(history).rev() {
                let last = LastTransition::of(status, &stamps).unwrap();
                assert_eq!(last, LastTransition { transition: *transition, before, at: Some(made_at) }, "{history:?}");
                status = before;
                *stamps.of(*transition).unwrap() = None;
                assert_eq!(stamps, old);
            }
            assert_eq!(LastTransition::of(status, &stamps), None, "a booking is not taken back");
        }
    }

    #[test]
    fn a_transition_is_recent_for_a_day() {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let last = |at| LastTransition { transition: Transition::NoShow, before: Status::Booked, at };
        assert!(last(Some(at(0))).is_recent(at(86_400)) && !last(Some(at(0))).is_recent(at(86_401)));
        assert!(!last(None).is_recent(at(0)), "of unknown age");
    }

    #[test]
    fn nothing_leaves_a_final_status() {
        for status in [Status::Fulfilled, Status::Cancelled, Status::Noshow, Status::EnteredInError] {
            assert_eq!(status.allowed(), vec![], "{status}");
        }
    }

    #[test]
    fn each_time_allows_its_transitions() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let timing = |now: &str| Timing {
            now: at(now),
            day_starts_at: at("2026-03-10T06:00:00Z"),
            starts_at: at("2026-03-10T16:00:00Z"),
        };
        use Transition as T;
        let ahead = [T::Confirm, T::Cancel, T::Reschedule];
        for (now, patient, staff) in [
            ("2026-03-10T05:59:59Z", &ahead[..], &ahead[..]),
            ("2026-03-10T06:00:00Z", &ahead, &[T::Confirm, T::Cancel, T::Reschedule, T::Arrive, T::Start]),
            ("2026-03-10T15:59:59Z", &ahead, &[T::Confirm, T::Cancel, T::Reschedule, T::Arrive, T::Start]),
            ("2026-03-10T16:00:00Z", &[], &[T::Confirm, T::Cancel, T::Reschedule, T::Arrive, T::Start, T::NoShow]),
        ] {
            assert_eq!(Status::Booked.allowed_now(Actor::Patient, timing(now)), patient, "{now}");
            assert_eq!(Status::Booked.allowed_now(Actor::Staff, timing(now)), staff, "{now}");
        }
    }
}
