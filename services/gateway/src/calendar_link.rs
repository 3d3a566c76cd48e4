//! Calendar links: whoever has one may read the visits of one practitioner, location or patient, and nothing else.
//!
//! A link is signed and kept nowhere: kind, organisation, subject and generation with the first 16 bytes of their
//! HMAC-SHA256. Taking it back begins another generation. How a calendar is written is in `ics.rs`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::id::OrganizationId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// What a link's bytes are before they are signed: kind, organisation, subject, generation.
const PLAIN: usize = 1 + 16 + 16 + 4;
const MAC: usize = 16;

/// Whose visits a calendar shows. The numbers are stored; they never change.
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

/// One whose visits are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) organization: OrganizationId,
    pub(crate) kind: Kind,
    pub(crate) id: Uuid,
}

/// The token of a link.
pub(crate) fn token(key: &[u8], subject: &Subject, generation: i32) -> String {
    let mut bytes = Vec::with_capacity(PLAIN + MAC);
    bytes.push(subject.kind as u8);
    bytes.extend_from_slice(subject.organization.uuid().as_bytes());
    bytes.extend_from_slice(subject.id.as_bytes());
    bytes.extend_from_slice(&generation.to_be_bytes());
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(&bytes);
    bytes.extend_from_slice(&mac.finalize().into_bytes()[..MAC]);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whom a token is for, and its generation; `None` where it was not signed by this key.
pub(crate) fn read(key: &[u8], token: &str) -> Option<(Subject, i32)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == PLAIN + MAC)?;
    let (plain, signed) = bytes.split_at(PLAIN);
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(plain);
    mac.verify_truncated_left(signed).ok()?;
    let organization = OrganizationId::new(Uuid::from_slice(&plain[1..17]).ok()?);
    let subject =
        Subject { organization, kind: Kind::from_number(plain[0])?, id: Uuid::from_slice(&plain[17..33]).ok()? };
    Some((subject, i32::from_be_bytes(plain[33..].try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_any_other_does_not() {
        let subject = Subject {
            organization: OrganizationId::new(Uuid::from_u128(1)),
            kind: Kind::Patient,
            id: Uuid::from_u128(2),
        };
        let made = token(b"key", &subject, 7);
        assert_eq!(read(b"key", &made), Some((subject, 7)));
        assert_eq!(read(b"another key", &made), None);
        assert_eq!(read(b"key", &made[1..]), None);
        for at in 0..made.len() {
            let other = if made.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut changed = made.clone();
            changed.replace_range(at..=at, other);
            assert_eq!(read(b"key", &changed), None, "{at}");
        }
    }
}
