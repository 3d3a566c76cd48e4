//! Messages: what was planned, what was sent, what became of it.

use axum::http::Method;
use domain::{
    message::{self, AttemptOutcome, Trigger},
    patient::Channel,
};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{
    availability::GetOrganizationRequest,
    common::Page,
    convert::optional_text,
    reminder::{self, GetMessageRequest, ListMessagesRequest, PreviewMessageRequest, RetryMessageRequest},
};

use super::{CURSOR, LIMIT, next_cursor, time};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
};

/// One try at sending.
#[derive(Serialize, ToSchema)]
pub(crate) struct Attempt {
    #[schema(format = DateTime)]
    at: String,
    #[schema(value_type = AttemptOutcome)]
    outcome: String,
    provider_message_id: Option<String>,
    error_code: Option<String>,
    /// Who was given it.
    provider: Option<String>,
}

/// A message to a patient.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    id: String,
    appointment_id: String,
    appointment_version: i64,
    rule_id: String,
    #[schema(value_type = Trigger)]
    trigger: String,
    #[schema(value_type = Channel)]
    channel: String,
    #[schema(value_type = message::Status)]
    status: String,
    #[schema(format = DateTime)]
    due_at: String,
    #[schema(format = DateTime)]
    sent_at: Option<String>,
    /// Why it was suppressed or failed.
    reason: Option<String>,
    provider: Option<String>,
    to: Option<String>,
    subject: Option<String>,
    text: Option<String>,
    /// As carriers count and charge them; 0 for e-mail, and until it is sent.
    segments: u32,
    /// The message that it stands in for, since that one could not reach the patient.
    instead_of: Option<String>,
    attempts: Vec<Attempt>,
}

/// A page of messages, newest due first.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessagePage {
    data: Vec<Message>,
    next_cursor: Option<String>,
}

/// Texts; those that are empty are the shipped ones.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Template {
    #[serde(default)]
    #[schema(max_length = 1600)]
    pub(super) sms: String,
    #[serde(default)]
    #[schema(max_length = 200)]
    pub(super) email_subject: String,
    #[serde(default)]
    #[schema(max_length = 20000)]
    pub(super) email_text: String,
}

/// A text to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preview {
    trigger: Trigger,
    #[serde(default)]
    #[schema(max_length = 35, nullable = false)]
    language: Option<String>,
    #[serde(default)]
    template: Template,
}

/// A text with example data.
#[derive(Serialize, ToSchema)]
pub(crate) struct Previewed {
    sms: String,
    email_subject: String,
    email_text: String,
    /// `gsm7` or `ucs2`.
    sms_encoding: String,
    sms_segments: u32,
}

pub(crate) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::MessagesWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "messages", summary, access, handler)
    };
    let params = [
        Param::new("appointment_id", Type::Id("appt"), "Only about this appointment"),
        Param::new("status", Type::Word(message::Status::WORDS), "Only in this status").repeats(),
        LIMIT,
        CURSOR,
    ];
    vec![
        operation("list_messages", Method::GET, "/v1/messages", "Messages, newest due first", handler!(list))
            .params(&params)
            .answer(200, "MessagePage"),
        operation("preview_message", Method::POST, "/v1/messages/preview", "Tries a text", handler!(preview))
            .body("Preview")
            .answer(200, "Previewed")
            .keeps(),
        operation("get_message", Method::GET, "/v1/messages/{id}", "One message", handler!(get)).answer(200, "Message"),
        Operation {
            body_optional: true,
            ..operation(
                "retry_message",
                Method::POST,
                "/v1/messages/{id}/retry",
                "Tries a message again",
                handler!(retry),
            )
            .body("Nothing")
            .answer(200, "Message")
        },
    ]
}

fn shown(it: reminder::Message) -> Message {
    let zone = it.time_zone.clone();
    let attempts = it.attempts.into_iter().map(|attempt| Attempt {
        at: time::shown(attempt.at_us, &zone),
        outcome: attempt.outcome,
        provider_message_id: optional_text(&attempt.provider_message_id),
        error_code: optional_text(&attempt.error_code),
        provider: optional_text(&attempt.provider),
    });
    Message {
        attempts: attempts.collect(),
        id: it.id,
        appointment_id: it.appointment_id,
        appointment_version: it.appointment_version,
        rule_id: it.rule_id,
        trigger: it.trigger,
        channel: it.channel,
        status: it.status,
        due_at: time::shown(it.due_at_us, &zone),
        sent_at: time::optional(it.sent_at_us, &zone),
        reason: optional_text(&it.reason),
        provider: optional_text(&it.provider),
        to: optional_text(&it.to),
        subject: optional_text(&it.subject),
        text: optional_text(&it.text),
        segments: it.segments,
        instead_of: optional_text(&it.instead_of),
    }
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let request = ListMessagesRequest {
        appointment_id: params.text_or_empty("appointment_id"),
        statuses: params.all("status"),
        page: Some(Page { limit: params.number("limit"), cursor: params.text_or_empty("cursor") }),
    };
    let answer = call.inner.reminder.clone().list_messages(call.context().request(request)).await?.into_inner();
    let data = answer.messages.into_iter().map(shown).collect();
    Reply::json(200, &MessagePage { data, next_cursor: next_cursor(answer.next_cursor) })
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetMessageRequest { id: call.part("id") };
    let message = call.inner.reminder.clone().get_message(call.context().request(request)).await?.into_inner();
    Reply::json(200, &shown(message))
}

async fn retry(call: Call) -> Result<Reply, Fault> {
    let request = RetryMessageRequest { id: call.part("id") };
    let response = call.inner.reminder.clone().retry_message(call.context().forward(request)).await?;
    let reply = Reply::empty(200).after(&response);
    let message = response.into_inner();
    let id = message.id.clone();
    let json = Reply::json(200, &shown(message))?.target(&id);
    Ok(Reply { revision: reply.revision, replayed: reply.replayed, ..json })
}

async fn preview(call: Call) -> Result<Reply, Fault> {
    let body: Preview = call.read()?;
    let ask = call.context().request(GetOrganizationRequest {});
    let organization = call.inner.directory.clone().get_organization(ask).await?.into_inner();
    let request = PreviewMessageRequest {
        default_language: organization.default_language,
        country: organization.country,
        trigger: body.trigger.as_str().to_owned(),
        language: body.language.unwrap_or_default(),
        template: Some(template_to_wire(body.template)),
    };
    let it = call.inner.reminder.clone().preview_message(call.context().request(request)).await?.into_inner();
    Reply::json(
        200,
        &Previewed {
            sms: it.sms,
            email_subject: it.email_subject,
            email_text: it.email_text,
            sms_encoding: it.sms_encoding,
            sms_segments: it.sms_segments,
        },
    )
}

pub(super) fn template_to_wire(template: Template) -> reminder::Template {
    reminder::Template { sms: template.sms, email_subject: template.email_subject, email_text: template.email_text }
}
