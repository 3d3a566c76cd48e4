//! Many messages in one transaction, on both engines.

use std::sync::Arc;

use domain::{appointment::Status, patient::Channel};
use testkit::database::Database;

use super::{
    tests::{Bed, HOUR, NOW, ORG, START, booked, suite},
    *,
};
use crate::planning::Event;

pub(super) fn sending(message: &MessageRow, truth_version: i64) -> Sending {
    Sending {
        message: Arc::new(message.clone()),
        truth_version,
        tells: Some(message.visit()),
        names: None,
        provider: "sandbox",
        key_attempt: 0,
        recipient: "+15005550009".into(),
        subject: String::new(),
        body: "text".into(),
        segments: 1,
        now_us: NOW,
        lease_until_us: NOW + HOUR,
    }
}

pub(super) fn record(message: &MessageRow, attempt: i32, status: &'static str) -> Record {
    Record {
        message: Arc::new(message.clone()),
        attempt,
        status,
        reason: "",
        wake_at_us: (status == "scheduled").then_some(NOW + 1),
        sent: status == "sent",
        rank: 1,
        outcome: if status == "scheduled" { "failed" } else { "sent" },
        provider_message_id: "SM1".into(),
        parts: 1,
        error_code: String::new(),
        detail: "",
        block: None,
        held: false,
        next_way: "",
        stand_in: Uuid::from_u128(77),
        now_us: NOW,
    }
}

pub(super) fn end(message: &MessageRow, reason: &'static str) -> End {
    let (message, status) = (Arc::new(message.clone()), "suppressed");
    End { message, status, reason, stand_in: Uuid::from_u128(78), now_us: NOW }
}

async fn of_many_each_leaves_for_itself(bed: Bed) {
    let visit = |id: u128| {
        let mut change = booked(1, START, Status::Booked, Event::Booked);
        change.appointment.id = Uuid::from_u128(id);
        change.appointment.patient = Uuid::from_u128(1000 + id);
        change
    };
    bed.apply((None, "p1"), &[visit(101), visit(102), visit(103), visit(104)]).await;
    let mut leased = bed.lease_all(NOW, 100, &[]).await;
    leased.retain(|one| one.channel == "sms");
    leased.sort_by_key(|one| one.appointment_id);
    assert_eq!(leased.len(), 4);
    // Of the second something newer is known, and the third was taken over by another process.
    let mut newer = visit(102);
    newer.appointment.version = 2;
    bed.apply((Some("p1"), "p2"), &[newer]).await;
    leased[2].fence -= 1;
    let all: Vec<_> = leased.iter().map(|one| sending(one, 1)).collect();
    // The first is held by somebody else.
    let held = match &bed.store {
        Store::Postgres(store) => {
            let mut tx = store.pool.begin().await.unwrap();
            let lock = "UPDATE appointments SET seen_at_us = 1 WHERE organization_id = $1 AND id = $2";
            let lock = sqlx::query(lock).bind(ORG).bind(leased[0].appointment_id);
            assert_eq!(lock.execute(&mut *tx).await.unwrap().rows_affected(), 1);
            Some(tx)
        }
        Store::Sqlite(_) => None,
    };
    let begun = bed.store.begin_sends(&all).await.unwrap();
    let first = if held.is_some() { Begun::Held } else { Begun::Attempt(1) };
    assert_eq!(begun, [first, Begun::Refused, Begun::Refused, Begun::Attempt(1)], "nobody waits for what is held");
    if let Some(tx) = held {
        let (alone, released) = tokio::join!(bed.store.begin_alone(&all[0]), tx.commit());
        released.unwrap();
        assert_eq!(alone.unwrap(), Some(1));
        assert_eq!(bed.store.begin_alone(&all[1]).await.unwrap(), None);
    }
    let records = [record(&leased[0], 1, "sent"), record(&leased[1], 1, "sent"), record(&leased[3], 1, "scheduled")];
    assert_eq!(bed.store.record(&records).await.unwrap(), [true, false, true]);
    let mut rows = bed.all().await;
    rows.retain(|row| row.channel == "sms" && row.trigger == "booked");
    rows.sort_by_key(|one| one.appointment_id);
    let shown = rows.iter().map(|row| (row.status.as_str(), row.attempts, row.tries, row.sent_at_us));
    let (sent, left) = (("sent", 1, 0, Some(NOW)), ("scheduled", 0, 0, None));
    assert_eq!(shown.collect::<Vec<_>>(), [sent, left, left, ("scheduled", 1, 1, None)]);
}

