//! Ending e-mails with one click ([RFC 8058](https://www.rfc-editor.org/rfc/rfc8058)): the link in a mail withdraws the
//! consent that the mail rested on, without a login.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{id::OrganizationId, patient::Channel};
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::{
    booking::RecordReplyConsentRequest,
    reminder::{ReceiveResponse, UnsubscribeRequest},
};

use crate::{Inner, store::rows::MessageRow, write};

/// The token of a message's link: the message's own id, 74 bits of which are random, with its organisation's.
pub(crate) fn token(message: &MessageRow) -> String {
    URL_SAFE_NO_PAD.encode([message.organization_id.as_bytes().as_slice(), message.id.as_bytes()].concat())
}

pub(crate) async fn unsubscribe(
    inner: &Inner,
    ctx: &Context,
    request: UnsubscribeRequest,
) -> Result<ReceiveResponse, Fault> {
    let (organization, id) = read(&request.token).ok_or_else(Fault::not_found)?;
    let found = inner.store.message(organization, id).await.map_err(write::failure)?;
    let message = found.filter(|message| message.channel == Channel::Email.as_str() && !message.recipient.is_empty());
    let message = message.ok_or_else(Fault::not_found)?;
    let rule = inner.store.rule(organization, message.rule_id).await.map_err(write::failure)?;
    let request = RecordReplyConsentRequest {
        channel: message.channel,
        address: message.recipient,
        given: false,
        how: "unsubscribe".to_owned(),
        kind: rule.map(|rule| rule.body.consent.as_str().to_owned()).unwrap_or_default(),
    };
    let ctx = Context {
        organization: OrganizationId::new(organization),
        caller: "patient".to_owned(),
        idempotency: None,
        ..ctx.clone()
    };
    inner.booking.clone().record_reply_consent(ctx.request(request)).await?;
    Ok(ReceiveResponse {})
}

fn read(token: &str) -> Option<(Uuid, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (organization, id) = bytes.split_at_checked(16)?;
    Some((Uuid::from_slice(organization).ok()?, Uuid::from_slice(id).ok()?))
}
