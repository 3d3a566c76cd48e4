//! A patient's whole record: the details that the patient gives, and the fields that only staff set.

use std::{collections::BTreeMap, fmt};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Details, check_email};
use crate::{
    fault::{Faults, check_text},
    phone::{self, ParseError},
};

/// Most pairs of `custom`.
const CUSTOM_MAX: usize = 20;

/// A patient's record. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The details that the patient gives.
    #[serde(flatten)]
    pub details: Details,
    /// The details that only staff set.
    #[serde(flatten)]
    pub staff: StaffFields,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("patient::Record(…)")
    }
}

/// The fields of a patient's record that only staff set. `Debug` shows nothing of them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StaffFields {
    /// People to ask for, such as a guardian.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 10))]
    pub contacts: Vec<ContactPerson>,
    /// Numbers of the patient in other systems, such as a health card.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 20))]
    pub identifiers: Vec<Identifier>,
    /// The patient's id in the system that the clinic keeps beside this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 100, nullable = false))]
    pub external_id: Option<String>,
    /// Up to 20 values of the clinic's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, String>,
    /// Keeps the patient from booking online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub blocked: Option<Block>,
}

impl fmt::Debug for StaffFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("patient::StaffFields(…)")
    }
}

/// A person to ask for about a patient.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ContactPerson {
    /// The whole name.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 100))]
    pub name: String,
    /// The relation to the patient, such as `mother`.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 60))]
    pub relation: String,
    /// Telephone number, written and read like the patient's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 40, nullable = false))]
    pub phone: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(format = Email, max_length = 254, nullable = false))]
    pub email: Option<String>,
    /// Whether the patient's messages go to this person, and to nobody else. One contact at most has them.
    #[serde(default)]
    pub receives_messages: bool,
}

/// A number of a patient in another system.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Identifier {
    /// The system, such as `ab-health-card` or a URI.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 100))]
    pub system: String,
    /// The number there.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 100))]
    pub value: String,
}

/// Keeps a patient from booking online.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// The reason, for staff.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 500))]
    pub reason: String,
    /// The last day of the block, in the calendar of the location that is booked; without it the block stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = Date, nullable = false))]
    pub until: Option<Date>,
}

impl Block {
    /// Whether the block holds on a day.
    pub fn holds_on(&self, day: Date) -> bool {
        self.until.is_none_or(|last| day <= last)
    }
}

impl Record {
    /// A record of which staff have set nothing.
    pub fn of(details: Details) -> Self {
        Self { details, staff: StaffFields::default() }
    }

    /// The contact who gets the patient's messages.
    fn receiver(&self) -> Option<&ContactPerson> {
        self.staff.contacts.iter().find(|contact| contact.receives_messages)
    }

    /// The telephone number and the e-mail address that messages go to: the receiving contact's, else the patient's own.
    pub fn reach(&self) -> (Option<&str>, Option<&str>) {
        match self.receiver() {
            Some(contact) => (contact.phone.as_deref(), contact.email.as_deref()),
            None => (self.details.phone.as_deref(), self.details.email.as_deref()),
        }
    }

    /// The telephone number by which the patient is known: the patient's own, else the receiving contact's.
    pub fn known_phone(&self) -> Option<&str> {
        self.details.phone.as_deref().or_else(|| self.receiver()?.phone.as_deref())
    }

    /// The telephone numbers of the patient and of the receiving contact, whose holders speak for the patient.
    pub fn phones(&self) -> impl Iterator<Item = &str> {
        self.details.phone.as_deref().into_iter().chain(self.receiver().and_then(|it| it.phone.as_deref()))
    }

    /// The e-mail addresses of the patient and of the receiving contact.
    pub fn emails(&self) -> impl Iterator<Item = &str> {
        self.details.email.as_deref().into_iter().chain(self.receiver().and_then(|it| it.email.as_deref()))
    }
}

