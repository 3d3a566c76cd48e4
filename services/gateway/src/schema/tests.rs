use serde_json::json;

use super::*;
use crate::v1;

fn schemas() -> Schemas {
    Schemas::compile(&v1::document(), ["Roster", "NewAppointment", "NewKey"].into_iter()).unwrap()
}

/// Pointer, code and detail of each fault.
fn faults(name: &str, body: Value) -> Vec<(String, String, String)> {
    let fault = schemas().check(name, &body).unwrap_err();
    fault.violations.into_iter().map(|violation| (violation.pointer, violation.code, violation.detail)).collect()
}

fn single_fault(name: &str, body: Value) -> (String, String, String) {
    let mut found = faults(name, body);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn expected(pointer: &str, code: &str, detail: &str) -> (String, String, String) {
    (pointer.to_owned(), code.to_owned(), detail.to_owned())
}

#[test]
fn every_pattern_of_the_interface_has_advice() {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("pattern").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| walk(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut patterns = vec![];
    walk(&v1::document()["components"], &mut patterns);
    patterns.sort();
    patterns.dedup();
    assert!(patterns.len() > 10, "{patterns:?}");
    let without_advice: Vec<&String> = patterns.iter().filter(|pattern| advice::form(pattern).is_none()).collect();
    assert!(without_advice.is_empty(), "add advice for these patterns to schema/advice.rs: {without_advice:?}");
}

#[test]
fn a_misspelt_field_gets_a_suggestion_at_its_pointer() {
    let roster = json!({"location_id": "loc_01h455vb4pex5vsknk084sn02q", "efective_from": "2026-01-01",
        "weekly": [{"day": "mo", "from": "8:00", "until": "17:00", "breaks": [{"from": "12:00", "too": "13:00"}]}]});
    let found = faults("Roster", roster);
    let detail =
        |pointer: &str| found.iter().find(|fault| fault.0 == pointer).map(|fault| fault.2.as_str()).unwrap_or_default();
    assert_eq!(detail("/efective_from"), "there is no such field; did you mean `effective_from`?");
    assert_eq!(detail("/weekly/0/breaks/0/too"), "there is no such field; did you mean `to`?");
    assert_eq!(
        detail("/weekly/0/until"),
        "there is no such field here; those that there are: day, from, to, breaks, week",
        "an unknown name without a similar one lists the known fields"
    );
    assert_eq!(detail("/weekly/0/from"), "write a time of day as HH:MM, such as 08:00; 24:00 is the day's end");
    assert_eq!(detail("/weekly/0/to"), "this field is needed");
}

#[test]
fn an_enumeration_lists_its_words_and_a_wrong_type_names_the_right_one() {
    let key = |scopes: Value| single_fault("NewKey", json!({"name": "web", "scopes": scopes}));
    let words = "use one of slots:read, bookings:write, patients:read, patients:write, directory:write, \
                 messages:write, reports:read, metrics:read, admin";
    assert_eq!(key(json!(["slots"])), expected("/scopes/0", "invalid_value", words));
    assert_eq!(key(json!("slots:read")), expected("/scopes", "wrong_type", "must be a list"));
}

#[test]
fn a_fault_inside_an_optional_object_has_its_pointer() {
    let slot = "slot_x";
    let found = faults("NewAppointment", json!({"slot_id": slot, "patient": {"given_name": "Ada", "family_nam": "B"}}));
    let pointers: Vec<&str> = found.iter().map(|fault| fault.0.as_str()).collect();
    assert!(pointers.contains(&"/patient/family_nam") && pointers.contains(&"/patient/family_name"), "{found:?}");
    let found = single_fault("NewAppointment", json!({"slot_id": slot, "patient": "Ada"}));
    assert_eq!(found, expected("/patient", "wrong_type", "must be an object"));
}

#[test]
fn a_patch_removes_only_known_fields() {
    let whole = json!({"name": "web", "scopes": ["admin"]});
    let fault = schemas().check_patched("NewKey", &json!({"nmae": null}), &whole).unwrap_err();
    let found: Vec<(&str, &str)> =
        fault.violations.iter().map(|violation| (violation.pointer.as_str(), violation.detail.as_str())).collect();
    assert_eq!(found, [("/nmae", "there is no such field; did you mean `name`?")]);
    assert!(schemas().check_patched("NewKey", &json!({"name": null}), &whole).is_ok());
}

#[test]
fn a_body_without_fields_refuses_each_field() {
    let schemas = Schemas::compile(&v1::document(), ["Nothing"].into_iter()).unwrap();
    let found = schemas.check("Nothing", &json!({"reason": "late"})).unwrap_err().violations.remove(0);
    assert_eq!((found.pointer.as_str(), found.code.as_str()), ("/reason", "unknown_field"));
    assert_eq!(found.detail, "there is no such field here");
}

#[test]
fn a_keyword_that_cannot_be_checked_stops_the_start() {
    let schema = json!({"components": {"schemas": {"Body": {"type": "object", "not": {}}}}});
    let problem = Schemas::compile(&schema, ["Body"].into_iter()).err().unwrap();
    assert_eq!(problem, "Body: the keyword `not` cannot be checked");
}
