//! A patient's details.

use domain::{
    fault::Faults,
    patient::{Channel, Consent, Details},
};

use super::{optional_date, optional_text, parse};
use crate::booking;

/// A patient's details for the wire.
pub fn to_wire(details: &Details) -> booking::PatientDetails {
    booking::PatientDetails {
        given_name: details.given_name.clone(),
        family_name: details.family_name.clone(),
        phone: details.phone.clone(),
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
        phone: details.phone.clone(),
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