impl StaffFields {
    /// Notes every fault but those of telephone numbers. Pointers begin with `at`.
    pub fn check(&self, faults: &mut Faults, at: &str) {
        let mut receives = false;
        for (number, contact) in self.contacts.iter().enumerate() {
            let at = format!("{at}/contacts/{number}");
            contact.check(faults, &at);
            let again = contact.receives_messages && receives;
            let detail = "one contact receives the messages; set it to false for the others";
            faults.check(!again, format!("{at}/receives_messages"), "too_many", detail);
            receives |= contact.receives_messages;
        }
        for (number, identifier) in self.identifiers.iter().enumerate() {
            let at = format!("{at}/identifiers/{number}");
            check_text(faults, &format!("{at}/system"), &identifier.system, 100);
            check_text(faults, &format!("{at}/value"), &identifier.value, 100);
            let is_new = !self.identifiers[..number].contains(identifier);
            faults.check(is_new, at, "duplicate", "give each identifier once");
        }
        if let Some(external_id) = &self.external_id {
            check_text(faults, &format!("{at}/external_id"), external_id, 100);
        }
        let detail = format!("at most {CUSTOM_MAX} pairs");
        faults.check(self.custom.len() <= CUSTOM_MAX, format!("{at}/custom"), "too_many", detail);
        for (name, value) in &self.custom {
            let is_name = (1..=40).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
            let detail = "a name has 1 to 40 letters, digits, dots, hyphens or underscores";
            faults.check(is_name, format!("{at}/custom"), "invalid_name", detail);
            if is_name {
                check_text(faults, &format!("{at}/custom/{name}"), value, 500);
            }
        }
        if let Some(blocked) = &self.blocked {
            check_text(faults, &format!("{at}/blocked/reason"), &blocked.reason, 500);
        }
    }
}

impl ContactPerson {
    fn check(&self, faults: &mut Faults, at: &str) {
        check_text(faults, &format!("{at}/name"), &self.name, 100);
        check_text(faults, &format!("{at}/relation"), &self.relation, 60);
        check_email(faults, at, self.email.as_deref());
        let reachable = self.phone.is_some() || self.email.is_some();
        let detail = "who receives messages needs a telephone number or an e-mail address";
        faults.check(reachable || !self.receives_messages, format!("{at}/phone"), "missing", detail);
    }

    /// As [`Details::normalize_phone`].
    pub fn normalize_phone(&mut self, faults: &mut Faults, at: &str, country: Option<&str>) {
        normalize_phone(&mut self.phone, faults, at, country);
    }
}

/// Rewrites a telephone number in E.164 form, or notes why it cannot be parsed.
pub(super) fn normalize_phone(phone: &mut Option<String>, faults: &mut Faults, at: &str, country: Option<&str>) {
    let Some(text) = phone else { return };
    match phone::parse(text, country) {
        Ok(e164) => *text = e164,
        Err(ParseError::NoCountry) => {}
        Err(error) => faults.push(format!("{at}/phone"), "invalid_phone", error.detail(country)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_staffs_fields_is_noted() {
        let contact = |phone: Option<&str>, email: Option<&str>| ContactPerson {
            name: "Mary Example".into(),
            relation: "mother".into(),
            phone: phone.map(str::to_owned),
            email: email.map(str::to_owned),
            receives_messages: true,
        };
        let card = Identifier { system: "card".into(), value: "7".into() };
        let fields = StaffFields {
            contacts: vec![
                contact(None, None),
                ContactPerson { name: " ".into(), ..contact(Some("1"), Some("nobody")) },
            ],
            identifiers: vec![card.clone(), card, Identifier { system: String::new(), value: "x".repeat(101) }],
            external_id: Some(" ".into()),
            custom: [("a b".to_owned(), "1".to_owned()), ("ok".to_owned(), "\u{0}".to_owned())].into(),
            blocked: Some(Block { reason: String::new(), until: None }),
        };
        let mut faults = Faults::new();
        fields.check(&mut faults, "");
        let pointers: Vec<String> = faults.into_vec().into_iter().map(|fault| fault.pointer).collect();
        let expected = [
            "/contacts/0/phone",
            "/contacts/1/name",
            "/contacts/1/email",
            "/contacts/1/receives_messages",
            "/identifiers/1",
            "/identifiers/2/system",
            "/identifiers/2/value",
            "/external_id",
            "/custom",
            "/custom/ok",
            "/blocked/reason",
        ];
        assert_eq!(pointers, expected);
        assert_eq!(format!("{fields:?}"), "patient::StaffFields(…)");
    }

    #[test]
    fn a_block_holds_through_its_last_day() {
        let day = jiff::civil::date;
        let block = Block { reason: "unpaid".into(), until: Some(day(2026, 3, 2)) };
        assert!(block.holds_on(day(2026, 3, 2)) && !block.holds_on(day(2026, 3, 3)));
        assert!(Block { until: None, ..block }.holds_on(day(2999, 1, 1)));
    }
}
