//! The table of bindings: one row for each operation that a key calls.
//!
//! - **Shared**: practitioners, services, plan templates and reason codes belong to the whole organisation. Every key reads
//!   them; a limited key changes none.
//! - **Refused**: the answer or the effect spans locations and cannot be cut, such as reports, messages, rules and webhooks.
//! - **Patients** belong to a limited key where they have an appointment, a plan or a waitlist entry at its locations, or
//!   nothing anywhere yet.
//! - **Plans and waitlist entries** are of a limited key's where all of their locations are.
//! - **Holds** are of a limited key's where all of their slots are at its locations.

use super::{After, Binding, Check, Place};

const SHARED: Binding = Binding::Checked { before: &[], after: After::Whole };
const APPOINTMENT: Check = Check::Resource("get_appointment", Place::Location);
const PLAN: Check = Check::Resource("get_plan", Place::Locations);
const WAIT: Check = Check::Resource("get_wait", Place::Locations);
const OFFER: Check = Check::Resource("get_offer", Place::Slot);
const ROSTER: Check = Check::Resource("get_roster", Place::Location);
/// An appointment moves into a session of a plan, which the body names by the session's id alone.
const NO_SESSION: Check = Check::Absent("plan_session_id");

/// Whatever passes the checks is answered whole.
const fn checked(before: &'static [Check]) -> Binding {
    Binding::Checked { before, after: After::Whole }
}

/// Only what is of the caller's locations is answered.
const fn answered(after: After) -> Binding {
    Binding::Checked { before: &[], after }
}

/// The binding of an operation; `None` for an operation that the table lacks.
pub(super) fn of(operation: &str) -> Option<Binding> {
    Some(match operation {
        "list_location" => answered(After::List(Place::Id)),
        "get_location"
        | "patch_location"
        | "archive_location"
        | "get_day"
        | "open_location_calendar"
        | "close_location_calendar" => checked(&[Check::Path("id")]),
        "list_room" | "create_room" | "get_room" | "patch_room" | "archive_room" | "list_equipment"
        | "create_equipment" | "get_equipment" | "patch_equipment" | "archive_equipment" | "list_closure"
        | "create_closure" | "get_closure" | "patch_closure" | "archive_closure" => {
            checked(&[Check::Path("parent_id")])
        }
        "list_practitioner" | "get_practitioner" | "list_service" | "get_service" | "list_plan_template"
        | "get_plan_template" | "list_reason_codes" | "get_reason_code" | "get_caller" => SHARED,
        "list_roster" => answered(After::List(Place::Location)),
        "get_roster" => answered(After::Entry(Place::Location)),
        "create_roster" => checked(&[Check::Locations("location_id")]),
        "patch_roster" => checked(&[ROSTER, Check::Locations("location_id")]),
        "archive_roster" => checked(&[ROSTER]),
        "search_slots" | "search_days" | "next_slots" | "watch_slots" => checked(&[
            Check::Narrowed("location_id"),
            Check::QueriedPatient("patient_id"),
            Check::Queried("moving", "get_appointment", Place::Location),
        ]),
        "explain_slot" => {
            checked(&[Check::One("location_id"), Check::Queried("moving", "get_appointment", Place::Location)])
        }
        "create_hold" => checked(&[Check::Slots("slot_id"), Check::Slots("slot_ids")]),
        "list_holds" => answered(After::List(Place::Slots)),
        "get_hold" => answered(After::Entry(Place::Slots)),
        "release_hold" => checked(&[Check::Resource("get_hold", Place::Slots)]),
        "book_appointment" => checked(&[
            Check::Slots("slot_id"),
            Check::Named("hold_id", "get_hold", Place::Slots),
            Check::Patient("patient_id"),
            NO_SESSION,
        ]),
        "list_appointments" => answered(After::List(Place::Location)),
        "get_appointment" => answered(After::Entry(Place::Location)),
        "reschedule_appointment" => checked(&[APPOINTMENT, Check::Slots("slot_id")]),
        "patch_appointment"
        | "cancel_appointment"
        | "confirm_appointment"
        | "arrive_appointment"
        | "start_appointment"
        | "complete_appointment"
        | "no_show_appointment"
        | "revert_appointment"
        | "revoke_appointment_links" => checked(&[APPOINTMENT]),
        "create_patient" | "start_verification" | "check_verification" => SHARED,
        "list_patients" => answered(After::Patients),
        "get_patient" => Binding::Checked { before: &[Check::PathPatient("id")], after: After::Patient },
        "patch_patient" | "list_consents" | "record_consent" | "revoke_patient_links" => {
            checked(&[Check::PathPatient("id")])
        }
        "accept_proposed_change" | "dismiss_proposed_change" => checked(&[Check::PathPatient("parent_id")]),
        _ => return of_care(operation),
    })
}

