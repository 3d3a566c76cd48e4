//! Validation of request bodies against the schemas of the published document, which finds every fault at once and keeps
//! the document true.

mod advice;
mod check;
mod compile;

use std::collections::HashMap;

use domain::fault::Faults;
use rpc::Fault;
use serde_json::Value;

use self::{check::Check, compile::Schema};
use crate::{characters::printable, suggestion::closest};

/// The most field names that a fault lists when none is similar.
const LISTED_FIELDS_MAX: usize = 20;

/// The compiled schemas.
pub(crate) struct Schemas(HashMap<String, Schema>);

impl Schemas {
    /// Compiles the schemas with these names from an OpenAPI document.
    ///
    /// # Errors
    /// The name of the schema and the compiler's message.
    pub(crate) fn compile(document: &Value, names: impl Iterator<Item = &'static str>) -> Result<Self, String> {
        compile::compile_all(document, names).map(Self)
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
        let Some(schema) = self.0.get(name) else { return Ok(()) };
        let mut faults = Faults::new();
        let known = schema.fields();
        let removed = patch.as_object().into_iter().flatten().filter(|(_, value)| value.is_null());
        for (unknown, _) in removed.filter(|(field, _)| !known.contains(&field.as_str())) {
            faults.push(format!("/{}", printable(unknown)), "unknown_field", unknown_field(unknown, &known));
        }
        Check { schemas: &self.0, faults: &mut faults }.value(schema, patched, "");
        Ok(faults.result()?)
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