async fn of_many_each_ends_for_itself(bed: Bed) {
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    let first = bed.lease(NOW).await.unwrap();
    let other = bed.lease(NOW).await.unwrap();
    let lost = MessageRow { fence: other.fence - 1, ..other.clone() };
    // Nobody ends one whose lease is lost, and what another end meets is no matter of this one.
    assert_eq!(bed.store.finish(&[end(&lost, "no_phone"), end(&first, "no_phone")]).await.unwrap(), [false, true]);
    assert_eq!(bed.store.finish(&[end(&first, "gone"), end(&other, "too_late")]).await.unwrap(), [false, true]);
    let rows = bed.all().await;
    let ended = |id| rows.iter().find(|row| row.id == id).map(|row| (row.status.as_str(), row.reason.as_str()));
    assert_eq!(ended(first.id), Some(("suppressed", "no_phone")));
    assert_eq!(ended(other.id), Some(("suppressed", "too_late")));
}

async fn another_stands_in_for_what_has_ended_and_not_for_what_was_lost(bed: Bed) {
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    let leased = bed.lease_all(NOW, 10, &[]).await;
    let text = leased.iter().find(|one| one.trigger == "booked" && one.channel == "sms").unwrap();
    let mut rule = bed.store.rule(ORG, text.rule_id).await.unwrap().unwrap();
    rule.version += 1;
    (rule.body.channels, rule.body.fallback_channels) = (vec![Channel::Sms], vec![Channel::Email]);
    let write = RuleWrite { organization: ORG, rule: &rule, now_us: NOW, remember: None, ids: &Ids::seeded(2) };
    bed.store.write_rule(&write).await.unwrap();
    let stand_ins = async || {
        let rows = bed.all().await;
        let of = |row: &MessageRow| row.instead_of == Some(text.id) && row.status == "scheduled";
        rows.into_iter().filter(of).count()
    };
    let lost = MessageRow { fence: text.fence - 1, ..text.clone() };
    assert_eq!(bed.store.finish(&[end(&lost, "no_phone")]).await.unwrap(), [false]);
    assert_eq!(stand_ins().await, 0);
    assert_eq!(bed.store.finish(&[end(text, "no_phone")]).await.unwrap(), [true]);
    assert_eq!(stand_ins().await, 1);
}

/// Any message tells of the time; only the one that names a practitioner lets the patient know of another one.
async fn a_practitioner_is_known_once_named(bed: Bed) {
    let with = |version: i64, practitioner: u128| {
        let mut change = booked(version, START, Status::Booked, Event::Other);
        change.appointment.practitioner = Uuid::from_u128(practitioner);
        change
    };
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    let leased = bed.lease(NOW).await.unwrap();
    bed.store.begin_sends(&[sending(&leased, 1)]).await.unwrap();
    bed.apply((Some("p1"), "p2"), &[with(2, 99)]).await;
    let changed = |rows: &[MessageRow], version: i64| -> Vec<String> {
        let news = rows.iter().filter(|row| row.trigger == "rescheduled" && row.appointment_version == version);
        news.map(|row| row.changed.clone()).collect()
    };
    assert_eq!(changed(&bed.all().await, 2), ["p", "p"], "a confirmation names nobody");
    let news = bed.all().await.into_iter().find(|row| row.trigger == "rescheduled").unwrap();
    let leased = bed.lease_all(NOW, 100, &[]).await;
    let leased = leased.into_iter().find(|row| row.id == news.id).unwrap();
    let named = Sending { names: Some((Uuid::from_u128(99), Uuid::from_u128(8))), ..sending(&leased, 2) };
    bed.store.begin_sends(&[named]).await.unwrap();
    // Elsewhere with the one who was named: only the place is news.
    let mut away = with(3, 99);
    away.appointment.visit.location = Uuid::from_u128(98);
    bed.apply((Some("p2"), "p3"), &[away]).await;
    assert_eq!(changed(&bed.all().await, 3), ["l", "l"]);
    // Back to the first one, who is news again.
    let mut back = with(4, 9);
    back.appointment.visit.location = Uuid::from_u128(98);
    bed.apply((Some("p3"), "p4"), &[back]).await;
    assert_eq!(changed(&bed.all().await, 4), ["lp", "lp"]);
}

suite! {
    a_practitioner_is_known_once_named
    of_many_each_leaves_for_itself
    of_many_each_ends_for_itself
    another_stands_in_for_what_has_ended_and_not_for_what_was_lost
}
