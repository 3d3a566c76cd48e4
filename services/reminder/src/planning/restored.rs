//! Appointments that a restore of booking's database has put back to an earlier state.
//!
//! The restored booking counts an appointment's versions again, so that a new message would have the key of an old one. Each
//! restore therefore begins a new generation of the appointment's keys: the upper half of the stored version.

use super::{Change, Event, StoredAppointment};

/// Bits of a key's version that hold booking's version.
const VERSION_BITS: u32 = 32;

/// Whether a snapshot shows an earlier state than the known one, or another state under the same version.
pub(super) fn is_restored(known: &StoredAppointment, change: &Change) -> bool {
    let next = &change.appointment;
    change.event == Event::Snapshot && next.version <= known.appointment.version && known.appointment != *next
}

/// The version of a message's key: booking's version, in the generation of another key of the appointment.
pub(super) fn key_version(in_generation_of: i64, version: i64) -> i64 {
    (in_generation_of >> VERSION_BITS << VERSION_BITS) + version
}

/// The same in the next generation.
pub(super) fn next_generation(key: i64, version: i64) -> i64 {
    key_version(key, version) + (1 << VERSION_BITS)
}

/// Booking's version in the version of a key.
pub(crate) fn version_of_key(key: i64) -> i64 {
    key & ((1 << VERSION_BITS) - 1)
}
