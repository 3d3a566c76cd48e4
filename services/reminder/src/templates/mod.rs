//! Texts: the shipped ones in English, French, Spanish and German, a clinic's own, and how both become what a patient
//! reads.
//!
//! Pure: words go in, a text comes out. The shipped texts name the clinic, the day, the time, the clinic's telephone
//! and the patient's own link; never a condition, never a treatment.

pub(crate) mod gsm7;
mod language;
mod locale;
mod shipped;
mod validation;

use std::fmt;

use domain::{fault::Faults, patient::Channel};
use jiff::{Zoned, civil::Date};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, context, filters};

use self::locale::Locale;
pub(crate) use self::{
    language::{Lang, primary},
    locale::Languages,
};
use crate::{
    appointment::Changed,
    rules::{Template, Trigger},
};

/// The words that a template may use.
pub(crate) const WORDS: [&str; 18] = [
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
    // Whether the patient can answer by text message.
    "replies",
    // How many visits it is about, and which.
    "count",
    "visits",
    // Of a visit that was moved: what is other than the patient knew.
    "time_changed",
    "location_changed",
    "practitioner_changed",
    "service_changed",
    // Until when a time is kept that is offered: its hour, with its day where that is not plain.
    "until",
];
const SMS_MAX: usize = 1000;
const SUBJECT_MAX: usize = 200;
const EMAIL_MAX: usize = 10_000;
/// What carriers take as one message.
const SMS_RENDERED_MAX: usize = 1600;
const EMAIL_RENDERED_MAX: usize = 100_000;

/// What a text speaks of. Its `Debug` shows nothing: personal data stays out of logs.
#[derive(Clone)]
pub(crate) struct Words {
    pub(crate) patient_given_name: String,
    pub(crate) clinic: String,
    pub(crate) organization: String,
    pub(crate) service: String,
    pub(crate) practitioner: String,
    pub(crate) phone: String,
    pub(crate) address: String,
    pub(crate) manage_url: String,
    /// Whether the patient can answer.
    pub(crate) replies: bool,
    /// How many visits it is about.
    pub(crate) count: usize,
    /// When each of several visits is, on its location's clock.
    pub(crate) visits: Vec<Zoned>,
    /// When an offer ends, on the location's clock.
    pub(crate) until: Option<Zoned>,
    /// What is other than the patient knew.
    pub(crate) changed: Changed,
    /// The start, or of an invitation the last day, in the location's zone.
    pub(crate) about: Zoned,
    /// The day on which it is sent, on the location's clock.
    pub(crate) today: Date,
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(…)")
    }
}

/// A message as it is sent; the subject of a text message is empty.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// Why a template gives no text, in words that name the line; never with the words' contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Error(String);

/// The texts.
pub(crate) struct Texts {
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
    fn name(self) -> &'static str {
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

impl Texts {
    /// The shipped texts, compiled.
    ///
    /// # Errors
    /// When a shipped text does not compile, which a test excludes.
    pub(crate) fn new() -> Result<Self, Error> {
        // Empty: what a template may use is in `validation`.
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_filter("upper", filters::upper);
        environment.add_filter("lower", filters::lower);
        environment.add_filter("title", filters::title);
        environment.add_filter("capitalize", filters::capitalize);
        environment.add_filter("trim", filters::trim);
        for (name, source) in shipped::TEXTS {
            environment.add_template(name, source).map_err(|error| Error(error.to_string()))?;
        }
        Ok(Self { environment })
    }

    /// The message for a patient; `name` is that of the shipped text, for what the template leaves out. All of it is in
    /// one language.
    ///
    /// # Errors
    /// When the template fails on these words.
    pub(crate) fn render(
        &self,
        template: &Template,
        name: &str,
        channel: Channel,
        languages: &Languages<'_>,
        words: &Words,
    ) -> Result<Rendered, Error> {
        let zone = words.about.time_zone().iana_name().unwrap_or_default();
        let languages = Languages { time_zone: zone, ..*languages };
        let (locale, own) = languages.of(template, channel);
        let part = |part: Part| self.part(if own { part.of(template) } else { "" }, name, part, locale, words);
        match channel {
            Channel::Sms => Ok(Rendered { subject: String::new(), text: part(Part::Sms)? }),
            // A line break in a subject would begin another header.
            Channel::Email => Ok(Rendered {
                subject: part(Part::Subject)?.split_whitespace().collect::<Vec<_>>().join(" "),
                text: part(Part::Email)?,
            }),
        }
    }

