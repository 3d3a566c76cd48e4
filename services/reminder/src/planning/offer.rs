//! What an offer to somebody on the waitlist brings: a message that asks whether they take it.

use uuid::Uuid;

use super::{Appointment, Planned, after_event};
use crate::rules::{Rule, Trigger};

/// A free time that is offered to a patient, or was. It stands among the appointments as one that does not take place, so
/// that its messages hang on something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) organization: Uuid,
    pub(crate) open: bool,
    pub(crate) visit: Appointment,
    pub(crate) since_us: i64,
}

/// The messages of an offer.
pub(crate) fn offered(rules: &[Rule], offer: &Offered) -> Vec<Planned> {
    if !offer.open {
        return vec![];
    }
    after_event(rules, Trigger::WaitlistOffer, &offer.visit, 1, offer.since_us)
}
