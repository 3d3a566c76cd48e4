//! Offers of free slots to patients on the waitlist: each is a message that asks whether the patient takes it.

use uuid::Uuid;

use super::{About, PlannedMessage, after_event};
use crate::{
    appointment::Visit,
    rules::{Rule, Trigger},
    store::offers::OfferRow,
    subject::Subject,
};

/// An offer that was made, or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfferChange {
    pub(crate) organization: Uuid,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    /// Whether the patient can still accept it.
    pub(crate) open: bool,
    pub(crate) patient: Uuid,
    pub(crate) service: Uuid,
    pub(crate) practitioner: Uuid,
    pub(crate) visit: Visit,
    pub(crate) ends_at_us: i64,
    pub(crate) time_zone: String,
    pub(crate) since_us: i64,
}

impl OfferChange {
    pub(super) fn about(&self) -> About<'_> {
        About {
            subject: Subject::Offer(self.id),
            patient: self.patient,
            service: self.service,
            visit: self.visit,
            time_zone: &self.time_zone,
        }
    }

    pub(super) fn to_row(&self) -> OfferRow {
        OfferRow {
            organization_id: self.organization,
            id: self.id,
            version: self.version,
            open: self.open,
            patient_id: self.patient,
            service_id: self.service,
            practitioner_id: self.practitioner,
            location_id: self.visit.location,
            starts_at_us: self.visit.starts_at_us,
            ends_at_us: self.ends_at_us,
            time_zone: self.time_zone.clone(),
        }
    }
}

/// The messages of an offer: its first version plans them, so later ones plan none again.
pub(super) fn for_offer(rules: &[Rule], offer: &OfferChange) -> Vec<PlannedMessage> {
    if !offer.open {
        return vec![];
    }
    after_event(rules, Trigger::WaitlistOffer, &offer.about(), 1, offer.since_us)
}
