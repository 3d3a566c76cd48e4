//! Slots: a start that search showed, carried by its caller as one opaque text.
//!
//! A slot id holds all that is needed to check and book the slot days later, so that search stores nothing: what it
//! promised too, so that a service that has changed since cannot change the visit. Its checksum tells a damaged id from
//! an unknown one; it is no secret and no permission.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};

use crate::id::{LocationId, PractitionerId, ServiceId};

const PREFIX: &str = "slot_";
const FORMAT: u8 = 2;
/// The format that promised no length.
const FORMAT_OUTDATED: u8 = 1;
const LEN: usize = 1 + 48 + 4 + 2 + 1 + 4;
/// Base64 writes four letters for three bytes.
const TEXT_LEN: usize = PREFIX.len() + LEN / 3 * 4;

/// One service, given by one practitioner, at one location, from one instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// When the visit starts; always on a whole minute.
    pub starts_at: Timestamp,
    /// What is given.
    pub service: ServiceId,
    /// Where.
    pub location: LocationId,
    /// By whom.
    pub practitioner: PractitionerId,
    /// How many minutes the visit takes, without preparation and clean-up.
    pub minutes: u16,
    /// Whether it is one place of a group session.
    pub shared: bool,
}

impl Slot {
    /// When the visit ends.
    pub fn ends_at(&self) -> Timestamp {
        self.starts_at.saturating_add(SignedDuration::from_mins(i64::from(self.minutes))).unwrap_or(Timestamp::MAX)
    }
}

/// A text that is no slot id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It is something else, or damaged.
    #[error("not a slot id: post the slot_id of a search result as it is")]
    NotASlot,
    /// It was made before slot ids held the length of the visit.
    #[error("this slot id is of an older version and does not say how long the visit is: search again")]
    Outdated,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minute = u32::try_from(self.starts_at.as_second() / 60).map_err(|_| fmt::Error)?;
        let mut bytes = [0; LEN];
        bytes[0] = FORMAT;
        bytes[1..17].copy_from_slice(self.service.uuid().as_bytes());
        bytes[17..33].copy_from_slice(self.location.uuid().as_bytes());
        bytes[33..49].copy_from_slice(self.practitioner.uuid().as_bytes());
        bytes[49..53].copy_from_slice(&minute.to_be_bytes());
        bytes[53..55].copy_from_slice(&self.minutes.to_be_bytes());
        bytes[55] = u8::from(self.shared);
        let sum = checksum(&bytes[..56]);
        bytes[56..].copy_from_slice(&sum.to_be_bytes());
        // Written at once, without a piece of memory of its own: search writes hundreds of them for a page.
        let mut text = [0; TEXT_LEN];
        text[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        URL_SAFE_NO_PAD.encode_slice(bytes, &mut text[PREFIX.len()..]).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Slot {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = ParseError::NotASlot;
        let body = text.strip_prefix(PREFIX).ok_or(wrong)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| wrong)?;
        let (content, sum) = bytes.split_last_chunk::<4>().ok_or(wrong)?;
        if checksum(content).to_be_bytes() != *sum {
            return Err(wrong);
        }
        if content.first() == Some(&FORMAT_OUTDATED) {
            return Err(ParseError::Outdated);
        }
        if bytes.len() != LEN || content[0] != FORMAT || content[55] > 1 {
            return Err(wrong);
        }
        let uuid = |at: usize| uuid::Uuid::from_slice(&content[at..at + 16]).map_err(|_| wrong);
        let minute = content[49..53].try_into().map(u32::from_be_bytes).map_err(|_| wrong)?;
        Ok(Self {
            service: ServiceId::new(uuid(1)?),
            location: LocationId::new(uuid(17)?),
            practitioner: PractitionerId::new(uuid(33)?),
            starts_at: Timestamp::from_second(i64::from(minute) * 60).map_err(|_| wrong)?,
            minutes: content[53..55].try_into().map(u16::from_be_bytes).map_err(|_| wrong)?,
            shared: content[55] == 1,
        })
    }
}

/// FNV-1a, 32 bits (<https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>): enough to notice damage.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum: u32, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_slot_id_reads_back_and_any_changed_letter_is_refused() {
        let slot = Slot {
            service: ServiceId::new(Uuid::from_u128(1)),
            location: LocationId::new(Uuid::from_u128(2)),
            practitioner: PractitionerId::new(Uuid::from_u128(3)),
            starts_at: "2026-03-08T09:30:00Z".parse().unwrap(),
            minutes: 90,
            shared: true,
        };
        let text = slot.to_string();
        assert_eq!(text, "slot_AgAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAACAAAAAAAAAAAAAAAAAAAAAwHC4zoAWgHoTvqo");
        assert_eq!(text.parse(), Ok(slot));
        assert_eq!(slot.ends_at(), "2026-03-08T11:00:00Z".parse().unwrap());
        for at in PREFIX.len()..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let read = String::from_utf8(damaged).unwrap().parse::<Slot>();
            assert_eq!(read, Err(ParseError::NotASlot), "letter {at}");
        }
        let old = "slot_AQAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAACAAAAAAAAAAAAAAAAAAAAAwHC4zr-bQj6";
        assert_eq!(old.parse::<Slot>(), Err(ParseError::Outdated), "it does not say how long the visit is");
    }
}
