//! `/openapi.json`: OpenAPI 3.1, made from the operations and from the types that they read and show.

use axum::http::Method;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::{
    operation::{Access, Operation, Param, Type},
    v1::{
        appointments, busy, calendars, consents, directory, displaced, holds, inbox, keys, messages, organizations,
        patients, plans, problem::Problem, providers, reason_codes, reminder_rules, reports, slots, waitlist,
        webhook_endpoints,
    },
};

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
    directory::EntryHead,
    directory::Impact,
    slots::Slot,
    slots::SlotPage,
    slots::DayPage,
    slots::NextPage,
    slots::Explanation,
    slots::SlotChange,
    calendars::CalendarLink,
    busy::CalendarAddress,
    busy::SkippedComponent,
    holds::NewHold,
    holds::Hold,
    appointments::Appointment,
    appointments::AppointmentPage,
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
    consents::NewConsent,
    consents::Consents,
    plans::Plan,
    plans::PlanPage,
    plans::ReviewedPlan,
    plans::NewPlan,
    plans::AskProposals,
    plans::ProposalPage,
    plans::BookPlan,
    plans::NewReview,
    plans::Ledger,
    displaced::AskDisplaced,
    displaced::DisplacedProposals,
    displaced::BookDisplaced,
    displaced::MovedPage,
    waitlist::NewWait,
    waitlist::Wait,
    waitlist::WaitPage,
    waitlist::Offer,
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
    messages::Previewed,
    keys::NewKey,
    keys::MadeKey,
    keys::ShownKey,
    keys::KeyPage,
    keys::AuditPage,
    organizations::ShownOrganization,
    organizations::OrganizationPage,
)))]
struct Components;

/// The document.
pub(crate) fn document(operations: &[Operation]) -> Value {
    let mut components = serde_json::to_value(Components::openapi()).unwrap_or_default()["components"].take();
    for name in directory::BODIES {
        add_entry_schemas(&mut components, name);
    }
    components["schemas"]["ImportedBusy"] = json!({"allOf": [
        {"$ref": "#/components/schemas/BusyEntry"},
        {"$ref": "#/components/schemas/Impact"},
    ]});
    components["securitySchemes"] = json!({"key": {"type": "http", "scheme": "bearer",
        "description": "An API key, `mrd_…`"}});
    components["responses"] = json!({"Problem": {"description": "An RFC 9457 problem",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}});
    let mut paths = Map::new();
    for operation in operations {
        let item = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        item[operation.method.as_str().to_lowercase()] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Meridian",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Scheduling for chains of physiotherapy clinics.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": components,
    })
}

/// What is shown of an entry: its head and its body; and a page of them.
fn add_entry_schemas(components: &mut Value, name: &str) {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    // The body alone refuses unknown fields; together with its head that would refuse the head's.
    let mut open = components["schemas"][name].clone();
    if let Some(open) = open.as_object_mut() {
        open.remove("additionalProperties");
    }
    let schemas = &mut components["schemas"];
    schemas[format!("{name}Entry")] = json!({"allOf": [reference("EntryHead"), open]});
    schemas[format!("{name}Page")] = json!({
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {"type": "array", "items": reference(&format!("{name}Entry"))},
            "next_cursor": {"type": ["string", "null"]},
        },
    });
}

fn described(operation: &Operation) -> Value {
    let in_path = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let in_query = operation.params.iter().map(parameter);
    // What comes as a form comes from providers and mail programs, which send no key.
    let keyed = operation.method == Method::POST && operation.body != Some("Form");
    let in_header = keyed.then(idempotency_key);
    let mut responses = Map::new();
    let (status, schema) = operation.answer;
    responses.insert(status.to_string(), success(schema, operation));
    for status in [400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 415, 422, 429, 500, 503, 504] {
        responses.insert(status.to_string(), json!({"$ref": "#/components/responses/Problem"}));
    }
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": in_path.chain(in_query).chain(in_header).collect::<Vec<_>>(),
        "responses": responses,
    });
    match operation.access {
        Access::Open => described["security"] = json!([]),
        Access::Scopes(scopes) => {
            let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            described["description"] = json!(format!("Needs the scope {}.", names.join(" and ")));
        }
        Access::Installation => described["description"] = json!("Needs the installation's own key."),
    }
    if let Some(body) = operation.body {
        let (media, schema) = match body {
            "Form" => ("application/x-www-form-urlencoded", json!({"type": "object"})),
            "Calendar" => ("text/calendar", json!({"type": "string", "maxLength": busy::FILE_BYTES_MAX})),
            "MergePatch" => ("application/merge-patch+json", json!({"type": "object"})),
            name => ("application/json", json!({"$ref": format!("#/components/schemas/{name}")})),
        };
        described["requestBody"] =
            json!({"required": !operation.body_optional, "content": {media: {"schema": schema}}});
        if body == "Form" {
            described["requestBody"]["content"]["application/json"] = json!({"schema": {"type": "object"}});
        }
        if body == "Calendar" {
            let address = json!({"schema": {"$ref": "#/components/schemas/CalendarAddress"}});
            described["requestBody"]["content"]["application/json"] = address;
        }
    }
    if let Some(more) = operation.more {
        more(&mut described);
    }
    described
}

fn idempotency_key() -> Value {
    json!({"name": "Idempotency-Key", "in": "header", "required": false,
        "description": "Of the caller's own choosing: for a day, the same request with the same key is done once and \
                        answered alike, with `Idempotency-Replayed: true`",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"}})
}

fn success(schema: Option<&str>, operation: &Operation) -> Value {
    let Some(name) = schema else { return json!({"description": "Done"}) };
    if name == "Calendar" {
        return json!({"description": "The file", "content": {"text/calendar": {"schema": {"type": "string"}}}});
    }
    if name == "Page" {
        return json!({"description": "The page", "content": {"text/html": {"schema": {"type": "string"}}}});
    }
    let schema = json!({"$ref": format!("#/components/schemas/{name}")});
    if operation.events {
        let description = "Server-sent events; the data of each is JSON of this schema";
        return json!({"description": description, "content": {"text/event-stream": {"itemSchema": schema}}});
    }
    let mut content = json!({"application/json": {"schema": schema}});
    if operation.csv {
        content["text/csv"] = json!({"schema": {"type": "string"}});
    }
    json!({"description": "The answer", "content": content})
}

fn parameter(param: &Param) -> Value {
    let one = match param.holds {
        Type::Id(prefix) => json!({"type": "string", "pattern": format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$")}),
        Type::Instant => json!({"type": "string", "format": "date-time"}),
        Type::Date => json!({"type": "string", "format": "date"}),
        Type::Integer(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Type::Number(least, most) => json!({"type": "number", "minimum": least, "maximum": most}),
        Type::Boolean => json!({"type": "boolean"}),
        Type::Point => json!({"type": "string", "pattern": "^-?[0-9.]+,-?[0-9.]+$"}),
        Type::WallTime => json!({"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"}),
        Type::Days => json!({"type": "string", "pattern": "^(mo|tu|we|th|fr|sa|su)(,(mo|tu|we|th|fr|sa|su))*$"}),
        Type::Word(words) => json!({"type": "string", "enum": words}),
        Type::Text(most) => json!({"type": "string", "maxLength": most}),
    };
    let schema = if param.repeats { json!({"type": "array", "items": one}) } else { one };
    json!({"name": param.name, "in": "query", "required": param.required, "description": param.about, "schema": schema})
}
