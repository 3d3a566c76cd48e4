//! Patients, as far as scheduling must know them.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{
    fault::{Faults, check_text},
    id::ProposedChangeId,
    phone::{self, Unread},
};

/// How a patient can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// A text message.
    Sms,
    /// An e-mail.
    Email,
}

impl Channel {
    /// The word of the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
        }
    }
}

impl Channel {
    /// Both channels.
    pub const ALL: [Self; 2] = [Self::Sms, Self::Email];
}

impl ConsentKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Service, Self::Marketing];
}

/// What a consent covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ConsentKind {
    /// Messages about the patient's own visits.
    Service,
    /// Offers and news.
    Marketing,
}

impl ConsentKind {
    /// The word of the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Marketing => "marketing",
        }
    }
}

/// A patient's agreement to one kind of message on one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The channel agreed to.
    pub channel: Channel,
    /// The kind of message agreed to.
    pub kind: ConsentKind,
}

/// How a consent was given or withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConsentWay {
    /// With what the patient says of themselves: at a booking, or when the clinic changed it.
    Details,
    /// On a form.
    Form,
    /// On the telephone.
    Phone,
    /// At the desk.
    InPerson,
    /// By a reply to a message: the carriers' stop and start words.
    Reply,
    /// By the link in an e-mail.
    Unsubscribe,
}

impl ConsentWay {
    /// Every way.
    pub const ALL: [Self; 6] = [Self::Details, Self::Form, Self::Phone, Self::InPerson, Self::Reply, Self::Unsubscribe];

    /// The word of the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Details => "details",
            Self::Form => "form",
            Self::Phone => "phone",
            Self::InPerson => "in_person",
            Self::Reply => "reply",
            Self::Unsubscribe => "unsubscribe",
        }
    }
}

/// A consent that was given or withdrawn: which, when, by whom and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentEvent {
    /// The channel.
    pub channel: Channel,
    /// The kind of message.
    pub kind: ConsentKind,
    /// Given; else withdrawn.
    pub given: bool,
    /// When, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// Who recorded it: a key's id, or `patient`.
    pub by: String,
    /// How it came.
    pub how: ConsentWay,
}

/// A field of which a patient may say something else at a booking than their record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProposedField {
    /// The e-mail address.
    Email,
    /// The language for messages.
    Language,
    /// The channel that the patient prefers for reminders.
    ReminderChannel,
}

impl ProposedField {
    /// Every such field.
    pub const ALL: [Self; 3] = [Self::Email, Self::Language, Self::ReminderChannel];

    /// The word of the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Language => "language",
            Self::ReminderChannel => "reminder_channel",
        }
    }
}

/// Something that a patient said at a booking and that differs from their record: for staff to take or leave. Its `Debug`
/// shows nothing of what it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposedChange {
    /// Its id.
    pub id: ProposedChangeId,
    /// The field.
    pub field: ProposedField,
    /// The value that the patient gave.
    pub value: String,
    /// When, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// Whether it came with a booking that staff made; else the patient's own.
    pub by_staff: bool,
}

impl fmt::Debug for ProposedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProposedChange({})", self.id)
    }
}

/// What a patient says of themselves. Its `Debug` shows nothing: personal data stays out of logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// Given name, 1 to 100 characters.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 100))]
    pub given_name: String,
    /// Family name, 1 to 100 characters.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 100))]
    pub family_name: String,
    /// Telephone number: with its country code, such as `+17805550123`, or as it is dialled in the country of the location
    /// (or of the organisation, where there is no location), such as `(780) 555-0123`. It is kept and shown in E.164 form.
    #[cfg_attr(feature = "schema", schema(max_length = 40, example = "(780) 555-0123"))]
    pub phone: String,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(format = Email, max_length = 254, nullable = false))]
    pub email: Option<String>,
    /// Date of birth, from 1850-01-01 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = Date, nullable = false))]
    pub date_of_birth: Option<Date>,
    /// Language for messages: an IETF BCP 47 tag such as `en` or `fr-CA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schema(pattern = "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length = 35, nullable = false)
    )]
    pub language: Option<String>,
    /// The channel that the patient prefers for reminders; without it, every channel of a rule is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub reminder_channel: Option<Channel>,
    /// The messages that the patient agreed to.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(max_items = 4))]
    pub consents: Vec<Consent>,
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("patient::Details(…)")
    }
}

