//! Bodies are checked against the very schemas that `/openapi.json` shows, so that the document is true and every
//! fault is found at once.

use std::collections::HashMap;

use domain::fault::Faults;
use jsonschema::{Validator, error::ValidationErrorKind};
use rpc::Fault;
use serde_json::{Value, json};

/// The compiled schemas.
pub(crate) struct Schemas(HashMap<String, Validator>);

impl Schemas {
    /// Compiles the schemas of these names from an OpenAPI document.
    pub(crate) fn compile(document: &Value, names: impl Iterator<Item = &'static str>) -> Result<Self, String> {
        let components = document.get("components").cloned().unwrap_or_default();
        let compiled = names.map(|name| {
            let schema = json!({"$ref": format!("#/components/schemas/{name}"), "components": components});
            let validator = jsonschema::options().should_validate_formats(true).build(&schema);
            Ok((name.to_owned(), validator.map_err(|error| format!("{name}: {error}"))?))
        });
        Ok(Self(compiled.collect::<Result<_, String>>()?))
    }

    /// Checks a body; every fault has its JSON pointer, and none repeats a value.
    pub(crate) fn check(&self, name: &str, body: &Value) -> Result<(), Fault> {
        let Some(validator) = self.0.get(name) else { return Ok(()) };
        let mut faults = Faults::new();
        for error in validator.iter_errors(body) {
            tell(&mut faults, error.instance_path().as_str(), error.kind());
        }
        Ok(faults.result()?)
    }
}

fn tell(faults: &mut Faults, at: &str, kind: &ValidationErrorKind) {
    match kind {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                faults.push(format!("{at}/{}", plain(name)), "unknown_field", "there is no such field here");
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            faults.push(format!("{at}/{name}"), "missing", "this field is needed");
        }
        ValidationErrorKind::Type { .. } => faults.push(at, "wrong_type", "the value has the wrong JSON type"),
        ValidationErrorKind::Pattern { .. } => {
            faults.push(at, "invalid_form", "the text does not have the form that /openapi.json gives")
        }
        ValidationErrorKind::Format { format } => {
            let detail = match format.as_str() {
                "date-time" => "write RFC 3339 with an offset, such as 2026-03-06T08:00:00Z",
                "date" => "write a date as YYYY-MM-DD",
                "email" => "write an address such as name@example.org",
                _ => "the text does not have the form that /openapi.json gives",
            };
            faults.push(at, "invalid_form", detail);
        }
        ValidationErrorKind::Enum { .. } => {
            faults.push(at, "invalid_value", "use one of the words that /openapi.json lists")
        }
        ValidationErrorKind::MinLength { limit } => {
            faults.push(at, "too_short", format!("at least {limit} characters"))
        }
        ValidationErrorKind::MaxLength { limit } => faults.push(at, "too_long", format!("at most {limit} characters")),
        ValidationErrorKind::MinItems { limit } => faults.push(at, "too_few", format!("at least {limit} entries")),
        ValidationErrorKind::MaxItems { limit } => faults.push(at, "too_many", format!("at most {limit} entries")),
        ValidationErrorKind::Minimum { limit } => faults.push(at, "out_of_range", format!("must be at least {limit}")),
        ValidationErrorKind::Maximum { limit } => faults.push(at, "out_of_range", format!("must be at most {limit}")),
        ValidationErrorKind::MultipleOf { multiple_of } => {
            faults.push(at, "out_of_range", format!("must be a multiple of {multiple_of}"));
        }
        _ => faults.push(at, "invalid_value", "the value does not fit what /openapi.json describes"),
    }
}

/// A field's name as it may be repeated in an answer.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-').take(64).collect()
}
