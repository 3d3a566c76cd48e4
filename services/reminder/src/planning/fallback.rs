//! What stands in for a message that could not reach its patient: one on the rule's other channel.

use domain::patient::Channel;

use crate::rules::{Body, Trigger};

/// Whether a message that ended so has missed its patient, and for a cause that another channel may not have. Not where
/// nobody knows what became of it, and not where there is nothing to tell any more.
pub(crate) fn misses(status: &str, reason: &str) -> bool {
    match status {
        "undelivered" => true,
        "failed" => matches!(reason, "refused" | "gave_up" | "opted_out" | "not_delivered"),
        "suppressed" => {
            matches!(reason, "no_phone" | "no_email" | "no_consent" | "opted_out" | "other_channel_preferred")
        }
        _ => false,
    }
}

/// The channel of the message that stands in for one on this channel.
pub(crate) fn stand_in(rule: &Body, trigger: Trigger, channel: &str) -> Option<Channel> {
    // A rule that has changed since may speak of something else, or use this channel as its last resort.
    let still = rule.trigger == trigger && rule.channels.iter().any(|one| one.as_str() == channel);
    rule.fallback_channels.first().copied().filter(|_| still)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_message_stands_in_for_one_that_missed_its_patient_and_for_no_other() {
        for (status, reasons) in [
            ("failed", &["refused", "gave_up", "opted_out", "not_delivered"][..]),
            ("undelivered", &["not_delivered", "opted_out"]),
            ("suppressed", &["no_phone", "no_email", "no_consent", "opted_out", "other_channel_preferred"]),
        ] {
            assert!(reasons.iter().all(|reason| misses(status, reason)), "{status}");
        }
        for (status, reasons) in [
            ("unknown", &["no_answer"][..]),
            ("scheduled", &["provider_busy", "not_delivered"]),
            ("sent", &[""]),
            ("delivered", &[""]),
            ("failed", &["template_failed", "unreadable"]),
            (
                "suppressed",
                &["superseded", "cancelled", "too_late", "visit_begun", "daily_limit", "rule_changed", "gone"],
            ),
        ] {
            assert!(!reasons.iter().any(|reason| misses(status, reason)), "{status}");
        }
        let mut body = crate::rules::defaults().remove(0);
        (body.channels, body.fallback_channels) = (vec![Channel::Sms], vec![Channel::Email]);
        assert_eq!(stand_in(&body, body.trigger, "sms"), Some(Channel::Email));
        assert_eq!(stand_in(&body, body.trigger, "email"), None, "nothing stands in for what stands in");
        assert_eq!(stand_in(&body, Trigger::Missed, "sms"), None, "the rule speaks of something else now");
        body.fallback_channels = vec![];
        assert_eq!(stand_in(&body, body.trigger, "sms"), None);
    }
}
