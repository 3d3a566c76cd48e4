//! The contract of the webhooks' queue, on both engines.

use domain::event::Kind;
use runtime::Ids;
use service::seal::Keyring;
use sql::Target;
use testkit::database::Database;
use uuid::Uuid;

use super::{
    event::WebhookEvent,
    queue::{self, Recorded},
};
use crate::{
    idempotency::Refusal,
    jobs::commit::{Committed, FeedBatch, Progress, commit},
    planning::apply::Changes,
    store::{
        Store,
        positions::PositionStep,
        webhook_deliveries::{DeliveryResult, DeliveryRow, Excluded},
        webhook_endpoints::EndpointRow,
    },
};

testkit::engines!(
    events_are_queued_once_with_the_position,
    the_next_delivery_is_due_when_the_first_ends,
    a_lease_of_a_delivery_is_fenced,
    an_excluded_delivery_waits,
    a_sweep_deletes_ended_deliveries_and_expired_secrets,
    an_update_of_an_endpoint_keeps_its_failures,
);

const DAY: i64 = 24 * 3_600_000_000;
const NOW: i64 = 1_772_000_000_000_000;
const ORG: Uuid = Uuid::from_u128(1);
const ENDPOINT: Uuid = Uuid::from_u128(2);
const VISIT: Uuid = Uuid::from_u128(3);

struct Fixture {
    store: Store,
    ids: Ids,
    _database: Database,
}

impl Fixture {
    async fn new(database: Database) -> Self {
        let target = Target::from_url(&database.for_service("reminder")).unwrap();
        let store = Store::open(&target).await.unwrap();
        store.migrate().await.unwrap();
        let fixture = Self { store, ids: Ids::seeded(1), _database: database };
        fixture.write(&endpoint()).await.unwrap();
        fixture
    }

    async fn write(&self, endpoint: &EndpointRow) -> Result<(), Refusal> {
        queue::write_endpoint(&self.store, endpoint, None, &self.ids).await
    }

    /// Queues this many changes of the visit, in one step of the feed.
    async fn queue(&self, count: usize, step: (Option<&str>, &str)) -> Committed {
        let one = WebhookEvent { organization: ORG, subject: VISIT, kind: Kind::Booked, payload: "{}".into() };
        let progress = Progress::Feed(PositionStep { from: step.0, to: step.1 });
        let events = vec![one; count];
        let batch = FeedBatch { changes: Changes::default(), events: &events, progress, now_us: NOW, settle_us: 0 };
        commit(&self.store, &self.ids, &batch).await.unwrap()
    }

    async fn lease(&self, now_us: i64) -> Vec<DeliveryRow> {
        self.store.lease_deliveries(now_us, now_us + DAY, 10, &Excluded::default()).await.unwrap()
    }

    async fn finish(&self, delivery: &DeliveryRow, status: &'static str, now_us: i64) -> Recorded {
        let wake_at_us = (status == "pending").then_some(now_us + 1);
        let result = DeliveryResult { delivery, status, error: "", http: 500, wake_at_us, gone: false, now_us };
        queue::finish_attempt(&self.store, &result).await.unwrap()
    }

    async fn all(&self) -> Vec<DeliveryRow> {
        let mut all = self.store.deliveries(ORG, ENDPOINT, &[], None, 100).await.unwrap();
        all.reverse();
        all
    }
}

fn endpoint() -> EndpointRow {
    EndpointRow {
        organization_id: ORG,
        id: ENDPOINT,
        version: 1,
        url: "https://example.org/".into(),
        events: "[]".into(),
        description: String::new(),
        enabled: true,
        disabled_reason: String::new(),
        secret: "whsec_new".into(),
        old_secret: String::new(),
        old_until_us: 0,
        failing_since_us: None,
        created_at_us: NOW,
        updated_at_us: NOW,
    }
}

async fn events_are_queued_once_with_the_position(database: Database) {
    let fixture = Fixture::new(database).await;
    assert_eq!(fixture.queue(2, (None, "p1")).await, Committed::Here { planned: 0 });
    assert_eq!(fixture.queue(2, (None, "p1")).await, Committed::Elsewhere);
    assert_eq!(fixture.queue(1, (Some("p0"), "p9")).await, Committed::Elsewhere);
    assert_eq!(fixture.queue(1, (Some("p1"), "p2")).await, Committed::Here { planned: 0 });
    let numbers: Vec<_> = fixture.all().await.iter().map(|one| (one.number, one.wake_at_us)).collect();
    assert_eq!(numbers, [(1, Some(NOW)), (2, None), (3, None)], "queued once, and only the first is due");
}

async fn the_next_delivery_is_due_when_the_first_ends(database: Database) {
    let fixture = Fixture::new(database).await;
    fixture.queue(3, (None, "p1")).await;
    for (number, status) in [(1, "delivered"), (2, "dead"), (3, "delivered")] {
        let leased = fixture.lease(NOW).await;
        assert_eq!(leased.iter().map(|one| one.number).collect::<Vec<_>>(), [number]);
        assert_eq!(fixture.finish(&leased[0], "pending", NOW).await, Recorded::Kept);
        let again = fixture.lease(NOW + 1).await;
        assert_eq!((again[0].number, again[0].tries), (number, 2));
        assert_eq!(fixture.finish(&again[0], status, NOW).await, Recorded::Kept);
    }
    assert_eq!(fixture.store.next_delivery(&Excluded::default()).await.unwrap(), None);
}

