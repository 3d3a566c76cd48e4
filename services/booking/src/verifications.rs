//! Proofs that a caller has a telephone number or an e-mail address, and what a front end may learn of the patient whom it
//! names.
//!
//! Anybody can name anybody. So to a front end a known patient and an unknown one look alike: a rule that looks at the
//! patient's own visits is asked only when the caller has proved the patient's number or address, and where such a rule
//! counts, the proof is asked of everybody.

use std::time::Duration;

use domain::patient::{Channel, address_key};
use rpc::{Code, Context, Fault};
use subtle::ConstantTimeEq;
use wire::booking::{
    BookAppointmentRequest, SignVerificationRequest, SignVerificationResponse, book_appointment_request::Who,
};

use crate::{
    Inner,
    config::Verify,
    manage_links::{LinkSigner, hash},
    patients::matching::{Contact, MatchedPatient},
    slots::check::CheckedSlot,
    store::visitors::{DAY_US, MessageCount},
};

/// How long a proof is valid.
const VALID_US: i64 = 1_800_000_000;
/// Separates the tokens of proofs from those of links.
const PREFIX: &[u8] = b"verification";
/// Separates the names of counted recipients from tokens.
const COUNT_PREFIX: &[u8] = b"message_count";

/// The part of a patient's record that the caller of a booking may learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// Everything: the caller is staff, or has proved the number or the address of the patient's record.
    All,
    /// That the patient is unknown: the caller has proved what it says, but the record of that name says otherwise.
    Unknown,
    /// Nothing: the caller has proved nothing.
    Nothing,
}

/// Refuses a front end that names a patient by id.
pub(crate) fn refuse_id(ctx: &Context, request: &BookAppointmentRequest) -> Result<(), Fault> {
    match request.who {
        Some(Who::PatientId(_)) if ctx.visitor.is_some() => Err(by_id()),
        _ => Ok(()),
    }
}

fn by_id() -> Fault {
    Fault::new(Code::Forbidden, "only staff book by a patient's id")
}

/// Signs a proof. Reminder has sent a code to the address, and got it back.
pub(crate) fn sign(
    inner: &Inner,
    ctx: &Context,
    request: &SignVerificationRequest,
) -> Result<SignVerificationResponse, Fault> {
    let channel = Channel::ALL.into_iter().find(|known| known.as_str() == request.channel);
    let channel = channel.ok_or_else(|| Fault::violation("/channel", "invalid_value", "expected sms or email"))?;
    let expires_at_us = inner.clock.now_us() + VALID_US;
    let verification = token(&inner.links, ctx, channel, &request.address_hash, expires_at_us);
    Ok(SignVerificationResponse { verification, expires_at_us })
}

/// The expiry, and the MAC of all that the token proves. It names no address, since its reader has the address.
fn token(links: &LinkSigner, ctx: &Context, channel: Channel, address_hash: &[u8], expires_at_us: i64) -> String {
    let organization = ctx.organization.uuid();
    let expiry = expires_at_us.to_be_bytes();
    let mac = links.sign(&[PREFIX, organization.as_bytes(), channel.as_str().as_bytes(), address_hash, &expiry]);
    format!("{expires_at_us:x}.{mac}")
}

/// Whether a token proves the number or the address of a contact now.
fn proves(inner: &Inner, ctx: &Context, text: &str, contact: &Contact) -> bool {
    let expires_at_us = text.split_once('.').and_then(|(expiry, _)| i64::from_str_radix(expiry, 16).ok());
    let Some(expires_at_us) = expires_at_us.filter(|at_us| *at_us > inner.clock.now_us()) else { return false };
    let phones = contact.phones.iter().map(|phone| (Channel::Sms, phone));
    let emails = contact.emails.iter().map(|email| (Channel::Email, email));
    phones.chain(emails).any(|(channel, address)| {
        let expected = token(&inner.links, ctx, channel, &hash(&address_key(address)), expires_at_us);
        bool::from(expected.as_bytes().ct_eq(text.as_bytes()))
    })
}

