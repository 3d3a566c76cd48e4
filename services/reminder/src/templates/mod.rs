//! Templates of messages: the shipped ones in English, French, Spanish and German, and a clinic's own.
//!
//! Pure: a [`TemplateContext`] goes in, a text comes out. The shipped templates name the clinic, the day, the time, the
//! clinic's phone number and the patient's link; never a condition, never a treatment.

pub(crate) mod gsm7;
mod locale;
mod shipped;
mod validation;

use std::fmt;

use ::locale::{DateLength, Locale};
pub(crate) use ::locale::{Language, primary_subtag};
use domain::{fault::Faults, patient::Channel};
use jiff::{Zoned, civil::Date};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, filters};
use serde::{Deserialize, Serialize};

pub(crate) use self::locale::LanguagePreferences;
use crate::appointment::Changed;

/// A clinic's own texts; an empty one stands for the shipped text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Template {
    pub(crate) sms: String,
    pub(crate) email_subject: String,
    pub(crate) email_text: String,
}

/// The variables of a template; the API calls them words.
pub(crate) const VARIABLES: [&str; 18] = [
    "patient_given_name",
    "clinic",
    "organization",
    "service",
    "practitioner",
    "date",
    "time",
    "phone",
    "address",
    "manage_url",
    // Whether the patient can reply by text message.
    "replies",
    // The number of visits that the message is about, and their list.
    "count",
    "visits",
    // What of a rescheduled visit differs from what the patient knew.
    "time_changed",
    "location_changed",
    "practitioner_changed",
    "service_changed",
    // When an offer expires: the time, with its day where that is another one.
    "until",
];
const SMS_CHARS_MAX: usize = 1000;
const SUBJECT_CHARS_MAX: usize = 200;
const EMAIL_CHARS_MAX: usize = 10_000;
/// The longest message that carriers accept.
const RENDERED_SMS_CHARS_MAX: usize = 1600;
const RENDERED_EMAIL_CHARS_MAX: usize = 100_000;

/// The values for a template. Its `Debug` shows none, so that no log holds personal data.
#[derive(Clone)]
pub(crate) struct TemplateContext {
    pub(crate) patient_given_name: String,
    pub(crate) clinic: String,
    pub(crate) organization: String,
    pub(crate) service: String,
    pub(crate) practitioner: String,
    pub(crate) phone: String,
    pub(crate) address: String,
    pub(crate) manage_url: String,
    /// Whether the patient can reply by text message.
    pub(crate) accepts_replies: bool,
    /// How many visits the message is about.
    pub(crate) count: usize,
    /// The starts of several visits, on their locations' clocks.
    pub(crate) visits: Vec<Zoned>,
    /// When an offer expires, on the location's clock.
    pub(crate) expires_at: Option<Zoned>,
    /// What of a rescheduled visit differs from what the patient knew.
    pub(crate) changed: Changed,
    /// The start, or the last day for booking a session, in the location's zone.
    pub(crate) date: Zoned,
    /// The day of sending, on the location's clock.
    pub(crate) today: Date,
}

impl fmt::Debug for TemplateContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TemplateContext(…)")
    }
}

/// A rendered message; the subject of a text message is empty.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// Why a template does not render: the line and the fault, never a value of the context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Error(String);

/// The compiled templates.
pub(crate) struct Templates {
    environment: Environment<'static>,
}

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Sms,
    Subject,
    Email,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Subject => "subject",
            Self::Email => "email",
        }
    }

    fn of(self, template: &Template) -> &str {
        match self {
            Self::Sms => &template.sms,
            Self::Subject => &template.email_subject,
            Self::Email => &template.email_text,
        }
    }
}

impl Templates {
    /// Compiles the shipped templates.
    ///
    /// # Errors
    /// When a shipped template does not compile, which a test excludes.
    pub(crate) fn new() -> Result<Self, Error> {
        // Empty: `validation.rs` lists what a template may use.
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_filter("upper", filters::upper);
        environment.add_filter("lower", filters::lower);
        environment.add_filter("title", filters::title);
        environment.add_filter("capitalize", filters::capitalize);
        environment.add_filter("trim", filters::trim);
        for (name, source) in shipped::TEMPLATES {
            environment.add_template(name, source).map_err(|error| Error(error.to_string()))?;
        }
        Ok(Self { environment })
    }

