//! One-click unsubscribe ([RFC 8058](https://www.rfc-editor.org/rfc/rfc8058)): the link in an e-mail ends e-mails of its kind,
//! without a login, and nothing else.
//!
//! The link in an e-mail that follows a visit ends all such e-mails to its patient; e-mails about appointments go on. The link
//! in an e-mail under the consent to marketing withdraws that consent.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    id::{AppointmentId, MessageId, OrganizationId},
    message::Trigger,
    patient::{Channel, ConsentKind},
};
use hmac::{Hmac, KeyInit, Mac};
use rpc::{Context, Fault};
use service::db_error;
use sha2::Sha256;
use uuid::Uuid;
use wire::{
    availability::DescribeVisitResponse,
    booking::{GetContactRequest, PatientDetails, RecordReplyConsentRequest},
    reminder::{UnsubscribeRequest, UnsubscribeState},
};

use crate::{Inner, rules::Rule, store::messages::MessageRow, template_context, templates::Language};

/// The bytes of the truncated HMAC.
const MAC_BYTES: usize = 16;

/// The token of a message's link: base64url of the organisation's id, the message's id and the first 16 bytes of their
/// HMAC-SHA256. The ids alone stand in the e-mail's `Message-ID`.
pub(crate) fn token(inner: &Inner, message: &MessageRow) -> String {
    let ids = [message.organization_id.as_bytes().as_slice(), message.id.as_bytes()].concat();
    // HMAC takes a key of any length.
    let Some(mac) = mac(&inner.unsubscribe_key, &ids) else { return String::new() };
    URL_SAFE_NO_PAD.encode([&ids[..], &mac.finalize().into_bytes()[..MAC_BYTES]].concat())
}

fn mac(key: &[u8], ids: &[u8]) -> Option<Hmac<Sha256>> {
    Some(Hmac::new_from_slice(key).ok()?.chain_update(ids))
}

/// Whether the patient has unsubscribed from e-mails of this kind.
///
/// # Errors
/// The store's failures.
pub(crate) async fn is_unsubscribed(
    inner: &Inner,
    message: &MessageRow,
    trigger: Trigger,
    consent: ConsentKind,
) -> Result<bool, Fault> {
    // Booking keeps every other consent, so the check there covers it.
    if message.channel != Channel::Email.as_str() || !trigger.is_after_visit() || consent != ConsentKind::Service {
        return Ok(false);
    }
    has_unsubscribed(inner, message).await
}

async fn has_unsubscribed(inner: &Inner, message: &MessageRow) -> Result<bool, Fault> {
    let unsubscribed = inner.store.has_unsubscribed(message.organization_id, message.patient_id);
    unsubscribed.await.map_err(db_error::fault)
}

/// Describes a link for its page: the kind of e-mails that it ends, and whether it has.
///
/// # Errors
/// `not_found` for an unknown token; the store's failures.
pub(crate) async fn describe(
    inner: &Inner,
    ctx: &Context,
    request: UnsubscribeRequest,
) -> Result<UnsubscribeState, Fault> {
    let link = UnsubscribeLink::find(inner, &request.token).await?;
    let unsubscribed = link.kind == ConsentKind::Service && has_unsubscribed(inner, &link.message).await?;
    Ok(link.state(inner, ctx, unsubscribed).await)
}

pub(crate) async fn unsubscribe(
    inner: &Inner,
    ctx: &Context,
    request: UnsubscribeRequest,
) -> Result<UnsubscribeState, Fault> {
    let link = UnsubscribeLink::find(inner, &request.token).await?;
    if link.kind == ConsentKind::Service {
        let (organization, patient) = (link.message.organization_id, link.message.patient_id);
        let unsubscribed = inner.store.unsubscribe(organization, patient, inner.clock.now_us());
        unsubscribed.await.map_err(db_error::fault)?;
    } else {
        let request = RecordReplyConsentRequest {
            channel: link.message.channel.clone(),
            address: link.message.recipient.clone(),
            given: false,
            how: "unsubscribe".to_owned(),
            kind: link.kind.as_str().to_owned(),
        };
        inner.booking.clone().record_reply_consent(link.context(ctx).request(request)).await?;
    }
    Ok(link.state(inner, ctx, true).await)
}

