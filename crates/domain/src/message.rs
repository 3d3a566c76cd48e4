//! Messages to patients: the events that trigger them and the statuses that they pass through.

use crate::words::words;

/// Microseconds after its due time for which a message about a past visit is still sent: 48 hours.
const LATE_AFTER_VISIT_MAX_US: i64 = 48 * 3_600_000_000;

/// The properties of a trigger's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Properties {
    after_visit: bool,
    can_wait: bool,
    tells_time: bool,
}

words! {
    /// The event that makes a message due.
    pub enum Trigger as "MessageTrigger" with properties: Properties {
        /// An appointment was booked.
        Booked = "booked" => Properties { after_visit: false, can_wait: true, tells_time: true },
        /// An appointment is near.
        BeforeStart = "before_start" => Properties { after_visit: false, can_wait: false, tells_time: true },
        /// An appointment was cancelled.
        Cancelled = "cancelled" => Properties { after_visit: false, can_wait: false, tells_time: false },
        /// An appointment has a new time or place.
        Rescheduled = "rescheduled" => Properties { after_visit: false, can_wait: false, tells_time: true },
        /// An appointment was completed.
        AfterCompleted = "after_completed" => Properties { after_visit: true, can_wait: true, tells_time: false },
        /// The patient did not come.
        Missed = "missed" => Properties { after_visit: true, can_wait: true, tells_time: false },
        /// A plan has a session to book, no session is booked, and the last day for it is near.
        PlanSessionUnbooked = "plan_session_unbooked" =>
            Properties { after_visit: true, can_wait: true, tells_time: false },
        /// A free slot is offered to a patient on the waitlist.
        WaitlistOffer = "waitlist_offer" => Properties { after_visit: false, can_wait: false, tells_time: false },
    }
}

impl Trigger {
    /// Whether the message follows a visit. The message of any other trigger is useless once the visit has begun.
    pub const fn is_after_visit(self) -> bool {
        self.properties().after_visit
    }

    /// Whether the message may move to the next day when the patient has reached today's message limit.
    pub const fn can_wait(self) -> bool {
        self.properties().can_wait
    }

    /// Whether the message states the time of an appointment, so that a reply can confirm, cancel or move it.
    pub const fn tells_time(self) -> bool {
        self.properties().tells_time
    }

    /// The instant from which the message is useless. All instants are microseconds since the Unix epoch.
    pub const fn valid_until_us(self, due_at_us: i64, starts_at_us: i64) -> i64 {
        if self.is_after_visit() { due_at_us.saturating_add(LATE_AFTER_VISIT_MAX_US) } else { starts_at_us }
    }
}

words! {
    /// The status of a message.
    pub enum Status as "MessageStatus" {
        /// It waits for its due time, or for a provider.
        Scheduled = "scheduled",
        /// It will not be sent; the reason says why.
        Suppressed = "suppressed",
        /// A worker has leased it.
        Sending = "sending",
        /// The provider has accepted it.
        Sent = "sent",
        /// The provider reports that it reached the patient.
        Delivered = "delivered",
        /// The provider reports that it did not reach the patient.
        Undelivered = "undelivered",
        /// No provider accepted it.
        Failed = "failed",
        /// The provider did not answer, so the message may have been sent.
        Unknown = "unknown",
    }
}

words! {
    /// The outcome of one attempt to send a message.
    pub enum AttemptOutcome as "AttemptOutcome" {
        /// The provider accepted it.
        Sent = "sent",
        /// The provider refused it.
        Failed = "failed",
        /// The provider did not answer.
        Unknown = "unknown",
    }
}

words! {
    /// The question that a message asks its patient.
    pub enum Question as "MessageQuestion" {
        /// How the patient feels, 0 to 10.
        Score = "score",
    }
}
