//! The public words of care plans; their rules are in the crate `careplan`.

use crate::words::words;

words! {
    /// FHIR R4 [CarePlan status](https://hl7.org/fhir/R4/valueset-request-status.html), as far as scheduling uses it.
    pub enum Status as "PlanStatus" {
        /// Made; nothing is booked yet.
        Draft = "draft",
        /// At least one session is booked or done.
        Active = "active",
        /// Paused by a review.
        OnHold = "on-hold",
        /// Every session is done, or the patient is discharged.
        Completed = "completed",
        /// Given up.
        Revoked = "revoked",
    }
}

words! {
    /// The status of a plan's session.
    pub enum SessionStatus as "PlanSessionStatus" {
        /// It has no appointment.
        ToBook = "to_book",
        /// Its appointment is upcoming or under way.
        Booked = "booked",
        /// It was given.
        Done = "done",
        /// The patient did not come.
        Missed = "missed",
        /// The clinic leaves the session out.
        Skipped = "skipped",
    }
}

words! {
    /// The decision of a review about the sessions that are not done.
    pub enum ReviewDecision as "ReviewDecision" {
        /// They stay as they are; a paused plan becomes active.
        Continue = "continue",
        /// They stay, and more sessions follow.
        Extend = "extend",
        /// They are to be booked anew with gaps twice as long.
        Taper = "taper",
        /// They are to be booked anew with another service.
        ChangeService = "change_service",
        /// They are to be booked again once the plan continues.
        Pause = "pause",
        /// They are left out, and the plan is completed.
        Discharge = "discharge",
    }
}