async fn a_lease_of_a_delivery_is_fenced(database: Database) {
    let fixture = Fixture::new(database).await;
    fixture.queue(1, (None, "p1")).await;
    let slow = fixture.lease(NOW).await.remove(0);
    assert_eq!(fixture.lease(NOW + 1).await.len(), 0, "it is leased");
    let fast = fixture.lease(NOW + DAY).await.remove(0);
    assert_eq!(fixture.finish(&slow, "dead", NOW).await, Recorded::LeaseLost);
    assert_eq!(fixture.finish(&fast, "delivered", NOW).await, Recorded::Kept);
    assert_eq!(fixture.finish(&fast, "dead", NOW).await, Recorded::LeaseLost);
    assert_eq!(fixture.all().await[0].status, "delivered");
    let excluded = Excluded { deliveries: vec![fast.id], endpoints: vec![ENDPOINT], ..Excluded::default() };
    assert_eq!(fixture.store.lease_deliveries(NOW, NOW, 10, &excluded).await.unwrap().len(), 0);
}

async fn an_excluded_delivery_waits(database: Database) {
    let fixture = Fixture::new(database).await;
    fixture.queue(1, (None, "p1")).await;
    let deliveries = vec![fixture.all().await[0].id];
    let excluded = [
        Excluded { deliveries, ..Excluded::default() },
        Excluded { endpoints: vec![ENDPOINT], ..Excluded::default() },
        Excluded { organizations: vec![ORG], ..Excluded::default() },
    ];
    for excluded in &excluded {
        assert_eq!(fixture.store.next_delivery(excluded).await.unwrap(), None, "{excluded:?}");
        let leased = fixture.store.lease_deliveries(NOW, NOW, 10, excluded).await.unwrap();
        assert!(leased.is_empty(), "{excluded:?}");
    }
    assert_eq!(fixture.store.next_delivery(&Excluded::default()).await.unwrap(), Some(NOW));
    assert_eq!(fixture.lease(NOW).await.len(), 1);
}

async fn a_sweep_deletes_ended_deliveries_and_expired_secrets(database: Database) {
    let fixture = Fixture::new(database).await;
    fixture.queue(2, (None, "p1")).await;
    let first = fixture.lease(NOW).await.remove(0);
    fixture.finish(&first, "delivered", NOW).await;
    let rotated = EndpointRow { version: 2, old_secret: "whsec_old".into(), old_until_us: NOW + DAY, ..endpoint() };
    fixture.write(&rotated).await.unwrap();
    fixture.store.sweep_deliveries(NOW, NOW + DAY).await.unwrap();
    let secret = async || fixture.store.endpoint(ORG, ENDPOINT).await.unwrap().unwrap().old_secret;
    assert_eq!((fixture.all().await.len(), secret().await.as_str()), (2, "whsec_old"));
    fixture.store.sweep_deliveries(NOW + 1, NOW + DAY + 1).await.unwrap();
    let left: Vec<_> = fixture.all().await.iter().map(|one| one.number).collect();
    assert_eq!((left, secret().await.as_str()), (vec![2], ""));
}

async fn an_update_of_an_endpoint_keeps_its_failures(database: Database) {
    let fixture = Fixture::new(database).await;
    fixture.queue(1, (None, "p1")).await;
    let first = fixture.lease(NOW).await.remove(0);
    fixture.finish(&first, "pending", NOW).await;
    let failing = async || fixture.store.endpoint(ORG, ENDPOINT).await.unwrap().unwrap().failing_since_us;
    fixture.write(&EndpointRow { version: 2, description: "ours".into(), ..endpoint() }).await.unwrap();
    assert_eq!((failing().await, fixture.all().await[0].status.as_str()), (Some(NOW), "pending"));
    assert!(matches!(fixture.write(&EndpointRow { version: 2, ..endpoint() }).await, Err(Refusal::Stale)));
    fixture.write(&EndpointRow { version: 3, enabled: false, ..endpoint() }).await.unwrap();
    let pending = fixture.all().await.remove(0);
    assert_eq!(
        (pending.status.as_str(), pending.wake_at_us),
        ("dead", None),
        "a pending delivery to a disabled endpoint ends"
    );
    fixture.write(&EndpointRow { version: 4, ..endpoint() }).await.unwrap();
    assert_eq!(failing().await, None, "enabled anew");
}

#[test]
fn no_debug_shows_an_address_or_a_secret() {
    let (row, wire) = (endpoint(), super::wire::endpoint_to_wire(&Keyring::from_key(&[7; 32]), &endpoint()).unwrap());
    let wire = ::wire::reminder::WebhookEndpoint { secret: row.secret.clone(), ..wire };
    let request = ::wire::reminder::CreateWebhookEndpointRequest { body: wire.body.clone() };
    let debug = format!("{row:?} {wire:?} {request:?}");
    assert!(!debug.contains("example.org") && !debug.contains("whsec"), "{debug}");
}
