//! Sends a code to a telephone number or an e-mail address.

use std::time::Duration;

use domain::{
    fault::Faults,
    id::VerificationId,
    patient::{Channel, is_email},
    phone,
};
use rpc::{Code, Context, Fault};
use service::db_error;
use wire::{
    availability::{GetOrganizationRequest, Organization},
    reminder::{StartVerificationRequest, Verification},
};

use super::{CODE_DIGITS, TRIES, VALID_US, code_hash, count};
use crate::{
    Inner, address_hash, countries,
    providers::{OutgoingMessage, SendOutcome, limiter::Permit, registry::ProviderRoute},
    store::{
        blocked::Address,
        verifications::{CodeLimits, NewVerification, insert_verification, lock_limits},
    },
    templates::{Language, Rendered, gsm7},
};

/// The window in which codes are counted.
const WINDOW_US: i64 = 3_600_000_000;
/// Longest wait for a provider's turn; the caller waits for the answer.
const TURN_US_MAX: i64 = 3_000_000;

/// The recipient of a code.
struct Recipient {
    channel: Channel,
    /// The number in E.164 form, or the address.
    address: String,
}

pub(crate) async fn start(
    inner: &Inner,
    ctx: &Context,
    request: StartVerificationRequest,
) -> Result<Verification, Fault> {
    let asked = ctx.request(GetOrganizationRequest {});
    let organization = inner.directory.clone().get_organization(asked).await?.into_inner();
    let recipient = recipient(inner, ctx, &request, &organization).await?;
    let now = inner.clock.now();
    let id = inner.ids.uuid(now);
    let code = random_code(inner);
    let new = NewVerification {
        organization: ctx.organization.uuid(),
        id,
        channel: recipient.channel,
        address_hash: address_hash(&recipient.address),
        code_hash: code_hash(id, &code),
        tries: TRIES,
        caller: ctx.caller.clone(),
        visitor: ctx.visitor.as_ref().map(ToString::to_string).unwrap_or_default(),
        now_us: now.as_microsecond(),
        expires_at_us: now.as_microsecond() + VALID_US,
    };
    store(inner, &new).await?;
    let blocked = Address {
        organization: new.organization,
        channel: recipient.channel.as_str().to_owned(),
        hash: new.address_hash.clone(),
    };
    // Whoever has opted out gets nothing, and nobody else learns of it.
    if inner.store.blocked(&[blocked]).await.map_err(db_error::fault)?.is_empty() {
        let language = Language::of(&request.language).or(Language::of(&organization.default_language));
        let language = language.unwrap_or(Language::En);
        let rendered = inner.templates.render_code(language, recipient.channel, &organization.name, &code);
        let rendered = rendered.map_err(Fault::internal)?;
        send(inner, &recipient, rendered, &VerificationId::new(id).to_string()).await?;
    }
    Ok(Verification { id: VerificationId::new(id).to_string(), expires_at_us: new.expires_at_us })
}

/// Reads the number or the address.
async fn recipient(
    inner: &Inner,
    ctx: &Context,
    request: &StartVerificationRequest,
    organization: &Organization,
) -> Result<Recipient, Fault> {
    match (request.phone.as_str(), request.email.trim()) {
        ("", "") => Err(Fault::violation("/phone", "missing", "give a phone or an email")),
        ("", email) => {
            let mut faults = Faults::new();
            faults.check(is_email(email), "/email", "invalid_email", "write an address such as ada@example.org");
            faults.result()?;
            Ok(Recipient { channel: Channel::Email, address: email.to_owned() })
        }
        (text, "") => {
            let country = Some(organization.country.as_str()).filter(|country| !country.is_empty());
            let number = phone::parse(text, country);
            let number = number.map_err(|error| Fault::violation("/phone", "invalid_phone", &error.detail(country)))?;
            if countries::allow(inner, ctx, &number, None).await? {
                return Ok(Recipient { channel: Channel::Sms, address: number });
            }
            count("country_not_allowed");
            let detail = "no texts go to numbers of this country; give a number of another, or an email";
            Err(Fault::violation("/phone", "country_not_allowed", detail))
        }
        _ => Err(Fault::violation("/email", "several", "give either a phone or an email")),
    }
}

