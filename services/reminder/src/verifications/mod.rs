//! Proofs that a telephone number or an e-mail address belongs to whoever gives it: a code goes there and comes back.
//!
//! Nothing stored opens a proof: of the address and of the code there are hashes. Booking signs the token, since booking
//! reads it.

pub(crate) mod check;
pub(crate) mod start;

use domain::id::VerificationId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Digits of a code.
const CODE_DIGITS: usize = 6;
/// Tries for one code.
const TRIES: i32 = 5;
/// How long a code is valid.
const VALID_US: i64 = 600_000_000;

/// The stored form of a code.
fn code_hash(id: Uuid, code: &str) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(VerificationId::new(id).to_string().as_bytes());
    digest.update(code.as_bytes());
    digest.finalize().to_vec()
}

/// Counts a verification by outcome.
fn count(outcome: &'static str) {
    metrics::counter!("reminder_verifications_total", "outcome" => outcome).increment(1);
}
