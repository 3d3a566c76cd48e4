//! Preferences between the series of a care plan.

use crate::words::words;

words! {
    /// The property of a series that counts most.
    pub enum Preference as "Preference" {
        /// Each session as near as possible to the first day that the ideal gaps give.
        Soonest = "soonest",
        /// One practitioner for all sessions.
        Continuity = "continuity",
        /// The preferred hours, and one part of the day for all sessions.
        Hours = "hours",
    }
}
