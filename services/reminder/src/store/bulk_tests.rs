//! Many messages in one transaction, on both engines.

use std::sync::Arc;

use domain::{appointment::Status, patient::Channel};
use testkit::database::Database;
use uuid::Uuid;

use super::{
    appointments::Announcement,
    messages::MessageRow,
    sends::{Finish, NewSend, SendResult},
    tests::{Bed, HOUR, NOW, ORG, START, booked, suite},
};
use crate::{
    planning::Event,
    sending::transactions::{self, Claim},
};

pub(super) fn new_send(message: &MessageRow, verified_version: i64) -> NewSend {
    NewSend {
        message: Arc::new(message.clone()),
        verified_version,
        announcement: Some(announcement(message)),
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

fn announcement(message: &MessageRow) -> Announcement {
    Announcement {
        organization: ORG,
        appointment: message.subject_id,
        starts_at_us: message.starts_at_us,
        location: message.location_id,
        practitioner: None,
        service: None,
    }
}

pub(super) fn result(message: &MessageRow, attempt: i32, status: &'static str) -> SendResult {
    SendResult {
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
        next_provider: "",
        fallback_id: Uuid::from_u128(77),
        now_us: NOW,
    }
}

pub(super) fn finish(message: &MessageRow, reason: &'static str) -> Finish {
    let (message, status) = (Arc::new(message.clone()), "suppressed");
    Finish { message, status, reason, fallback_id: Uuid::from_u128(78), now_us: NOW }
}

async fn each_message_of_a_batch_is_claimed_for_itself(bed: Bed) {
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
    let all: Vec<_> = leased.iter().map(|message| new_send(message, 1)).collect();
    // The first is held by somebody else.
    let held = match bed.store.across() {
        service::store::Scoped::Postgres(pool) => {
            let mut tx = pool.begin().await.unwrap();
            let lock = "UPDATE appointments SET seen_at_us = 1 WHERE organization_id = $1 AND id = $2";
            let lock = sqlx::query(lock).bind(ORG).bind(leased[0].subject_id);
            assert_eq!(lock.execute(&mut *tx).await.unwrap().rows_affected(), 1);
            Some(tx)
        }
        service::store::Scoped::Sqlite(_) => None,
    };
    let begun = transactions::begin_sends(&bed.store, &all).await.unwrap();
    let first = if held.is_some() { Claim::Locked } else { Claim::Attempt(1) };
    assert_eq!(begun, [first, Claim::Refused, Claim::Refused, Claim::Attempt(1)], "nobody waits for what is held");
    if let Some(tx) = held {
        let (alone, released) = tokio::join!(transactions::begin_send(&bed.store, &all[0]), tx.commit());
        released.unwrap();
        assert_eq!(alone.unwrap(), Some(1));
        assert_eq!(transactions::begin_send(&bed.store, &all[1]).await.unwrap(), None);
    }
    let records = [result(&leased[0], 1, "sent"), result(&leased[1], 1, "sent"), result(&leased[3], 1, "scheduled")];
    assert_eq!(transactions::record(&bed.store, &records).await.unwrap(), [true, false, true]);
    let mut rows = bed.all().await;
    rows.retain(|row| row.channel == "sms" && row.trigger == "booked");
    rows.sort_by_key(|one| one.appointment_id);
    let shown = rows.iter().map(|row| (row.status.as_str(), row.attempts, row.tries, row.sent_at_us));
    let (sent, left) = (("sent", 1, 0, Some(NOW)), ("scheduled", 0, 0, None));
    assert_eq!(shown.collect::<Vec<_>>(), [sent, left, left, ("scheduled", 1, 1, None)]);
}

async fn each_message_of_a_batch_ends_for_itself(bed: Bed) {
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    let first = bed.lease(NOW).await.unwrap();
    let other = bed.lease(NOW).await.unwrap();
    let lost = MessageRow { fence: other.fence - 1, ..other.clone() };
    // Nobody ends one whose lease is lost, and what another end meets is no matter of this one.
    assert_eq!(
        transactions::finish(&bed.store, &[finish(&lost, "no_phone"), finish(&first, "no_phone")]).await.unwrap(),
        [false, true]
    );
    assert_eq!(
        transactions::finish(&bed.store, &[finish(&first, "gone"), finish(&other, "too_late")]).await.unwrap(),
        [false, true]
    );
    let rows = bed.all().await;
    let ended = |id| rows.iter().find(|row| row.id == id).map(|row| (row.status.as_str(), row.reason.as_str()));
    assert_eq!(ended(first.id), Some(("suppressed", "no_phone")));
    assert_eq!(ended(other.id), Some(("suppressed", "too_late")));
}

async fn a_fallback_replaces_a_message_that_ended_and_none_whose_lease_was_lost(bed: Bed) {
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    let leased = bed.lease_all(NOW, 10, &[]).await;
    let text = leased.iter().find(|one| one.trigger == "booked" && one.channel == "sms").unwrap();
    let mut rule = bed.rule(text.rule_id).await;
    rule.version += 1;
    (rule.body.channels, rule.body.fallback_channels) = (vec![Channel::Sms], vec![Channel::Email]);
    bed.write_rule(&rule).await.unwrap();
    let fallbacks = async || {
        let rows = bed.all().await;
        let of = |row: &MessageRow| row.fallback_for == Some(text.id) && row.status == "scheduled";
        rows.into_iter().filter(of).count()
    };
    let lost = MessageRow { fence: text.fence - 1, ..text.clone() };
    assert_eq!(transactions::finish(&bed.store, &[finish(&lost, "no_phone")]).await.unwrap(), [false]);
    assert_eq!(fallbacks().await, 0);
    assert_eq!(transactions::finish(&bed.store, &[finish(text, "no_phone")]).await.unwrap(), [true]);
    assert_eq!(fallbacks().await, 1);
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
    transactions::begin_sends(&bed.store, &[new_send(&leased, 1)]).await.unwrap();
    bed.apply((Some("p1"), "p2"), &[with(2, 99)]).await;
    let changed = |rows: &[MessageRow], version: i64| -> Vec<String> {
        let news = rows.iter().filter(|row| row.trigger == "rescheduled" && row.subject_version == version);
        news.map(|row| row.changed.clone()).collect()
    };
    assert_eq!(changed(&bed.all().await, 2), ["p", "p"], "a confirmation names nobody");
    let news = bed.all().await.into_iter().find(|row| row.trigger == "rescheduled").unwrap();
    let leased = bed.lease_all(NOW, 100, &[]).await;
    let leased = leased.into_iter().find(|row| row.id == news.id).unwrap();
    let (practitioner, service) = (Some(Uuid::from_u128(99)), Some(Uuid::from_u128(8)));
    let named = Announcement { practitioner, service, ..announcement(&leased) };
    let named = NewSend { announcement: Some(named), ..new_send(&leased, 2) };
    transactions::begin_sends(&bed.store, &[named]).await.unwrap();
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
    each_message_of_a_batch_is_claimed_for_itself
    each_message_of_a_batch_ends_for_itself
    a_fallback_replaces_a_message_that_ended_and_none_whose_lease_was_lost
}