    /// Renders a message in one language; `name` names the shipped template for the parts that `template` leaves empty.
    ///
    /// # Errors
    /// When the template fails on this context.
    pub(crate) fn render(
        &self,
        template: &Template,
        name: &str,
        channel: Channel,
        languages: &LanguagePreferences<'_>,
        context: &TemplateContext,
    ) -> Result<Rendered, Error> {
        let zone = context.date.time_zone().iana_name().unwrap_or_default();
        let languages = LanguagePreferences { time_zone: zone, ..*languages };
        let (locale, uses_own) = languages.locale_for(template, channel);
        let render = |part: Part| {
            let own = if uses_own { part.of(template) } else { "" };
            self.render_part(own, name, part, locale, context)
        };
        match channel {
            Channel::Sms => Ok(Rendered { subject: String::new(), text: render(Part::Sms)? }),
            // A line break in a subject would begin a new header.
            Channel::Email => Ok(Rendered {
                subject: render(Part::Subject)?.split_whitespace().collect::<Vec<_>>().join(" "),
                text: render(Part::Email)?,
            }),
        }
    }

    /// Renders the message with a code that proves its recipient's number or address.
    ///
    /// # Errors
    /// When the shipped template fails, which a test excludes.
    pub(crate) fn render_code(
        &self,
        language: Language,
        channel: Channel,
        organization: &str,
        code: &str,
    ) -> Result<Rendered, Error> {
        let render = |part: Part| {
            let name = format!("{}/verification.{}", language.as_str(), part.name());
            let text = self.environment.get_template(&name);
            let text = text.and_then(|shipped| shipped.render(minijinja::context! { organization, code }));
            text.map_err(|error| describe_error(&error))
        };
        match channel {
            Channel::Sms => {
                Ok(Rendered { subject: String::new(), text: gsm7::replace_typography(render(Part::Sms)?.trim()) })
            }
            // A line break in a subject would begin a new header.
            Channel::Email => Ok(Rendered {
                subject: render(Part::Subject)?.split_whitespace().collect::<Vec<_>>().join(" "),
                text: render(Part::Email)?,
            }),
        }
    }

    /// Renders the own template, or the shipped one where that is empty.
    fn render_part(
        &self,
        own: &str,
        name: &str,
        part: Part,
        locale: Locale,
        context: &TemplateContext,
    ) -> Result<String, Error> {
        let values = values(context, part, locale);
        let text = if own.is_empty() {
            let name = format!("{}/{name}.{}", locale.language().as_str(), part.name());
            let text = self.environment.get_template(&name).and_then(|shipped| shipped.render(values));
            // An abbreviated month ends with a full stop, as the sentence after it does.
            text.map(|text| text.replace("..", "."))
        } else {
            self.environment.render_str(own, values)
        };
        let text = text.map_err(|error| describe_error(&error))?;
        let text = if part == Part::Sms { gsm7::replace_typography(text.trim()) } else { text };
        let most = if part == Part::Sms { RENDERED_SMS_CHARS_MAX } else { RENDERED_EMAIL_CHARS_MAX };
        if text.chars().count() > most {
            return Err(Error(format!("the text is longer than {most} characters")));
        }
        if text.trim().is_empty() {
            return Err(Error("the text is empty".to_owned()));
        }
        Ok(text)
    }

    /// Adds the faults of a clinic's own templates: unknown variables, forbidden syntax, and errors of rendering.
    pub(crate) fn check(&self, faults: &mut Faults, template: &Template, languages: &LanguagePreferences<'_>) {
        let context = example_context(languages.shipped());
        let parts = [
            (Part::Sms, "/template/sms", SMS_CHARS_MAX),
            (Part::Subject, "/template/email_subject", SUBJECT_CHARS_MAX),
            (Part::Email, "/template/email_text", EMAIL_CHARS_MAX),
        ];
        for (part, pointer, most) in parts {
            let own = part.of(template);
            if own.is_empty() {
                continue;
            }
            if own.chars().count() > most {
                faults.push(pointer, "too_long", format!("at most {most} characters"));
                continue;
            }
            let violations = validation::check(own);
            for violation in &violations {
                faults.push(pointer, violation.code, format!("line {}: {}", violation.line, violation.detail));
            }
            if violations.is_empty()
                && let Err(error) = self.render_part(own, "booked", part, languages.example(), &context)
            {
                faults.push(pointer, "invalid_template", error.0);
            }
        }
    }
}

