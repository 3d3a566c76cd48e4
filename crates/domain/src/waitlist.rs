//! The public words of the waitlist.

use crate::words::words;

words! {
    /// The status of a waitlist entry.
    pub enum EntryStatus as "WaitlistStatus" {
        /// No slot is offered at present.
        Waiting = "waiting",
        /// A slot is offered.
        Offered = "offered",
        /// The patient accepted an offer.
        Booked = "booked",
        /// The entry was withdrawn.
        Left = "left",
        /// The last instant that the patient could use has passed.
        Expired = "expired",
    }
}

words! {
    /// The public status of an offer.
    pub enum OfferStatus as "OfferStatus" {
        /// The slot is kept for the patient until the offer expires.
        Open = "open",
        /// The slot is booked for the patient.
        Accepted = "accepted",
        /// The patient declined it.
        Declined = "declined",
        /// The patient did not answer in time.
        Expired = "expired",
        /// The slot is no longer available, or the entry has ended.
        Withdrawn = "withdrawn",
    }
}