    fn part(&self, own: &str, name: &str, part: Part, locale: Locale, words: &Words) -> Result<String, Error> {
        let values = values(words, part, locale);
        let text = if own.is_empty() {
            let name = format!("{}/{name}.{}", locale.shipped().as_str(), part.name());
            let text = self.environment.get_template(&name).and_then(|shipped| shipped.render(values));
            // A short month ends with a mark, and a sentence after it has its own.
            text.map(|text| text.replace("..", "."))
        } else {
            self.environment.render_str(own, values)
        };
        let text = text.map_err(|error| described(&error))?;
        let text = if part == Part::Sms { gsm7::plain(text.trim()) } else { text };
        let most = if part == Part::Sms { SMS_RENDERED_MAX } else { EMAIL_RENDERED_MAX };
        if text.chars().count() > most {
            return Err(Error(format!("the text is longer than {most} characters")));
        }
        if text.trim().is_empty() {
            return Err(Error("the text is empty".to_owned()));
        }
        Ok(text)
    }

    /// Notes what is wrong with a clinic's own texts: unknown words, what is not allowed, and what does not render.
    pub(crate) fn check(&self, faults: &mut Faults, template: &Template, languages: &Languages<'_>) {
        let words = example(languages.shipped());
        let parts = [
            (Part::Sms, "/template/sms", SMS_MAX),
            (Part::Subject, "/template/email_subject", SUBJECT_MAX),
            (Part::Email, "/template/email_text", EMAIL_MAX),
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
            let refused = validation::check(own);
            for one in &refused {
                faults.push(pointer, one.code, format!("line {}: {}", one.line, one.detail));
            }
            // What it may use, it must also use rightly.
            if refused.is_empty()
                && let Err(error) = self.part(own, Trigger::Booked.as_str(), part, languages.example(), &words)
            {
                faults.push(pointer, "invalid_template", error.0);
            }
        }
    }
}

/// The words as a template sees them: dates are short in text messages.
fn values(words: &Words, part: Part, locale: Locale) -> minijinja::Value {
    let length = if part == Part::Sms { language::Length::Short } else { language::Length::Long };
    context! {
        patient_given_name => words.patient_given_name.as_str(),
        clinic => words.clinic.as_str(),
        organization => words.organization.as_str(),
        service => words.service.as_str(),
        practitioner => words.practitioner.as_str(),
        date => locale.date(words.about.date(), length, words.today),
        time => locale.time(&words.about),
        phone => words.phone.as_str(),
        address => words.address.as_str(),
        manage_url => words.manage_url.as_str(),
        replies => words.replies,
        count => words.count,
        visits => visits(words, part, locale),
        day => words.about.day(),
        // Where nothing is said to have changed, the time is what a text is about.
        time_changed => words.changed.time || words.changed == Changed::default(),
        location_changed => words.changed.location,
        practitioner_changed => words.changed.practitioner,
        service_changed => words.changed.service,
        until => until(words, length, locale),
    }
}

/// Several visits: one after another in a text message, a line each in an e-mail.
fn visits(words: &Words, part: Part, locale: Locale) -> String {
    let (length, between) = match part {
        Part::Email => (language::Length::Long, "\n"),
        _ => (language::Length::Short, "; "),
    };
    let one = |at: &Zoned| format!("{} {}", locale.date(at.date(), length, words.today), locale.time(at));
    words.visits.iter().map(one).collect::<Vec<_>>().join(between)
}

/// When an offer ends; empty for what is none.
fn until(words: &Words, length: language::Length, locale: Locale) -> String {
    let until = words.until.as_ref().map(|at| locale.until(at, words.about.date(), length, words.today));
    until.unwrap_or_default()
}

/// A template's fault in a line of words. The engine's own detail is kept only where it speaks of the template and not
/// of what was filled in.
fn described(error: &minijinja::Error) -> Error {
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

/// Example words, for previews and checks: nobody's.
pub(crate) fn example(lang: Lang) -> Words {
    let (name, clinic, service) = match lang {
        Lang::En => ("Alex", "Example Physiotherapy", "Initial evaluation"),
        Lang::Fr => ("Camille", "Exemple Physio", "Évaluation initiale"),
        Lang::Es => ("Álex", "Fisioterapia Ejemplo", "Evaluación inicial"),
        Lang::De => ("Alex", "Beispiel-Physio", "Erstuntersuchung"),
    };
    let about = jiff::civil::date(2026, 3, 9).at(14, 30, 0, 0);
    let today = about.date();
    Words {
        patient_given_name: name.into(),
        clinic: clinic.into(),
        organization: clinic.into(),
        service: service.into(),
        practitioner: "Sam Example".into(),
        phone: "+17805550100".into(),
        address: "1 Example Street".into(),
        manage_url: "https://book.example.org/v1/manage/AAAAAAAAAAAAAAAAAAAAAA".into(),
        replies: false,
        count: 1,
        visits: vec![],
        changed: Changed { time: true, ..Changed::default() },
        until: jiff::civil::date(2026, 3, 9).at(9, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok(),
        about: about.to_zoned(jiff::tz::TimeZone::UTC).unwrap_or_default(),
        today,
    }
}

#[cfg(test)]
mod tests;
