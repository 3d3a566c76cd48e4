//! One message from its lease to its outcome.
//!
//! The order is what keeps patients from wrong and double messages: the present truth from booking, the text, then one
//! statement that says "sending" only where the lease holds and nothing newer is known, committed; only then the
//! provider. A process that dies after that leaves a message whose fate is unknown, never one that is sent again.

use std::time::Duration;

use domain::{
    id::{AppointmentId, MessageId, OrganizationId},
    patient::Channel,
};
use jiff::{Zoned, civil::Date};
use rpc::{Code, Context, Fault};
use runtime::Shutdown;
use wire::{
    availability::{DescribeVisitRequest, DescribeVisitResponse},
    booking::{Appointment, GetContactRequest, GetContactResponse, PatientDetails},
};

use super::{
    lease_us,
    truth::{Verdict, judge},
};
use crate::{
    Inner, address_hash, count,
    provider::{Outcome, Outgoing, receipt::Stage, twilio},
    quiet, receive,
    render::{self, Rendered, Words},
    rule::{Rule, Trigger, channel},
    store::{Record, Sending, rows::MessageRow},
    write,
};

/// The deadline of the questions before a send.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// How long a message waits when its questions cannot be answered, in seconds of the clock.
const ASK_AGAIN_SECONDS: f64 = 20.0;
/// The first pause after a provider was busy, doubled each time.
const BUSY_SECONDS: f64 = 30.0;
const BUSY_SECONDS_MAX: f64 = 3600.0;