impl Details {
    /// What a field holds, in the words of the public interface.
    pub fn field(&self, field: ProposedField) -> Option<String> {
        match field {
            ProposedField::Email => self.email.clone(),
            ProposedField::Language => self.language.clone(),
            ProposedField::ReminderChannel => self.reminder_channel.map(|channel| channel.as_str().to_owned()),
        }
    }

    /// Puts a value, in the words of the public interface, into a field.
    pub fn set_field(&mut self, field: ProposedField, value: &str) {
        match field {
            ProposedField::Email => self.email = Some(value.to_owned()),
            ProposedField::Language => self.language = Some(value.to_owned()),
            ProposedField::ReminderChannel => {
                self.reminder_channel = Channel::ALL.into_iter().find(|channel| channel.as_str() == value);
            }
        }
    }

    /// Puts the telephone number into E.164 form, or notes why it cannot be read. `country` (ISO 3166-1) is where it is
    /// dialled; without one a number in national form stays as it is, for whoever knows the country.
    pub fn read_phone(&mut self, faults: &mut Faults, at: &str, country: Option<&str>) {
        match phone::read(&self.phone, country) {
            Ok(e164) => self.phone = e164,
            Err(Unread::NoCountry) => {}
            Err(unread) => faults.push(format!("{at}/phone"), "invalid_phone", unread.detail(country)),
        }
    }

    /// Notes what is wrong, with pointers below `at` (such as `/patient`); not of the telephone, which
    /// [`Details::read_phone`] reads.
    pub fn check(&self, faults: &mut Faults, at: &str) {
        check_text(faults, &format!("{at}/given_name"), &self.given_name, 100);
        check_text(faults, &format!("{at}/family_name"), &self.family_name, 100);
        if let Some(email) = &self.email {
            faults.check(
                is_email(email),
                format!("{at}/email"),
                "invalid_email",
                "write an address such as name@example.org",
            );
        }
        if let Some(born) = self.date_of_birth {
            faults.check(
                born.year() >= 1850 && born.year() <= 2200,
                format!("{at}/date_of_birth"),
                "absurd_date",
                "the year must lie between 1850 and 2200",
            );
        }
        if let Some(language) = &self.language {
            let ok = language.len() <= 35
                && language.bytes().take_while(u8::is_ascii_lowercase).count() >= 2
                && language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            faults.check(
                ok,
                format!("{at}/language"),
                "invalid_language",
                "give a BCP 47 language tag such as en or fr-CA",
            );
        }
    }
}

/// Whether a text is an E.164 number: `+`, then 7 to 15 digits of which the first is not 0.
pub fn is_e164(phone: &str) -> bool {
    phone.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
    })
}

/// Whether a text has the shape of an e-mail address that a mail server can be handed (RFC 5321 lengths).
pub fn is_email(address: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
    address.len() <= 254
        && address.rsplit_once('@').is_some_and(|(local, host)| {
            local.len() <= 64
                && plain(local)
                && !local.contains(['<', '>', '(', ')', ',', ';', ':', '"', '[', ']', '@', '\\'])
                && host.contains('.')
                && host.split('.').all(|label| {
                    !label.is_empty()
                        && label.len() <= 63
                        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_and_none_repeats_the_value() {
        let mut details = Details {
            given_name: " ".into(),
            family_name: "x".repeat(101),
            phone: "780 555 012".into(),
            email: Some("nobody".into()),
            date_of_birth: None,
            language: Some("Engl!sh".into()),
            reminder_channel: None,
            consents: vec![],
        };
        let mut faults = Faults::new();
        details.read_phone(&mut faults, "/patient", Some("CA"));
        details.check(&mut faults, "/patient");
        let found = faults.into_vec();
        let pointers: Vec<_> = found.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/patient/phone", "/patient/given_name", "/patient/family_name", "/patient/email", "/patient/language"]
        );
        assert!(found.iter().all(|v| !v.detail.contains("780 555")));
        assert_eq!(format!("{details:?}"), "patient::Details(…)");
    }
}