/// The values of the variables; dates are short in text messages.
fn values(context: &TemplateContext, part: Part, locale: Locale) -> minijinja::Value {
    let length = if part == Part::Sms { DateLength::Short } else { DateLength::Long };
    minijinja::context! {
        patient_given_name => context.patient_given_name.as_str(),
        clinic => context.clinic.as_str(),
        organization => context.organization.as_str(),
        service => context.service.as_str(),
        practitioner => context.practitioner.as_str(),
        date => locale.date(context.date.date(), length, context.today),
        time => locale.time(&context.date),
        phone => context.phone.as_str(),
        address => context.address.as_str(),
        manage_url => context.manage_url.as_str(),
        replies => context.accepts_replies,
        count => context.count,
        visits => visits(context, part, locale),
        day => context.date.day(),
        // Without a known change, the message is about the time.
        time_changed => context.changed.time || context.changed == Changed::default(),
        location_changed => context.changed.location,
        practitioner_changed => context.changed.practitioner,
        service_changed => context.changed.service,
        until => until(context, length, locale),
    }
}

/// The list of visits: separated by semicolons in a text message, one a line in an e-mail.
fn visits(context: &TemplateContext, part: Part, locale: Locale) -> String {
    let (length, separator) = match part {
        Part::Email => (DateLength::Long, "\n"),
        _ => (DateLength::Short, "; "),
    };
    let format_visit = |at: &Zoned| format!("{} {}", locale.date(at.date(), length, context.today), locale.time(at));
    context.visits.iter().map(format_visit).collect::<Vec<_>>().join(separator)
}

/// When an offer expires; empty for another message.
fn until(context: &TemplateContext, length: DateLength, locale: Locale) -> String {
    let until = context.expires_at.as_ref().map(|at| locale.until(at, context.date.date(), length, context.today));
    until.unwrap_or_default()
}

/// A template's fault in one line. The engine's detail stays only where it describes the template and no value.
fn describe_error(error: &minijinja::Error) -> Error {
    let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    let detail = match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => {
            error.detail().unwrap_or("does not compile").to_owned()
        }
        ErrorKind::UndefinedError => "a word that is not defined".to_owned(),
        kind => kind.to_string(),
    };
    Error(format!("{line}{detail}"))
}

/// An example for previews and checks, with nobody's data.
pub(crate) fn example_context(lang: Language) -> TemplateContext {
    let (name, clinic, service) = match lang {
        Language::En => ("Alex", "Example Physiotherapy", "Initial evaluation"),
        Language::Fr => ("Camille", "Exemple Physio", "Évaluation initiale"),
        Language::Es => ("Álex", "Fisioterapia Ejemplo", "Evaluación inicial"),
        Language::De => ("Alex", "Beispiel-Physio", "Erstuntersuchung"),
    };
    let start = jiff::civil::date(2026, 3, 9).at(14, 30, 0, 0);
    let today = start.date();
    TemplateContext {
        patient_given_name: name.into(),
        clinic: clinic.into(),
        organization: clinic.into(),
        service: service.into(),
        practitioner: "Sam Example".into(),
        phone: "+17805550100".into(),
        address: "1 Example Street".into(),
        manage_url: "https://book.example.org/m/AAAAAAAAAAAAAAAAAAAAAA".into(),
        accepts_replies: false,
        count: 1,
        visits: vec![],
        changed: Changed { time: true, ..Changed::default() },
        expires_at: jiff::civil::date(2026, 3, 9).at(9, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok(),
        date: start.to_zoned(jiff::tz::TimeZone::UTC).unwrap_or_default(),
        today,
    }
}

#[cfg(test)]
mod tests;
