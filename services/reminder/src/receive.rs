//! Reports of an SMS provider: what became of a message.
//!
//! They come repeated and out of order, so each status has a rank and a message only moves up. The signature is checked
//! first; what cannot be a report on a message of ours is answered with success, since the provider cannot mend it.

use domain::id::{MessageId, OrganizationId};
use rpc::{Code, Fault};
use wire::reminder::{ReceiveRequest, ReceiveResponse};

use crate::{
    Inner,
    answer::{self, Heard},
    count,
    dispatch::spread_us,
    provider::{signature, twilio},
    store::Report,
    write,
};

/// The rank of a message that has arrived.
pub(crate) const DELIVERED: i16 = 5;
/// What is kept of a report: no number, no text, and nothing that a provider adds without notice.
const KEPT: [&str; 7] =
    ["MessageSid", "MessageStatus", "ErrorCode", "AccountSid", "MessagingServiceSid", "RawDlrDoneDate", "ApiVersion"];
/// How long a message waits that could not be delivered for now.
const AGAIN_SECONDS: f64 = 300.0;

type Form = Vec<(String, String)>;

/// What a provider sent, where its signature is right.
fn checked(inner: &Inner, request: ReceiveRequest) -> Result<Form, Fault> {
    let token = match &inner.config.providers.twilio.auth_token {
        Some(token) if request.provider == "twilio" && inner.config.sms_provider == "twilio" => token,
        _ => return Err(Fault::not_found()),
    };
    let form: Form = request.form.into_iter().map(|field| (field.name, field.value)).collect();
    if !signature::is_valid(token, &request.url, &form, &request.signature) {
        return Err(Fault::new(Code::SignatureInvalid, "the signature is not that of this call"));
    }
    Ok(form)
}

fn field<'a>(form: &'a Form, name: &str) -> &'a str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

/// A patient's message.
pub(crate) fn heard(inner: &Inner, request: ReceiveRequest) -> Result<Heard, Fault> {
    let form = checked(inner, request)?;
    let field = |name| field(&form, name);
    Ok(answer::heard("twilio", field("MessageSid"), field("From"), field("Body")))
}

/// A report on a message of ours.
pub(crate) async fn status(inner: &Inner, request: ReceiveRequest) -> Result<ReceiveResponse, Fault> {
    let url = request.url.clone();
    let form = checked(inner, request)?;
    let field = |name| field(&form, name);
    let Some((organization, message, attempt)) = addressed(&url) else {
        tracing::warn!("a provider's report names no message of ours");
        return Ok(ReceiveResponse {});
    };
    let Some((rank, status)) = ranked(field("MessageStatus")) else {
        tracing::warn!("a provider's report has a status that is not known");
        return Ok(ReceiveResponse {});
    };
    let error_code: String = field("ErrorCode").chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    if error_code == twilio::FILTERED.to_string() {
        tracing::error!(code = error_code, "a carrier takes our messages for spam");
    }
    let opted_out = error_code == twilio::OPTED_OUT.to_string();
    let lost = matches!(status, "failed" | "undelivered");
    let now = inner.clock.now();
    let report = Report {
        organization: organization.uuid(),
        event: inner.ids.uuid(now),
        message: message.uuid(),
        attempt,
        rank,
        status,
        reason: match (lost, opted_out) {
            (true, true) => "opted_out",
            (true, false) => "not_delivered",
            _ => "",
        },
        outcome: if lost { "failed" } else { "sent" },
        provider_message_id: field("MessageSid"),
        error_code: &error_code,
        form: &kept(&form),
        block: opted_out,
        again: again(inner, &error_code).filter(|_| lost),
        now_us: now.as_microsecond(),
    };
    if let Some(moved) = inner.store.report(&report).await.map_err(write::failure)? {
        count(if moved.again { "busy" } else { status }, &moved.trigger, &moved.channel);
    }
    Ok(ReceiveResponse {})
}

/// What is kept of a report, as JSON.
fn kept(form: &[(String, String)]) -> String {
    let fields = form.iter().filter(|(name, _)| KEPT.contains(&name.as_str()));
    let fields: serde_json::Map<String, serde_json::Value> =
        fields.map(|(name, value)| (name.clone(), value.clone().into())).collect();
    serde_json::Value::Object(fields).to_string()
}

/// When a message that was not delivered is sent once more, and how often at most; `None` where that is of no use.
fn again(inner: &Inner, error_code: &str) -> Option<(i64, i32)> {
    let patience = i32::try_from(inner.config.attempts_max.saturating_sub(1)).unwrap_or(0);
    let tries = match error_code.parse().ok()? {
        twilio::QUEUE_FULL | twilio::UNREACHABLE => patience,
        // Nobody can say why: once, since it may have arrived after all.
        twilio::UNKNOWN => patience.min(1),
        _ => return None,
    };
    Some((inner.clock.now_us() + spread_us(inner, AGAIN_SECONDS), tries))
}

/// The rank of a provider's status, and ours for it.
fn ranked(status: &str) -> Option<(i16, &'static str)> {
    Some(match status {
        "accepted" | "scheduled" => (1, "sent"),
        "queued" => (2, "sent"),
        "sending" => (3, "sent"),
        "sent" => (4, "sent"),
        "delivered" => (DELIVERED, "delivered"),
        "undelivered" => (DELIVERED, "undelivered"),
        "failed" | "canceled" => (DELIVERED, "failed"),
        "read" => (DELIVERED + 1, "delivered"),
        _ => return None,
    })
}

/// The message and the attempt that the URL names, as this service wrote it.
fn addressed(url: &str) -> Option<(OrganizationId, MessageId, i32)> {
    let url = reqwest::Url::parse(url).ok()?;
    let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    Some((value("org")?.parse().ok()?, value("message_id")?.parse().ok()?, value("attempt")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_rank_as_messages_travel() {
        let rank = |status| ranked(status).map(|(rank, _)| rank);
        let travel = ["accepted", "queued", "sending", "sent", "delivered", "read"].map(rank);
        assert!(travel.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!([rank("undelivered"), rank("failed")], [rank("delivered"); 2]);
        assert_eq!(rank("receiving"), None);
    }

    #[test]
    fn a_report_is_kept_without_numbers_and_texts() {
        let form = [("To", "+15005550009"), ("From", "+15005550006"), ("Body", "Hello"), ("MessageStatus", "sent")];
        let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(kept(&form), r#"{"MessageStatus":"sent"}"#);
    }

    #[test]
    fn a_url_names_its_message_or_none() {
        let (org, id) = (OrganizationId::new(uuid::Uuid::from_u128(1)), MessageId::new(uuid::Uuid::from_u128(2)));
        let url = format!("https://a.example/v1/providers/twilio/status?message_id={id}&attempt=3&org={org}");
        assert_eq!(addressed(&url), Some((org, id, 3)));
        for bad in
            ["", "nowhere", "https://a.example/x", &url.replace("attempt=3", "attempt=x"), &url.replace("msg_", "")]
        {
            assert_eq!(addressed(bad), None, "{bad}");
        }
    }
}
