//! The public words of reason codes.

use crate::words::words;

words! {
    /// The party that causes a cancellation or a move. Only a patient can be late.
    pub enum CausedBy as "ReasonCausedBy" {
        /// The patient.
        Patient = "patient",
        /// The clinic.
        Clinic = "clinic",
    }
}
