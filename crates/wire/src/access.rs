//! The one table of the methods that each role may call over the network.
//!
//! A role's certificate says its name, and its callee refuses a method whose row does not list that name. In one process the
//! roles call each other without a socket, and the table does not apply.

const AVAILABILITY: &str = "availability";
const BOOKING: &str = "booking";
const GATEWAY: &str = "gateway";
const REMINDER: &str = "reminder";

/// All roles, by the names in their certificates.
pub const ROLES: [&str; 4] = [AVAILABILITY, BOOKING, GATEWAY, REMINDER];

/// Each method with the roles that call it.
pub const METHODS: [(&str, &[&str]); 109] = [
    ("meridian.availability.v1.Directory/GetOrganization", &[BOOKING, GATEWAY, REMINDER]),
    ("meridian.availability.v1.Directory/GetDefaultOrganization", &[GATEWAY]),
    ("meridian.availability.v1.Directory/ListOrganizations", &[GATEWAY]),
    ("meridian.availability.v1.Directory/CreateOrganization", &[GATEWAY]),
    ("meridian.availability.v1.Directory/ListEntries", &[BOOKING, GATEWAY, REMINDER]),
    ("meridian.availability.v1.Directory/GetEntry", &[BOOKING, GATEWAY]),
    ("meridian.availability.v1.Directory/GetEntries", &[GATEWAY]),
    ("meridian.availability.v1.Directory/DescribeDay", &[GATEWAY]),
    ("meridian.availability.v1.Directory/CreateEntry", &[GATEWAY]),
    ("meridian.availability.v1.Directory/UpdateEntry", &[BOOKING, GATEWAY]),
    ("meridian.availability.v1.Directory/ArchiveEntry", &[GATEWAY]),
    ("meridian.availability.v1.Directory/ImportBusy", &[GATEWAY]),
    ("meridian.availability.v1.Search/SearchSlots", &[BOOKING, GATEWAY]),
    ("meridian.availability.v1.Search/SearchDays", &[GATEWAY]),
    ("meridian.availability.v1.Search/NextSlots", &[GATEWAY]),
    ("meridian.availability.v1.Search/ExplainSlot", &[GATEWAY]),
    ("meridian.availability.v1.Search/CheckSlots", &[BOOKING]),
    ("meridian.availability.v1.Search/NearestSlots", &[BOOKING]),
    ("meridian.availability.v1.Search/WatchAvailability", &[GATEWAY]),
    ("meridian.availability.v1.Search/DescribeVisit", &[GATEWAY, REMINDER]),
    ("meridian.availability.v1.Search/DescribeVisits", &[REMINDER]),
    ("meridian.availability.v1.Search/CheckReferences", &[BOOKING, REMINDER]),
    ("meridian.availability.v1.Planner/ProposeSeries", &[BOOKING]),
    ("meridian.availability.v1.Planner/ProposeMoves", &[BOOKING]),
    ("meridian.booking.v1.Booking/CreateHold", &[GATEWAY]),
    ("meridian.booking.v1.Booking/ReleaseHold", &[GATEWAY]),
    ("meridian.booking.v1.Booking/GetHold", &[GATEWAY]),
    ("meridian.booking.v1.Booking/ListHolds", &[GATEWAY]),
    ("meridian.booking.v1.Booking/BookAppointment", &[GATEWAY]),
    ("meridian.booking.v1.Booking/GetAppointment", &[GATEWAY]),
    ("meridian.booking.v1.Booking/ListAppointments", &[GATEWAY]),
    ("meridian.booking.v1.Booking/ListDay", &[GATEWAY]),
    ("meridian.booking.v1.Booking/TransitionAppointment", &[GATEWAY, REMINDER]),
    ("meridian.booking.v1.Booking/RevertAppointment", &[GATEWAY]),
    ("meridian.booking.v1.Booking/UpdateAppointment", &[GATEWAY]),
    ("meridian.booking.v1.Booking/RescheduleAppointment", &[GATEWAY]),
    ("meridian.booking.v1.Booking/SetDisplaced", &[AVAILABILITY]),
    ("meridian.booking.v1.Booking/RezoneAppointments", &[AVAILABILITY]),
    ("meridian.booking.v1.Booking/ResolveManageLink", &[GATEWAY]),
    ("meridian.booking.v1.Booking/RevokeManageLink", &[GATEWAY]),
    ("meridian.booking.v1.Booking/RevokeManageLinks", &[GATEWAY]),
    ("meridian.booking.v1.Booking/SignVerification", &[REMINDER]),
    ("meridian.booking.v1.Booking/CreatePatient", &[GATEWAY]),
    ("meridian.booking.v1.Booking/GetPatient", &[GATEWAY]),
    ("meridian.booking.v1.Booking/GetPatients", &[GATEWAY]),
    ("meridian.booking.v1.Booking/UpdatePatient", &[GATEWAY]),
    ("meridian.booking.v1.Booking/DecideProposedChange", &[GATEWAY]),
    ("meridian.booking.v1.Booking/ListPatients", &[GATEWAY]),
    ("meridian.booking.v1.Booking/ListConsents", &[GATEWAY]),
    ("meridian.booking.v1.Booking/RecordConsent", &[GATEWAY]),
    ("meridian.booking.v1.Booking/RecordReplyConsent", &[REMINDER]),
    ("meridian.booking.v1.Booking/GetContact", &[REMINDER]),
    ("meridian.booking.v1.Booking/GetContacts", &[REMINDER]),
    ("meridian.booking.v1.Plans/CreatePlan", &[GATEWAY]),
    ("meridian.booking.v1.Plans/GetPlan", &[GATEWAY]),
    ("meridian.booking.v1.Plans/ListPlans", &[GATEWAY]),
    ("meridian.booking.v1.Plans/ProposePlan", &[GATEWAY]),
    ("meridian.booking.v1.Plans/BookPlan", &[GATEWAY]),
    ("meridian.booking.v1.Plans/RepairPlan", &[GATEWAY]),
    ("meridian.booking.v1.Plans/GetLedger", &[GATEWAY]),
    ("meridian.booking.v1.Plans/ReportPlans", &[GATEWAY]),
    ("meridian.booking.v1.Plans/RecordCheckIn", &[REMINDER]),
    ("meridian.booking.v1.Plans/ReviewPlan", &[GATEWAY]),
    ("meridian.booking.v1.Waitlist/JoinWaitlist", &[GATEWAY]),
    ("meridian.booking.v1.Waitlist/GetEntry", &[GATEWAY]),
    ("meridian.booking.v1.Waitlist/ListWaitlist", &[GATEWAY]),
    ("meridian.booking.v1.Waitlist/LeaveWaitlist", &[GATEWAY]),
    ("meridian.booking.v1.Waitlist/GetOffer", &[GATEWAY]),
    ("meridian.booking.v1.Waitlist/AcceptOffer", &[GATEWAY, REMINDER]),
    ("meridian.booking.v1.Waitlist/DeclineOffer", &[GATEWAY, REMINDER]),
    ("meridian.booking.v1.Waitlist/ResolveOfferLink", &[GATEWAY]),
    ("meridian.booking.v1.Waitlist/GetOfferContact", &[REMINDER]),
    ("meridian.booking.v1.Displaced/ProposeDisplaced", &[GATEWAY]),
    ("meridian.booking.v1.Displaced/BookDisplaced", &[GATEWAY]),
    ("meridian.booking.v1.ReasonCodes/ListReasonCodes", &[GATEWAY]),
    ("meridian.booking.v1.ReasonCodes/GetReasonCode", &[GATEWAY]),
    ("meridian.booking.v1.ReasonCodes/CreateReasonCode", &[GATEWAY]),
    ("meridian.booking.v1.ReasonCodes/UpdateReasonCode", &[GATEWAY]),
    ("meridian.booking.v1.ReasonCodes/DeleteReasonCode", &[GATEWAY]),
    ("meridian.booking.v1.Feed/Snapshot", &[AVAILABILITY, REMINDER]),
    ("meridian.booking.v1.Feed/SubscribeChanges", &[AVAILABILITY, GATEWAY, REMINDER]),
    ("meridian.booking.v1.Feed/History", &[REMINDER]),
    ("meridian.reminder.v1.Reminder/ListMessages", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/GetMessage", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/RetryMessage", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/PreviewMessage", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/ListRules", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/GetRule", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/CreateRule", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/UpdateRule", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/ArchiveRule", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/ReceiveInbound", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/GetUnsubscribe", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/Unsubscribe", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/ListInbox", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/MarkRead", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/ReportReminders", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/ReceiveStatus", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/StartVerification", &[GATEWAY]),
    ("meridian.reminder.v1.Reminder/CheckVerification", &[GATEWAY]),
    ("meridian.reminder.v1.Webhooks/ListWebhookEndpoints", &[GATEWAY]),
    ("meridian.reminder.v1.Webhooks/GetWebhookEndpoint", &[GATEWAY]),
    ("meridian.reminder.v1.Webhooks/CreateWebhookEndpoint", &[GATEWAY]),
    ("meridian.reminder.v1.Webhooks/UpdateWebhookEndpoint", &[GATEWAY]),
    ("meridian.reminder.v1.Webhooks/DeleteWebhookEndpoint", &[GATEWAY]),
    ("meridian.reminder.v1.Webhooks/RotateWebhookSecret", &[GATEWAY]),
    ("meridian.reminder.v1.Webhooks/TestWebhookEndpoint", &[GATEWAY]),
    ("meridian.reminder.v1.Webhooks/ListWebhookDeliveries", &[GATEWAY]),
    ("meridian.reminder.v1.Webhooks/ReplayWebhookDelivery", &[GATEWAY]),
];

