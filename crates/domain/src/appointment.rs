//! The statuses of appointments, and the transitions between them.
//!
//! The statuses are those of FHIR R4's [AppointmentStatus](https://hl7.org/fhir/R4/valueset-appointmentstatus.html).

use jiff::Timestamp;

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

#[cfg(test)]
mod tests {
    use super::*;

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
