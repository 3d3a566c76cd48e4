//! What a leased message would say now, and whether it may.

use domain::{
    id::{OrganizationId, PractitionerId, ServiceId},
    patient::Channel,
};
use jiff::{Zoned, civil::Date, tz::TimeZone};
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::{
    availability::DescribeVisitResponse,
    booking::{Appointment, GetContactResponse, PatientDetails},
};

use super::{
    lookups::{ASK_WITHIN, Contact},
    verify::{Verdict, judge},
};
use crate::{
    Inner,
    appointment::Visit,
    rules::{Rule, Trigger, quiet_hours},
    store::{Address, rows::MessageRow},
    template_context,
    templates::{self, LanguagePreferences, Rendered, TemplateContext},
    unsubscribe, write,
};

/// Whoever wrote an hour ago has called by now.
const REPLY_LATE_US: i64 = 3_600_000_000;
/// What a patient has had enough of today goes on the next day at this hour of the location's clock.
const NEXT_DAY_HOUR: i8 = 9;
/// Visits of a series that one message names.
const SERIES_MAX: i64 = 60;

/// What is to be done with a leased message.
pub(super) enum Next {
    Send(Box<Ready>),
    Suppress(&'static str),
    Fail(&'static str),
    /// Looked at again at this instant.
    PutOff(i64),
}

/// A message that may leave.
pub(super) struct Ready {
    pub(super) to: String,
    pub(super) rendered: Rendered,
    pub(super) truth_version: i64,
    /// What it tells the patient; `None` where it tells no time that holds.
    pub(super) tells: Option<Visit>,
    /// The practitioner and the service that it names, where it says that something has changed.
    pub(super) names: Option<(Uuid, Uuid)>,
}

/// Asks for the present truth and makes the text.
pub(super) async fn prepare(
    inner: &Inner,
    message: &MessageRow,
    trigger: Trigger,
    channel: Channel,
) -> Result<Next, Fault> {
    let ctx = Context::new(OrganizationId::new(message.organization_id), "reminder", ASK_WITHIN);
    let rule = inner.questions.rule.ask((message.organization_id, message.rule_id)).await?;
    let Some(rule) = rule else { return Ok(Next::Suppress("rule_archived")) };
    // One that may have been sent is sent once more only where its rule, as it is now, prefers a double to a miss.
    if message.is_unknown() && !rule.body.repeat_unknown {
        return Ok(Next::Suppress("no_answer"));
    }
    let (contact, expires_at_us) = match present(inner, &ctx, message, trigger).await {
        Ok(found) => found,
        Err(fault) if fault.code == Code::NotFound => return Ok(Next::Suppress("gone")),
        Err(fault) => return Err(fault),
    };
    let now_us = inner.clock.now_us();
    let until_us = expires_at_us.unwrap_or(trigger.valid_until_us(message.due_at_us, message.starts_at_us));
    let to = match judge(trigger, channel, message.visit(), &contact, now_us >= until_us, rule.body.consent) {
        Verdict::Send(to) => to.to_owned(),
        Verdict::Suppress(reason) => return Ok(Next::Suppress(reason)),
    };
    let GetContactResponse { appointment: Some(appointment), patient: Some(patient), plan } = contact else {
        return Ok(Next::Suppress("gone"));
    };
    if message.is_unknown() && !is_wanted(&rule, message, trigger, channel, &appointment) {
        return Ok(Next::Suppress("rule_changed"));
    }
    let zone = domain::time::zone(&appointment.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
    // Planned outside the quiet hours, it may still have waited into them.
    let stretch = rule.body.quiet_hours.and_then(|hours| quiet_hours::stretch(hours, now_us, &zone));
    if let Some((_, ends_at_us)) = stretch
        && ends_at_us < until_us
    {
        return Ok(Next::PutOff(ends_at_us));
    }
    if inner.questions.blocked.ask(Address::of(message.organization_id, &message.channel, &to)).await? {
        return Ok(Next::Suppress("opted_out"));
    }
    if unsubscribe::is_unsubscribed(inner, message, trigger, rule.body.consent).await? {
        return Ok(Next::Suppress("unsubscribed"));
    }
    if let Some(later) = enough(inner, message, trigger, &to, &zone, until_us).await? {
        return Ok(later);
    }
    let found = inner
        .questions
        .visit
        .ask((message.organization_id, template_context::describe_visit_request(&appointment)))
        .await?;
    let visit = found.ok_or_else(Fault::not_found)?;
    let details = patient.details.unwrap_or_default();
    let about = match plan.and_then(|plan| plan.book_by.parse::<Date>().ok()) {
        Some(last_day) => last_day.to_zoned(zone.clone()).ok(),
        None => template_context::local_time(appointment.starts_at_us, &appointment.time_zone),
    };
    let Some(about) = about else { return Ok(Next::Fail("absurd_date")) };
    let series = match trigger {
        Trigger::Booked => series(inner, message, now_us).await?,
        _ => vec![],
    };
    let tells = trigger.tells_time().then(|| message.visit());
    let names = if trigger == Trigger::Rescheduled { named(&appointment) } else { None };
    let truth_version = appointment.version;
    let mut words = match expires_at_us {
        Some(at_us) => template_context::for_offer(inner, &appointment, &details, visit.clone(), about, at_us),
        None => template_context::for_visit(inner, &appointment, &details, visit.clone(), about),
    };
    words.changed = message.changed();
    if series.len() > 1 {
        (words.count, words.visits) = (series.len(), series);
    }
    Ok(match text(inner, &rule, channel, &details, &visit, &words) {
        Ok(rendered) => Next::Send(Box::new(Ready { to, rendered, truth_version, tells, names })),
        Err(next) => next,
    })
}

/// Whom and what a text about an appointment names.
fn named(appointment: &Appointment) -> Option<(Uuid, Uuid)> {
    let practitioner = appointment.practitioner_id.parse::<PractitionerId>().ok()?;
    Some((practitioner.uuid(), appointment.service_id.parse::<ServiceId>().ok()?.uuid()))
}

/// Whether its rule would plan a message still.
fn is_wanted(rule: &Rule, message: &MessageRow, trigger: Trigger, channel: Channel, visit: &Appointment) -> bool {
    let service = visit.service_id.parse::<ServiceId>();
    service.is_ok_and(|service| rule.wants(trigger, channel, message.instead_of.is_some(), service.uuid()))
}

/// How things stand now: of an offer, also when it ends.
async fn present(
    inner: &Inner,
    ctx: &Context,
    message: &MessageRow,
    trigger: Trigger,
) -> Result<(GetContactResponse, Option<i64>), Fault> {
    if trigger == Trigger::WaitlistOffer {
        let (contact, expires_at_us) = template_context::offer_contact(inner, ctx, message.appointment_id).await?;
        return Ok((contact, Some(expires_at_us)));
    }
    let ask = Contact {
        organization: message.organization_id,
        appointment: message.appointment_id,
        with_plan: trigger == Trigger::PlanSessionUnbooked,
    };
    Ok((inner.questions.contact.ask(ask).await?.ok_or_else(Fault::not_found)?, None))
}

/// Where a patient has had enough messages today: when this one goes, if it can wait at all.
async fn enough(
    inner: &Inner,
    message: &MessageRow,
    trigger: Trigger,
    to: &str,
    zone: &TimeZone,
    until_us: i64,
) -> Result<Option<Next>, Fault> {
    if !trigger.can_wait() {
        return Ok(None);
    }
    let today = inner.clock.now().to_zoned(zone.clone()).date();
    let midnight = today.to_zoned(zone.clone()).map_err(Fault::internal)?.timestamp().as_microsecond();
    let sent = inner.store.sent_since(message, to, midnight).await.map_err(write::failure)?;
    if sent < i64::from(inner.config.daily_max) {
        return Ok(None);
    }
    let tomorrow = today.tomorrow().map_err(Fault::internal)?.at(NEXT_DAY_HOUR, 0, 0, 0);
    let later_us = tomorrow.to_zoned(zone.clone()).map_err(Fault::internal)?.timestamp().as_microsecond();
    Ok(Some(if later_us < until_us { Next::PutOff(later_us) } else { Next::Suppress("daily_limit") }))
}

/// When each visit is that was booked together with this one for a plan.
async fn series(inner: &Inner, message: &MessageRow, now_us: i64) -> Result<Vec<Zoned>, Fault> {
    let found = inner.store.series(message.organization_id, message.appointment_id, now_us, SERIES_MAX).await;
    let found = found.map_err(write::failure)?;
    Ok(found.into_iter().filter_map(|(at_us, zone)| template_context::local_time(at_us, &zone)).collect())
}

/// What is said in return to a patient's own message: its text was made when that came.
pub(super) async fn reply(inner: &Inner, message: &MessageRow) -> Result<Next, Fault> {
    if inner.clock.now_us() >= message.due_at_us + REPLY_LATE_US {
        return Ok(Next::Suppress("too_late"));
    }
    if inner.questions.blocked.ask(Address::of(message.organization_id, &message.channel, &message.recipient)).await? {
        return Ok(Next::Suppress("opted_out"));
    }
    let rendered = Rendered { subject: String::new(), text: message.body.clone() };
    let to = message.recipient.clone();
    Ok(Next::Send(Box::new(Ready { to, rendered, truth_version: i64::MAX, tells: None, names: None })))
}

/// The text in one language, the patient's where there is one for them, and the location's time.
fn text(
    inner: &Inner,
    rule: &Rule,
    channel: Channel,
    details: &PatientDetails,
    visit: &DescribeVisitResponse,
    words: &TemplateContext,
) -> Result<Rendered, Next> {
    let spoken = [details.language.as_str(), visit.default_language.as_str(), "en"];
    let spoken = spoken.into_iter().find(|tag| !tag.is_empty()).unwrap_or("en");
    if rule.body.language.as_deref().is_some_and(|wanted| !speaks(spoken, wanted)) {
        return Err(Next::Suppress("other_language"));
    }
    let name = if words.count > 1 { "series" } else { rule.body.text_name() };
    let of_rule = rule.body.language.as_deref().unwrap_or_default();
    let languages = LanguagePreferences { rule: of_rule, ..template_context::language_preferences(details, visit) };
    inner.templates.render(&rule.body.template, name, channel, &languages, words).map_err(|error| {
        tracing::warn!(rule = %rule.id, %error, "a rule's template gives no text");
        Next::Fail("template_failed")
    })
}

/// Whether a patient who speaks `spoken` is among those whom a rule for `wanted` is for: `fr` covers `fr-CA`.
fn speaks(spoken: &str, wanted: &str) -> bool {
    spoken.eq_ignore_ascii_case(wanted)
        || (!wanted.contains('-') && templates::primary_subtag(spoken) == wanted.to_ascii_lowercase())
}
