//! Slots: a start that search showed, carried by its caller as one opaque text.
//!
//! A slot id holds all that is needed to check and take the slot days later, so that search stores nothing. Its
//! checksum tells a damaged id from an unknown one; it is no secret and no permission.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

use crate::id::{LocationId, PractitionerId, ServiceId};

const PREFIX: &str = "slot_";
const FORMAT: u8 = 1;
const LEN: usize = 1 + 48 + 4 + 4;
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
}

/// A text that is no slot id, or a damaged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a slot id: post the slot_id of a search result as it is")]
pub struct ParseError;

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minute = u32::try_from(self.starts_at.as_second() / 60).map_err(|_| fmt::Error)?;
        let mut bytes = [0; LEN];
        bytes[0] = FORMAT;
        bytes[1..17].copy_from_slice(self.service.uuid().as_bytes());
        bytes[17..33].copy_from_slice(self.location.uuid().as_bytes());
        bytes[33..49].copy_from_slice(self.practitioner.uuid().as_bytes());
        bytes[49..53].copy_from_slice(&minute.to_be_bytes());
        let sum = checksum(&bytes[..53]);
        bytes[53..].copy_from_slice(&sum.to_be_bytes());
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
        let body = text.strip_prefix(PREFIX).ok_or(ParseError)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| ParseError)?;
        let (content, sum) = bytes.split_last_chunk::<4>().ok_or(ParseError)?;
        if bytes.len() != LEN || content[0] != FORMAT || checksum(content).to_be_bytes() != *sum {
            return Err(ParseError);
        }
        let uuid = |at: usize| uuid::Uuid::from_slice(&content[at..at + 16]).map_err(|_| ParseError);
        let minute = content[49..53].try_into().map(u32::from_be_bytes).map_err(|_| ParseError)?;
        Ok(Self {
            service: ServiceId::new(uuid(1)?),
            location: LocationId::new(uuid(17)?),
            practitioner: PractitionerId::new(uuid(33)?),
            starts_at: Timestamp::from_second(i64::from(minute) * 60).map_err(|_| ParseError)?,
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
        };
        let text = slot.to_string();
        assert_eq!(text, "slot_AQAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAACAAAAAAAAAAAAAAAAAAAAAwHC4zr-bQj6");
        assert_eq!(text.parse(), Ok(slot));
        for at in PREFIX.len()..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(String::from_utf8(damaged).unwrap().parse::<Slot>(), Err(ParseError), "letter {at}");
        }
    }
}
