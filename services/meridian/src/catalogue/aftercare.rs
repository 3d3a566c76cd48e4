//! The aftercare rules of the default catalogue: messages to patients after their sessions.

use serde_json::{Value, json};
use wire::reminder::{QuietHours, RuleBody};

/// The rules for these needling services: on the same day advice, on the next day a check-in, and an invitation when the
/// next session of a plan is due and not booked.
pub(crate) fn rules(needling: Vec<String>) -> Vec<RuleBody> {
    let quiet_hours = Some(QuietHours { from: "20:00".into(), to: "09:00".into() });
    let rule = |trigger: &str, hours: u32, channels: &[&str]| RuleBody {
        trigger: trigger.into(),
        offset_minutes: hours * 60,
        channels: channels.iter().map(|channel| (*channel).to_owned()).collect(),
        quiet_hours: quiet_hours.clone(),
        ..RuleBody::default()
    };
    vec![
        RuleBody { service_ids: needling.clone(), ..rule("after_completed", 2, &["sms", "email"]) },
        // Between 24 and 48 hours after each visit: quiet hours defer it to the next morning.
        RuleBody { service_ids: needling, asks: "score".into(), ..rule("after_completed", 27, &["sms"]) },
        rule("plan_session_unbooked", 0, &["sms", "email"]),
    ]
}

/// A rule in the form of the public interface.
pub(crate) fn to_json(rule: &RuleBody) -> Value {
    let mut body = json!({
        "trigger": rule.trigger,
        "offset_minutes": rule.offset_minutes,
        "channels": rule.channels,
        "service_ids": rule.service_ids,
    });
    if let Some(hours) = &rule.quiet_hours {
        body["quiet_hours"] = json!({"from": hours.from, "to": hours.to});
    }
    if !rule.asks.is_empty() {
        body["asks"] = json!(rule.asks);
    }
    body
}
