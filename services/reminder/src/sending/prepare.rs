//! A leased message verified against booking's present data and rendered.

use domain::{
    id::{OrganizationId, PractitionerId, ServiceId},
    patient::Channel,
};
use jiff::{Zoned, civil::Date, tz::TimeZone};
use rpc::{Code, Context, Fault};
use service::db_error;
use uuid::Uuid;
use wire::{
    availability::DescribeVisitResponse,
    booking::{Appointment, GetContactResponse, PatientDetails},
};

use super::{
    lookups::{ContactKey, LOOKUP_TIMEOUT},
    verify::{Verdict, verify},
};
use crate::{
    Inner, address_hash,
    appointment::{Changed, Visit},
    count_limited, countries,
    rules::{Rule, Trigger, quiet_hours},
    store::{appointments::Announcement, blocked::Address, messages::MessageRow},
    subject::Subject,
    template_context::{self, TOKEN},
    templates::{self, LanguagePreferences, Rendered, TemplateContext},
    unsubscribe,
};

/// Age after which a reply is of no use, in microseconds: the patient has called by then.
const REPLY_LATE_US: i64 = 3_600_000_000;
/// The time over which messages to one recipient are counted, in microseconds.
const RECIPIENT_WINDOW_US: i64 = 86_400_000_000;
/// Age from which booking's answer about a visit is no longer taken for the present, in microseconds.
const ANSWER_AGES_US: i64 = 500_000;
/// Hour of the location's clock to which a message over the daily limit is postponed.
const NEXT_DAY_HOUR: i8 = 9;
/// Appointments of a series that one message names.
const SERIES_MAX: i64 = 60;

