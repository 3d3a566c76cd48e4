//! The contract of the store, on both engines.

use domain::{appointment::Status, patient::Channel};
use runtime::Ids;
use testkit::database::Database;
use uuid::Uuid;

use super::{
    blocked::Address,
    bulk_tests::{finish, new_send, result},
    messages::{MessageFilter, MessageRow},
    positions::PositionStep,
    sends::SendResult,
    *,
};
use crate::{
    address_hash,
    appointment::{Appointment, Visit},
    idempotency::Refusal,
    jobs::commit::{Committed, FeedBatch, Progress, commit},
    messages::retry,
    planning::{
        Change, Event,
        apply::Changes,
        rule_change::{RuleWrite, write_rule},
    },
    providers::{
        apply_receipt::{self, AttributedReceipt},
        receipt::Stage,
    },
    rules::Rule,
    sending::transactions::{self, Claim},
};

const UNKNOWN_US: i64 = 600_000_000;
pub(super) const HOUR: i64 = 3_600_000_000;
pub(super) const NOW: i64 = 1_772_000_000_000_000;
pub(super) const START: i64 = NOW + 100 * HOUR;
pub(super) const ORG: Uuid = Uuid::from_u128(1);
const VISIT: Uuid = Uuid::from_u128(7);

pub(super) struct Bed {
    pub(super) store: Store,
    pub(super) ids: Ids,
    _database: Database,
}

impl Bed {
    pub(super) async fn on(database: Database) -> Self {
        let target = Target::from_url(&database.for_service("reminder")).unwrap();
        let store = Store::open(&target).await.unwrap();
        store.migrate().await.unwrap();
        // A second start finds nothing to do.
        store.migrate().await.unwrap();
        Self { store, ids: Ids::seeded(1), _database: database }
    }

    pub(super) async fn apply(&self, (from, to): (Option<&str>, &str), changes: &[Change]) -> Committed {
        let changes = Changes { appointments: changes, ..Changes::default() };
        let progress = Progress::Feed(PositionStep { from, to });
        let batch = FeedBatch { changes, events: &[], progress, now_us: NOW, settle_us: 0 };
        commit(&self.store, &self.ids, &batch).await.unwrap()
    }

    pub(super) async fn all(&self) -> Vec<MessageRow> {
        self.store.messages(ORG, &MessageFilter { limit: 1000, ..MessageFilter::default() }).await.unwrap()
    }

    pub(super) async fn rule(&self, id: Uuid) -> Rule {
        Rule::from_row(self.store.rule(ORG, id).await.unwrap().unwrap()).unwrap()
    }

    pub(super) async fn write_rule(&self, rule: &Rule) -> Result<u64, Refusal> {
        let write = RuleWrite { organization: ORG, rule, now_us: NOW, remember: None, ids: &self.ids };
        write_rule(&self.store, &write).await
    }

    pub(super) async fn lease(&self, now_us: i64) -> Option<MessageRow> {
        self.lease_all(now_us, 1, &[]).await.pop()
    }

    pub(super) async fn lease_all(&self, now_us: i64, limit: i64, busy: &[Uuid]) -> Vec<MessageRow> {
        match self.store.due(now_us, limit, busy).await.unwrap() {
            due if due.is_empty() => vec![],
            due => self.store.lease(now_us, now_us + HOUR, &due).await.unwrap(),
        }
    }

    async fn begin(&self, message: &MessageRow, verified_version: i64) -> Option<i32> {
        match transactions::begin_sends(&self.store, &[new_send(message, verified_version)]).await.unwrap()[0] {
            Claim::Attempt(attempt) => Some(attempt),
            Claim::Refused => None,
            Claim::Locked => panic!("no transaction holds it"),
        }
    }

    async fn record(&self, result: SendResult) -> bool {
        transactions::record(&self.store, &[result]).await.unwrap()[0]
    }

    async fn blocked(&self, organization: Uuid, message: &MessageRow, hash: &[u8]) -> bool {
        let address = Address { organization, channel: message.channel.clone(), hash: hash.to_vec() };
        let found = self.store.blocked(std::slice::from_ref(&address)).await.unwrap();
        assert!(found.is_empty() || found.contains(&address));
        !found.is_empty()
    }

    fn id(&self) -> Uuid {
        self.ids.uuid(jiff::Timestamp::from_microsecond(NOW).unwrap())
    }

    async fn receive(&self, message: Uuid, attempt: i32, stage: Stage) -> bool {
        let receipt = AttributedReceipt {
            organization: ORG,
            event: self.id(),
            fallback_id: self.id(),
            message,
            provider: "sandbox",
            attempt,
            by_key: false,
            stage,
            reason: "",
            provider_message_id: "SM1",
            is_part: false,
            error_code: "",
            form: "{}",
            block: false,
            retry: None,
            now_us: NOW,
        };
        apply_receipt::apply(&self.store, &receipt).await.unwrap().is_some()
    }
}