/// The same of plans, the waitlist and offers.
fn of_care(operation: &str) -> Option<Binding> {
    Some(match operation {
        "create_plan" => {
            checked(&[Check::Needed("location_ids"), Check::Locations("location_ids"), Check::Patient("patient_id")])
        }
        "list_plans" => answered(After::List(Place::Locations)),
        "get_plan" => answered(After::Entry(Place::Locations)),
        "get_ledger" | "propose_plan" | "repair_plan" | "review_plan" => checked(&[PLAN]),
        "book_plan" => checked(&[PLAN, Check::Slots("sessions.slot_id")]),
        "join_waitlist" => checked(&[
            Check::Needed("location_ids"),
            Check::Locations("location_ids"),
            Check::Slots("slot_id"),
            Check::Patient("patient_id"),
            Check::Named("appointment_id", "get_appointment", Place::Location),
            NO_SESSION,
        ]),
        "list_waitlist" => answered(After::List(Place::Locations)),
        "get_wait" => answered(After::Entry(Place::Locations)),
        "leave_waitlist" => checked(&[WAIT]),
        "get_offer" => answered(After::Entry(Place::Slot)),
        "accept_offer" | "decline_offer" => checked(&[OFFER]),
        _ => return refused(operation),
    })
}

/// The operations that no limited key may call.
fn refused(operation: &str) -> Option<Binding> {
    match operation {
        "create_location"
        | "create_practitioner"
        | "patch_practitioner"
        | "archive_practitioner"
        | "create_service"
        | "patch_service"
        | "archive_service"
        | "create_plan_template"
        | "patch_plan_template"
        | "archive_plan_template"
        | "create_reason_code"
        | "patch_reason_code"
        | "delete_reason_code"
        | "list_certificate"
        | "create_certificate"
        | "get_certificate"
        | "patch_certificate"
        | "archive_certificate"
        | "list_time_off"
        | "create_time_off"
        | "get_time_off"
        | "patch_time_off"
        | "archive_time_off"
        | "list_busy"
        | "import_busy"
        | "get_busy"
        | "archive_busy"
        | "open_practitioner_calendar"
        | "close_practitioner_calendar"
        | "open_patient_calendar"
        | "close_patient_calendar"
        | "propose_displaced"
        | "book_displaced"
        | "report_plans"
        | "report_reminders"
        | "list_messages"
        | "preview_message"
        | "get_message"
        | "retry_message"
        | "list_inbox"
        | "mark_read"
        | "list_rules"
        | "create_rule"
        | "get_rule"
        | "patch_rule"
        | "archive_rule"
        | "list_webhook_endpoints"
        | "create_webhook_endpoint"
        | "get_webhook_endpoint"
        | "patch_webhook_endpoint"
        | "delete_webhook_endpoint"
        | "rotate_webhook_secret"
        | "test_webhook_endpoint"
        | "list_webhook_deliveries"
        | "replay_webhook_delivery"
        | "watch_events"
        | "create_key"
        | "list_keys"
        | "revoke_key"
        | "audit"
        | "list_organizations"
        | "create_organization" => Some(Binding::Refused),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{operation::Access, v1};

    #[test]
    fn each_operation_of_a_key_has_a_binding() {
        let interface = v1::interface().unwrap();
        let of_keys = interface.operations.iter().filter(|operation| operation.access != Access::Open);
        let missing: Vec<&str> =
            of_keys.map(|operation| operation.id.as_str()).filter(|id| super::of(id).is_none()).collect();
        assert_eq!(missing, Vec::<&str>::new(), "say in binding/table.rs how each is bound to locations");
    }

    #[test]
    fn each_operation_that_a_check_reads_exists() {
        let interface = v1::interface().unwrap();
        for id in [
            "get_appointment",
            "get_plan",
            "get_wait",
            "get_offer",
            "get_hold",
            "get_roster",
            "list_appointments",
            "list_plans",
            "list_waitlist",
        ] {
            assert!(interface.operations.iter().any(|operation| operation.id == id), "{id}");
        }
    }
}
