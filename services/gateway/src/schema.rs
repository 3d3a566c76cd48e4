//! Validation of request bodies against the schemas of the published document, which finds every fault at once and keeps
//! the document true.

mod advice;

use std::collections::HashMap;

use domain::fault::Faults;
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use rpc::Fault;
use serde_json::{Value, json};

use crate::{characters::printable, suggestion::closest};

/// The most field names that a fault lists when none is similar.
const LISTED_FIELDS_MAX: usize = 20;

/// The compiled schemas.
pub(crate) struct Schemas {
    compiled: HashMap<String, Validator>,
    /// The components that `$ref` resolves in.
    document: Value,
}

impl Schemas {
    /// Compiles the schemas with these names from an OpenAPI document.
    ///
    /// # Errors
    /// The name of the schema and the compiler's message.
    pub(crate) fn compile(document: &Value, names: impl Iterator<Item = &'static str>) -> Result<Self, String> {
        let components = document.get("components").cloned().unwrap_or_default();
        let compiled = names.map(|name| {
            let schema = json!({"$ref": format!("#/components/schemas/{name}"), "components": components});
            let validator = jsonschema::options().should_validate_formats(true).build(&schema);
            Ok((name.to_owned(), validator.map_err(|error| format!("{name}: {error}"))?))
        });
        Ok(Self { compiled: compiled.collect::<Result<_, String>>()?, document: json!({"components": components}) })
    }

    /// Checks a body. Each fault has its JSON pointer, and none repeats a value.
    ///
    /// # Errors
    /// `validation_failed` with every fault.
    pub(crate) fn check(&self, name: &str, body: &Value) -> Result<(), Fault> {
        self.check_patched(name, &Value::Null, body)
    }

    /// Checks a resource to which a merge patch was applied. A field that the patch removes must be known, too.
    ///
    /// # Errors
    /// `validation_failed` with every fault.
    pub(crate) fn check_patched(&self, name: &str, patch: &Value, patched: &Value) -> Result<(), Fault> {
        let Some(validator) = self.compiled.get(name) else { return Ok(()) };
        let mut faults = Faults::new();
        let known = self.fields(name, "/$ref/additionalProperties");
        let removed = patch.as_object().into_iter().flatten().filter(|(_, value)| value.is_null());
        for (unknown, _) in removed.filter(|(field, _)| !known.contains(&field.as_str())) {
            faults.push(format!("/{}", printable(unknown)), "unknown_field", unknown_field(unknown, &known));
        }
        for error in validator.iter_errors(patched) {
            self.add(&mut faults, name, patched, &error);
        }
        Ok(faults.result()?)
    }

    /// Adds the faults of one validation error.
    fn add(&self, faults: &mut Faults, name: &str, body: &Value, error: &ValidationError<'_>) {
        let at = error.instance_path().as_str();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.fields(name, error.evaluation_path().as_str());
                for unknown in unexpected {
                    faults.push(
                        format!("{at}/{}", printable(unknown)),
                        "unknown_field",
                        unknown_field(unknown, &known),
                    );
                }
            }
            // The schema allows no fields, so each field of the body is unknown.
            ValidationErrorKind::FalseSchema => {
                let given = body.pointer(at).and_then(Value::as_object).into_iter().flatten();
                let mut pointers: Vec<String> = given.map(|(field, _)| format!("{at}/{}", printable(field))).collect();
                if pointers.is_empty() {
                    pointers.push(at.to_owned());
                }
                for pointer in pointers {
                    faults.push(pointer, "unknown_field", unknown_field("", &[]));
                }
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                faults.push(format!("{at}/{name}"), "missing", "this field is needed");
            }
            ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
                match intended(context, at) {
                    Ok(errors) => errors.iter().for_each(|error| self.add(faults, name, body, error)),
                    Err(detail) => faults.push(at, "wrong_type", detail),
                }
            }
            other => {
                let (code, detail) = fault(other);
                faults.push(at, code, detail);
            }
        }
    }

    /// The fields of the object that holds the violated keyword. `keyword` is the keyword's path in the schema `name`.
    fn fields(&self, name: &str, keyword: &str) -> Vec<&str> {
        let start = self.document.pointer(&format!("/components/schemas/{name}"));
        let segments: Vec<&str> = keyword.split('/').skip(1).collect();
        // The first segment is the reference from the compiled schema to this one; the last one is the keyword.
        let inner = segments.get(1..segments.len().saturating_sub(1)).unwrap_or_default();
        let object = inner.iter().try_fold(start, |at, segment| Some(self.step(at?, segment)));
        let properties = object.flatten().and_then(|object| object["properties"].as_object());
        properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str)).collect()
    }

    fn step<'a>(&'a self, at: &'a Value, segment: &str) -> Option<&'a Value> {
        match segment {
            "$ref" => self.document.pointer(at["$ref"].as_str()?.strip_prefix('#')?),
            _ => at.pointer(&format!("/{segment}")),
        }
    }
}

