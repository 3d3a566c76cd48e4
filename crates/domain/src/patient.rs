//! Patients: their details, consents and proposed changes.

mod record;

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use self::record::{Block, ContactPerson, Identifier, Record, StaffFields};
use crate::{
    fault::{Faults, check_text},
    id::ProposedChangeId,
    words::words,
};

words! {
    /// The channel of messages to a patient.
    pub enum Channel as "Channel" {
        /// A text message.
        Sms = "sms",
        /// An e-mail.
        Email = "email",
    }
}

words! {
    /// The kind of message that a consent covers.
    pub enum ConsentKind as "ConsentKind" {
        /// Messages about the patient's own appointments.
        Service = "service",
        /// Offers and news.
        Marketing = "marketing",
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

words! {
    /// The source of a change of consent.
    pub enum ConsentSource as "ConsentSource" {
        /// The patient's details: at a booking, or a change by the clinic.
        Details = "details",
        /// A form.
        Form = "form",
        /// A telephone call.
        Phone = "phone",
        /// A conversation at the desk.
        InPerson = "in_person",
        /// A reply to a message: the carriers' stop and start words.
        Reply = "reply",
        /// The link in an e-mail.
        Unsubscribe = "unsubscribe",
    }
}

/// A change of one consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentEvent {
    /// The channel.
    pub channel: Channel,
    /// The kind of message.
    pub kind: ConsentKind,
    /// Given; else withdrawn.
    pub given: bool,
    /// When it was recorded, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// The id of the key that recorded it, or `patient`.
    pub by: String,
    /// The source.
    pub how: ConsentSource,
}

words! {
    /// A field that a patient's details at a booking may propose to change.
    pub enum ProposedField as "ProposedField" {
        /// The e-mail address.
        Email = "email",
        /// The language for messages.
        Language = "language",
        /// The channel that the patient prefers for reminders.
        ReminderChannel = "reminder_channel",
    }
}

/// A value from a booking that differs from the patient's record, for staff to accept or dismiss. Its `Debug` shows the id
/// alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposedChange {
    /// The id.
    pub id: ProposedChangeId,
    /// The field.
    pub field: ProposedField,
    /// The value that the patient gave.
    pub value: String,
    /// When it was proposed, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// Whether staff made the booking; else the patient did.
    pub by_staff: bool,
}

impl fmt::Debug for ProposedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProposedChange({})", self.id)
    }
}

/// A patient's details. `Debug` shows nothing of them: personal data stays out of logs.
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
    /// (or of the organisation, where no location is known), such as `(780) 555-0123`. It is stored and returned in E.164
    /// form. Only staff may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 40, example = "(780) 555-0123", nullable = false))]
    pub phone: Option<String>,
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
    /// The value of a field, as the public interface writes it.
    pub fn field(&self, field: ProposedField) -> Option<String> {
        match field {
            ProposedField::Email => self.email.clone(),
            ProposedField::Language => self.language.clone(),
            ProposedField::ReminderChannel => self.reminder_channel.map(|channel| channel.as_str().to_owned()),
        }
    }

    /// Sets a field to a value that the public interface has written.
    pub fn set_field(&mut self, field: ProposedField, value: &str) {
        match field {
            ProposedField::Email => self.email = Some(value.to_owned()),
            ProposedField::Language => self.language = Some(value.to_owned()),
            ProposedField::ReminderChannel => {
                self.reminder_channel = value.parse().ok();
            }
        }
    }

    /// Rewrites the telephone number in E.164 form, or notes why it cannot be parsed. A number in national form is read as
    /// one of `country` (ISO 3166-1); without a country it stays unchanged.
    pub fn normalize_phone(&mut self, faults: &mut Faults, at: &str, country: Option<&str>) {
        record::normalize_phone(&mut self.phone, faults, at, country);
    }

    /// Notes every fault but those of the telephone number, which [`Details::normalize_phone`] notes. Pointers begin with `at`,
    /// such as `/patient`.
    pub fn check(&self, faults: &mut Faults, at: &str) {
        check_text(faults, &format!("{at}/given_name"), &self.given_name, 100);
        check_text(faults, &format!("{at}/family_name"), &self.family_name, 100);
        check_email(faults, at, self.email.as_deref());
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

fn check_email(faults: &mut Faults, at: &str, email: Option<&str>) {
    let detail = "write an address such as name@example.org";
    faults.check(email.is_none_or(is_email), format!("{at}/email"), "invalid_email", detail);
}

/// Whether a text is an E.164 number: `+`, then 7 to 15 digits of which the first is not 0.
pub fn is_e164(phone: &str) -> bool {
    phone.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
    })
}

/// A telephone number or an e-mail address in the form in which it is compared and hashed: letters of either case are alike.
pub fn address_key(address: &str) -> String {
    address.trim().to_lowercase()
}

/// Whether a text is an e-mail address in form, within the lengths of RFC 5321.
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
    fn every_fault_is_noted_and_none_repeats_its_value() {
        let mut details = Details {
            given_name: " ".into(),
            family_name: "x".repeat(101),
            phone: Some("780 555 012".into()),
            email: Some("nobody".into()),
            date_of_birth: None,
            language: Some("Engl!sh".into()),
            reminder_channel: None,
            consents: vec![],
        };
        let mut faults = Faults::new();
        details.normalize_phone(&mut faults, "/patient", Some("CA"));
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