/// Decides the part of the patient's record that the caller of a booking may learn.
///
/// # Errors
/// `verification_required` where the organisation or a rule of the slot needs a proof, or the given one does not fit.
pub(crate) fn knowledge(
    inner: &Inner,
    ctx: &Context,
    request: &BookAppointmentRequest,
    patient: &MatchedPatient,
    slot: &CheckedSlot,
) -> Result<Knowledge, Fault> {
    if ctx.visitor.is_none() {
        return Ok(Knowledge::All);
    }
    let Some(given) = &patient.given else { return Err(by_id()) };
    let token = request.verification.as_str();
    let proved = proves(inner, ctx, token, given);
    if !token.is_empty() && !proved {
        return Err(required("the verification is older than 30 minutes, or of another number or address"));
    }
    let by_organization = match inner.config.verify(ctx.organization) {
        Verify::Never => false,
        Verify::NewPatients => patient.new.is_some(),
        Verify::Always => true,
    };
    let by_rule = slot.requires_prior.is_some() || slot.needling || !request.plan_session_id.is_empty();
    match (proved, by_organization || by_rule) {
        (false, true) => Err(required("prove the patient's phone or email with /v1/verifications, and send the token")),
        (false, false) => Ok(Knowledge::Nothing),
        (true, _) if patient.record.as_ref().is_none_or(|record| proves(inner, ctx, token, record)) => {
            Ok(Knowledge::All)
        }
        (true, _) => Ok(Knowledge::Unknown),
    }
}

fn required(detail: &str) -> Fault {
    metrics::counter!("bookings_limited_total", "limit" => "verification").increment(1);
    Fault::new(Code::VerificationRequired, detail)
}

/// The counts of bookings that cause messages, for a booking through a front end; none for staff.
pub(crate) fn message_counts(inner: &Inner, ctx: &Context, patient: &MatchedPatient) -> Vec<MessageCount> {
    let Some(visitor) = &ctx.visitor else { return vec![] };
    let limits = inner.config.messages(ctx.organization);
    let count =
        |kind: &str, name: &str, most: u32| MessageCount { subject: format!("{kind}:{name}"), most: i64::from(most) };
    let opaque = |address: &str| inner.links.sign(&[COUNT_PREFIX, address_key(address).as_bytes()]);
    let contacts = || patient.given.iter().chain(&patient.record);
    let numbers = contacts().flat_map(|contact| &contact.phones);
    let numbers = numbers.map(|phone| count("number", &opaque(phone), limits.per_number));
    let addresses = contacts().flat_map(|contact| &contact.emails);
    let addresses = addresses.map(|email| count("address", &opaque(email), limits.per_address));
    let of_visitor = count("visitor", &format!("{} {visitor}", ctx.caller), limits.per_visitor);
    let of_key = count("key", &ctx.caller, limits.per_key);
    let mut counts: Vec<MessageCount> = numbers.chain(addresses).chain([of_visitor, of_key]).collect();
    counts.sort_by(|a, b| a.subject.cmp(&b.subject));
    counts.dedup();
    counts
}

/// The fault of a booking beyond a count.
pub(crate) fn too_many(kind: &str, now_us: i64) -> Fault {
    let detail = match kind {
        "number" => "enough bookings of today have this telephone number; call the clinic",
        "address" => "enough bookings of today have this e-mail address; call the clinic",
        "visitor" => "you have made enough bookings today; call the clinic",
        _ => "enough bookings were made here today; call the clinic",
    };
    metrics::counter!("bookings_limited_total", "limit" => format!("messages_{kind}")).increment(1);
    let left_us = (DAY_US - now_us.rem_euclid(DAY_US)).unsigned_abs();
    Fault::new(Code::MessageLimit, detail).retry_after(Duration::from_secs(left_us.div_ceil(1_000_000)))
}
