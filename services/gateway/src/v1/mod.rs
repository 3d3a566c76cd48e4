//! The public interface, one resource a file.

pub(crate) mod appointments;
pub(crate) mod busy;
pub(crate) mod calendars;
pub(crate) mod consents;
pub(crate) mod directory;
pub(crate) mod displaced;
pub(crate) mod events;
pub(crate) mod holds;
pub(crate) mod inbox;
pub(crate) mod keys;
pub(crate) mod manage;
pub(crate) mod messages;
pub(crate) mod organizations;
pub(crate) mod patients;
pub(crate) mod plans;
pub(crate) mod problem;
pub(crate) mod providers;
pub(crate) mod reason_codes;
pub(crate) mod reminder_rules;
pub(crate) mod reports;
pub(crate) mod slots;
pub(crate) mod time;
pub(crate) mod unsubscribe;
pub(crate) mod waitlist;
pub(crate) mod webhook_endpoints;

use rpc::{Code, Fault};
use uuid::Uuid;

use crate::{
    call::Call,
    operation::{Operation, Param, Type},
};

/// The size of a page.
pub(crate) const LIMIT: Param = Param::new("limit", Type::Integer(1, 200), "At most so many; 50 without it");
/// Where a page begins.
pub(crate) const CURSOR: Param = Param::new("cursor", Type::Text(200), "The `next_cursor` of the page before");

/// Every operation of the public interface.
pub(crate) fn operations() -> Vec<Operation> {
    [
        directory::operations(),
        busy::operations(),
        calendars::operations(),
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
        inbox::operations(),
        reminder_rules::operations(),
        webhook_endpoints::operations(),
        events::operations(),
        keys::operations(),
        organizations::operations(),
    ]
    .concat()
}

/// The cursor of the next page, as answers show it.
pub(crate) fn next_cursor(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// How many entries a page has.
pub(crate) fn page_size(call: &Call, without_limit: u32) -> u32 {
    match call.params.number("limit") {
        0 => without_limit,
        limit => limit,
    }
}

/// A cursor of the gateway's own lists.
pub(crate) fn cursor(text: &str) -> Result<(i64, Uuid), Fault> {
    sql::cursor::decode(text).map(|(number, id)| (number, Uuid::from_u128(id))).ok_or_else(|| {
        let detail = "use the next_cursor of the page before, as it is";
        Fault { code: Code::InvalidParameter, ..Fault::violation("cursor", "invalid_cursor", detail) }
    })
}
