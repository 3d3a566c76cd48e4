//! What SMS providers call: a patient's text, and what became of ours. Their signatures are checked by the reminder service.

use axum::http::Method;
use rpc::Fault;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::{
    convert::optional_text,
    reminder::{ReceiveRequest, receive_request},
};

use crate::{
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
};

/// What the reminder service writes into the address that a provider reports to, in its order: the signature covers it.
const CALLBACK: [&str; 3] = ["message_id", "attempt", "org"];

/// The headers that the reminder service needs to check and read a provider's call.
const PASSED_ON: [&str; 4] = ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"];

/// What a text from a patient became.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceivedText {
    /// Its id; none where it is no patient's message, or came before.
    id: Option<String>,
    /// It came before under the same id, so nothing was done.
    repeated: bool,
}

/// What a report was taken for.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceivedReport {
    /// The message that it is about; none where it is about none of ours.
    message_id: Option<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let operation = |id: &str, path: &str, summary: &str, handler| {
        Operation::new(id, Method::POST, path, "messages", summary, Access::Open, handler).body("Form")
    };
    let status_params = CALLBACK.map(|name| Param::new(name, Type::Text(64), "As it was given"));
    let status = operation(
        "provider_status",
        "/v1/providers/{provider}/status",
        "What an SMS provider says of a message",
        handler!(status),
    );
    let inbound = operation(
        "provider_inbound",
        "/v1/providers/{provider}/inbound",
        "A patient's message that an SMS provider passes on",
        handler!(inbound),
    );
    vec![
        Operation { more: Some(status_form), ..status.params(&status_params).answer(200, "ReceivedReport") },
        Operation { more: Some(inbound_form), ..inbound.answer(200, "ReceivedText") },
    ]
}

async fn status(call: Call) -> Result<Reply, Fault> {
    let query: Vec<String> =
        CALLBACK.into_iter().filter_map(|name| Some(format!("{name}={}", call.params.text(name)?))).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let request = passed_on(&call, &format!("status{query}"));
    let is_twilio = request.provider == "twilio";
    let received = call.inner.reminder.clone().receive_status(call.context().request(request)).await?.into_inner();
    if is_twilio {
        return Ok(Reply::empty(200));
    }
    Reply::json(200, &ReceivedReport { message_id: optional_text(&received.id) })
}

async fn inbound(call: Call) -> Result<Reply, Fault> {
    let request = passed_on(&call, "inbound");
    let is_twilio = request.provider == "twilio";
    let received = call.inner.reminder.clone().receive_inbound(call.context().request(request)).await?.into_inner();
    if is_twilio {
        // It takes the answer for what it is to say in return: nothing, since ours is a message of its own.
        return Ok(Reply { body: Some(b"<Response></Response>".to_vec()), media: "text/xml", ..Reply::empty(200) });
    }
    Reply::json(200, &ReceivedText { id: optional_text(&received.id), repeated: received.repeated })
}

/// A provider's call as it came, below its own path.
fn passed_on(call: &Call, path: &str) -> ReceiveRequest {
    let provider = call.part("provider");
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let field = |name: &str, value: &str| receive_request::Field { name: name.to_owned(), value: value.to_owned() };
    ReceiveRequest {
        url: format!("{}/v1/providers/{provider}/{path}", call.inner.public_url),
        form: call.form.iter().map(|(name, value)| field(name, value)).collect(),
        signature: header("x-twilio-signature").to_owned(),
        headers: PASSED_ON.into_iter().map(|name| field(name, header(name))).collect(),
        body: call.raw.clone(),
        provider,
    }
}

/// How a call of `http` is signed.
const SIGNED: &str = "signed to Standard Webhooks (https://www.standardwebhooks.com) with \
    `reminder.providers.http.secret`: the headers `webhook-id`, `webhook-timestamp` (seconds, at most 300 from now) and \
    `webhook-signature`";

