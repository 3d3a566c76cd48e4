//! Calendar links. A link's token permits its holder to read the appointments of one practitioner, location or patient.
//!
//! A token is signed and not stored: kind, organisation, subject and generation, with the first 16 bytes of their
//! HMAC-SHA256. Revoking a link starts the next generation. `ics.rs` writes the calendar file.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::id::OrganizationId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::store::calendars::CalendarKey;

/// The bytes of the signed part: kind, organisation, subject, generation.
const SIGNED_BYTES: usize = 1 + 16 + 16 + 4;
/// The bytes of the truncated HMAC.
const MAC_BYTES: usize = 16;

/// The kind of a calendar's subject. The numbers are stored and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Practitioner = 1,
    Location = 2,
    Patient = 3,
}

impl Kind {
    pub(crate) fn number(self) -> i16 {
        self as i16
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Practitioner, Self::Location, Self::Patient].into_iter().find(|kind| kind.number() == i16::from(number))
    }
}

/// The practitioner, location or patient whose appointments a calendar lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) organization: OrganizationId,
    pub(crate) kind: Kind,
    pub(crate) id: Uuid,
}

impl Subject {
    /// The key of its row.
    pub(crate) fn key(&self) -> CalendarKey {
        CalendarKey { organization: self.organization.uuid(), kind: self.kind.number(), subject: self.id }
    }
}

/// Signs the token of a link.
pub(crate) fn sign(key: &[u8], subject: &Subject, generation: i32) -> String {
    let mut bytes = Vec::with_capacity(SIGNED_BYTES + MAC_BYTES);
    bytes.push(subject.kind as u8);
    bytes.extend_from_slice(subject.organization.uuid().as_bytes());
    bytes.extend_from_slice(subject.id.as_bytes());
    bytes.extend_from_slice(&generation.to_be_bytes());
    // HMAC accepts a key of any length, so this never fails.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(&bytes);
    bytes.extend_from_slice(&mac.finalize().into_bytes()[..MAC_BYTES]);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The subject and the generation of a token; `None` if this key has not signed it.
pub(crate) fn verify(key: &[u8], token: &str) -> Option<(Subject, i32)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == SIGNED_BYTES + MAC_BYTES)?;
    let (signed, tag) = bytes.split_at(SIGNED_BYTES);
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(signed);
    mac.verify_truncated_left(tag).ok()?;
    let organization = OrganizationId::new(Uuid::from_slice(&signed[1..17]).ok()?);
    let subject =
        Subject { organization, kind: Kind::from_number(signed[0])?, id: Uuid::from_slice(&signed[17..33]).ok()? };
    Some((subject, i32::from_be_bytes(signed[33..].try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signed_token_verifies() {
        let subject = Subject {
            organization: OrganizationId::new(Uuid::from_u128(1)),
            kind: Kind::Patient,
            id: Uuid::from_u128(2),
        };
        let signed = sign(b"key", &subject, 7);
        assert_eq!(verify(b"key", &signed), Some((subject, 7)));
        assert_eq!(verify(b"another key", &signed), None);
        assert_eq!(verify(b"key", &signed[1..]), None);
        for at in 0..signed.len() {
            let replacement = if signed.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut changed = signed.clone();
            changed.replace_range(at..=at, replacement);
            assert_eq!(verify(b"key", &changed), None, "{at}");
        }
    }
}