fn random_code(inner: &Inner) -> String {
    let number = u64::from_be_bytes(inner.ids.bytes::<8>()) % 10_u64.pow(CODE_DIGITS as u32);
    format!("{number:0width$}", width = CODE_DIGITS)
}

/// Stores a verification unless enough codes were sent within the last hour.
async fn store(inner: &Inner, new: &NewVerification) -> Result<(), Fault> {
    let settings = &inner.config.verifications;
    let limits = CodeLimits {
        recipient: i64::from(settings.per_recipient),
        visitor: i64::from(settings.per_visitor),
        caller: i64::from(settings.per_key),
        since_us: new.now_us - WINDOW_US,
    };
    let attempt = || async {
        let mut tx = inner.store.of(new.organization).begin().await?;
        lock_limits(&mut tx, new).await?;
        let reached = insert_verification(&mut tx, new, limits).await?;
        if reached.is_none() {
            tx.commit().await?;
        }
        Ok::<_, sql::Failure>(reached)
    };
    let reached = sql::retry_serialization(|| inner.ids.fraction(), attempt).await.map_err(db_error::fault)?;
    let Some(oldest_us) = reached else { return Ok(()) };
    count("limited");
    let wait_us = (oldest_us + WINDOW_US - new.now_us).max(1_000_000).unsigned_abs();
    let detail = "enough codes were sent to this number or address, or for you, within an hour; use the last one";
    Err(Fault::new(Code::VerificationLimit, detail).retry_after(Duration::from_secs(wait_us.div_ceil(1_000_000))))
}

/// Hands the message to the first provider that takes it.
async fn send(inner: &Inner, recipient: &Recipient, rendered: Rendered, reference: &str) -> Result<(), Fault> {
    let segments = match recipient.channel {
        Channel::Sms => i32::try_from(gsm7::segments(&rendered.text).1).unwrap_or(i32::MAX),
        Channel::Email => 0,
    };
    let message = OutgoingMessage {
        to: recipient.address.clone(),
        subject: rendered.subject,
        text: rendered.text,
        unsubscribe_url: None,
        callback_url: None,
        reference: reference.to_owned(),
        key: reference.to_owned(),
    };
    for route in inner.providers.for_channel(recipient.channel) {
        if !has_turn(inner, route).await {
            continue;
        }
        let outcome = route.provider.send(&message).await;
        inner.providers.record(route, &outcome, segments, inner.clock.elapsed_us());
        match outcome {
            SendOutcome::Busy { may_hold: false, .. } => {}
            SendOutcome::Refused { opted_out: false, .. } => {
                count("refused");
                let pointer = if recipient.channel == Channel::Sms { "/phone" } else { "/email" };
                return Err(Fault::violation(pointer, "unreachable", "no message can be delivered there; check it"));
            }
            _ => {
                count("sent");
                return Ok(());
            }
        }
    }
    count("busy");
    let detail = "no provider takes the message at present; try again shortly";
    Err(Fault::new(Code::Unavailable, detail).retry_after(Duration::from_secs(30)))
}

/// Waits for the provider's turn; `false` where it does not come soon.
async fn has_turn(inner: &Inner, route: &ProviderRoute) -> bool {
    match route.limiter.acquire(inner.clock.elapsed_us()) {
        Permit::Now => true,
        Permit::After(wait_us) if wait_us <= TURN_US_MAX => {
            inner.clock.sleep(Duration::from_micros(wait_us.unsigned_abs())).await;
            true
        }
        Permit::After(_) => {
            route.limiter.release();
            false
        }
        Permit::SuspendedFor(_) => false,
    }
}
