//! Rules as protobuf messages: read with all faults, and written.

use domain::{
    fault::Faults,
    id::RuleId,
    patient::{Channel, ConsentKind},
    time::WallTime,
};
use wire::reminder;

use super::{Body, Question, QuietHours, Rule, Trigger};
use crate::templates::{Language, LanguagePreferences, Template, Templates};

const OFFSET_MAX: u32 = 90 * 24 * 60;
const SERVICES_MAX: usize = 200;

/// A rule as a protobuf message.
pub(crate) fn to_wire(rule: &Rule) -> reminder::Rule {
    let body = &rule.body;
    reminder::Rule {
        id: RuleId::new(rule.id).to_string(),
        version: rule.version,
        body: Some(reminder::RuleBody {
            trigger: body.trigger.as_str().to_owned(),
            offset_minutes: body.offset_minutes,
            channels: body.channels.iter().map(|channel| channel.as_str().to_owned()).collect(),
            fallback_channels: body.fallback_channels.iter().map(|channel| channel.as_str().to_owned()).collect(),
            service_ids: body.service_ids.iter().map(ToString::to_string).collect(),
            template: Some(reminder::Template {
                sms: body.template.sms.clone(),
                email_subject: body.template.email_subject.clone(),
                email_text: body.template.email_text.clone(),
            }),
            language: body.language.clone().unwrap_or_default(),
            quiet_hours: Some(body.quiet_hours.map_or_else(Default::default, |quiet| reminder::QuietHours {
                from: quiet.from.to_string(),
                to: quiet.to.to_string(),
            })),
            asks: if body.asks.is_some() { "score".to_owned() } else { String::new() },
            consent: body.consent.as_str().to_owned(),
            repeat_unknown: body.repeat_unknown,
        }),
        created_at_us: rule.created_at_us,
        updated_at_us: rule.updated_at_us,
        archived_at_us: rule.archived_at_us.unwrap_or(0),
    }
}

/// Reads a rule.
///
/// # Errors
/// All faults found.
pub(crate) fn from_wire(texts: &Templates, body: reminder::RuleBody) -> Result<Body, Faults> {
    let mut faults = Faults::new();
    let trigger = trigger(&mut faults, &body.trigger);
    let least = u32::from(trigger == Some(Trigger::BeforeStart));
    faults.check(
        (least..=OFFSET_MAX).contains(&body.offset_minutes),
        "/offset_minutes",
        "out_of_range",
        format!("must lie between {least} and {OFFSET_MAX}"),
    );
    faults.check(!body.channels.is_empty(), "/channels", "empty", "give sms, email or both");
    let channels = channels(&mut faults, "/channels", &body.channels);
    let fallback_channels = fallback_channels(&mut faults, &body.fallback_channels, &channels);
    faults.check(
        body.service_ids.len() <= SERVICES_MAX,
        "/service_ids",
        "too_many",
        format!("at most {SERVICES_MAX} entries"),
    );
    let service_ids = body.service_ids.iter().enumerate();
    let service_ids =
        service_ids.filter_map(|(at, id)| wire::convert::id(&mut faults, &format!("/service_ids/{at}"), id)).collect();
    let language = language(&mut faults, &body.language);
    let template = template(body.template.unwrap_or_default());
    let of_rule = language.as_deref().unwrap_or_default();
    texts.check(&mut faults, &template, &LanguagePreferences { patient: of_rule, ..LanguagePreferences::default() });
    check_both_parts(&mut faults, &template, of_rule);
    let quiet_hours = quiet_hours(&mut faults, &body.quiet_hours.unwrap_or_default());
    let asks = asks(&mut faults, &body.asks, trigger, &channels, &fallback_channels);
    let consent = match body.consent.as_str() {
        "" | "service" => ConsentKind::Service,
        "marketing" => ConsentKind::Marketing,
        _ => {
            faults.push("/consent", "invalid_value", "expected service or marketing");
            ConsentKind::Service
        }
    };
    faults.result()?;
    // Without a fault there is a trigger.
    let trigger = trigger.unwrap_or(Trigger::Booked);
    let offset_minutes = body.offset_minutes;
    Ok(Body {
        trigger,
        offset_minutes,
        channels,
        fallback_channels,
        service_ids,
        template,
        language,
        quiet_hours,
        asks,
        consent,
        repeat_unknown: body.repeat_unknown,
    })
}

