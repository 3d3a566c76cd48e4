//! Ending e-mails with one click ([RFC 8058](https://www.rfc-editor.org/rfc/rfc8058)): the link in a mail ends mails like
//! it, without a login, and nothing else.
//!
//! A mail about what follows a visit ends all such mails to its patient; news of appointments goes on. One that rests on the
//! consent to marketing withdraws that consent.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    id::{AppointmentId, OrganizationId},
    patient::{Channel, ConsentKind},
};
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::{
    availability::DescribeVisitResponse,
    booking::{GetContactRequest, PatientDetails, RecordReplyConsentRequest},
    reminder::{UnsubscribeRequest, UnsubscribeState},
};

use crate::{Inner, rules::Trigger, store::rows::MessageRow, template_context, templates::Lang, write};

/// The token of a message's link: the message's own id, 74 bits of which are random, with its organisation's.
pub(crate) fn token(message: &MessageRow) -> String {
    URL_SAFE_NO_PAD.encode([message.organization_id.as_bytes().as_slice(), message.id.as_bytes()].concat())
}

/// Whether a patient has ended such mails.
pub(crate) async fn has_ended(
    inner: &Inner,
    message: &MessageRow,
    trigger: Trigger,
    consent: ConsentKind,
) -> Result<bool, Fault> {
    // What rests on another consent ends with that.
    if message.channel != Channel::Email.as_str() || !trigger.is_after_visit() || consent != ConsentKind::Service {
        return Ok(false);
    }
    inner.store.has_unsubscribed(message).await.map_err(write::failure)
}

/// What a link ends, and whether it has.
pub(crate) async fn describe(
    inner: &Inner,
    ctx: &Context,
    request: UnsubscribeRequest,
) -> Result<UnsubscribeState, Fault> {
    let link = Link::find(inner, &request.token).await?;
    let unsubscribed = link.kind == ConsentKind::Service
        && inner.store.has_unsubscribed(&link.message).await.map_err(write::failure)?;
    Ok(link.state(inner, ctx, unsubscribed).await)
}

pub(crate) async fn unsubscribe(
    inner: &Inner,
    ctx: &Context,
    request: UnsubscribeRequest,
) -> Result<UnsubscribeState, Fault> {
    let link = Link::find(inner, &request.token).await?;
    if link.kind == ConsentKind::Service {
        inner.store.unsubscribe(&link.message, inner.clock.now_us()).await.map_err(write::failure)?;
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

/// The mail that a link is in.
struct Link {
    message: MessageRow,
    /// The consent that it rested on.
    kind: ConsentKind,
}

impl Link {
    async fn find(inner: &Inner, token: &str) -> Result<Self, Fault> {
        let (organization, id) = read(token).ok_or_else(Fault::not_found)?;
        let found = inner.store.message(organization, id).await.map_err(write::failure)?;
        // Only mails that carry a link have one.
        let has_link = |message: &MessageRow| {
            let follows = message.trigger.parse().is_ok_and(Trigger::is_after_visit);
            follows && message.channel == Channel::Email.as_str() && !message.recipient.is_empty()
        };
        let message = found.filter(has_link).ok_or_else(Fault::not_found)?;
        let rule = inner.store.rule(organization, message.rule_id).await.map_err(write::failure)?;
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

    /// What its page says. Ending must not fail for want of the clinic's name.
    async fn state(&self, inner: &Inner, ctx: &Context, unsubscribed: bool) -> UnsubscribeState {
        let what = if self.kind == ConsentKind::Service { "after_visit" } else { "marketing" };
        let bare = UnsubscribeState {
            what: what.to_owned(),
            ended: unsubscribed,
            language: Lang::En.as_str().to_owned(),
            ..UnsubscribeState::default()
        };
        match self.about(inner, &self.context(ctx)).await {
            Ok((details, visit)) => UnsubscribeState {
                ended: unsubscribed || (self.kind != ConsentKind::Service && !agrees(&details, self.kind)),
                language: template_context::languages(&details, &visit).shipped().as_str().to_owned(),
                clinic: visit.location_name,
                phone: visit.location_phone,
                ..bare
            },
            Err(fault) => {
                tracing::info!(code = fault.code.as_str(), "a page about e-mails names no clinic");
                bare
            }
        }
    }

    async fn about(&self, inner: &Inner, ctx: &Context) -> Result<(PatientDetails, DescribeVisitResponse), Fault> {
        let appointment_id = AppointmentId::new(self.message.appointment_id).to_string();
        let ask = GetContactRequest { appointment_id, with_plan: false };
        let contact = inner.booking.clone().get_contact(ctx.request(ask)).await?.into_inner();
        let visit = template_context::visit(inner, ctx, &contact.appointment.unwrap_or_default()).await?;
        Ok((contact.patient.and_then(|patient| patient.details).unwrap_or_default(), visit))
    }
}

fn agrees(details: &PatientDetails, kind: ConsentKind) -> bool {
    let email = Channel::Email.as_str();
    details.consents.iter().any(|one| one.kind == kind.as_str() && one.channel == email)
}

fn read(token: &str) -> Option<(Uuid, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (organization, id) = bytes.split_at_checked(16)?;
    Some((Uuid::from_slice(organization).ok()?, Uuid::from_slice(id).ok()?))
}
