//! What a patient answers, some time after a session, to how it is.

use domain::id::AppointmentId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Plan;

/// A patient's answer, some time after a session, to how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckIn {
    /// The visit that it was about.
    pub appointment: AppointmentId,
    /// On the numeric rating scale, 0 (no pain) to 10.
    pub score: u8,
    /// When it was given.
    pub at: Timestamp,
}

/// Answers that a plan keeps; the oldest go first.
const CHECK_INS_MAX: usize = 200;

impl Plan {
    /// The plan with an answer to how it is. A second answer about the same visit takes the place of the first.
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