/// Reads the question of a rule: only a text message after an appointment can be answered.
fn asks(
    faults: &mut Faults,
    text: &str,
    trigger: Option<Trigger>,
    channels: &[Channel],
    fallback_channels: &[Channel],
) -> Option<Question> {
    match text {
        "" => return None,
        "score" => {}
        _ => {
            faults.push("/asks", "invalid_value", "expected score");
            return None;
        }
    }
    let after = trigger.is_none_or(|trigger| trigger == Trigger::AfterCompleted);
    faults.check(after, "/asks", "unexpected", "only a rule with the trigger after_completed asks for a score");
    for (pointer, channels) in [("/channels", channels), ("/fallback_channels", fallback_channels)] {
        let sms = channels.iter().all(|channel| *channel == Channel::Sms);
        let detail = "what asks for a score is sent by sms alone: only there it is answered";
        faults.check(sms, pointer, "unexpected", detail);
    }
    Some(Question::Score)
}

/// In a language without shipped texts an e-mail needs both of its parts, or it would be in two languages.
fn check_both_parts(faults: &mut Faults, template: &Template, language: &str) {
    let parts = [("/template/email_subject", &template.email_subject), ("/template/email_text", &template.email_text)];
    if language.is_empty() || Language::of(language).is_some() || parts.iter().all(|(_, part)| part.is_empty()) {
        return;
    }
    for (pointer, part) in parts {
        let detail = "no text is shipped in this language: give the subject and the text, or neither";
        faults.check(!part.is_empty(), pointer, "missing", detail);
    }
}

/// Reads a trigger.
pub(crate) fn trigger(faults: &mut Faults, text: &str) -> Option<Trigger> {
    match text.parse() {
        Ok(trigger) => return Some(trigger),
        Err(expected) => faults.push("/trigger", "invalid_value", expected),
    }
    None
}

/// Reads the texts of a template, checked elsewhere.
pub(crate) fn template(wire: reminder::Template) -> Template {
    Template { sms: wire.sms, email_subject: wire.email_subject, email_text: wire.email_text }
}

/// Reads a language tag that may be left out.
pub(crate) fn language(faults: &mut Faults, text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let primary = text.bytes().take_while(u8::is_ascii_lowercase).count();
    let ok = text.len() <= 35
        && (2..=3).contains(&primary)
        && text.as_bytes().get(primary).is_none_or(|next| *next == b'-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    faults.check(ok, "/language", "invalid_language", "give a BCP 47 language tag such as en or fr-CA");
    Some(text.to_owned())
}

fn channels(faults: &mut Faults, pointer: &str, words: &[String]) -> Vec<Channel> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        match word.parse::<Channel>() {
            Err(_) => faults.push(format!("{pointer}/{at}"), "invalid_value", "expected sms or email"),
            Ok(channel) if found.contains(&channel) => {
                faults.push(format!("{pointer}/{at}"), "duplicate", "name each channel once");
            }
            Ok(channel) => found.push(channel),
        }
    }
    found
}

/// Reads the channel of fallbacks.
fn fallback_channels(faults: &mut Faults, words: &[String], channels: &[Channel]) -> Vec<Channel> {
    let found = self::channels(faults, "/fallback_channels", words);
    faults.check(words.len() <= 1, "/fallback_channels", "too_many", "at most one entry");
    let new = found.iter().all(|channel| !channels.contains(channel));
    let detail = "`channels` names it already: a message goes there in any case; name the other, or none";
    faults.check(new, "/fallback_channels/0", "duplicate", detail);
    found
}

fn quiet_hours(faults: &mut Faults, wire: &reminder::QuietHours) -> Option<QuietHours> {
    if wire.from.is_empty() && wire.to.is_empty() {
        return None;
    }
    let mut time = |key: &str, text: &str| match text.parse::<WallTime>() {
        Ok(time) => Some(time),
        Err(expected) => {
            faults.push(format!("/quiet_hours/{key}"), "invalid_value", expected);
            None
        }
    };
    let (from, to) = (time("from", &wire.from), time("to", &wire.to));
    let quiet = QuietHours { from: from?, to: to? };
    // 24:00 and 00:00 are one instant of the clock.
    let differ = quiet.from.minutes() % 1440 != quiet.to.minutes() % 1440;
    faults.check(differ, "/quiet_hours/to", "empty", "must differ from `from`: a whole day of quiet sends nothing");
    Some(quiet)
}
