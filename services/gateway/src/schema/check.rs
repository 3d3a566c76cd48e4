//! Checks a value against a compiled schema and says in words how to mend each fault.

use std::collections::HashMap;

use domain::{fault::Faults, patient::is_email};
use serde_json::{Number, Value};

use super::{
    advice,
    compile::{Additional, Schema, Type},
    unknown_field,
};
use crate::characters::printable;

/// Checks values against schemas that refer to each other by name, and collects the faults.
pub(super) struct Check<'a> {
    pub(super) schemas: &'a HashMap<String, Schema>,
    pub(super) faults: &'a mut Faults,
}

impl Check<'_> {
    /// Checks a value; `at` is its JSON pointer.
    pub(super) fn value(&mut self, schema: &Schema, value: &Value, at: &str) {
        if let Some(target) = schema.reference.as_ref().and_then(|name| self.schemas.get(name)) {
            self.value(target, value, at);
        }
        if !schema.types.is_empty() && !schema.types.iter().any(|expected| has_type(value, *expected)) {
            self.faults.push(at, "wrong_type", format!("must be {}", advice::types(&schema.types).join(" or ")));
        }
        if let Some(options) = schema.options.as_ref().filter(|options| !contains(options, value)) {
            self.faults.push(at, "invalid_value", advice::options(options));
        }
        match value {
            Value::Object(_) => self.object(schema, value, at),
            Value::Array(items) => self.array(schema, items, at),
            Value::String(text) => self.text(schema, text, at),
            Value::Number(number) => self.number(schema, number, at),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn object(&mut self, schema: &Schema, value: &Value, at: &str) {
        let fields = value.as_object().into_iter().flatten();
        for (name, property) in &schema.properties {
            if let Some(value) = value.get(name) {
                self.value(property, value, &format!("{at}/{name}"));
            }
        }
        for name in schema.required.iter().filter(|name| value.get(name.as_str()).is_none()) {
            self.faults.push(format!("{at}/{name}"), "missing", "this field is needed");
        }
        let known = schema.fields();
        for (name, value) in fields.clone().filter(|(name, _)| !known.contains(&name.as_str())) {
            match &schema.additional {
                Additional::Any => {}
                Additional::Forbidden => {
                    let pointer = format!("{at}/{}", printable(name));
                    self.faults.push(pointer, "unknown_field", unknown_field(name, &known));
                }
                Additional::Schema(schema) => self.value(schema, value, &format!("{at}/{}", printable(name))),
            }
        }
        if let Some(schema) = &schema.property_names {
            fields.clone().for_each(|(name, _)| self.text(schema, name, at));
        }
        if let Some(limit) = schema.max_properties.filter(|limit| fields.count() as u64 > *limit) {
            self.faults.push(at, "too_many", format!("at most {limit} fields"));
        }
    }

    fn array(&mut self, schema: &Schema, items: &[Value], at: &str) {
        let count = items.len() as u64;
        if let Some(limit) = schema.min_items.filter(|limit| count < *limit) {
            self.faults.push(at, "too_few", format!("at least {limit} entries"));
        }
        if let Some(limit) = schema.max_items.filter(|limit| count > *limit) {
            self.faults.push(at, "too_many", format!("at most {limit} entries"));
        }
        if let Some(schema) = &schema.items {
            items.iter().enumerate().for_each(|(index, item)| self.value(schema, item, &format!("{at}/{index}")));
        }
    }

    fn text(&mut self, schema: &Schema, text: &str, at: &str) {
        let count = text.chars().count() as u64;
        if let Some(limit) = schema.min_length.filter(|limit| count < *limit) {
            self.faults.push(at, "too_short", format!("at least {limit} characters"));
        }
        if let Some(limit) = schema.max_length.filter(|limit| count > *limit) {
            self.faults.push(at, "too_long", format!("at most {limit} characters"));
        }
        if let Some(pattern) = schema.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            let pattern = pattern.as_str();
            let detail = advice::form(pattern).unwrap_or_else(|| format!("must fit the pattern {pattern}"));
            self.faults.push(at, "invalid_form", detail);
        }
        if let Some(format) = schema.format.as_ref().filter(|format| !has_format(text, format)) {
            self.faults.push(at, "invalid_form", advice::format(format));
        }
    }

    fn number(&mut self, schema: &Schema, number: &Number, at: &str) {
        if let Some(limit) = schema.minimum.as_ref().filter(|limit| less(number, limit)) {
            self.faults.push(at, "out_of_range", format!("must be at least {limit}"));
        }
        if let Some(limit) = schema.maximum.as_ref().filter(|limit| less(limit, number)) {
            self.faults.push(at, "out_of_range", format!("must be at most {limit}"));
        }
        if let Some(step) = schema.multiple_of.as_ref().filter(|step| !is_multiple(number, step)) {
            self.faults.push(at, "out_of_range", format!("must be a multiple of {step}"));
        }
    }
}

