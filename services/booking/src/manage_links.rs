//! Tokens of manage links: a patient's own access to one appointment, without a login.
//!
//! The token is the first 16 bytes of an HMAC-SHA256 over the appointment's id and its link generation: short enough for
//! a text message, and not to be made without the key. The database keeps only its hash. A revocation starts the next
//! generation, whose link replaces the one before.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::store::{
    appointments::AppointmentRow,
    batch::{Hex, NewLink},
};

const DAY_US: i64 = 86_400_000_000;
/// Separates the tokens of offers from those of appointments.
const OFFER_PREFIX: &[u8] = b"offer";

/// Makes the tokens of links.
#[derive(Clone)]
pub(crate) struct LinkSigner {
    key: Vec<u8>,
    /// How long a manage link is valid after its appointment.
    valid_days: u32,
}

impl LinkSigner {
    pub(crate) fn new(key: Vec<u8>, valid_days: u32) -> Self {
        Self { key, valid_days }
    }

    /// The token of an appointment's manage link.
    pub(crate) fn token(&self, row: &AppointmentRow) -> String {
        self.sign(&[row.organization_id.as_bytes(), row.id.as_bytes(), &row.link_generation.to_be_bytes()])
    }

    /// The token of an offer's link.
    pub(crate) fn offer_token(&self, organization: Uuid, offer: Uuid) -> String {
        self.sign(&[OFFER_PREFIX, organization.as_bytes(), offer.as_bytes()])
    }

    /// The stored form of an appointment's manage link.
    pub(crate) fn link(&self, row: &AppointmentRow) -> NewLink {
        NewLink {
            token_hash: Hex(hash(&self.token(row))),
            appointment_id: row.id,
            expires_at_us: row.ends_at_us + i64::from(self.valid_days) * DAY_US,
            replaces: row.version > 1,
        }
    }

    /// The first 16 bytes of the HMAC of some parts, as text.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> String {
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::new() };
        parts.iter().for_each(|part| mac.update(part));
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..16])
    }
}

/// The hash of a token, as it is stored.
pub(crate) fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}
