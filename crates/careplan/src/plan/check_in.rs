//! Check-ins: a patient's answers to how they are, some time after a session.

use domain::id::AppointmentId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Plan;

/// A patient's answer to a check-in after a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckIn {
    /// The appointment of the session.
    pub appointment: AppointmentId,
    /// Pain on the numeric rating scale, 0 (none) to 10.
    pub score: u8,
    /// The time of the answer.
    pub at: Timestamp,
}

/// The most answers that a plan keeps; the oldest are dropped first.
const CHECK_INS_MAX: usize = 200;

impl Plan {
    /// The plan with an answer. A second answer about the same appointment replaces the first.
    #[must_use]
    pub fn checked_in(&self, answer: CheckIn) -> Self {
        let mut plan = self.clone();
        plan.check_ins.retain(|known| known.appointment != answer.appointment);
        plan.check_ins.push(answer);
        let old = plan.check_ins.len().saturating_sub(CHECK_INS_MAX);
        plan.check_ins.drain(..old);
        plan
    }
}
