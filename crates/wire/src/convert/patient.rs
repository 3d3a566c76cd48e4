//! What a patient says of themselves.

use domain::{
    fault::Faults,
    patient::{Channel, Consent, ConsentKind, Details},
};

use super::{optional_date, optional_text};
use crate::booking;

/// For the wire.
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

/// From the wire, checked: every fault has a pointer below `at` (such as `/patient`). The telephone is read as one of
/// `country` (ISO 3166-1); without a country, one in national form stays as it is.
///
/// # Errors
/// All faults found.
pub fn from_wire(details: &booking::PatientDetails, at: &str, country: Option<&str>) -> Result<Details, Faults> {
    let mut faults = Faults::new();
    let date_of_birth = optional_date(&mut faults, &format!("{at}/date_of_birth"), &details.date_of_birth);
    let reminder_channel = match details.reminder_channel.as_str() {
        "" => None,
        word => channel(&mut faults, format!("{at}/reminder_channel"), word),
    };
    let consents = details
        .consents
        .iter()
        .enumerate()
        .filter_map(|(number, consent)| {
            let channel = channel(&mut faults, format!("{at}/consents/{number}/channel"), &consent.channel);
            let kind = match consent.kind.as_str() {
                "service" => Some(ConsentKind::Service),
                "marketing" => Some(ConsentKind::Marketing),
                _ => {
                    let pointer = format!("{at}/consents/{number}/kind");
                    faults.push(pointer, "invalid_value", "expected service or marketing");
                    None
                }
            };
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
    details.read_phone(&mut faults, at, country);
    faults.result().map(|()| details)
}

fn channel(faults: &mut Faults, pointer: String, word: &str) -> Option<Channel> {
    match word {
        "sms" => Some(Channel::Sms),
        "email" => Some(Channel::Email),
        _ => {
            faults.push(pointer, "invalid_value", "expected sms or email");
            None
        }
    }
}
