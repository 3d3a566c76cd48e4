//! Offers of free slots to patients on the waitlist: each is a message that asks whether the patient takes it.

use uuid::Uuid;

use super::{PlannedMessage, after_event};
use crate::{
    appointment::Appointment,
    rules::{Rule, Trigger},
};

/// An offer that was made, or has ended. Its slot is stored as an appointment that does not take place, so that its
/// messages belong to something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfferChange {
    pub(crate) organization: Uuid,
    pub(crate) open: bool,
    pub(crate) slot: Appointment,
    pub(crate) since_us: i64,
}

/// The messages of an offer.
pub(super) fn for_offer(rules: &[Rule], offer: &OfferChange) -> Vec<PlannedMessage> {
    if !offer.open {
        return vec![];
    }
    after_event(rules, Trigger::WaitlistOffer, &offer.slot, 1, offer.since_us)
}