/// A link, and the e-mail that holds it.
struct UnsubscribeLink {
    message: MessageRow,
    /// The consent that the e-mail needed.
    kind: ConsentKind,
}

impl UnsubscribeLink {
    async fn find(inner: &Inner, token: &str) -> Result<Self, Fault> {
        let (organization, id) = parse_token(&inner.unsubscribe_key, token).ok_or_else(Fault::not_found)?;
        let found = inner.store.message(organization, id).await.map_err(db_error::fault)?;
        // E-mails about appointments carry no link.
        let has_link = |message: &MessageRow| {
            let follows = message.trigger.parse().is_ok_and(Trigger::is_after_visit);
            follows && message.channel == Channel::Email.as_str() && !message.recipient.is_empty()
        };
        let message = found.filter(has_link).ok_or_else(Fault::not_found)?;
        let rule = inner.store.rule(organization, message.rule_id).await.map_err(db_error::fault)?;
        let rule = rule.map(Rule::from_row).transpose().map_err(db_error::fault)?;
        Ok(Self { message, kind: rule.map_or(ConsentKind::Service, |rule| rule.body.consent) })
    }

    fn context(&self, ctx: &Context) -> Context {
        Context {
            organization: OrganizationId::new(self.message.organization_id),
            caller: "patient".to_owned(),
            idempotency: None,
            ..ctx.clone()
        }
    }

    /// The content of the link's page. Without an answer from booking or availability, it names no clinic.
    async fn state(&self, inner: &Inner, ctx: &Context, unsubscribed: bool) -> UnsubscribeState {
        let ends = if self.kind == ConsentKind::Service { "after_visit" } else { "marketing" };
        let without_clinic = UnsubscribeState {
            what: ends.to_owned(),
            ended: unsubscribed,
            language: Language::En.as_str().to_owned(),
            organization_id: OrganizationId::new(self.message.organization_id).to_string(),
            ..UnsubscribeState::default()
        };
        match self.describe(inner, &self.context(ctx)).await {
            Ok((details, visit)) => UnsubscribeState {
                ended: unsubscribed || (self.kind != ConsentKind::Service && !has_consent(&details, self.kind)),
                language: template_context::language_preferences(&details, &visit).shipped().as_str().to_owned(),
                clinic: visit.location_name,
                phone: visit.location_phone,
                ..without_clinic
            },
            Err(fault) => {
                let message = MessageId::new(self.message.id);
                tracing::info!(%message, code = fault.code.as_str(), "an unsubscribe page names no clinic");
                without_clinic
            }
        }
    }

    /// The patient and the visit of the e-mail.
    async fn describe(&self, inner: &Inner, ctx: &Context) -> Result<(PatientDetails, DescribeVisitResponse), Fault> {
        let appointment_id = AppointmentId::new(self.message.appointment_id.ok_or_else(Fault::not_found)?).to_string();
        let request = GetContactRequest { appointment_id, with_plan: false };
        let contact = inner.booking.clone().get_contact(ctx.request(request)).await?.into_inner();
        let visit = template_context::describe_visit(inner, ctx, &contact.appointment.unwrap_or_default()).await?;
        Ok((contact.patient.and_then(|patient| patient.details).unwrap_or_default(), visit))
    }
}

fn has_consent(details: &PatientDetails, kind: ConsentKind) -> bool {
    let email = Channel::Email.as_str();
    details.consents.iter().any(|consent| consent.kind == kind.as_str() && consent.channel == email)
}

/// The organisation and the message of a token; `None` unless the key has signed it.
fn parse_token(key: &[u8], token: &str) -> Option<(Uuid, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == 32 + MAC_BYTES)?;
    let (ids, code) = bytes.split_at(32);
    mac(key, ids)?.verify_truncated_left(code).ok()?;
    Some((Uuid::from_slice(&ids[..16]).ok()?, Uuid::from_slice(&ids[16..]).ok()?))
}
