use super::*;
use crate::{openapi, v1};

fn schemas() -> Schemas {
    Schemas::compile(&openapi::document(&v1::operations()), ["Roster", "NewAppointment", "NewKey"].into_iter()).unwrap()
}

/// Pointer, code and detail of each fault.
fn faults(name: &str, body: Value) -> Vec<(String, String, String)> {
    let fault = schemas().check(name, &body).unwrap_err();
    fault.violations.into_iter().map(|one| (one.pointer, one.code, one.detail)).collect()
}

fn one(name: &str, body: Value) -> (String, String, String) {
    let mut found = faults(name, body);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn expected(pointer: &str, code: &str, detail: &str) -> (String, String, String) {
    (pointer.to_owned(), code.to_owned(), detail.to_owned())
}

#[test]
fn every_pattern_of_the_interface_is_told_in_words() {
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
    walk(&schemas().document, &mut patterns);
    patterns.sort();
    patterns.dedup();
    assert!(patterns.len() > 10, "{patterns:?}");
    let silent: Vec<&String> = patterns.iter().filter(|pattern| advice::form(pattern).is_none()).collect();
    assert!(silent.is_empty(), "say in schema/advice.rs how to write these: {silent:?}");
}

#[test]
fn a_field_that_is_nearly_right_is_named_where_it_is() {
    let roster = json!({"location_id": "loc_01h455vb4pex5vsknk084sn02q", "efective_from": "2026-01-01",
        "weekly": [{"day": "mo", "from": "8:00", "until": "17:00", "breaks": [{"from": "12:00", "too": "13:00"}]}]});
    let found = faults("Roster", roster);
    let say = |pointer: &str| found.iter().find(|one| one.0 == pointer).map(|one| one.2.as_str()).unwrap_or_default();
    assert_eq!(say("/efective_from"), "there is no such field; did you mean `effective_from`?");
    assert_eq!(say("/weekly/0/breaks/0/too"), "there is no such field; did you mean `to`?");
    assert_eq!(
        say("/weekly/0/until"),
        "there is no such field here; those that there are: day, from, to, breaks, week",
        "what is like none is told what there is"
    );
    assert_eq!(say("/weekly/0/from"), "write a time of day as HH:MM, such as 08:00; 24:00 is the day's end");
    assert_eq!(say("/weekly/0/to"), "this field is needed");
}

#[test]
fn an_enumeration_lists_its_words_and_a_type_is_named() {
    let key = |scopes: Value| one("NewKey", json!({"name": "web", "scopes": scopes}));
    let words = "use one of slots:read, bookings:write, patients:read, patients:write, directory:write, \
                 messages:write, reports:read, admin";
    assert_eq!(key(json!(["slots"])), expected("/scopes/0", "invalid_value", words));
    assert_eq!(key(json!("slots:read")), expected("/scopes", "wrong_type", "must be a list"));
}

#[test]
fn what_is_wrong_inside_an_optional_object_is_named_there() {
    let slot = "slot_x";
    let found = faults("NewAppointment", json!({"slot_id": slot, "patient": {"given_name": "Ada", "family_nam": "B"}}));
    let pointers: Vec<&str> = found.iter().map(|one| one.0.as_str()).collect();
    assert!(pointers.contains(&"/patient/family_nam") && pointers.contains(&"/patient/family_name"), "{found:?}");
    let found = one("NewAppointment", json!({"slot_id": slot, "patient": "Ada"}));
    assert_eq!(found, expected("/patient", "wrong_type", "must be an object"));
}

#[test]
fn a_patch_takes_away_only_what_there_is() {
    let whole = json!({"name": "web", "scopes": ["admin"]});
    let fault = schemas().check_merged("NewKey", &json!({"nmae": null}), &whole).unwrap_err();
    let found: Vec<(&str, &str)> =
        fault.violations.iter().map(|one| (one.pointer.as_str(), one.detail.as_str())).collect();
    assert_eq!(found, [("/nmae", "there is no such field; did you mean `name`?")]);
    assert!(schemas().check_merged("NewKey", &json!({"name": null}), &whole).is_ok());
}

#[test]
fn a_body_without_fields_names_what_it_does_not_have() {
    let schemas = Schemas::compile(&openapi::document(&v1::operations()), ["Nothing"].into_iter()).unwrap();
    let found = schemas.check("Nothing", &json!({"reason": "late"})).unwrap_err().violations.remove(0);
    assert_eq!((found.pointer.as_str(), found.code.as_str()), ("/reason", "unknown_field"));
    assert_eq!(found.detail, "there is no such field here");
}