/// The errors of the alternative that the caller intended: the only one whose type the value has. Otherwise the types that
/// would fit.
fn intended<'a>(
    alternatives: &'a [Vec<ValidationError<'static>>],
    at: &str,
) -> Result<&'a [ValidationError<'static>], String> {
    let types = |errors: &'a [ValidationError<'static>]| {
        errors.iter().find_map(|error| match error.kind() {
            ValidationErrorKind::Type { kind } if error.instance_path().as_str() == at => Some(advice::types(kind)),
            _ => None,
        })
    };
    let mut fitting = alternatives.iter().filter(|errors| types(errors).is_none());
    match (fitting.next(), fitting.next()) {
        (Some(errors), None) => Ok(errors),
        (Some(_), Some(_)) => Err("the value fits none of the forms that it may have".to_owned()),
        (None, _) => {
            let mut fit: Vec<&str> = alternatives.iter().filter_map(|errors| types(errors)).flatten().collect();
            fit.retain(|name| *name != "null");
            Err(format!("must be {}", fit.join(" or ")))
        }
    }
}

/// The code and the mend of an error that needs no other context.
fn fault(kind: &ValidationErrorKind) -> (&'static str, String) {
    match kind {
        ValidationErrorKind::Type { kind } => ("wrong_type", format!("must be {}", advice::types(kind).join(" or "))),
        ValidationErrorKind::Pattern { pattern } => {
            ("invalid_form", advice::form(pattern).unwrap_or_else(|| format!("must fit the pattern {pattern}")))
        }
        ValidationErrorKind::Format { format } => ("invalid_form", advice::format(format)),
        ValidationErrorKind::Enum { options } => ("invalid_value", advice::options(options)),
        ValidationErrorKind::Constant { expected_value } => ("invalid_value", format!("must be {expected_value}")),
        ValidationErrorKind::MinLength { limit } => ("too_short", format!("at least {limit} characters")),
        ValidationErrorKind::MaxLength { limit } => ("too_long", format!("at most {limit} characters")),
        ValidationErrorKind::MinItems { limit } => ("too_few", format!("at least {limit} entries")),
        ValidationErrorKind::MaxItems { limit } => ("too_many", format!("at most {limit} entries")),
        ValidationErrorKind::MaxProperties { limit } => ("too_many", format!("at most {limit} fields")),
        ValidationErrorKind::UniqueItems => ("repeated", "name each entry once".to_owned()),
        ValidationErrorKind::Minimum { limit } => ("out_of_range", format!("must be at least {limit}")),
        ValidationErrorKind::Maximum { limit } => ("out_of_range", format!("must be at most {limit}")),
        ValidationErrorKind::ExclusiveMinimum { limit } => ("out_of_range", format!("must be more than {limit}")),
        ValidationErrorKind::ExclusiveMaximum { limit } => ("out_of_range", format!("must be less than {limit}")),
        ValidationErrorKind::MultipleOf { multiple_of } => {
            ("out_of_range", format!("must be a multiple of {multiple_of}"))
        }
        other => ("invalid_value", format!("does not keep the rule `{}` of its schema", other.keyword())),
    }
}

fn unknown_field(name: &str, known: &[&str]) -> String {
    match closest(name, known.iter().copied()) {
        Some(right) => format!("there is no such field; did you mean `{right}`?"),
        None if known.is_empty() || known.len() > LISTED_FIELDS_MAX => "there is no such field here".to_owned(),
        None => format!("there is no such field here; those that there are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests;