/// Whether a role may call a method, which is written `PACKAGE.SERVICE/METHOD`. Nobody may call a method without a row.
pub fn may_call(role: &str, method: &str) -> bool {
    METHODS.iter().any(|(name, callers)| *name == method && callers.contains(&role))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The full name of every method of the contracts.
    fn methods() -> Vec<String> {
        let contracts = FileDescriptorSet::decode(crate::DESCRIPTORS).unwrap();
        let services = contracts.file.iter().flat_map(|file| file.service.iter().map(move |service| (file, service)));
        services
            .flat_map(|(file, service)| {
                let method = |name: &str| format!("{}.{}/{name}", file.package(), service.name());
                service.method.iter().map(move |one| method(one.name())).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn every_method_has_a_row_and_every_row_a_method() {
        let contracts: BTreeSet<String> = methods().into_iter().collect();
        let rows: BTreeSet<String> = METHODS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert!(contracts.len() > 80 && rows.len() == METHODS.len(), "each row stands once");
        let without_row: Vec<&String> = contracts.difference(&rows).collect();
        let without_method: Vec<&String> = rows.difference(&contracts).collect();
        assert!(without_row.is_empty() && without_method.is_empty(), "{without_row:?} {without_method:?}");
    }

    #[test]
    fn every_method_has_callers_and_none_of_its_own_service() {
        for (method, callers) in METHODS {
            let own = method.split('.').nth(1).unwrap();
            assert!(!callers.is_empty() && !callers.contains(&own), "{method}");
            assert!(callers.iter().all(|caller| ROLES.contains(caller)), "{method}");
            assert!(ROLES.contains(&own), "{method}");
        }
    }

    #[test]
    fn a_role_calls_its_methods_alone() {
        let method = "meridian.booking.v1.Booking/SetDisplaced";
        assert!(may_call("availability", method));
        for (role, method) in [
            ("gateway", method),
            ("availability", "meridian.booking.v1.Booking/ListPatients"),
            ("gateway", "meridian.booking.v1.Booking/Other"),
            ("", method),
        ] {
            assert!(!may_call(role, method), "{role} {method}");
        }
    }
}
