//! A patient's details, and the fields that only staff set.

use domain::{
    fault::Faults,
    patient::{Block, Channel, Consent, ContactPerson, Details, Identifier, StaffFields},
};

use super::{optional_date, optional_text, parse};
use crate::booking;

/// A patient's details for the wire.
pub fn to_wire(details: &Details) -> booking::PatientDetails {
    booking::PatientDetails {
        given_name: details.given_name.clone(),
        family_name: details.family_name.clone(),
        phone: details.phone.clone().unwrap_or_default(),
        email: details.email.clone().unwrap_or_default(),
        date_of_birth: details.date_of_birth.map(|date| date.to_string()).unwrap_or_default(),
        language: details.language.clone().unwrap_or_default(),
        reminder_channel: details.reminder_channel.map(Channel::as_str).unwrap_or_default().to_owned(),
        consents: details
            .consents
            .iter()
            .map(|consent| booking::Consent {
                channel: consent.channel.as_str().to_owned(),
                kind: consent.kind.as_str().to_owned(),
            })
            .collect(),
    }
}

/// A patient's details from the wire, checked. Pointers begin with `at`, such as `/patient`. A national telephone number is
/// read as one of `country` (ISO 3166-1); without a country it stays unchanged.
///
/// # Errors
/// Every fault.
pub fn from_wire(details: &booking::PatientDetails, at: &str, country: Option<&str>) -> Result<Details, Faults> {
    let mut faults = Faults::new();
    let date_of_birth = optional_date(&mut faults, &format!("{at}/date_of_birth"), &details.date_of_birth);
    let reminder_channel = match details.reminder_channel.as_str() {
        "" => None,
        word => parse(&mut faults, format!("{at}/reminder_channel"), word),
    };
    let consents = details
        .consents
        .iter()
        .enumerate()
        .filter_map(|(number, consent)| {
            let channel = parse(&mut faults, format!("{at}/consents/{number}/channel"), &consent.channel);
            let kind = parse(&mut faults, format!("{at}/consents/{number}/kind"), &consent.kind);
            Some(Consent { channel: channel?, kind: kind? })
        })
        .collect();
    let mut details = Details {
        given_name: details.given_name.clone(),
        family_name: details.family_name.clone(),
        phone: optional_text(&details.phone),
        email: optional_text(&details.email),
        date_of_birth,
        language: optional_text(&details.language),
        reminder_channel,
        consents,
    };
    details.check(&mut faults, at);
    details.normalize_phone(&mut faults, at, country);
    faults.result().map(|()| details)
}

/// The fields that only staff set, for the wire.
pub fn staff_to_wire(fields: &StaffFields) -> booking::PatientStaffFields {
    let contact = |contact: &ContactPerson| booking::PatientContact {
        name: contact.name.clone(),
        relation: contact.relation.clone(),
        phone: contact.phone.clone().unwrap_or_default(),
        email: contact.email.clone().unwrap_or_default(),
        receives_messages: contact.receives_messages,
    };
    let identifier =
        |it: &Identifier| booking::PatientIdentifier { system: it.system.clone(), value: it.value.clone() };
    booking::PatientStaffFields {
        contacts: fields.contacts.iter().map(contact).collect(),
        identifiers: fields.identifiers.iter().map(identifier).collect(),
        external_id: fields.external_id.clone().unwrap_or_default(),
        custom: fields.custom.clone().into_iter().collect(),
        blocked: fields.blocked.as_ref().map(|block| booking::PatientBlock {
            reason: block.reason.clone(),
            until: block.until.map(|date| date.to_string()).unwrap_or_default(),
        }),
    }
}

/// The fields that only staff set, from the wire, checked. Pointers begin with `at`. `country_of` names the country (ISO
/// 3166-1) in which a contact's telephone number is read.
///
/// # Errors
/// Every fault.
pub fn staff_from_wire(
    fields: &booking::PatientStaffFields,
    at: &str,
    country_of: impl Fn(&str) -> Option<String>,
) -> Result<StaffFields, Faults> {
    let mut faults = Faults::new();
    let blocked = fields.blocked.as_ref().map(|block| Block {
        reason: block.reason.clone(),
        until: optional_date(&mut faults, &format!("{at}/blocked/until"), &block.until),
    });
    let contact = |it: &booking::PatientContact| ContactPerson {
        name: it.name.clone(),
        relation: it.relation.clone(),
        phone: optional_text(&it.phone),
        email: optional_text(&it.email),
        receives_messages: it.receives_messages,
    };
    let identifier =
        |it: &booking::PatientIdentifier| Identifier { system: it.system.clone(), value: it.value.clone() };
    let mut fields = StaffFields {
        contacts: fields.contacts.iter().map(contact).collect(),
        identifiers: fields.identifiers.iter().map(identifier).collect(),
        external_id: optional_text(&fields.external_id),
        custom: fields.custom.clone().into_iter().collect(),
        blocked,
    };
    fields.check(&mut faults, at);
    for (number, contact) in fields.contacts.iter_mut().enumerate() {
        let country = contact.phone.as_deref().and_then(&country_of);
        contact.normalize_phone(&mut faults, &format!("{at}/contacts/{number}"), country.as_deref());
    }
    faults.result().map(|()| fields)
}
