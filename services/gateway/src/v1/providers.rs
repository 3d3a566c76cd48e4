//! Callbacks of SMS providers: patients' texts and delivery reports. The reminder service verifies their signatures.

use axum::http::Method;
use rpc::Fault;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::{
    convert::optional_text,
    reminder::{ReceiveRequest, receive_request::Field},
};

use crate::{
    call::Call,
    operation::{Access, Body, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

/// The query parameters of the status URL, in the reminder service's order, which the provider's signature covers.
const CALLBACK_PARAMS: [&str; 3] = ["message_id", "attempt", "org"];

/// The headers that the reminder service needs to verify and parse a callback.
const FORWARDED_HEADERS: [&str; 4] = ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"];

/// The outcome of a text from a patient.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceivedText {
    /// The id of the inbound text; none if it is no patient's text or was received before.
    id: Option<String>,
    /// Whether a text with the same id was received before, so that this one has no effect.
    repeated: bool,
}

/// The outcome of a delivery report.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceivedReport {
    /// The message that it concerns; none for an unknown message.
    message_id: Option<String>,
}

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, path: &str, summary: &str, handler| {
        Operation::new(id, Method::POST, path, "messages", summary, Access::Open, handler).body(Body::Form)
    };
    let status_params = CALLBACK_PARAMS.map(|name| Param::new(name, Type::Text(64), "As in the status URL"));
    let status = operation(
        "provider_status",
        "/v1/providers/{provider}/status",
        "Receives an SMS provider's delivery report",
        handler!(status),
    );
    let inbound = operation(
        "provider_inbound",
        "/v1/providers/{provider}/inbound",
        "Receives a patient's text from an SMS provider",
        handler!(inbound),
    );
    vec![
        status.params(&status_params).answer(200, "ReceivedReport").describe(describe_status),
        inbound.answer(200, "ReceivedText").describe(describe_inbound),
    ]
}

async fn status(mut call: Call) -> Result<Reply, Fault> {
    act_in_default_organization(&mut call).await?;
    let query: Vec<String> =
        CALLBACK_PARAMS.into_iter().filter_map(|name| Some(format!("{name}={}", call.params.text(name)?))).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let request = receive_request(&call, &format!("status{query}"));
    let is_twilio = request.provider == "twilio";
    let received = call.inner.reminder.clone().receive_status(call.context().request(request)).await?.into_inner();
    if is_twilio {
        return Ok(Reply::empty(200));
    }
    Reply::json(200, &ReceivedReport { message_id: optional_text(&received.id) })
}

async fn inbound(mut call: Call) -> Result<Reply, Fault> {
    act_in_default_organization(&mut call).await?;
    let request = receive_request(&call, "inbound");
    let is_twilio = request.provider == "twilio";
    let received = call.inner.reminder.clone().receive_inbound(call.context().request(request)).await?.into_inner();
    if is_twilio {
        // Twilio sends the body of the answer to the patient, so it must be empty: replies are messages of their own.
        return Ok(Reply {
            body: Some(b"<Response></Response>".to_vec()),
            media_type: "text/xml",
            ..Reply::empty(200)
        });
    }
    Reply::json(200, &ReceivedText { id: optional_text(&received.id), repeated: received.repeated })
}

/// Texts of senders to whom no organisation has written belong to the default one.
async fn act_in_default_organization(call: &mut Call) -> Result<(), Fault> {
    let organization = call.inner.default_organization().await?;
    call.act_as_patient(organization);
    Ok(())
}

/// A callback as the provider sent it.
fn receive_request(call: &Call, path: &str) -> ReceiveRequest {
    let provider = call.path_param("provider");
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let field = |name: &str, value: &str| Field { name: name.to_owned(), value: value.to_owned() };
    ReceiveRequest {
        url: format!("{}/v1/providers/{provider}/{path}", call.inner.public_url),
        form: call.form.iter().map(|(name, value)| field(name, value)).collect(),
        signature: header("x-twilio-signature").to_owned(),
        headers: FORWARDED_HEADERS.into_iter().map(|name| field(name, header(name))).collect(),
        body: call.raw_body.clone(),
        provider,
    }
}

/// The signature of the provider `http`.
const SIGNATURE: &str = "signed to Standard Webhooks (https://www.standardwebhooks.com) with \
    `reminder.providers.http.secret`: the headers `webhook-id`, `webhook-timestamp` (seconds, at most 300 from now) and \
    `webhook-signature`";

/// Documents the bodies of inbound texts.
fn describe_inbound(operation: &mut Value) {
    operation["description"] = json!(format!(
        "`{{provider}}` is `http` for a gateway of your own, or `twilio` or `vonage` with their own forms and signatures. \
         With `http`, post JSON of the schema below, {SIGNATURE}. A wrong signature is answered with 403, what is no JSON \
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
    operation["requestBody"]["content"] = request_content(schema, example, vonage, twilio);
    operation["responses"]["200"]["content"]["text/xml"] = json!({"schema": {"type": "string"}});
}

/// Documents the bodies of delivery reports.
fn describe_status(operation: &mut Value) {
    operation["description"] = json!(format!(
        "`{{provider}}` is `http` for a gateway of your own, or `twilio` or `vonage` with their own forms and signatures. \
         With `http`, post JSON of the schema below to the `status_url` that came with the message, {SIGNATURE}. A wrong \
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
    operation["requestBody"]["content"] = request_content(schema, example, vonage, twilio);
}

/// The content of a request body, with an example of each provider.
fn request_content(schema: Value, example: Value, vonage: Value, twilio: Value) -> Value {
    let vonage_schema = json!({"type": "object", "description": "Vonage's form."});
    json!({
        "application/json": {
            "schema": {"anyOf": [schema, vonage_schema]},
            "examples": {"http": {"value": example}, "vonage": {"value": vonage}},
        },
        "application/x-www-form-urlencoded": {
            "schema": {"type": "object", "description": "Twilio's form, or Vonage's."},
            "examples": {"twilio": {"value": twilio}, "vonage": {"value": vonage}},
        },
    })
}