/// What is to be done with a leased message.
enum Next {
    Send(Box<Ready>),
    Suppress(&'static str),
    Fail(&'static str),
    /// Looked at again at this instant.
    PutOff(i64),
}

/// A message that may leave.
struct Ready {
    to: String,
    rendered: Rendered,
    truth_version: i64,
}

/// Sends one message, or finds out why not.
pub(super) async fn one(inner: &Inner, message: &MessageRow, shutdown: &Shutdown) {
    let (Ok(trigger), Some(channel)) = (message.trigger.parse::<Trigger>(), channel(&message.channel)) else {
        return finish(inner, message, "failed", "unreadable").await;
    };
    let next = match prepare(inner, message, trigger, channel).await {
        Ok(next) => next,
        Err(fault) => {
            tracing::warn!(code = fault.code.as_str(), "a message waits: what it says could not be checked");
            Next::PutOff(inner.clock.now_us() + spread_us(inner, ASK_AGAIN_SECONDS))
        }
    };
    match next {
        // Draining: nothing new begins, and the lease lets another take it up.
        Next::Send(_) if shutdown.has_begun() => put_off(inner, message, inner.clock.now_us()).await,
        Next::Send(ready) => send(inner, message, trigger, channel, &ready).await,
        Next::Suppress(reason) => finish(inner, message, "suppressed", reason).await,
        Next::Fail(reason) => finish(inner, message, "failed", reason).await,
        Next::PutOff(wake_at_us) => put_off(inner, message, wake_at_us).await,
    }
}

/// Asks for the present truth and makes the text.
async fn prepare(inner: &Inner, message: &MessageRow, trigger: Trigger, channel: Channel) -> Result<Next, Fault> {
    let ctx = Context::new(OrganizationId::new(message.organization_id), "reminder", ASK_WITHIN);
    let rule = inner.store.rule(message.organization_id, message.rule_id).await.map_err(write::failure)?;
    let Some(rule) = rule else { return Ok(Next::Suppress("rule_archived")) };
    let ask = GetContactRequest {
        appointment_id: AppointmentId::new(message.appointment_id).to_string(),
        with_plan: trigger == Trigger::PlanSessionUnbooked,
    };
    let contact = match inner.booking.clone().get_contact(ctx.request(ask)).await.map_err(Fault::from) {
        Ok(answer) => answer.into_inner(),
        Err(fault) if fault.code == Code::NotFound => return Ok(Next::Suppress("gone")),
        Err(fault) => return Err(fault),
    };
    let now_us = inner.clock.now_us();
    let until_us = trigger.of_use_until_us(message.due_at_us, message.starts_at_us);
    let to = match judge(trigger, channel, message.visit(), &contact, now_us >= until_us) {
        Verdict::Send(to) => to.to_owned(),
        Verdict::Suppress(reason) => return Ok(Next::Suppress(reason)),
    };
    let GetContactResponse { appointment: Some(appointment), patient: Some(patient), plan } = contact else {
        return Ok(Next::Suppress("gone"));
    };
    let zone = domain::time::zone(&appointment.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
    // Planned outside the quiet hours, it may still have waited into them.
    let stretch = rule.body.quiet_hours.and_then(|hours| quiet::stretch(hours, now_us, &zone));
    if let Some((_, ends_at_us)) = stretch
        && ends_at_us < until_us
    {
        return Ok(Next::PutOff(ends_at_us));
    }
    let hash = address_hash(&to);
    if inner.store.is_blocked(message.organization_id, &message.channel, &hash).await.map_err(write::failure)? {
        return Ok(Next::Suppress("opted_out"));
    }
    let ask = DescribeVisitRequest {
        service_id: appointment.service_id.clone(),
        location_id: appointment.location_id.clone(),
        practitioner_id: appointment.practitioner_id.clone(),
    };
    let visit = inner.availability.clone().describe_visit(ctx.request(ask)).await?.into_inner();
    let details = patient.details.unwrap_or_default();
    let about = match plan.and_then(|plan| plan.book_by.parse::<Date>().ok()) {
        Some(last_day) => last_day.to_zoned(zone.clone()).ok(),
        None => domain::time::from_micros(appointment.starts_at_us).map(|at| at.to_zoned(zone.clone())),
    };
    let Some(about) = about else { return Ok(Next::Fail("absurd_date")) };
    Ok(match text(inner, &rule, (trigger, channel), &appointment, &details, (visit, about)) {
        Ok(rendered) => Next::Send(Box::new(Ready { to, rendered, truth_version: appointment.version })),
        Err(next) => next,
    })
}

/// The text in the patient's language and the location's time.
fn text(
    inner: &Inner,
    rule: &Rule,
    (trigger, channel): (Trigger, Channel),
    appointment: &Appointment,
    details: &PatientDetails,
    (visit, about): (DescribeVisitResponse, Zoned),
) -> Result<Rendered, Next> {
    let spoken = [details.language.as_str(), visit.default_language.as_str(), "en"];
    let spoken = spoken.into_iter().find(|tag| !tag.is_empty()).unwrap_or("en");
    if rule.body.language.as_deref().is_some_and(|wanted| !speaks(spoken, wanted)) {
        return Err(Next::Suppress("other_language"));
    }
    let words = Words {
        patient_given_name: details.given_name.clone(),
        clinic: visit.location_name,
        organization: visit.organization_name,
        service: visit.service_name,
        practitioner: format!("{} {}", visit.practitioner_given_name, visit.practitioner_family_name),
        phone: visit.location_phone,
        address: visit.location_address,
        manage_url: manage_url(inner, &appointment.manage_token),
        about,
    };
    let lang = render::choose(&details.language, &visit.default_language);
    inner.texts.render(&rule.body.template, trigger, channel, lang, &words).map_err(|error| {
        tracing::warn!(rule = %rule.id, %error, "a rule's template gives no text");
        Next::Fail("template_failed")
    })
}

/// Whether a patient who speaks `spoken` is among those whom a rule for `wanted` is for: `fr` covers `fr-CA`.
fn speaks(spoken: &str, wanted: &str) -> bool {
    spoken.eq_ignore_ascii_case(wanted)
        || (!wanted.contains('-') && render::primary(spoken) == wanted.to_ascii_lowercase())
}

fn manage_url(inner: &Inner, token: &str) -> String {
    match &inner.config.public_url {
        Some(base) if !token.is_empty() => format!("{base}/v1/manage/{token}"),
        _ => String::new(),
    }
}

/// Says "sending", sends, and records what became of it.
async fn send(inner: &Inner, message: &MessageRow, trigger: Trigger, channel: Channel, ready: &Ready) {
    let provider = inner.provider(channel);
    let now_us = inner.clock.now_us();
    let sending = Sending {
        message,
        truth_version: ready.truth_version,
        tells: (trigger != Trigger::Cancelled && !trigger.is_after_visit()).then(|| message.visit()),
        provider: provider.name(),
        recipient: &ready.to,
        subject: &ready.rendered.subject,
        body: &ready.rendered.text,
        now_us,
        lease_until_us: now_us + lease_us(inner),
    };
    let attempt = match sql::retry_serialization(|| inner.ids.fraction(), || inner.store.begin_send(&sending)).await {
        Ok(Some(attempt)) => attempt,
        // Somebody else has it, or something newer is known: the plan for that is made already.
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(%error, "a message waits: the database failed");
            return;
        }
    };
    let id = MessageId::new(message.id);
    // Attempts that the provider seemed not to take are one for whoever keeps count by their key.
    let first = if message.reason == "provider_busy" { attempt - message.tries } else { attempt };
    let outgoing = Outgoing {
        to: ready.to.clone(),
        subject: ready.rendered.subject.clone(),
        text: ready.rendered.text.clone(),
        unsubscribe: None,
        callback: callback(inner, message, provider.name(), attempt),
        reference: receive::reference(id, attempt),
        key: receive::reference(id, first),
    };
    let outcome = provider.send(&outgoing).await;
    let record = recorded(inner, message, channel, attempt, &outcome, &ready.to);
    let counted = counted(&record);
    for _ in 0..3 {
        match inner.store.record(&record).await {
            Ok(_) => break,
            // Left unrecorded, it becomes unknown when the lease is over, and is not sent again.
            Err(error) => tracing::error!(%error, "what became of a message could not be recorded"),
        }
    }
    count(counted, &message.trigger, &message.channel);
    if record.sent {
        let lag_us = record.now_us.saturating_sub(message.due_at_us).max(0).unsigned_abs();
        metrics::histogram!("reminder_lag_seconds").record(Duration::from_micros(lag_us));
    }
}

/// Where a provider reports on this attempt, so that a late report finds it.
fn callback(inner: &Inner, message: &MessageRow, provider: &str, attempt: i32) -> Option<String> {
    let base = inner.config.public_url.as_ref()?;
    let (id, org) = (MessageId::new(message.id), OrganizationId::new(message.organization_id));
    Some(format!("{base}/v1/providers/{provider}/status?message_id={id}&attempt={attempt}&org={org}"))
}

/// What is recorded of an outcome.
fn recorded<'a>(
    inner: &Inner,
    message: &'a MessageRow,
    channel: Channel,
    attempt: i32,
    outcome: &'a Outcome,
    to: &str,
) -> Record<'a> {
    let now_us = inner.clock.now_us();
    let mut record = Record {
        message,
        attempt,
        status: "failed",
        reason: "refused",
        wake_at_us: None,
        sent: false,
        rank: 0,
        outcome: "failed",
        provider_message_id: "",
        parts: 0,
        error_code: "",
        detail: "",
        block: None,
        now_us,
    };
    match outcome {
        Outcome::Delivered { id } | Outcome::Sent { id, .. } => {
            let delivered = matches!(outcome, Outcome::Delivered { .. });
            let stage = if delivered { Stage::Delivered } else { Stage::Accepted };
            (record.status, record.rank) = (stage.status(), stage.rank());
            if let Outcome::Sent { parts, .. } = outcome {
                record.parts = *parts;
            }
            (record.reason, record.outcome, record.sent, record.provider_message_id) = ("", "sent", true, id);
        }
        Outcome::Busy { after, code } => {
            (record.reason, record.error_code, record.detail) = ("gave_up", code, "the provider has not taken it");
            if message.tries + 1 < i32::try_from(inner.config.attempts_max).unwrap_or(1) {
                (record.status, record.reason) = ("scheduled", "provider_busy");
                record.wake_at_us = Some(now_us + delay_us(inner, *after, message.tries));
            }
        }
        Outcome::Refused { code, opted_out } => {
            (record.error_code, record.detail) = (code, "the provider has refused it");
            if *opted_out {
                (record.reason, record.block) = ("opted_out", Some((channel, address_hash(to))));
            }
            if *code == twilio::FILTERED.to_string() {
                tracing::error!(code, "a carrier takes our messages for spam");
            }
        }
        Outcome::Unknown { detail } => {
            (record.status, record.reason, record.outcome, record.detail) = ("unknown", "no_answer", "unknown", detail);
        }
    }
    record
}