/// What to do with a leased message.
pub(super) enum Decision {
    Send(Box<ReadyMessage>),
    Suppress(&'static str),
    Fail(&'static str),
    /// Lease it again at this instant.
    Postpone(i64),
}

/// A message that may leave.
pub(super) struct ReadyMessage {
    pub(super) to: String,
    pub(super) rendered: Rendered,
    /// The token of the link in the text, which is not stored; empty without one.
    pub(super) link_token: String,
    /// The appointment's version that it was verified against.
    pub(super) verified_version: i64,
    /// Booking's answer on which it stands; `None` where it stands on none.
    pub(super) answer: Option<Answer>,
    /// `None` when it announces no arrangement that holds.
    pub(super) announcement: Option<Announcement>,
}

/// Booking's answer about the subject of a message.
pub(super) struct Answer {
    /// Reading of `Clock::elapsed_us` before the question.
    asked_us: i64,
    contact: GetContactResponse,
}

/// Verifies a message and renders its text.
pub(super) async fn prepare(
    inner: &Inner,
    message: &MessageRow,
    trigger: Trigger,
    channel: Channel,
) -> Result<Decision, Fault> {
    let ctx = Context::new(OrganizationId::new(message.organization_id), "reminder", LOOKUP_TIMEOUT);
    let rule = inner.lookups.rule.call((message.organization_id, message.rule_id)).await?;
    let Some(rule) = rule else { return Ok(Decision::Suppress("rule_archived")) };
    // Its outcome is unknown: it is repeated only if its rule, as it is now, prefers a double to a miss.
    if message.is_unknown() && !rule.body.repeat_unknown {
        return Ok(Decision::Suppress("no_answer"));
    }
    let asked_us = inner.clock.elapsed_us();
    let (contact, expires_at_us) = match present(inner, &ctx, message).await {
        Ok(found) => found,
        Err(fault) if fault.code == Code::NotFound => return Ok(Decision::Suppress("gone")),
        Err(fault) => return Err(fault),
    };
    let answer = Some(Answer { asked_us, contact: contact.clone() });
    let now_us = inner.clock.now_us();
    let until_us = expires_at_us.unwrap_or(trigger.valid_until_us(message.due_at_us, message.starts_at_us));
    let to = match verify(trigger, channel, visit_of(message), &contact, now_us >= until_us, rule.body.consent) {
        Verdict::Send(to) => to.to_owned(),
        Verdict::Suppress(reason) => return Ok(Decision::Suppress(reason)),
    };
    let GetContactResponse { appointment: Some(appointment), patient: Some(patient), plan } = contact else {
        return Ok(Decision::Suppress("gone"));
    };
    if message.is_unknown() && !is_wanted(&rule, message, trigger, channel, &appointment) {
        return Ok(Decision::Suppress("rule_changed"));
    }
    let zone = domain::time::zone(&appointment.time_zone).unwrap_or(TimeZone::UTC);
    if let Some(decision) = hold_back(inner, message, trigger, &rule, &to, &zone, until_us).await? {
        return Ok(decision);
    }
    let found = inner
        .lookups
        .names
        .call((message.organization_id, template_context::describe_visit_request(&appointment)))
        .await?;
    let visit = found.ok_or_else(Fault::not_found)?;
    if channel == Channel::Sms && !countries::allow(inner, &ctx, &to, Some(&visit)).await? {
        return Ok(limited("country_not_allowed"));
    }
    let details = patient.details.unwrap_or_default();
    let about = match plan.and_then(|plan| plan.book_by.parse::<Date>().ok()) {
        Some(last_day) => last_day.to_zoned(zone.clone()).ok(),
        None => template_context::local_time(appointment.starts_at_us, &appointment.time_zone),
    };
    let Some(about) = about else { return Ok(Decision::Fail("absurd_date")) };
    let series = match trigger {
        Trigger::Booked => series(inner, message, now_us).await?,
        _ => vec![],
    };
    let announcement = announcement(message, trigger, &appointment);
    let (verified_version, link_token) = (appointment.version, appointment.manage_token.clone());
    let mut words = match expires_at_us {
        Some(at_us) => template_context::for_offer(inner, &appointment, &details, visit.clone(), about, at_us),
        None => template_context::for_visit(inner, &appointment, &details, visit.clone(), about),
    };
    words.changed = Changed::of_letters(&message.changed);
    if series.len() > 1 {
        (words.count, words.visits) = (series.len(), series);
    }
    Ok(match text(inner, &rule, channel, &details, &visit, &words) {
        Ok(rendered) => {
            Decision::Send(Box::new(ReadyMessage { to, rendered, link_token, verified_version, answer, announcement }))
        }
        Err(next) => next,
    })
}

/// Why a message that may leave does not leave now: quiet hours, an opt-out or a daily limit.
async fn hold_back(
    inner: &Inner,
    message: &MessageRow,
    trigger: Trigger,
    rule: &Rule,
    to: &str,
    zone: &TimeZone,
    until_us: i64,
) -> Result<Option<Decision>, Fault> {
    // Planned outside the quiet hours, it may have waited into them.
    let quiet = rule.body.quiet_hours.and_then(|hours| quiet_hours::interval(hours, inner.clock.now_us(), zone));
    if let Some((_, ends_at_us)) = quiet
        && ends_at_us < until_us
    {
        return Ok(Some(Decision::Postpone(ends_at_us)));
    }
    if inner.lookups.blocked.call(address(message, to)).await? {
        return Ok(Some(Decision::Suppress("opted_out")));
    }
    if unsubscribe::is_unsubscribed(inner, message, trigger, rule.body.consent).await? {
        return Ok(Some(Decision::Suppress("unsubscribed")));
    }
    let since_us = inner.clock.now_us() - RECIPIENT_WINDOW_US;
    let sent = inner.lookups.sent_to.call((message.organization_id, to.to_owned(), since_us)).await?;
    if sent >= i64::from(inner.config.recipient_daily_max) {
        return Ok(Some(limited("message_limit")));
    }
    over_daily_limit(inner, message, trigger, to, zone, until_us).await
}

/// A limit keeps a message from leaving.
fn limited(reason: &'static str) -> Decision {
    count_limited(reason);
    Decision::Suppress(reason)
}

fn address(message: &MessageRow, to: &str) -> Address {
    Address { organization: message.organization_id, channel: message.channel.clone(), hash: address_hash(to) }
}

/// The time and location that a message is about.
fn visit_of(message: &MessageRow) -> Visit {
    Visit { starts_at_us: message.starts_at_us, location: message.location_id }
}

/// The arrangement that a message announces. Only a message about a change names the practitioner and the service.
fn announcement(message: &MessageRow, trigger: Trigger, appointment: &Appointment) -> Option<Announcement> {
    if !trigger.tells_time() {
        return None;
    }
    let appointment_id = message.appointment_id?;
    let named = if trigger == Trigger::Rescheduled { named(appointment) } else { None };
    let (practitioner, service) = named.unzip();
    Some(Announcement {
        organization: message.organization_id,
        appointment: appointment_id,
        starts_at_us: message.starts_at_us,
        location: message.location_id,
        practitioner,
        service,
    })
}

/// The practitioner and the service that a text about an appointment names.
fn named(appointment: &Appointment) -> Option<(Uuid, Uuid)> {
    let practitioner = appointment.practitioner_id.parse::<PractitionerId>().ok()?;
    Some((practitioner.uuid(), appointment.service_id.parse::<ServiceId>().ok()?.uuid()))
}

/// Whether its rule would still plan a message.
fn is_wanted(rule: &Rule, message: &MessageRow, trigger: Trigger, channel: Channel, visit: &Appointment) -> bool {
    let service = visit.service_id.parse::<ServiceId>();
    service.is_ok_and(|service| rule.wants(trigger, channel, message.fallback_for.is_some(), service.uuid()))
}

/// The appointment and its patient now; for an offer its slot, and the instant at which it expires.
async fn present(
    inner: &Inner,
    ctx: &Context,
    message: &MessageRow,
) -> Result<(GetContactResponse, Option<i64>), Fault> {
    let (appointment, with_plan) = match Subject::of(message).ok_or_else(Fault::not_found)? {
        Subject::Offer(offer) => {
            let (contact, expires_at_us) = template_context::offer_contact(inner, ctx, offer).await?;
            return Ok((contact, Some(expires_at_us)));
        }
        Subject::Appointment(appointment) => (appointment, false),
        Subject::Plan { last_appointment, .. } => (last_appointment, true),
    };
    let key = ContactKey { organization: message.organization_id, appointment, with_plan };
    Ok((inner.lookups.contact.call(key).await?.ok_or_else(Fault::not_found)?, None))
}

/// Whether booking's answer on which a message stands is young, or booking gives the same answer again. Between answer and send
/// lie queues and transactions, and a text that was right before them may be wrong after them.
pub(super) async fn still_stands(inner: &Inner, message: &MessageRow, ready: &ReadyMessage) -> Result<bool, Fault> {
    let Some(answer) = &ready.answer else { return Ok(true) };
    if inner.clock.elapsed_us() - answer.asked_us < ANSWER_AGES_US {
        return Ok(true);
    }
    let ctx = Context::new(OrganizationId::new(message.organization_id), "reminder", LOOKUP_TIMEOUT);
    match present(inner, &ctx, message).await {
        Ok((contact, _)) => Ok(is_same(&contact, &answer.contact)),
        Err(fault) if fault.code == Code::NotFound => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Whether two answers make the same text for the same recipient.
fn is_same(one: &GetContactResponse, other: &GetContactResponse) -> bool {
    let version = |contact: &GetContactResponse| contact.appointment.as_ref().map(|appointment| appointment.version);
    version(one) == version(other) && one.patient == other.patient && one.plan == other.plan
}

/// What to do with a message whose patient has reached the daily limit; `None` below it, and when the message cannot wait.
async fn over_daily_limit(
    inner: &Inner,
    message: &MessageRow,
    trigger: Trigger,
    to: &str,
    zone: &TimeZone,
    until_us: i64,
) -> Result<Option<Decision>, Fault> {
    if !trigger.can_wait() {
        return Ok(None);
    }
    let today = inner.clock.now().to_zoned(zone.clone()).date();
    let midnight = today.to_zoned(zone.clone()).map_err(Fault::internal)?.timestamp().as_microsecond();
    let sent = inner.store.count_sent_since(message, to, midnight).await.map_err(db_error::fault)?;
    if sent < i64::from(inner.config.daily_max) {
        return Ok(None);
    }
    let tomorrow = today.tomorrow().map_err(Fault::internal)?.at(NEXT_DAY_HOUR, 0, 0, 0);
    let later_us = tomorrow.to_zoned(zone.clone()).map_err(Fault::internal)?.timestamp().as_microsecond();
    Ok(Some(if later_us < until_us { Decision::Postpone(later_us) } else { Decision::Suppress("daily_limit") }))
}

/// The starts of the appointments that were booked together with this one for a plan.
async fn series(inner: &Inner, message: &MessageRow, now_us: i64) -> Result<Vec<Zoned>, Fault> {
    let Some(appointment) = message.appointment_id else { return Ok(vec![]) };
    let found = inner.store.series(message.organization_id, appointment, now_us, SERIES_MAX).await;
    let found = found.map_err(db_error::fault)?;
    Ok(found.into_iter().filter_map(|(at_us, zone)| template_context::local_time(at_us, &zone)).collect())
}

/// A reply to a patient's message; its text was rendered when that came, without the token of its link.
pub(super) async fn reply(inner: &Inner, message: &MessageRow) -> Result<Decision, Fault> {
    if inner.clock.now_us() >= message.due_at_us + REPLY_LATE_US {
        return Ok(Decision::Suppress("too_late"));
    }
    if inner.lookups.blocked.call(address(message, &message.recipient)).await? {
        return Ok(Decision::Suppress("opted_out"));
    }
    let ctx = Context::new(OrganizationId::new(message.organization_id), "reminder", LOOKUP_TIMEOUT);
    if !countries::allow(inner, &ctx, &message.recipient, None).await? {
        return Ok(limited("country_not_allowed"));
    }
    let mut link_token = String::new();
    if message.body.contains(TOKEN) {
        link_token = match present(inner, &ctx, message).await {
            Ok((contact, _)) => contact.appointment.unwrap_or_default().manage_token,
            Err(fault) if fault.code == Code::NotFound => return Ok(Decision::Suppress("gone")),
            Err(fault) => return Err(fault),
        };
    }
    let rendered = Rendered { subject: String::new(), text: message.body.replace(TOKEN, &link_token) };
    let to = message.recipient.clone();
    let verified_version = i64::MAX;
    let (answer, announcement) = (None, None);
    Ok(Decision::Send(Box::new(ReadyMessage { to, rendered, link_token, verified_version, answer, announcement })))
}

/// The text, in the patient's language when there is one in it, with times of the location's clock.
fn text(
    inner: &Inner,
    rule: &Rule,
    channel: Channel,
    details: &PatientDetails,
    visit: &DescribeVisitResponse,
    words: &TemplateContext,
) -> Result<Rendered, Decision> {
    let spoken = [details.language.as_str(), visit.default_language.as_str(), "en"];
    let spoken = spoken.into_iter().find(|tag| !tag.is_empty()).unwrap_or("en");
    if rule.body.language.as_deref().is_some_and(|wanted| !speaks(spoken, wanted)) {
        return Err(Decision::Suppress("other_language"));
    }
    let name = if words.count > 1 { "series" } else { rule.body.text_name() };
    let of_rule = rule.body.language.as_deref().unwrap_or_default();
    let languages = LanguagePreferences { rule: of_rule, ..template_context::language_preferences(details, visit) };
    inner.templates.render(&rule.body.template, name, channel, &languages, words).map_err(|error| {
        let rule = domain::id::RuleId::new(rule.id);
        tracing::warn!(%rule, %error, "a rule's template renders no text");
        Decision::Fail("template_failed")
    })
}

/// Whether a rule for the language `wanted` covers a patient who speaks `spoken`: `fr` covers `fr-CA`.
fn speaks(spoken: &str, wanted: &str) -> bool {
    spoken.eq_ignore_ascii_case(wanted)
        || (!wanted.contains('-') && templates::primary_subtag(spoken) == wanted.to_ascii_lowercase())
}
