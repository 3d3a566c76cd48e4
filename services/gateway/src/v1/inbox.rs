//! The clinic's inbox: patients' texts that staff must read.

use axum::http::Method;
use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::{
    convert::optional_text,
    reminder::{self, ListInboxRequest, MarkReadRequest},
};

use super::{CURSOR, LIMIT, next_cursor, time};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

/// A text from a patient.
#[derive(Serialize, ToSchema)]
pub(crate) struct InboxItem {
    id: String,
    #[schema(format = DateTime)]
    received_at: String,
    from: String,
    text: String,
    /// How it was understood: `confirm`, `cancel`, `move`, `help`, `stop`, `start`, `score`, `accept`, `decline` or
    /// `unknown`.
    meaning: String,
    /// Why staff must read it: `not_understood`, `ambiguous` (after one question the appointment is still unclear),
    /// `call_back`, `pain` (7 or more of 10), `opted_out` (to the carrier; perhaps a cancellation), `outdated` and `refused`
    /// (the appointment has changed since), `not_processed` (a failure).
    attention: String,
    /// The message that it answers, if that is known.
    message_id: Option<String>,
    appointment_id: Option<String>,
    patient_id: Option<String>,
    /// 0 (no pain) to 10, if it answers a check-in.
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

pub(super) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::MessagesWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "messages", summary, access, handler)
    };
    let params = [Param::new("unread", Type::Boolean, "Only unread texts"), LIMIT, CURSOR];
    let read = operation("mark_read", Method::POST, "/v1/inbox/{id}/read", "Marks a text as read", handler!(mark_read));
    vec![
        operation(
            "list_inbox",
            Method::GET,
            "/v1/inbox",
            "Lists the texts from patients that staff must read",
            handler!(list),
        )
        .params(&params)
        .answer(200, "InboxPage"),
        read.json_body("Nothing").optional_body().answer(200, "InboxItem"),
    ]
}

fn to_json(item: reminder::InboxItem) -> InboxItem {
    InboxItem {
        id: item.id,
        received_at: time::utc(item.received_at_us),
        from: item.from,
        text: item.text,
        meaning: item.meaning,
        attention: item.attention,
        message_id: optional_text(&item.message_id),
        appointment_id: optional_text(&item.appointment_id),
        patient_id: optional_text(&item.patient_id),
        score: item.score,
        read_at: time::optional(item.read_at_us, ""),
        read_by: optional_text(&item.read_by),
    }
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let unread = call.params.flag("unread").unwrap_or(false);
    let request = ListInboxRequest { unread, page: call.page() };
    let answer = call.inner.reminder.clone().list_inbox(call.context().request(request)).await?.into_inner();
    let data: Vec<InboxItem> = answer.items.into_iter().map(to_json).collect();
    let rows = data.len();
    let (next_cursor, unread_count) = (next_cursor(answer.next_cursor), answer.unread_count);
    Ok(Reply::json(200, &InboxPage { data, next_cursor, unread_count })?.rows(rows))
}

async fn mark_read(call: Call) -> Result<Reply, Fault> {
    let request = MarkReadRequest { id: call.path_param("id") };
    let response = call.inner.reminder.clone().mark_read(call.context().forward(request)).await?;
    let (metadata, item, _) = response.into_parts();
    let (id, patient) = (item.id.clone(), item.patient_id.clone());
    Ok(Reply::json(200, &to_json(item))?.target(&id).patient(&patient).write_metadata(&metadata))
}