fn has_type(value: &Value, expected: Type) -> bool {
    match expected {
        Type::Array => value.is_array(),
        Type::Boolean => value.is_boolean(),
        Type::Integer => value.as_number().is_some_and(is_whole),
        Type::Null => value.is_null(),
        Type::Number => value.is_number(),
        Type::Object => value.is_object(),
        Type::String => value.is_string(),
    }
}

/// `3.0` is a whole number in JSON Schema.
fn is_whole(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn contains(options: &Value, value: &Value) -> bool {
    options.as_array().is_some_and(|options| options.contains(value))
}

fn less(a: &Number, b: &Number) -> bool {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a < b,
        _ => a.as_f64() < b.as_f64(),
    }
}

fn is_multiple(number: &Number, step: &Number) -> bool {
    match (number.as_i128(), step.as_i128()) {
        (Some(number), Some(step)) => step != 0 && number % step == 0,
        _ => number.as_f64().zip(step.as_f64()).is_some_and(|(number, step)| (number / step).fract() == 0.0),
    }
}

/// Whether a text has a format. The widths of numbers, such as `int32`, and unknown formats hold for every text.
fn has_format(text: &str, format: &str) -> bool {
    match format {
        "date" => is_date(text),
        "date-time" => is_date_time(text),
        "email" => is_email(text),
        _ => true,
    }
}

/// `full-date` of RFC 3339.
fn is_date(text: &str) -> bool {
    has_shape(text, "0000-00-00") && text.parse::<jiff::civil::Date>().is_ok()
}

/// `date-time` of RFC 3339: a date, a time with seconds, and an offset.
fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't']) else { return false };
    let Some(offset) = time.find(['Z', 'z', '+', '-']) else { return false };
    let (time, offset) = time.split_at(offset);
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let is_offset = matches!(offset, "Z" | "z") || has_shape(offset, "+00:00") || has_shape(offset, "-00:00");
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_date(date)
        && has_shape(seconds, "00:00:00")
        && digits(fraction)
        && is_offset
        && text.parse::<jiff::Timestamp>().is_ok()
}

/// Whether a text is this one with any digits for its zeros.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(byte, expected): (u8, u8)| if expected == b'0' { byte.is_ascii_digit() } else { byte == expected };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_those_of_rfc_3339() {
        for good in ["2026-03-06T08:00:00Z", "2026-03-06t08:00:00.123z", "2024-02-29T23:59:59-07:00"] {
            assert!(is_date_time(good), "{good}");
        }
        for bad in [
            "2026-03-06",
            "2026-03-06T08:00:00",
            "2026-03-06 08:00:00Z",
            "2026-03-06T08:00Z",
            "2026-03-06T08:00:00.Z",
            "2026-02-29T08:00:00Z",
            "2026-03-06T24:00:00Z",
            "2026-03-06T08:00:00+0700",
            "2026-03-06T08:00:00Z[Europe/Oslo]",
        ] {
            assert!(!is_date_time(bad), "{bad}");
        }
        assert!(is_date("2026-03-06") && !is_date("2026-3-6") && !is_date("2026-13-01") && !is_date("20260306"));
    }

    #[test]
    fn numbers_keep_their_limits_and_steps() {
        let number = |text: &str| serde_json::from_str::<Number>(text).unwrap();
        assert!(less(&number("1"), &number("1.5")) && !less(&number("2"), &number("2.0")));
        assert!(is_multiple(&number("15"), &number("5")) && !is_multiple(&number("7"), &number("5")));
        assert!(is_multiple(&number("10.0"), &number("5")));
        assert!(is_whole(&number("3.0")) && !is_whole(&number("3.5")));
    }
}
