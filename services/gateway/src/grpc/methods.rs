//! The one table of the methods that clients may call.
//!
//! Each row names the operation of REST whose access and whose action in the audit log hold for the method, too. A method
//! whose request carries what REST sets by itself has an adjustment, or no row.

use self::Answer::{List, Resource, Stream};
use super::adjust::{self, Adjust};
use crate::auth::Scope;

/// The answer of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// One resource, whose ids are written to the audit log.
    Resource,
    /// A list or a report.
    List,
    /// A stream, which takes a permit of streams.
    Stream,
}

/// A public method.
#[derive(Clone, Copy)]
pub(crate) struct Method {
    /// `PACKAGE.SERVICE/METHOD`.
    pub(crate) name: &'static str,
    /// The id of the operation of REST.
    pub(crate) operation: &'static str,
    pub(crate) answer: Answer,
    /// Needed besides the scopes of the operation.
    pub(crate) scope: Option<Scope>,
    /// Checks the request and sets what a client must not.
    pub(crate) adjust: Option<Adjust>,
}

const fn row(name: &'static str, operation: &'static str, answer: Answer) -> Method {
    Method { name, operation, answer, scope: None, adjust: None }
}

impl Method {
    /// Only for staff: REST hides parts of the answer from other callers, or asks more of a caller without a patient record.
    const fn staff(self) -> Self {
        Self { scope: Some(Scope::PatientsRead), ..self }
    }

    const fn adjusted(self, adjust: Adjust) -> Self {
        Self { adjust: Some(adjust), ..self }
    }
}

/// All public methods.
#[rustfmt::skip]
pub(crate) static METHODS: [Method; 51] = [
    row("meridian.availability.v1.Directory/ListEntries", "list_location", List).adjusted(adjust::list_entries),
    row("meridian.availability.v1.Directory/GetEntry", "get_location", Resource).adjusted(adjust::get_entry),
    row("meridian.availability.v1.Search/SearchSlots", "search_slots", List).adjusted(adjust::search),
    row("meridian.availability.v1.Search/SearchDays", "search_days", List).adjusted(adjust::search),
    row("meridian.availability.v1.Search/NextSlots", "next_slots", List).adjusted(adjust::search),
    row("meridian.availability.v1.Search/ExplainSlot", "explain_slot", List).adjusted(adjust::explain),
    row("meridian.availability.v1.Search/WatchAvailability", "watch_slots", Stream).adjusted(adjust::search),
    row("meridian.booking.v1.Booking/BookAppointment", "book_appointment", Resource).staff(),
    row("meridian.booking.v1.Booking/GetAppointment", "get_appointment", Resource).staff(),
    row("meridian.booking.v1.Booking/ListAppointments", "list_appointments", List).staff(),
    row("meridian.booking.v1.Booking/TransitionAppointment", "cancel_appointment", Resource).adjusted(adjust::transition).staff(),
    row("meridian.booking.v1.Booking/RevertAppointment", "revert_appointment", Resource).adjusted(adjust::revert).staff(),
    row("meridian.booking.v1.Booking/UpdateAppointment", "patch_appointment", Resource).staff(),
    row("meridian.booking.v1.Booking/RescheduleAppointment", "reschedule_appointment", Resource).adjusted(adjust::reschedule).staff(),
    row("meridian.booking.v1.Booking/CreatePatient", "create_patient", Resource).staff(),
    row("meridian.booking.v1.Booking/GetPatient", "get_patient", Resource).staff(),
    row("meridian.booking.v1.Booking/UpdatePatient", "patch_patient", Resource).staff(),
    row("meridian.booking.v1.Booking/ListPatients", "list_patients", List).staff(),
    row("meridian.booking.v1.Booking/ListConsents", "list_consents", Resource).staff(),
    row("meridian.booking.v1.Plans/CreatePlan", "create_plan", Resource).staff(),
    row("meridian.booking.v1.Plans/GetPlan", "get_plan", Resource).staff(),
    row("meridian.booking.v1.Plans/ListPlans", "list_plans", List).staff(),
    row("meridian.booking.v1.Plans/ProposePlan", "propose_plan", List).staff(),
    row("meridian.booking.v1.Plans/RepairPlan", "repair_plan", List).staff(),
    row("meridian.booking.v1.Plans/BookPlan", "book_plan", Resource).staff(),
    row("meridian.booking.v1.Plans/GetLedger", "get_ledger", Resource).staff(),
    row("meridian.booking.v1.Plans/ReportPlans", "report_plans", List).staff(),
    row("meridian.booking.v1.Waitlist/JoinWaitlist", "join_waitlist", Resource).staff(),
    row("meridian.booking.v1.Waitlist/GetEntry", "get_wait", Resource).staff(),
    row("meridian.booking.v1.Waitlist/ListWaitlist", "list_waitlist", List).staff(),
    row("meridian.booking.v1.Waitlist/LeaveWaitlist", "leave_waitlist", Resource).staff(),
    row("meridian.booking.v1.Waitlist/GetOffer", "get_offer", Resource).staff(),
    row("meridian.booking.v1.Waitlist/AcceptOffer", "accept_offer", Resource).staff(),
    row("meridian.booking.v1.Waitlist/DeclineOffer", "decline_offer", Resource).staff(),
    row("meridian.booking.v1.Displaced/ProposeDisplaced", "propose_displaced", List).staff(),
    row("meridian.booking.v1.Displaced/BookDisplaced", "book_displaced", List).staff(),
    row("meridian.booking.v1.ReasonCodes/ListReasonCodes", "list_reason_codes", List),
    row("meridian.booking.v1.ReasonCodes/GetReasonCode", "get_reason_code", Resource),
    row("meridian.booking.v1.ReasonCodes/CreateReasonCode", "create_reason_code", Resource),
    row("meridian.booking.v1.ReasonCodes/UpdateReasonCode", "patch_reason_code", Resource),
    row("meridian.booking.v1.ReasonCodes/DeleteReasonCode", "delete_reason_code", Resource),
    row("meridian.reminder.v1.Reminder/ListMessages", "list_messages", List),
    row("meridian.reminder.v1.Reminder/GetMessage", "get_message", Resource),
    row("meridian.reminder.v1.Reminder/RetryMessage", "retry_message", Resource),
    row("meridian.reminder.v1.Reminder/ListRules", "list_rules", List),
    row("meridian.reminder.v1.Reminder/GetRule", "get_rule", Resource),
    row("meridian.reminder.v1.Reminder/ArchiveRule", "archive_rule", Resource),
    row("meridian.reminder.v1.Reminder/ListInbox", "list_inbox", List),
    row("meridian.reminder.v1.Reminder/MarkRead", "mark_read", Resource),
    row("meridian.reminder.v1.Reminder/ReportReminders", "report_reminders", List),
    row("meridian.reminder.v1.Webhooks/ListWebhookDeliveries", "list_webhook_deliveries", List),
];

