//! The texts in `templates/`, part of the program.

macro_rules! texts {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $name, ".txt")))),*]
    };
}

/// Every shipped text by `language/trigger.part`.
pub(super) const TEXTS: [(&str, &str); 42] = texts![
    "en/booked.sms",
    "en/booked.subject",
    "en/booked.email",
    "en/before_start.sms",
    "en/before_start.subject",
    "en/before_start.email",
    "en/cancelled.sms",
    "en/cancelled.subject",
    "en/cancelled.email",
    "en/rescheduled.sms",
    "en/rescheduled.subject",
    "en/rescheduled.email",
    "en/after_completed.sms",
    "en/after_completed.subject",
    "en/after_completed.email",
    "en/missed.sms",
    "en/missed.subject",
    "en/missed.email",
    "en/plan_session_unbooked.sms",
    "en/plan_session_unbooked.subject",
    "en/plan_session_unbooked.email",
    "fr/booked.sms",
    "fr/booked.subject",
    "fr/booked.email",
    "fr/before_start.sms",
    "fr/before_start.subject",
    "fr/before_start.email",
    "fr/cancelled.sms",
    "fr/cancelled.subject",
    "fr/cancelled.email",
    "fr/rescheduled.sms",
    "fr/rescheduled.subject",
    "fr/rescheduled.email",
    "fr/after_completed.sms",
    "fr/after_completed.subject",
    "fr/after_completed.email",
    "fr/missed.sms",
    "fr/missed.subject",
    "fr/missed.email",
    "fr/plan_session_unbooked.sms",
    "fr/plan_session_unbooked.subject",
    "fr/plan_session_unbooked.email",
];
