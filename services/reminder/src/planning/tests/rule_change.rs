//! A changed rule and its pending messages.

use super::*;

#[test]
fn a_changed_rule_moves_its_messages_and_drops_none() {
    let start = us("2026-03-10T15:00:00Z");
    let now = start - 50 * HOUR;
    let mut rule = rules().remove(2);
    let pending = PendingMessage {
        trigger: Trigger::BeforeStart,
        channel: Channel::Sms,
        base_at_us: start,
        due_at_us: start - 24 * HOUR,
        service: Uuid::from_u128(8),
        starts_at_us: start,
        time_zone: "America/Edmonton".into(),
        is_fallback: false,
    };
    assert_eq!(for_pending(&rule, &pending, now), PendingChange::Keep);
    rule.body.offset_minutes = 48 * 60;
    assert_eq!(for_pending(&rule, &pending, now), PendingChange::MoveTo(start - 48 * HOUR));
    rule.body.offset_minutes = 72 * 60;
    assert_eq!(for_pending(&rule, &pending, now), PendingChange::Keep, "its new time has passed: it keeps the old one");
    rule.body.channels = vec![Channel::Email];
    assert_eq!(for_pending(&rule, &pending, now), PendingChange::Suppress("rule_changed"));
    rule.archived_at_us = Some(now);
    assert_eq!(for_pending(&rule, &pending, now), PendingChange::Suppress("rule_archived"));
}

#[test]
fn a_fallback_stays_while_its_rule_has_that_channel() {
    let (start, now) = (us("2026-03-10T15:00:00Z"), us("2026-03-09T15:00:00Z"));
    let mut rule = rules().into_iter().find(|rule| rule.body.offset_minutes == 24 * 60).unwrap();
    rule.body.fallback_channels = vec![Channel::Email];
    let pending = PendingMessage {
        trigger: Trigger::BeforeStart,
        channel: Channel::Email,
        base_at_us: start,
        due_at_us: now,
        service: Uuid::from_u128(8),
        starts_at_us: start,
        time_zone: "America/Edmonton".into(),
        is_fallback: true,
    };
    let of_rule = PendingMessage { is_fallback: false, ..pending.clone() };
    rule.body.offset_minutes = 2 * 60;
    assert_eq!(for_pending(&rule, &pending, now), PendingChange::Keep, "it is due since the other one failed");
    assert_eq!(
        for_pending(&rule, &of_rule, now),
        PendingChange::Suppress("rule_changed"),
        "its channel is the last resort now"
    );
    (rule.body.channels, rule.body.fallback_channels) = (vec![Channel::Sms, Channel::Email], vec![]);
    assert_eq!(for_pending(&rule, &pending, now), PendingChange::Keep);
    rule.body.channels = vec![Channel::Sms];
    assert_eq!(for_pending(&rule, &pending, now), PendingChange::Suppress("rule_changed"));
}