/// The services that have public methods.
pub(crate) fn services() -> Vec<&'static str> {
    let mut services: Vec<&str> = METHODS.iter().filter_map(|method| Some(method.name.split_once('/')?.0)).collect();
    services.dedup();
    services
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{operation::Access, v1};

    #[test]
    fn every_row_names_a_method_of_the_gateway_and_an_operation_with_scopes() {
        let interface = v1::interface().unwrap();
        let names: BTreeSet<&str> = METHODS.iter().map(|method| method.name).collect();
        assert_eq!(names.len(), METHODS.len(), "each method has one row");
        for method in &METHODS {
            assert!(wire::access::may_call("gateway", method.name), "{}: the gateway may not call it", method.name);
            let operation = interface.operations.iter().find(|operation| operation.id == method.operation);
            let access = operation.unwrap_or_else(|| panic!("{}: no operation", method.operation)).access;
            assert!(matches!(access, Access::Scopes(scopes) if !scopes.is_empty()), "{}", method.name);
        }
    }

    /// The feed spans organisations, and what follows a patient's link or a provider's signature has no key.
    #[test]
    fn methods_beyond_one_key_have_no_row() {
        for name in [
            "meridian.booking.v1.Feed/SubscribeChanges",
            "meridian.booking.v1.Feed/Snapshot",
            "meridian.booking.v1.Booking/ResolveManageLink",
            "meridian.booking.v1.Booking/GetContacts",
            "meridian.availability.v1.Directory/CreateOrganization",
            "meridian.reminder.v1.Reminder/ReceiveInbound",
        ] {
            assert!(METHODS.iter().all(|method| method.name != name), "{name}");
        }
    }
}
