//! The practitioners of an index, with their certificates.

use domain::{
    directory::{self as body, Body, Certificate, Kind},
    id::PractitionerId,
};
use jiff::civil::Date;
use uuid::Uuid;

use super::{
    Children,
    directory::{Directory, Entry},
};

/// A practitioner in use.
pub(crate) struct Practitioner {
    pub(crate) id: Uuid,
    /// The id in its public form, `prac_…`.
    pub(crate) public_id: String,
    pub(crate) body: body::Practitioner,
    pub(crate) certificates: Vec<Certificate>,
}

/// How a practitioner stands to a certificate on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certification {
    NotHeld,
    NotValid,
    Valid,
}

impl Practitioner {
    /// The state of a certificate on a day.
    pub(crate) fn certification(&self, code: &str, day: Date) -> Certification {
        let mut held = self.certificates.iter().filter(|certificate| certificate.code == code).peekable();
        if held.peek().is_none() {
            return Certification::NotHeld;
        }
        if held.any(|certificate| certificate.valid_on(day)) { Certification::Valid } else { Certification::NotValid }
    }
}

/// The practitioners in use.
pub(super) fn build(directory: &Directory, children: &Children<'_>) -> Vec<Practitioner> {
    let certificate = |entry: &Entry| match &entry.body {
        Body::Certificate(certificate) => Some(certificate.clone()),
        _ => None,
    };
    directory
        .live(Kind::Practitioner)
        .filter_map(|entry| match &entry.body {
            Body::Practitioner(body) => Some(Practitioner {
                id: entry.id,
                public_id: PractitionerId::new(entry.id).to_string(),
                body: body.clone(),
                certificates: children.of(entry.id).iter().filter_map(|child| certificate(child)).collect(),
            }),
            _ => None,
        })
        .collect()
}