pub(super) fn booked(version: i64, starts_at_us: i64, status: Status, event: Event) -> Change {
    Change {
        organization: ORG,
        event,
        changed_at_us: NOW,
        appointment: Appointment {
            id: VISIT,
            version,
            status,
            service: Uuid::from_u128(8),
            practitioner: Uuid::from_u128(9),
            patient: Uuid::from_u128(10),
            visit: Visit { starts_at_us, location: Uuid::from_u128(11) },
            ends_at_us: starts_at_us + HOUR,
            time_zone: "America/Edmonton".into(),
            plan_session: None,
            confirmed_at_us: None,
        },
        moved_from_us: None,
    }
}

fn statuses(rows: &[MessageRow]) -> Vec<(&str, &str)> {
    rows.iter().map(|row| (row.status.as_str(), row.reason.as_str())).collect()
}

async fn position_and_messages_move_together(bed: Bed) {
    let book = [booked(1, START, Status::Booked, Event::Booked)];
    assert_eq!(bed.apply((None, "p1"), &book).await, Committed::Here { planned: 5 });
    assert_eq!(bed.store.position().await.unwrap().as_deref(), Some("p1"));
    // The same batch once more, by a process that has not noticed: nothing happens.
    assert_eq!(bed.apply((None, "p1"), &book).await, Committed::Elsewhere);
    assert_eq!(bed.apply((Some("p0"), "p9"), &book).await, Committed::Elsewhere);
    // Seen again in a snapshot, or replayed: nothing is planned twice.
    assert_eq!(bed.apply((Some("p1"), "p2"), &book).await, Committed::Here { planned: 0 });
    assert_eq!(bed.all().await.len(), 5);
    let moved = [booked(2, START + HOUR, Status::Booked, Event::Other)];
    assert_eq!(bed.apply((Some("p8"), "p9"), &moved).await, Committed::Elsewhere);
    assert!(bed.all().await.iter().all(|row| row.status == "scheduled"), "a lost race changes nothing");
    assert_eq!(bed.apply((Some("p2"), "p3"), &moved).await, Committed::Here { planned: 5 });
    let rows = bed.all().await;
    let old: Vec<_> = rows.iter().filter(|row| row.subject_version == 1).cloned().collect();
    assert_eq!(statuses(&old), [("suppressed", "superseded"); 5]);
    // Every second message has another key than every other: the database says so.
    let mut keys: Vec<_> = rows.iter().map(|row| (row.subject_version, row.rule_id, row.channel.clone())).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 10);
}

async fn a_lease_is_fenced(bed: Bed) {
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    let first = bed.lease(NOW).await.unwrap();
    // While it holds, others get the other message, and then none.
    let other = bed.lease(NOW).await.unwrap();
    assert_ne!(first.id, other.id);
    assert_eq!(bed.lease(NOW).await, None);
    // It is over: another takes the message up, and the first one's word counts no more.
    let second = bed.lease_all(NOW + HOUR, 10, &[other.id]).await.pop().unwrap();
    assert_eq!((second.id, second.fence), (first.id, first.fence + 1));
    assert_eq!(bed.begin(&first, 1).await, None);
    assert!(!bed.store.postpone(&first, NOW).await.unwrap());
    assert_eq!(transactions::finish(&bed.store, &[finish(&first, "x")]).await.unwrap(), [false]);
    assert_eq!(bed.begin(&second, 1).await, Some(1));
    assert_eq!(bed.begin(&second, 1).await, None, "it is on its way already");
    assert!(!bed.record(result(&first, 1, "failed")).await);
    assert!(bed.record(result(&second, 1, "sent")).await);
    // This process is at it: it is not leased by itself again.
    assert_eq!(bed.lease_all(NOW + 9 * HOUR, 10, &[other.id]).await, []);
}

async fn a_message_of_an_older_version_does_not_leave(bed: Bed) {
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    let leased = bed.lease(NOW).await.unwrap();
    // A newer version of no consequence was seen after the truth was asked for: asked again.
    bed.apply((Some("p1"), "p2"), &[booked(2, START, Status::Booked, Event::Other)]).await;
    assert_eq!(bed.begin(&leased, 1).await, None);
    assert_eq!(bed.begin(&leased, 2).await, Some(1));
    let next = bed.lease(NOW).await.unwrap();
    bed.apply((Some("p2"), "p3"), &[booked(3, START, Status::Cancelled, Event::Other)]).await;
    assert_eq!(bed.begin(&next, 3).await, None);
    let rows = bed.all().await;
    assert_eq!(rows.iter().filter(|row| row.reason == "cancelled").count(), 4);
    assert_eq!(rows.iter().filter(|row| row.trigger == "cancelled" && row.status == "scheduled").count(), 2);
    assert_eq!(rows.iter().filter(|row| row.status == "sending").count(), 1, "what has left is not called back");
}

