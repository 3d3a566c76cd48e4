//! Reports of an SMS provider: what became of a message.
//!
//! They come repeated and out of order, so each stage has a rank and a message only moves up. The signature is checked
//! first. What cannot be a report on a message of ours is answered with success where the provider cannot mend it, and
//! refused where the form is ours (`http`).

use domain::id::{MessageId, OrganizationId};
use rpc::{Code, Fault};
use wire::reminder::{ReceiveRequest, ReceiveResponse};

use crate::{
    Inner, count,
    providers::{
        Provider,
        receipt::{Again, Fields, Receipt},
    },
    replies::Heard,
    sending::spread_us,
    store::Report,
    write,
};

/// How long a message waits that could not be delivered for now.
const AGAIN_SECONDS: f64 = 300.0;

/// What a provider sent, where its signature is right: that of the address by which the gateway knows itself, or of the one
/// that the provider was given from here.
fn checked<'a>(inner: &'a Inner, request: &ReceiveRequest) -> Result<(&'a dyn Provider, Fields), Fault> {
    let provider = inner.ways.sms(&request.provider).ok_or_else(Fault::not_found)?;
    let now = inner.clock.now();
    let fields = match (provider.signed(request, now), given_url(inner, request)) {
        (Err(fault), Some(url)) if fault.code == Code::SignatureInvalid => {
            provider.signed(&ReceiveRequest { url, ..request.clone() }, now)
        }
        (fields, _) => fields,
    };
    Ok((provider, fields?))
}

/// The address of a call below `reminder.public_url`; `None` where that is not set, or is the gateway's own.
fn given_url(inner: &Inner, request: &ReceiveRequest) -> Option<String> {
    let base = inner.config.public_url.as_ref()?;
    let path = &request.url[request.url.find("/v1/providers/")?..];
    Some(format!("{base}{path}")).filter(|url| *url != request.url)
}

/// A patient's message; `None` where it is none.
pub(crate) fn heard(inner: &Inner, request: &ReceiveRequest) -> Result<Option<Heard>, Fault> {
    let (provider, fields) = checked(inner, request)?;
    provider.heard(&fields)
}

/// A report on a message of ours.
pub(crate) async fn status(inner: &Inner, request: ReceiveRequest) -> Result<ReceiveResponse, Fault> {
    let now = inner.clock.now();
    let (provider, fields) = checked(inner, &request)?;
    let receipt = provider.receipt(&fields)?;
    let mendable = |pointer, code, detail| match provider.has_our_form() {
        true => Err(Fault::violation(pointer, code, detail)),
        false => Ok(ReceiveResponse::default()),
    };
    let Some((organization, message, attempt)) = addressed(&request.url) else {
        tracing::warn!("a provider's report names no message of ours");
        return mendable("message_id", "missing", "report to the `status_url` of the message, as it was given");
    };
    let Some(receipt) = receipt else {
        tracing::warn!("a provider's report has a status that is not known");
        return Ok(ReceiveResponse::default());
    };
    // Where the signature covers this and not the URL, a report must not be turned to another message.
    let Some(attempt) = receipt.reference.as_ref().map_or(Some(attempt), |named| attempt_of(named, message)) else {
        tracing::warn!("a provider's report is about another message than its URL");
        return mendable("/id", "invalid_value", "give the `id` with which the message was posted, or none");
    };
    if receipt.filtered {
        tracing::error!(code = receipt.error_code, "a carrier takes our messages for spam");
    }
    let lost = receipt.stage.is_lost();
    let report = Report {
        organization: organization.uuid(),
        event: inner.ids.uuid(now),
        stand_in: inner.ids.uuid(now),
        message: message.uuid(),
        provider: provider.name(),
        attempt,
        by_key: receipt.by_key,
        stage: receipt.stage,
        reason: match (lost, receipt.opted_out) {
            (true, true) => "opted_out",
            (true, false) => "not_delivered",
            _ => "",
        },
        provider_message_id: &receipt.id,
        is_part: receipt.is_part,
        error_code: &receipt.error_code,
        form: &receipt.kept,
        block: receipt.opted_out,
        again: again(inner, &receipt),
        now_us: now.as_microsecond(),
    };
    if let Some(moved) = inner.store.report(&report).await.map_err(write::failure)? {
        count(if moved.again { "busy" } else { moved.status }, &moved.trigger, &moved.channel);
        if lost {
            // Another message may stand in for it, at once.
            inner.planned.notify_waiters();
        }
    }
    Ok(ReceiveResponse { id: message.to_string(), repeated: false })
}

/// Names an attempt, unlike every other.
pub(crate) fn reference(message: MessageId, attempt: i32) -> String {
    format!("{message}-{attempt}")
}

/// The attempt that a reference names, where it is one at this message.
fn attempt_of(reference: &str, message: MessageId) -> Option<i32> {
    reference.strip_prefix(&message.to_string())?.strip_prefix('-')?.parse().ok()
}

/// When a message that was not delivered is sent once more, and how often at most; `None` where that is of no use.
fn again(inner: &Inner, receipt: &Receipt) -> Option<(i64, i32)> {
    let patience = i32::try_from(inner.config.attempts_max.saturating_sub(1)).unwrap_or(0);
    let tries = match receipt.again {
        Again::Patiently => patience,
        Again::Once => patience.min(1),
        Again::Never => return None,
    };
    let due_at_us = inner.clock.now_us() + spread_us(inner, AGAIN_SECONDS);
    receipt.stage.is_lost().then_some((due_at_us, tries))
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
    fn a_url_names_its_message_or_none() {
        let (org, id) = (OrganizationId::new(uuid::Uuid::from_u128(1)), MessageId::new(uuid::Uuid::from_u128(2)));
        let url = format!("https://a.example/v1/providers/twilio/status?message_id={id}&attempt=3&org={org}");
        assert_eq!(addressed(&url), Some((org, id, 3)));
        for bad in
            ["", "nowhere", "https://a.example/x", &url.replace("attempt=3", "attempt=x"), &url.replace("msg_", "")]
        {
            assert_eq!(addressed(bad), None, "{bad}");
        }
        assert_eq!(attempt_of(&reference(id, 12), id), Some(12));
        let other = MessageId::new(uuid::Uuid::from_u128(3));
        assert_eq!([attempt_of(&reference(other, 12), id), attempt_of(&id.to_string(), id)], [None; 2]);
    }
}
