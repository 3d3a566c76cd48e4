//! The OpenAPI document of `/v1`: the operations, and the schemas of the types that they take and return.

use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{
    appointments, audit, busy, calendars, caller, consents, day, directory, displaced, holds, inbox, keys, messages,
    organizations, patients, plans, problem::Problem, providers, reason_codes, reminder_rules, reports, slots,
    verifications, waitlist, webhook_endpoints,
};
use crate::{openapi, operation::Operation};

#[derive(OpenApi)]
#[openapi(components(schemas(
    Problem,
    domain::directory::Location,
    domain::directory::Room,
    domain::directory::Equipment,
    domain::directory::Closure,
    domain::directory::Practitioner,
    domain::directory::Certificate,
    domain::directory::Roster,
    domain::directory::TimeOff,
    domain::directory::Service,
    domain::directory::PlanTemplate,
    domain::directory::Busy,
    domain::directory::Organization,
    domain::patient::Details,
    domain::patient::StaffFields,
    directory::EntryHead,
    directory::Impact,
    slots::Slot,
    slots::SlotPage,
    slots::DayPage,
    slots::NextPage,
    slots::Explanation,
    slots::watch::SlotChange,
    calendars::CalendarLink,
    busy::CalendarAddress,
    busy::SkippedComponent,
    holds::NewHold,
    holds::Hold,
    holds::HoldPage,
    appointments::Appointment,
    appointments::AppointmentPage,
    day::LocationDay,
    appointments::NewAppointment,
    appointments::Cancel,
    appointments::Reschedule,
    appointments::Nothing,
    appointments::AppointmentNotes,
    reason_codes::NewReasonCode,
    reason_codes::ReasonMeaning,
    reason_codes::ReasonCode,
    reason_codes::ReasonCodePage,
    patients::Patient,
    patients::PatientPage,
    patients::RevokedLinks,
    consents::NewConsent,
    consents::Consents,
    plans::Plan,
    plans::PlanPage,
    plans::ReviewedPlan,
    plans::NewPlan,
    plans::ProposalOptions,
    plans::ProposalPage,
    plans::BookPlan,
    plans::NewReview,
    plans::Ledger,
    displaced::DisplacedQuery,
    displaced::DisplacedProposals,
    displaced::BookDisplaced,
    displaced::MovedPage,
    waitlist::types::NewWaitlistEntry,
    waitlist::types::WaitlistEntry,
    waitlist::types::WaitlistPage,
    waitlist::types::Offer,
    reports::PlanReport,
    reports::reminders::ReminderReport,
    messages::Message,
    messages::MessagePage,
    providers::ReceivedText,
    providers::ReceivedReport,
    inbox::InboxItem,
    inbox::InboxPage,
    reminder_rules::Rule,
    reminder_rules::RuleBody,
    reminder_rules::RulePage,
    webhook_endpoints::WebhookEndpointBody,
    webhook_endpoints::WebhookEndpoint,
    webhook_endpoints::WebhookEndpointPage,
    webhook_endpoints::WebhookDelivery,
    webhook_endpoints::WebhookDeliveryPage,
    domain::event::Event,
    messages::Preview,
    messages::RenderedPreview,
    caller::CallerDetails,
    verifications::NewVerification,
    verifications::Verification,
    verifications::VerificationCode,
    verifications::ProvedVerification,
    keys::NewKey,
    keys::CreatedKey,
    keys::KeyDetails,
    keys::KeyPage,
    audit::AuditPage,
    organizations::OrganizationDetails,
    organizations::OrganizationPage,
)))]
struct Components;

/// The document.
pub(crate) fn document<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> Value {
    let mut components = serde_json::to_value(Components::openapi()).unwrap_or_default()["components"].take();
    for name in directory::BODIES {
        add_entry_schemas(&mut components, name);
    }
    add_patient_record(&mut components["schemas"]);
    components["schemas"]["ImportedBusy"] = json!({"allOf": [
        {"$ref": "#/components/schemas/BusyEntry"},
        {"$ref": "#/components/schemas/Impact"},
    ]});
    components["securitySchemes"] = json!({"key": {"type": "http", "scheme": "bearer",
        "description": "An API key, `mrd_…`, or a token of the configured OpenID provider"}});
    components["responses"] = json!({"Problem": {"description": "An RFC 9457 problem",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Meridian",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Scheduling for chains of physiotherapy clinics.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": openapi::paths(operations),
        "components": components,
    })
}

/// Adds the schemas of a directory entry, which has the fields of its head and of its body, and of a page of entries.
fn add_entry_schemas(components: &mut Value, name: &str) {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    // `additionalProperties: false` of the body would refuse the fields of the head.
    let mut body = components["schemas"][name].clone();
    if let Some(body) = body.as_object_mut() {
        body.remove("additionalProperties");
    }
    let schemas = &mut components["schemas"];
    schemas[format!("{name}Entry")] = json!({"allOf": [reference("EntryHead"), body]});
    schemas[format!("{name}Page")] = json!({
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {"type": "array", "items": reference(&format!("{name}Entry"))},
            "next_cursor": {"type": ["string", "null"]},
        },
    });
}

/// Adds the schema of a patient's whole record: the fields of the details and of the staff, and no others.
fn add_patient_record(schemas: &mut Value) {
    let staff = schemas["StaffFields"]["properties"].clone();
    let mut record = schemas["Details"].clone();
    record["description"] = json!("A patient's record: what the patient gives, and what only staff set.");
    if let (Some(fields), Some(more)) = (record["properties"].as_object_mut(), staff.as_object()) {
        fields.extend(more.clone());
    }
    schemas["PatientRecord"] = record;
}
