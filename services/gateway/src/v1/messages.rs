//! Messages to patients, with their attempts and outcomes.

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
    convert::optional_text,
    reminder::{self, GetMessageRequest, ListMessagesRequest, PreviewMessageRequest, RetryMessageRequest},
};

use super::{CURSOR, LIMIT, next_cursor, time};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

/// An attempt to send a message.
#[derive(Serialize, ToSchema)]
pub(crate) struct Attempt {
    #[schema(format = DateTime)]
    at: String,
    #[schema(value_type = AttemptOutcome)]
    outcome: String,
    provider_message_id: Option<String>,
    error_code: Option<String>,
    /// The provider to which it was sent.
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
    /// Why it was suppressed or has failed.
    reason: Option<String>,
    provider: Option<String>,
    to: Option<String>,
    subject: Option<String>,
    text: Option<String>,
    /// SMS segments, as carriers count and charge them; 0 for e-mail, and before it is sent.
    segments: u32,
    /// The message on another channel that did not reach the patient, so that this one was sent.
    instead_of: Option<String>,
    attempts: Vec<Attempt>,
}

/// A page of messages, newest due first.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessagePage {
    data: Vec<Message>,
    next_cursor: Option<String>,
}

/// Texts; an empty one stands for the shipped text.
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

/// A text to preview.
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

/// A text, rendered with example data.
#[derive(Serialize, ToSchema)]
pub(crate) struct RenderedPreview {
    sms: String,
    email_subject: String,
    email_text: String,
    /// `gsm7` or `ucs2`.
    sms_encoding: String,
    sms_segments: u32,
}

pub(super) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::MessagesWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "messages", summary, access, handler)
    };
    let params = [
        Param::new("appointment_id", Type::Id("appt"), "About this appointment"),
        Param::new("status", Type::Word(message::Status::WORDS), "In this status").repeated(),
        LIMIT,
        CURSOR,
    ];
    vec![
        operation("list_messages", Method::GET, "/v1/messages", "Lists messages, newest due first", handler!(list))
            .params(&params)
            .answer(200, "MessagePage"),
        operation(
            "preview_message",
            Method::POST,
            "/v1/messages/preview",
            "Renders a text with example data",
            handler!(preview),
        )
        .json_body("Preview")
        .answer(200, "RenderedPreview")
        .replayed_by_gateway(),
        operation("get_message", Method::GET, "/v1/messages/{id}", "Returns one message", handler!(get))
            .answer(200, "Message"),
        operation("retry_message", Method::POST, "/v1/messages/{id}/retry", "Retries a message", handler!(retry))
            .json_body("Nothing")
            .optional_body()
            .answer(200, "Message"),
    ]
}

fn to_json(message: reminder::Message) -> Message {
    let zone = message.time_zone.clone();
    let attempts = message.attempts.into_iter().map(|attempt| Attempt {
        at: time::local(attempt.at_us, &zone),
        outcome: attempt.outcome,
        provider_message_id: optional_text(&attempt.provider_message_id),
        error_code: optional_text(&attempt.error_code),
        provider: optional_text(&attempt.provider),
    });
    Message {
        attempts: attempts.collect(),
        id: message.id,
        appointment_id: message.appointment_id,
        appointment_version: message.appointment_version,
        rule_id: message.rule_id,
        trigger: message.trigger,
        channel: message.channel,
        status: message.status,
        due_at: time::local(message.due_at_us, &zone),
        sent_at: time::optional(message.sent_at_us, &zone),
        reason: optional_text(&message.reason),
        provider: optional_text(&message.provider),
        to: optional_text(&message.to),
        subject: optional_text(&message.subject),
        text: optional_text(&message.text),
        segments: message.segments,
        instead_of: optional_text(&message.instead_of),
    }
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let request = ListMessagesRequest {
        appointment_id: params.text_or_empty("appointment_id"),
        statuses: params.all("status"),
        page: call.page(),
    };
    let answer = call.inner.reminder.clone().list_messages(call.context().request(request)).await?.into_inner();
    let data: Vec<Message> = answer.messages.into_iter().map(to_json).collect();
    let rows = data.len();
    Ok(Reply::json(200, &MessagePage { data, next_cursor: next_cursor(answer.next_cursor) })?.rows(rows))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetMessageRequest { id: call.path_param("id") };
    let message = call.inner.reminder.clone().get_message(call.context().request(request)).await?.into_inner();
    Reply::json(200, &to_json(message))
}

async fn retry(call: Call) -> Result<Reply, Fault> {
    let request = RetryMessageRequest { id: call.path_param("id") };
    let response = call.inner.reminder.clone().retry_message(call.context().forward(request)).await?;
    let (metadata, message, _) = response.into_parts();
    let id = message.id.clone();
    Ok(Reply::json(200, &to_json(message))?.target(&id).write_metadata(&metadata))
}

async fn preview(call: Call) -> Result<Reply, Fault> {
    let body: Preview = call.parse_body()?;
    let request = call.context().request(GetOrganizationRequest {});
    let organization = call.inner.directory.clone().get_organization(request).await?.into_inner();
    let request = PreviewMessageRequest {
        default_language: organization.default_language,
        country: organization.country,
        trigger: body.trigger.as_str().to_owned(),
        language: body.language.unwrap_or_default(),
        template: Some(template_to_wire(body.template)),
    };
    let preview = call.inner.reminder.clone().preview_message(call.context().request(request)).await?.into_inner();
    Reply::json(
        200,
        &RenderedPreview {
            sms: preview.sms,
            email_subject: preview.email_subject,
            email_text: preview.email_text,
            sms_encoding: preview.sms_encoding,
            sms_segments: preview.sms_segments,
        },
    )
}

pub(super) fn template_to_wire(template: Template) -> reminder::Template {
    reminder::Template { sms: template.sms, email_subject: template.email_subject, email_text: template.email_text }
}
