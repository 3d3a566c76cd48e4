//! Forms of a list besides JSON: CSV and NDJSON (<https://github.com/ndjson/ndjson-spec>), by `Accept`.

use axum::http::header;
use rpc::Fault;
use serde::Serialize;
use serde_json::Value;

use super::csv;
use crate::{call::Call, reply::Reply};

const NDJSON: &str = "application/x-ndjson";

/// The form that a caller prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Csv,
    Ndjson,
}

impl Form {
    /// The form that the first entry of `Accept` names; JSON for any other.
    pub(super) fn of(call: &Call) -> Self {
        let accept = call.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let first = accept.split([',', ';']).next().unwrap_or_default().trim().to_ascii_lowercase();
        match first.as_str() {
            "text/csv" => Self::Csv,
            NDJSON | "application/ndjson" | "application/jsonl" => Self::Ndjson,
            _ => Self::Json,
        }
    }
}

/// One JSON text a line.
pub(super) fn ndjson(rows: &[impl Serialize]) -> Result<Reply, Fault> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row).map_err(Fault::internal)?;
        lines.push(b'\n');
    }
    Ok(Reply { body: Some(lines), media_type: NDJSON, ..Reply::empty(200) })
}

/// A table with these columns. A column is a field of the rows' JSON, with dots on the way; what it lacks is empty.
pub(super) fn csv(columns: &[&str], rows: &[impl Serialize]) -> Result<Reply, Fault> {
    let mut table = csv::row(columns.iter().copied());
    for row in rows {
        let json = serde_json::to_value(row).map_err(Fault::internal)?;
        let cells: Vec<String> = columns.iter().map(|column| cell(&json, column)).collect();
        table.push_str(&csv::row(cells.iter().map(String::as_str)));
    }
    Ok(Reply::csv(table))
}

fn cell(json: &Value, column: &str) -> String {
    let found = column.split('.').try_fold(json, |value, name| value.get(name));
    match found {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(reply: Reply) -> String {
        String::from_utf8(reply.body.unwrap()).unwrap()
    }

    #[test]
    fn a_table_has_a_cell_for_each_column() {
        let rows = [json!({"id": "a", "late": true, "by": {"name": "x, y"}}), json!({"id": "=b", "late": null})];
        let table = text(csv(&["id", "late", "by.name"], &rows).unwrap());
        assert_eq!(table, "id,late,by.name\r\na,true,\"x, y\"\r\n'=b,,\r\n");
        assert_eq!(text(ndjson(&[json!({"id": 1}), json!({"id": 2})]).unwrap()), "{\"id\":1}\n{\"id\":2}\n");
    }
}
