//! Reads the JSON Schema of an OpenAPI document into values that are fast to check.
//!
//! Only the keywords of [`compile`] are known; a schema that uses another one is refused when the gateway starts, so no
//! rule of the document goes unchecked.

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Number, Value};

const REFERENCE: &str = "#/components/schemas/";

/// A JSON type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Array,
    Boolean,
    Integer,
    Null,
    Number,
    Object,
    String,
}

/// The fields that an object may have besides its `properties`.
#[derive(Debug, Default)]
pub(super) enum Additional {
    #[default]
    Any,
    Forbidden,
    Schema(Box<Schema>),
}

/// A schema. A rule that it does not have is empty or `None`.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) reference: Option<String>,
    pub(super) types: Vec<Type>,
    pub(super) options: Option<Value>,
    // Objects.
    pub(super) properties: Vec<(String, Schema)>,
    pub(super) required: Vec<String>,
    pub(super) additional: Additional,
    pub(super) property_names: Option<Box<Schema>>,
    pub(super) max_properties: Option<u64>,
    // Arrays.
    pub(super) items: Option<Box<Schema>>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    // Texts.
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) pattern: Option<Regex>,
    pub(super) format: Option<String>,
    // Numbers.
    pub(super) minimum: Option<Number>,
    pub(super) maximum: Option<Number>,
    pub(super) multiple_of: Option<Number>,
}

impl Schema {
    /// The names of the `properties`.
    pub(super) fn fields(&self) -> Vec<&str> {
        self.properties.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// Compiles the named schemas and all that they refer to.
///
/// # Errors
/// A schema that does not exist, and a keyword or a value that this module does not know.
pub(super) fn compile_all<'a>(
    document: &Value,
    names: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, Schema>, String> {
    let mut compiled = HashMap::new();
    let mut pending: Vec<String> = names.map(str::to_owned).collect();
    while let Some(name) = pending.pop() {
        if compiled.contains_key(&name) {
            continue;
        }
        let source =
            document.pointer(&format!("/components/schemas/{name}")).ok_or(format!("{name}: no such schema"))?;
        let schema = compile(source, &mut pending).map_err(|problem| format!("{name}: {problem}"))?;
        compiled.insert(name, schema);
    }
    Ok(compiled)
}

fn compile(source: &Value, referred: &mut Vec<String>) -> Result<Schema, String> {
    let fields = source.as_object().ok_or("a schema must be an object")?;
    let mut schema = Schema::default();
    for (keyword, value) in fields {
        match keyword.as_str() {
            "$ref" => {
                let name = value.as_str().and_then(|text| text.strip_prefix(REFERENCE)).ok_or("a foreign reference")?;
                referred.push(name.to_owned());
                schema.reference = Some(name.to_owned());
            }
            "type" => schema.types = types(value)?,
            "enum" => schema.options = Some(value.clone()),
            "properties" => schema.properties = properties(value, referred)?,
            "required" => schema.required = texts(value)?,
            "additionalProperties" => schema.additional = additional(value, referred)?,
            "propertyNames" => schema.property_names = Some(Box::new(compile(value, referred)?)),
            "items" => schema.items = Some(Box::new(compile(value, referred)?)),
            "pattern" | "format" => text_rule(&mut schema, keyword, value)?,
            "minimum" | "maximum" | "multipleOf" => number_rule(&mut schema, keyword, value)?,
            "maxProperties" | "minItems" | "maxItems" | "minLength" | "maxLength" => {
                count_rule(&mut schema, keyword, value)?;
            }
            "title" | "description" | "example" | "examples" | "default" | "deprecated" | "readOnly" | "writeOnly" => {}
            other => return Err(format!("the keyword `{other}` cannot be checked")),
        }
    }
    Ok(schema)
}

fn types(value: &Value) -> Result<Vec<Type>, String> {
    let names = match value {
        Value::String(name) => vec![name.clone()],
        several => texts(several)?,
    };
    let read = |name: &String| match name.as_str() {
        "array" => Ok(Type::Array),
        "boolean" => Ok(Type::Boolean),
        "integer" => Ok(Type::Integer),
        "null" => Ok(Type::Null),
        "number" => Ok(Type::Number),
        "object" => Ok(Type::Object),
        "string" => Ok(Type::String),
        other => Err(format!("the type `{other}` does not exist")),
    };
    names.iter().map(read).collect()
}

fn properties(value: &Value, referred: &mut Vec<String>) -> Result<Vec<(String, Schema)>, String> {
    let fields: &Map<String, Value> = value.as_object().ok_or("`properties` must be an object")?;
    fields.iter().map(|(name, source)| Ok((name.clone(), compile(source, referred)?))).collect()
}

fn additional(value: &Value, referred: &mut Vec<String>) -> Result<Additional, String> {
    Ok(match value {
        Value::Bool(true) => Additional::Any,
        Value::Bool(false) => Additional::Forbidden,
        source => Additional::Schema(Box::new(compile(source, referred)?)),
    })
}

fn text_rule(schema: &mut Schema, keyword: &str, value: &Value) -> Result<(), String> {
    let text = value.as_str().ok_or(format!("`{keyword}` must be a text"))?;
    match keyword {
        "pattern" => schema.pattern = Some(Regex::new(text).map_err(|error| error.to_string())?),
        _ => schema.format = Some(text.to_owned()),
    }
    Ok(())
}

fn number_rule(schema: &mut Schema, keyword: &str, value: &Value) -> Result<(), String> {
    let number = Some(value.as_number().ok_or(format!("`{keyword}` must be a number"))?.clone());
    match keyword {
        "minimum" => schema.minimum = number,
        "maximum" => schema.maximum = number,
        _ => schema.multiple_of = number,
    }
    Ok(())
}

fn count_rule(schema: &mut Schema, keyword: &str, value: &Value) -> Result<(), String> {
    let count = Some(value.as_u64().ok_or(format!("`{keyword}` must be a whole number"))?);
    match keyword {
        "maxProperties" => schema.max_properties = count,
        "minItems" => schema.min_items = count,
        "maxItems" => schema.max_items = count,
        "minLength" => schema.min_length = count,
        _ => schema.max_length = count,
    }
    Ok(())
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let items = value.as_array().ok_or("a list of texts is needed")?;
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or("a list of texts is needed".to_owned())).collect()
}
