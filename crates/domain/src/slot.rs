//! Slot ids: a search result as an opaque text.
//!
//! A slot id holds everything that a later check and booking need, so that search stores nothing. It includes the promised
//! length, so that a change of the service does not change the appointment. Its checksum detects a damaged id; it is
//! neither a secret nor a permission.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};

use crate::id::{LocationId, PractitionerId, ServiceId};

/// The longest distance of a search near a point, in kilometres: half the Earth's circumference, rounded up.
pub const WITHIN_KM_MAX: u32 = 20_038;

const PREFIX: &str = "slot_";
const FORMAT: u8 = 2;
/// The format without a length.
const FORMAT_OUTDATED: u8 = 1;
const LEN: usize = 1 + 48 + 4 + 2 + 1 + 4;
/// Base64 encodes three bytes as four letters.
const TEXT_LEN: usize = PREFIX.len() + LEN / 3 * 4;

/// A start of one service with one practitioner at one location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The start, on a whole minute.
    pub starts_at: Timestamp,
    /// The service.
    pub service: ServiceId,
    /// The location.
    pub location: LocationId,
    /// The practitioner.
    pub practitioner: PractitionerId,
    /// The length in minutes, without preparation and clean-up.
    pub minutes: u16,
    /// Whether it is one place of a group session.
    pub shared: bool,
}

impl Slot {
    /// The end.
    pub fn ends_at(&self) -> Timestamp {
        self.starts_at.saturating_add(SignedDuration::from_mins(i64::from(self.minutes))).unwrap_or(Timestamp::MAX)
    }
}

/// Why a text is not a slot id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It has another form, or is damaged.
    #[error("not a slot id: post the slot_id of a search result as it is")]
    NotASlot,
    /// It has the older format without a length.
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
        // Encoded on the stack: a page of search results has hundreds of slot ids.
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