async fn an_announced_arrangement_is_known_to_the_next_plan(bed: Bed) {
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    bed.apply((Some("p1"), "p2"), &[booked(2, START + HOUR, Status::Booked, Event::Other)]).await;
    let moved = loop {
        let leased = bed.lease(NOW).await.unwrap();
        if leased.trigger == "rescheduled" {
            break leased;
        }
    };
    // A claim that fails tells nothing.
    assert_eq!(bed.begin(&moved, 1).await, None);
    assert_eq!(bed.begin(&moved, 2).await, Some(1));
    bed.apply((Some("p2"), "p3"), &[booked(3, START, Status::Booked, Event::Other)]).await;
    let rows = bed.all().await;
    let correction = rows.iter().filter(|row| row.trigger == "rescheduled" && row.subject_version == 3);
    assert_eq!(correction.count(), 2);
}

async fn the_send_of_a_dead_process_is_unknown_and_settled_by_receipts(bed: Bed) {
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    let leased = bed.lease(NOW).await.unwrap();
    let attempt = bed.begin(&leased, 1).await.unwrap();
    assert_eq!(
        bed.store.expire_sends(NOW + HOUR, NOW + HOUR + UNKNOWN_US, &[leased.id]).await.unwrap(),
        [],
        "this process is at it"
    );
    assert_eq!(bed.store.expire_sends(NOW + HOUR - 1, NOW + HOUR, &[]).await.unwrap(), [], "its lease holds");
    assert_eq!(bed.store.expire_sends(NOW + HOUR, NOW + HOUR + UNKNOWN_US, &[]).await.unwrap().len(), 1);
    let row = bed.store.message(ORG, leased.id).await.unwrap().unwrap();
    assert_eq!(
        (row.status.as_str(), row.reason.as_str(), row.recipient.as_str()),
        ("unknown", "no_answer", "+15005550009")
    );
    let again = bed.lease_all(NOW + HOUR + UNKNOWN_US - 1, 100, &[]).await;
    assert!(again.iter().all(|row| row.id != leased.id), "most receipts have come before its rule is asked");
    // Receipts out of order and repeated: it only moves up.
    assert!(!bed.receive(leased.id, attempt + 1, Stage::Failed).await, "there was no such attempt");
    assert!(bed.receive(leased.id, attempt, Stage::Queued).await);
    assert!(bed.receive(leased.id, attempt, Stage::Delivered).await);
    assert!(!bed.receive(leased.id, attempt, Stage::Delivered).await);
    assert!(!bed.receive(leased.id, attempt, Stage::Sent).await);
    assert!(!bed.receive(leased.id, attempt, Stage::Undelivered).await);
    assert!(!bed.receive(Uuid::from_u128(404), 1, Stage::Delivered).await, "an unknown message is no fault");
    let row = bed.store.message(ORG, leased.id).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.sent_at_us), ("delivered", Some(NOW)));
    let attempts = bed.store.attempts(ORG, &[leased.id]).await.unwrap();
    assert_eq!((attempts[0].outcome.as_str(), attempts[0].provider_message_id.as_str()), ("sent", "SM1"));
    // The sender lives after all: its late word takes nothing back.
    assert!(!bed.record(result(&leased, attempt, "sent")).await);
}

async fn an_address_that_opted_out_is_blocked_until_someone_asks(bed: Bed) {
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    let leased = bed.lease(NOW).await.unwrap();
    let attempt = bed.begin(&leased, 1).await.unwrap();
    let hash = address_hash("+15005550009");
    let blocked = || bed.blocked(ORG, &leased, &hash);
    assert!(!blocked().await);
    let address = Address { organization: ORG, channel: leased.channel.clone(), hash: hash.clone() };
    let refused = SendResult { block: Some(address), ..result(&leased, attempt, "failed") };
    assert!(bed.record(refused).await);
    assert!(blocked().await);
    assert!(!bed.blocked(Uuid::from_u128(2), &leased, &hash).await, "another organisation");
    let failed = bed.store.message(ORG, leased.id).await.unwrap().unwrap();
    retry::write(&bed.store, &failed, NOW, None).await.unwrap();
    assert!(!blocked().await);
    assert!(matches!(retry::write(&bed.store, &failed, NOW, None).await, Err(Refusal::Stale)));
    assert_eq!(bed.store.message(ORG, leased.id).await.unwrap().unwrap().status, "scheduled");
}