fn counted(record: &Record<'_>) -> &'static str {
    if record.status == "scheduled" { "busy" } else { record.status }
}

/// How long to wait for a busy provider: as long as it says, within bounds, or twice as long each time.
fn delay_us(inner: &Inner, after: Option<Duration>, tries: i32) -> i64 {
    match after {
        Some(after) => {
            let seconds = after.as_secs().clamp(1, 3600);
            i64::try_from(seconds).unwrap_or(3600) * 1_000_000
        }
        None => spread_us(inner, (BUSY_SECONDS * 2f64.powi(tries.min(16))).min(BUSY_SECONDS_MAX)),
    }
}

/// So many seconds, give or take a fifth.
pub(crate) fn spread_us(inner: &Inner, seconds: f64) -> i64 {
    (seconds * (0.8 + 0.4 * inner.ids.fraction()) * 1_000_000.0) as i64
}

async fn finish(inner: &Inner, message: &MessageRow, status: &'static str, reason: &'static str) {
    match inner.store.finish(message, status, reason, inner.clock.now_us()).await {
        Ok(true) => count(status, &message.trigger, &message.channel),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "a message could not be taken back; it is looked at again"),
    }
}

async fn put_off(inner: &Inner, message: &MessageRow, wake_at_us: i64) {
    if let Err(error) = inner.store.put_off(message, wake_at_us).await {
        tracing::warn!(%error, "a message could not be put off; it is looked at again when its lease is over");
    }
}
