//! The subject of a message.

use uuid::Uuid;

use crate::store::messages::MessageRow;

/// The thing that a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// An appointment.
    Appointment(Uuid),
    /// An offer of a free slot to a patient on the waitlist.
    Offer(Uuid),
    /// A plan at risk.
    Plan {
        /// The plan.
        plan: Uuid,
        /// Its last appointment, through which the patient is reached.
        last_appointment: Uuid,
    },
}

impl Subject {
    /// The subject of a stored message; `None` for an unknown kind.
    pub(crate) fn of(message: &MessageRow) -> Option<Self> {
        Self::from_columns(&message.subject_kind, message.subject_id, message.appointment_id)
    }

    /// Reads the columns `subject_kind`, `subject_id` and `appointment_id`; `None` for an unknown kind.
    fn from_columns(kind: &str, id: Uuid, appointment: Option<Uuid>) -> Option<Self> {
        match (kind, appointment) {
            ("appointment", _) => Some(Self::Appointment(id)),
            ("offer", _) => Some(Self::Offer(id)),
            ("plan", Some(last_appointment)) => Some(Self::Plan { plan: id, last_appointment }),
            _ => None,
        }
    }

    /// The column `subject_kind`.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Appointment(_) => "appointment",
            Self::Offer(_) => "offer",
            Self::Plan { .. } => "plan",
        }
    }

    /// The column `subject_id`.
    pub(crate) fn id(self) -> Uuid {
        match self {
            Self::Appointment(id) | Self::Offer(id) => id,
            Self::Plan { plan, .. } => plan,
        }
    }

    /// The column `appointment_id`: the appointment through which the patient is reached.
    pub(crate) fn appointment(self) -> Option<Uuid> {
        match self {
            Self::Appointment(id) => Some(id),
            Self::Offer(_) => None,
            Self::Plan { last_appointment, .. } => Some(last_appointment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_read_back() {
        let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let plan = Subject::Plan { plan: id, last_appointment: other };
        for subject in [Subject::Appointment(id), Subject::Offer(id), plan] {
            assert_eq!(Subject::from_columns(subject.kind(), subject.id(), subject.appointment()), Some(subject));
        }
        assert_eq!(Subject::from_columns("plan", id, None), None);
        assert_eq!(Subject::from_columns("group", id, None), None);
    }
}
