//! Callbacks from SMS providers: whose they are, and whether their signature is right.

use rpc::{Code, Fault};
use wire::reminder::ReceiveRequest;

use super::{Provider, fields::Fields, inbound::InboundMessage};
use crate::Inner;

/// The fields of a callback with a valid signature, and the provider that sent it. A provider signs the URL that it called:
/// the gateway's own, or the one below `reminder.public_url` that this service gave it.
///
/// # Errors
/// `not_found` for a provider that is not configured, `signature_invalid` for a wrong signature.
pub(super) fn verify<'a>(inner: &'a Inner, request: &ReceiveRequest) -> Result<(&'a dyn Provider, Fields), Fault> {
    let provider = inner.providers.sms_provider(&request.provider).ok_or_else(Fault::not_found)?;
    let now = inner.clock.now();
    let fields = match (provider.verify(request, now), public_url_of(inner, request)) {
        (Err(fault), Some(url)) if fault.code == Code::SignatureInvalid => {
            provider.verify(&ReceiveRequest { url, ..request.clone() }, now)
        }
        (fields, _) => fields,
    };
    Ok((provider, fields?))
}

/// A patient's message from a callback; `None` where its sender is no phone number.
///
/// # Errors
/// As [`verify`]; `malformed_request` and `validation_failed` for a message that the sender can mend.
pub(crate) fn inbound_message(inner: &Inner, request: &ReceiveRequest) -> Result<Option<InboundMessage>, Fault> {
    let (provider, fields) = verify(inner, request)?;
    provider.parse_inbound(&fields)
}

/// The URL of a callback below `reminder.public_url`; `None` where that is not set, or is the gateway's own URL.
fn public_url_of(inner: &Inner, request: &ReceiveRequest) -> Option<String> {
    let base = inner.config.public_url.as_ref()?;
    let path = &request.url[request.url.find("/v1/providers/")?..];
    Some(format!("{base}{path}")).filter(|url| *url != request.url)
}
