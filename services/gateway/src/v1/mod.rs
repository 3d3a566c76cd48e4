//! The dialect `/v1`: one subject a file, with its types, its operations and its handlers.

mod appointments;
mod audit;
mod busy;
pub(super) mod calendars;
mod caller;
mod consents;
mod csv;
mod day;
mod directory;
mod displaced;
mod events;
mod holds;
mod inbox;
mod include;
mod keys;
pub(super) mod manage;
mod messages;
mod openapi;
mod organizations;
mod patients;
mod plans;
mod problem;
mod providers;
mod reason_codes;
mod reminder_rules;
mod reports;
pub(super) mod slots;
mod stream;
mod table;
mod time;
pub(super) mod unsubscribe;
mod verifications;
pub(super) mod waitlist;
mod webhook_endpoints;

use std::sync::Arc;

use rpc::{Code, Fault};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    call::Call,
    interface::{Document, Interface},
    operation::Operation,
    params::{Param, Type},
    schema::Schemas,
};

/// The size of a page.
const LIMIT: Param = Param::new("limit", Type::Integer(1, 200), "At most this many; 50 without it");
/// The beginning of a page.
const CURSOR: Param = Param::new("cursor", Type::Text(200), "The `next_cursor` of the previous page");

/// The schemas that no operation names, because a merge patch is checked against them.
const PATCHED: [&str; 2] = ["AppointmentNotes", "ReasonMeaning"];

/// The dialect.
///
/// # Errors
/// The name of a schema that cannot be compiled, and why.
pub(crate) fn interface() -> Result<Interface, String> {
    let operations = operations();
    let json = openapi::document(&operations);
    let bodies = operations.iter().filter_map(|operation| operation.body?.schema());
    let schemas = Schemas::compile(&json, bodies.chain(directory::BODIES).chain(PATCHED))?;
    Ok(Interface {
        base_paths: &["/v1"],
        operations: operations.into_iter().map(Arc::new).collect(),
        error_body: Box::new(|fault, _| problem::error_body(fault)),
        document: Some(Document { path: "/openapi.json", json }),
        schemas: Arc::new(schemas),
    })
}

/// The OpenAPI document.
pub(crate) fn document() -> Value {
    openapi::document(&operations())
}

/// All operations.
fn operations() -> Vec<Operation> {
    [
        directory::operations(),
        busy::operations(),
        calendars::operations(),
        day::operations(),
        slots::operations(),
        holds::operations(),
        appointments::operations(),
        reason_codes::operations(),
        manage::operations(),
        patients::operations(),
        consents::operations(),
        plans::operations(),
        displaced::operations(),
        waitlist::operations(),
        reports::operations(),
        messages::operations(),
        providers::operations(),
        unsubscribe::operations(),
        verifications::operations(),
        inbox::operations(),
        reminder_rules::operations(),
        webhook_endpoints::operations(),
        events::operations(),
        keys::operations(),
        vec![audit::operation()],
        caller::operations(),
        organizations::operations(),
    ]
    .concat()
}

/// The cursor of the next page; `None` on the last page.
fn next_cursor(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The requested size of a page.
fn page_size(call: &Call, default: u32) -> u32 {
    match call.params.number("limit") {
        0 => default,
        limit => limit,
    }
}

/// Decodes a cursor of the gateway's own lists.
fn decode_cursor(text: &str) -> Result<(i64, Uuid), Fault> {
    sql::cursor::decode(text).map(|(number, id)| (number, Uuid::from_u128(id))).ok_or_else(|| {
        let detail = "use the next_cursor of the page before, as it is";
        Fault { code: Code::InvalidParameter, ..Fault::violation("cursor", "invalid_cursor", detail) }
    })
}