/// Documents the form of inbound texts.
fn inbound_form(described: &mut Value) {
    described["description"] = json!(format!(
        "`{{provider}}` is `http` for a gateway of your own, or `twilio` or `vonage` with their own forms and signatures. \
         With `http`, post JSON of the schema below, {SIGNED}. A wrong signature is answered with 403, what is no JSON \
         object with 400, a wrong field with 422 that names it; nothing of such a call is kept. Pass a text on again under \
         the same `id` where no answer came: it has its effect once. JSON is answered with JSON, Twilio with an empty TwiML \
         document."
    ));
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["from", "text"],
        "properties": {
            "id": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[!-~]+$",
                "description": "Your own id of the text. What comes again under the same id has no further effect; \
                    without one, each call is a new text."},
            "from": {"type": "string", "description": "The sender's number in international form, such as +17805550123."},
            "text": {"type": "string", "description": "What the patient wrote, not blank; of more than 1600 characters the \
                first are kept."},
            "to": {"type": "string", "description": "The number that it was sent to; not read."},
        },
    });
    let example = json!({"id": "in-4711", "from": "+17805550123", "text": "C"});
    let vonage = json!({"msisdn": "17805550123", "to": "15005550006", "messageId": "0A0000000123ABCD1", "text": "C",
        "type": "text", "keyword": "C", "message-timestamp": "2026-03-09 14:30:00", "timestamp": "1773066600",
        "nonce": "8f1f0ce6", "sig": "…"});
    let twilio = json!({"MessageSid": "SM00000000000000000000000000000001", "From": "+17805550123",
        "To": "+15005550006", "Body": "C", "NumMedia": "0"});
    described["requestBody"]["content"] = bodies(schema, example, vonage, twilio);
    described["responses"]["200"]["content"]["text/xml"] = json!({"schema": {"type": "string"}});
}

/// Documents the form of reports.
fn status_form(described: &mut Value) {
    described["description"] = json!(format!(
        "`{{provider}}` is `http` for a gateway of your own, or `twilio` or `vonage` with their own forms and signatures. \
         With `http`, post JSON of the schema below to the `status_url` that came with the message, {SIGNED}. A wrong \
         signature is answered with 403, what is no JSON object with 400, a wrong field with 422 that names it. Reports may \
         come repeated and in any order. Twilio's are answered without a body."
    ));
    let schema = json!({
        "type": "object",
        "required": ["status"],
        "properties": {
            "id": {"type": "string", "description": "The `id` with which the message was posted."},
            "status": {"type": "string", "enum": ["sent", "delivered", "undelivered", "failed"]},
            "error_code": {"type": "string", "description": "Why it was not delivered; `opted_out` ends all texts to that \
                number."},
        },
    });
    let example = json!({"id": "msg_01k3m5zq8efh2v9xw7c4tnd6ya-1", "status": "delivered"});
    let vonage = json!({"msisdn": "17805550123", "messageId": "0A0000000123ABCD1", "status": "delivered", "err-code": "0",
        "client-ref": "msg_01k3m5zq8efh2v9xw7c4tnd6ya-1", "timestamp": "1773066600", "nonce": "8f1f0ce6", "sig": "…"});
    let twilio = json!({"MessageSid": "SM00000000000000000000000000000001", "MessageStatus": "delivered",
        "To": "+17805550123"});
    described["requestBody"]["content"] = bodies(schema, example, vonage, twilio);
}

/// JSON of our form or Vonage's, or a form of Twilio's or Vonage's, each with an example.
fn bodies(schema: Value, example: Value, vonage: Value, twilio: Value) -> Value {
    let theirs = json!({"type": "object", "description": "Vonage's form."});
    json!({
        "application/json": {
            "schema": {"anyOf": [schema, theirs]},
            "examples": {"http": {"value": example}, "vonage": {"value": vonage}},
        },
        "application/x-www-form-urlencoded": {
            "schema": {"type": "object", "description": "Twilio's form, or Vonage's."},
            "examples": {"twilio": {"value": twilio}, "vonage": {"value": vonage}},
        },
    })
}
