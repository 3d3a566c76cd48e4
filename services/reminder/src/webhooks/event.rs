//! What endpoints are told of the changes of booking's feed.

use std::fmt;

use domain::{
    event::{Data, Kind},
    id::OrganizationId,
};
use uuid::Uuid;
use wire::{booking::Change, convert};

/// What is told of one change.
#[derive(Clone)]
pub(crate) struct News {
    pub(crate) organization: Uuid,
    /// The appointment or plan.
    pub(crate) subject: Uuid,
    pub(crate) kind: Kind,
    /// The body of the delivery.
    pub(crate) payload: String,
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "News({} of {})", self.kind, OrganizationId::new(self.organization))
    }
}

/// What is told of these changes, in their order.
pub(crate) fn news(changes: &[Change]) -> Vec<News> {
    changes.iter().filter_map(one).collect()
}

fn one(change: &Change) -> Option<News> {
    let event = convert::event::of(change)?;
    let (organization, subject) = match &event.data {
        Data::Appointment(data) => (data.organization_id, data.appointment_id.uuid()),
        Data::Plan(data) => (data.organization_id, data.plan_id.uuid()),
        Data::Waitlist(data) => (data.organization_id, data.waitlist_id.uuid()),
        // In one line with the entry that it is made to.
        Data::Offer(data) => (data.organization_id, data.waitlist_id.uuid()),
    };
    let payload = serde_json::to_string(&event).ok()?;
    Some(News { organization: organization.uuid(), subject, kind: event.kind, payload })
}
