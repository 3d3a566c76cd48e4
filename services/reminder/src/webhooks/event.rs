//! The events that webhook endpoints receive, from the changes of booking's feed.

use std::fmt;

use domain::{
    event::{Data, Kind},
    id::OrganizationId,
};
use uuid::Uuid;
use wire::{booking::Change, convert};

/// An event for the endpoints of one organisation.
#[derive(Clone)]
pub(crate) struct WebhookEvent {
    pub(crate) organization: Uuid,
    /// The appointment, plan or waitlist entry; events with the same subject are delivered one after another.
    pub(crate) subject: Uuid,
    pub(crate) kind: Kind,
    /// The body of the delivery, JSON.
    pub(crate) payload: String,
}

impl fmt::Debug for WebhookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookEvent({} of {})", self.kind, OrganizationId::new(self.organization))
    }
}

/// The events of these changes, in their order.
pub(crate) fn from_changes(changes: &[Change]) -> Vec<WebhookEvent> {
    changes.iter().filter_map(from_change).collect()
}

fn from_change(change: &Change) -> Option<WebhookEvent> {
    let event = convert::event::from_change(change)?;
    let (organization, subject) = match &event.data {
        Data::Appointment(data) => (data.organization_id, data.appointment_id.uuid()),
        Data::Plan(data) => (data.organization_id, data.plan_id.uuid()),
        Data::Waitlist(data) => (data.organization_id, data.waitlist_id.uuid()),
        // An offer follows the events of its waitlist entry.
        Data::Offer(data) => (data.organization_id, data.waitlist_id.uuid()),
    };
    let payload = serde_json::to_string(&event).ok()?;
    Some(WebhookEvent { organization: organization.uuid(), subject, kind: event.kind, payload })
}
