//! The clinic's inbox: what patients wrote that a person must read.

use axum::http::Method;
use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::{
    common::Page,
    convert::optional_text,
    reminder::{self, ListInboxRequest, MarkReadRequest},
};

use super::{CURSOR, LIMIT, next_cursor, time};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
};

/// What a patient wrote.
#[derive(Serialize, ToSchema)]
pub(crate) struct InboxItem {
    id: String,
    #[schema(format = DateTime)]
    received_at: String,
    from: String,
    text: String,
    /// What it was taken for: `confirm`, `cancel`, `move`, `help`, `stop`, `start`, `score`, `accept`, `decline` or
    /// `unknown`.
    meaning: String,
    /// Why a person must read it: `not_understood`, `ambiguous` (asked once, and still nobody can say which visit is
    /// meant), `call_back`, `pain` (7 or more of 10), `opted_out` (to the carrier; perhaps a cancellation), `outdated` and
    /// `refused` (the visit has changed since), `not_processed` (something broke).
    attention: String,
    /// The message that it answers; none where nobody can say.
    message_id: Option<String>,
    appointment_id: Option<String>,
    patient_id: Option<String>,
    /// 0 (no pain) to 10, where it answers how the patient is.
    score: Option<u32>,
    #[schema(format = DateTime)]
    read_at: Option<String>,
    read_by: Option<String>,
}

/// A page of the inbox, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct InboxPage {
    data: Vec<InboxItem>,
    next_cursor: Option<String>,
    unread_count: u32,
}

pub(crate) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::MessagesWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "messages", summary, access, handler)
    };
    let params = [Param::new("unread", Type::Boolean, "Only what nobody has read"), LIMIT, CURSOR];
    let read =
        operation("mark_read", Method::POST, "/v1/inbox/{id}/read", "Says that a person has read it", handler!(read));
    vec![
        operation(
            "list_inbox",
            Method::GET,
            "/v1/inbox",
            "What patients wrote that a person must read",
            handler!(list),
        )
        .params(&params)
        .answer(200, "InboxPage"),
        Operation { body_optional: true, ..read.body("Nothing").answer(200, "InboxItem") },
    ]
}

fn shown(it: reminder::InboxItem) -> InboxItem {
    InboxItem {
        id: it.id,
        received_at: time::utc(it.received_at_us),
        from: it.from,
        text: it.text,
        meaning: it.meaning,
        attention: it.attention,
        message_id: optional_text(&it.message_id),
        appointment_id: optional_text(&it.appointment_id),
        patient_id: optional_text(&it.patient_id),
        score: it.score,
        read_at: time::optional(it.read_at_us, ""),
        read_by: optional_text(&it.read_by),
    }
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let request = ListInboxRequest {
        unread: params.flag("unread").unwrap_or(false),
        page: Some(Page { limit: params.number("limit"), cursor: params.text_or_empty("cursor") }),
    };
    let answer = call.inner.reminder.clone().list_inbox(call.context().request(request)).await?.into_inner();
    let data = answer.items.into_iter().map(shown).collect();
    let (next_cursor, unread_count) = (next_cursor(answer.next_cursor), answer.unread_count);
    Reply::json(200, &InboxPage { data, next_cursor, unread_count })
}

async fn read(call: Call) -> Result<Reply, Fault> {
    let request = MarkReadRequest { id: call.part("id") };
    let response = call.inner.reminder.clone().mark_read(call.context().forward(request)).await?;
    let replied = Reply::empty(200).after(&response);
    let item = response.into_inner();
    let (id, patient) = (item.id.clone(), item.patient_id.clone());
    let json = Reply::json(200, &shown(item))?.target(&id).patient(&patient);
    Ok(Reply { revision: replied.revision, replayed: replied.replayed, ..json })
}
