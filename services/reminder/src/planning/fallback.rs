//! Fallbacks: a message on the rule's other channel for one that could not reach its patient.

use domain::patient::Channel;
use service::store::Tx;
use sql::Failure;
use uuid::Uuid;

use crate::{
    rules::{Body, Trigger},
    store::{
        batch::Key,
        planned_messages::insert_fallback,
        sends::{MessageRuleRow, select_rules_of_messages},
    },
};

/// A message that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndedMessage<'a> {
    pub(crate) key: Key,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    /// The id of the fallback, if one is planned.
    pub(crate) fallback_id: Uuid,
    pub(crate) now_us: i64,
}

/// Whether a message with this status and reason missed its patient for a cause that another channel may not have. An
/// unknown outcome is no miss, and neither is a message without anything left to say.
pub(crate) fn misses(status: &str, reason: &str) -> bool {
    match status {
        "undelivered" => true,
        "failed" => matches!(reason, "refused" | "gave_up" | "opted_out" | "not_delivered"),
        "suppressed" => {
            let of_channel = ["no_phone", "no_email", "no_consent", "opted_out", "other_channel_preferred"];
            of_channel.contains(&reason) || reason == "country_not_allowed"
        }
        _ => false,
    }
}

/// Plans the fallbacks of messages that missed their patients.
pub(crate) async fn plan_fallbacks(tx: &mut Tx, ended: &[EndedMessage<'_>]) -> Result<(), Failure> {
    let missed: Vec<_> = ended.iter().filter(|message| misses(message.status, message.reason)).collect();
    if missed.is_empty() {
        return Ok(());
    }
    let keys: Vec<Key> = missed.iter().map(|message| message.key).collect();
    for row in select_rules_of_messages(tx, &keys).await? {
        let Some(message) = missed.iter().find(|message| message.key.1 == row.id) else { continue };
        let Some(channel) = channel_for(&row)? else { continue };
        insert_fallback(tx, message.key, message.fallback_id, channel.as_str(), message.now_us).await?;
    }
    Ok(())
}

fn channel_for(row: &MessageRuleRow) -> Result<Option<Channel>, Failure> {
    // A reply has no trigger of a rule and no fallback.
    let Ok(trigger) = row.trigger.parse::<Trigger>() else { return Ok(None) };
    Ok(fallback_channel(&Body::from_json(&row.body)?, trigger, &row.channel))
}

/// The channel of the fallback for a message on a channel.
fn fallback_channel(rule: &Body, trigger: Trigger, channel: &str) -> Option<Channel> {
    // The rule may have another trigger by now, or this channel as its fallback.
    let applies = rule.trigger == trigger && rule.channels.iter().any(|known| known.as_str() == channel);
    rule.fallback_channels.first().copied().filter(|_| applies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_missed_its_patient_has_a_fallback_and_no_other_has() {
        for (status, reasons) in [
            ("failed", &["refused", "gave_up", "opted_out", "not_delivered"][..]),
            ("undelivered", &["not_delivered", "opted_out"]),
            ("suppressed", &["no_phone", "no_email", "no_consent", "opted_out", "other_channel_preferred"]),
            ("suppressed", &["country_not_allowed"]),
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
                &[
                    "superseded",
                    "cancelled",
                    "too_late",
                    "visit_begun",
                    "daily_limit",
                    "message_limit",
                    "rule_changed",
                    "gone",
                ],
            ),
        ] {
            assert!(!reasons.iter().any(|reason| misses(status, reason)), "{status}");
        }
        let mut body = crate::rules::defaults().remove(0);
        (body.channels, body.fallback_channels) = (vec![Channel::Sms], vec![Channel::Email]);
        assert_eq!(fallback_channel(&body, body.trigger, "sms"), Some(Channel::Email));
        assert_eq!(fallback_channel(&body, body.trigger, "email"), None, "a fallback has none of its own");
        assert_eq!(fallback_channel(&body, Trigger::Missed, "sms"), None, "the rule has another trigger now");
        body.fallback_channels = vec![];
        assert_eq!(fallback_channel(&body, body.trigger, "sms"), None);
    }
}
