//! The audit log, as JSON or CSV.

use axum::http::Method;
use domain::id::PatientId;
use rpc::Fault;
use serde::Serialize;
use service::db_error;
use utoipa::ToSchema;

use super::{CURSOR, LIMIT, csv, decode_cursor, page_size, table::Form, time};
use crate::{
    audit::hex,
    auth::Scope,
    call::Call,
    operation::{Access, Content, Operation, handler},
    params::{Param, Type},
    reply::Reply,
    store::audit::{Filter, Line},
};

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// The place in the organisation's log, from 1 without a gap.
    number: i64,
    #[schema(format = DateTime)]
    at: String,
    /// A key's id, `admin`, `patient`, a person's id at an OpenID provider, `command_line` for an operator's commands, or
    /// `nobody` without a valid key.
    caller: String,
    /// The name of a person with a token of an OpenID provider.
    person: Option<String>,
    /// The id of the operation; `authenticate` for requests without a valid key; `lines_lost` for a count of lost entries.
    action: String,
    /// The resource that was created, changed, read or asked for.
    target: Option<String>,
    patient_id: Option<String>,
    /// The HTTP status of the answer.
    status: Option<i16>,
    /// The query as asked, a `*` in place of each text; of a revert, the transition that it took back.
    filter: Option<String>,
    /// The rows of a list.
    rows: Option<i64>,
    /// The requests for which the entry stands: equal refusals of one second are one entry.
    requests: i64,
    /// The client's address, where the request had no valid key.
    address: Option<String>,
    /// The hash of the entry before, which this one holds; in hexadecimal digits.
    previous_hash: Option<String>,
    hash: Option<String>,
}

/// A page of the audit log, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    data: Vec<AuditEntry>,
    next_cursor: Option<String>,
}

const COLUMNS: [&str; 14] = [
    "number",
    "at",
    "caller",
    "person",
    "action",
    "target",
    "patient_id",
    "status",
    "filter",
    "rows",
    "requests",
    "address",
    "previous_hash",
    "hash",
];

pub(super) fn operation() -> Operation {
    let params = [
        Param::new("actor", Type::Text(200), "By this caller, or by the person with this name"),
        Param::new("action", Type::Text(100), "With this action"),
        Param::new("patient_id", Type::Id("pat"), "About this patient"),
        Param::new("from", Type::Instant, "Not earlier than this"),
        Param::new("to", Type::Instant, "Earlier than this"),
        LIMIT,
        CURSOR,
    ];
    let summary =
        "Lists the audit log, newest first; of CSV, the header `Meridian-Next-Cursor` has the next page's cursor";
    let access = Access::Scopes(&[Scope::Admin]);
    Operation::new("audit", Method::GET, "/v1/audit", "keys", summary, access, handler!(list))
        .params(&params)
        .content(Content::JsonOrCsv("AuditPage"))
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let limit = i64::from(page_size(&call, 50));
    let instant = |name: &str| params.text(name).map(|_| params.instant_us(name));
    let filter = Filter {
        organization: call.caller.organization.uuid(),
        before: params.text("cursor").map_or(Ok(i64::MAX), |text| decode_cursor(text).map(|(number, _)| number))?,
        actor: params.text("actor").map(str::to_owned),
        action: params.text("action").map(str::to_owned),
        patient: params.text("patient_id").and_then(|id| id.parse::<PatientId>().ok()).map(Into::into),
        from_us: instant("from"),
        to_us: instant("to"),
    };
    let mut lines = call.inner.store.list_audit_lines(&filter, limit + 1).await.map_err(db_error::fault)?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = lines.len() > size;
    lines.truncate(size);
    let next_cursor = lines.last().filter(|_| more).map(|line| sql::cursor::encode(line.number, 0));
    let data: Vec<AuditEntry> = lines.into_iter().map(to_json).collect();
    let rows = data.len();
    let reply = match Form::of(&call) == Form::Csv {
        true => Reply::csv(to_csv(&data)).next_cursor(next_cursor),
        false => Reply::json(200, &AuditPage { data, next_cursor })?,
    };
    Ok(reply.rows(rows))
}

fn to_json(line: Line) -> AuditEntry {
    let Line { number, previous_hash, hash, entry } = line;
    let filled = |text: String| (!text.is_empty()).then_some(text);
    AuditEntry {
        number,
        at: time::utc(entry.at_us),
        caller: entry.caller,
        person: filled(entry.person),
        action: entry.action,
        target: filled(entry.target),
        patient_id: entry.patient_id.map(|id| PatientId::new(id).to_string()),
        status: (entry.status != 0).then_some(entry.status),
        filter: filled(entry.filter),
        rows: entry.row_count,
        requests: entry.requests,
        address: filled(entry.address),
        previous_hash: filled(hex(&previous_hash)),
        hash: filled(hex(&hash)),
    }
}

fn to_csv(entries: &[AuditEntry]) -> String {
    let mut table = csv::row(COLUMNS);
    for entry in entries {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let cells: [String; COLUMNS.len()] = [
            entry.number.to_string(),
            entry.at.clone(),
            entry.caller.clone(),
            text(&entry.person),
            entry.action.clone(),
            text(&entry.target),
            text(&entry.patient_id),
            number(entry.status.map(i64::from)),
            text(&entry.filter),
            number(entry.rows),
            entry.requests.to_string(),
            text(&entry.address),
            text(&entry.previous_hash),
            text(&entry.hash),
        ];
        table.push_str(&csv::row(cells.iter().map(String::as_str)));
    }
    table
}