async fn a_changed_rule_changes_its_messages(bed: Bed) {
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    let rules = bed.store.rules(ORG, false, None, 100).await.unwrap();
    let rules: Vec<_> = rules.into_iter().map(|row| Rule::from_row(row).unwrap()).collect();
    let day_before = rules.iter().find(|rule| rule.body.offset_minutes == 24 * 60).unwrap().clone();
    let write = async |rule: &Rule| bed.write_rule(rule).await;
    let of_rule = async || {
        let rows = bed.all().await.into_iter().filter(|row| row.rule_id == day_before.id);
        let mut rows: Vec<_> = rows.map(|row| (row.channel, row.status, (row.due_at_us - START) / HOUR)).collect();
        rows.sort();
        rows
    };
    let shown = |channel: &str, status: &str, hours| (channel.to_owned(), status.to_owned(), hours);
    let mut rule = Rule { version: 2, ..day_before.clone() };
    rule.body.offset_minutes = 48 * 60;
    assert_eq!(write(&rule).await.unwrap(), 0);
    assert_eq!(of_rule().await, [shown("sms", "scheduled", -48)]);
    assert!(matches!(write(&rule).await, Err(Refusal::Stale)), "made from an old version");
    rule.version = 3;
    rule.body.channels = vec![Channel::Email];
    assert_eq!(write(&rule).await.unwrap(), 1);
    assert_eq!(of_rule().await, [shown("email", "scheduled", -48), shown("sms", "suppressed", -48)]);
    rule.version = 4;
    rule.body.channels = vec![Channel::Email, Channel::Sms];
    rule.body.offset_minutes = 24 * 60;
    assert_eq!(write(&rule).await.unwrap(), 1, "what the rule took back, it plans again");
    assert_eq!(of_rule().await, [shown("email", "scheduled", -24), shown("sms", "scheduled", -24)]);
    rule.version = 5;
    rule.archived_at_us = Some(NOW);
    assert_eq!(write(&rule).await.unwrap(), 0);
    assert!(of_rule().await.iter().all(|(_, status, _)| status == "suppressed"));
    // What a lease held while the rule changed does not leave.
    let new = Rule::new(Uuid::from_u128(99), Rule { ..day_before.clone() }.body, NOW);
    assert_eq!(write(&new).await.unwrap(), 1);
}

async fn statements_are_understood(bed: Bed) {
    let statements = [
        &absent::STATEMENTS[..],
        &appointment_counts::STATEMENTS,
        &appointments::STATEMENTS,
        &blocked::STATEMENTS,
        &clock_steps::STATEMENTS,
        &inbound::STATEMENTS,
        &messages::STATEMENTS,
        &offers::STATEMENTS,
        &organizations::STATEMENTS,
        &planned_messages::STATEMENTS,
        &positions::STATEMENTS,
        &receipts::STATEMENTS,
        &rules::STATEMENTS,
        &sends::STATEMENTS,
        &sweeps::STATEMENTS,
        &verifications::STATEMENTS,
        &webhook_deliveries::STATEMENTS,
        &webhook_endpoints::STATEMENTS,
        &service::idempotency::STATEMENTS,
        &service::secrets::STATEMENTS,
    ]
    .concat();
    match &bed.store.database {
        service::store::Database::Sqlite(pools) => {
            let mut connection = pools.writer.acquire().await.unwrap();
            for text in statements {
                sqlx::Executor::prepare(&mut *connection, sqlx::SqlSafeStr::into_sql_str(text)).await.unwrap();
            }
        }
        service::store::Database::Postgres(pool) => {
            let mut connection = pool.acquire().await.unwrap();
            for text in statements {
                sqlx::Executor::prepare(&mut *connection, sqlx::SqlSafeStr::into_sql_str(text)).await.unwrap();
            }
        }
    }
}

/// The same on both engines.
macro_rules! suite {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Bed::on(super::Database::sqlite().unwrap()).await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Bed::on(super::Database::postgres().await.unwrap()).await).await;
            })*
        }
    };
}
pub(super) use suite;

suite! {
    position_and_messages_move_together
    a_lease_is_fenced
    a_message_of_an_older_version_does_not_leave
    an_announced_arrangement_is_known_to_the_next_plan
    the_send_of_a_dead_process_is_unknown_and_settled_by_receipts
    an_address_that_opted_out_is_blocked_until_someone_asks
    a_changed_rule_changes_its_messages
    statements_are_understood
}
