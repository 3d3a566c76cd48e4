//! An appointment's status and the transitions between statuses.
//!
//! The words are those of FHIR R4's [AppointmentStatus](https://hl7.org/fhir/R4/valueset-appointmentstatus.html).

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// FHIR R4 AppointmentStatus, as far as scheduling uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Status {
    /// Asked for, not yet agreed.
    #[serde(rename = "pending")]
    Pending,
    /// Agreed; its time is claimed.
    #[serde(rename = "booked")]
    Booked,
    /// The patient is at the location.
    #[serde(rename = "arrived")]
    Arrived,
    /// The visit has begun.
    #[serde(rename = "checked-in")]
    CheckedIn,
    /// The visit is over and done.
    #[serde(rename = "fulfilled")]
    Fulfilled,
    /// Called off; its time is free.
    #[serde(rename = "cancelled")]
    Cancelled,
    /// The patient did not come.
    #[serde(rename = "noshow")]
    Noshow,
    /// Should never have been recorded.
    #[serde(rename = "entered-in-error")]
    EnteredInError,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Booked,
        Self::Arrived,
        Self::CheckedIn,
        Self::Fulfilled,
        Self::Cancelled,
        Self::Noshow,
        Self::EnteredInError,
    ];

    /// FHIR's code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Booked => "booked",
            Self::Arrived => "arrived",
            Self::CheckedIn => "checked-in",
            Self::Fulfilled => "fulfilled",
            Self::Cancelled => "cancelled",
            Self::Noshow => "noshow",
            Self::EnteredInError => "entered-in-error",
        }
    }

    /// Whether an appointment in this status keeps its claims on time. A visit that the patient did not come to leaves
    /// the rest of its time free, and needles nobody.
    pub fn claims_time(self) -> bool {
        matches!(self, Self::Pending | Self::Booked | Self::Arrived | Self::CheckedIn | Self::Fulfilled)
    }

    /// Whether the visit is still to come, so that messages about it make sense.
    pub fn is_ahead(self) -> bool {
        matches!(self, Self::Pending | Self::Booked)
    }

    /// The transitions that this status allows.
    pub fn allowed(self) -> Vec<Transition> {
        Transition::ALL.into_iter().filter(|transition| transition.from(self).is_some()).collect()
    }

    /// The transitions that this status allows to this person at this time.
    pub fn allowed_now(self, by: By, timing: Timing) -> Vec<Transition> {
        self.allowed().into_iter().filter(|transition| transition.is_timely(by, timing)).collect()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(
            "expected one of pending, booked, arrived, checked-in, fulfilled, cancelled, noshow, entered-in-error",
        )
    }
}

/// The person who asks for a change of an appointment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// Its patient, through a link, a reply or an offer.
    Patient,
    /// The clinic.
    Staff,
}

impl By {
    /// The word of the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Staff => "staff",
        }
    }
}

impl FromStr for By {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "patient" => Ok(Self::Patient),
            "staff" => Ok(Self::Staff),
            _ => Err("expected one of patient, staff"),
        }
    }
}

/// The instants that decide which transitions of a visit make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The present.
    pub now: Timestamp,
    /// When the visit's day begins at its location.
    pub day_starts_at: Timestamp,
    /// When the visit begins.
    pub starts_at: Timestamp,
}

/// What can be done to an appointment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    /// The patient says that they will come.
    Confirm,
    /// The visit is called off.
    Cancel,
    /// The visit moves to another slot.
    Reschedule,
    /// The patient is there.
    Arrive,
    /// The visit begins.
    Start,
    /// The visit is done.
    Complete,
    /// The patient did not come.
    NoShow,
}

impl Transition {
    /// Every transition.
    pub const ALL: [Self; 7] =
        [Self::Confirm, Self::Cancel, Self::Reschedule, Self::Arrive, Self::Start, Self::Complete, Self::NoShow];

    /// The name in the path of the public interface.
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

    /// The status that this transition leads to from `status`, or `None` where it is not allowed.
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

    /// Whether this person may do this now, whatever the status. A patient confirms, cancels and moves until the visit
    /// begins. Staff receive a patient on the visit's own day, and miss nobody before the start.
    pub fn is_timely(self, by: By, timing: Timing) -> bool {
        match (by, self) {
            (By::Patient, Self::Confirm | Self::Cancel | Self::Reschedule) => timing.now < timing.starts_at,
            (By::Patient, _) => false,
            (By::Staff, Self::Confirm | Self::Cancel | Self::Reschedule) => true,
            (By::Staff, Self::Arrive | Self::Start | Self::Complete) => timing.now >= timing.day_starts_at,
            (By::Staff, Self::NoShow) => timing.now >= timing.starts_at,
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
    fn the_time_allows_what_makes_sense_then() {
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
            assert_eq!(Status::Booked.allowed_now(By::Patient, timing(now)), patient, "{now}");
            assert_eq!(Status::Booked.allowed_now(By::Staff, timing(now)), staff, "{now}");
        }
    }

    #[test]
    fn statuses_read_back() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
