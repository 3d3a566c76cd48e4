//! The contract of the store's part for webhooks, on both engines.

use runtime::Ids;
use testkit::database::Database;
use uuid::Uuid;

use super::{
    deliveries::{DeliveryResult, DeliveryRow},
    endpoints::EndpointRow,
    positions::PositionStep,
    tests::suite,
    *,
};
use crate::{
    idempotency::Refusal,
    jobs::commit::{Committed, FeedBatch, Progress, commit},
    planning::apply::Changes,
    webhooks::{
        event::WebhookEvent,
        queue::{self, Settled},
    },
};

const DAY: i64 = 24 * 3_600_000_000;
const NOW: i64 = 1_772_000_000_000_000;
const ORG: Uuid = Uuid::from_u128(1);
const ENDPOINT: Uuid = Uuid::from_u128(2);
const VISIT: Uuid = Uuid::from_u128(3);

struct Bed {
    store: Store,
    ids: Ids,
    _database: Database,
}

impl Bed {
    async fn on(database: Database) -> Self {
        let target = Target::from_url(&database.for_service("reminder")).unwrap();
        let store = Store::open(&target).await.unwrap();
        store.migrate().await.unwrap();
        let bed = Self { store, ids: Ids::seeded(1), _database: database };
        bed.write(&endpoint()).await.unwrap();
        bed
    }

    async fn write(&self, endpoint: &EndpointRow) -> Result<(), Refusal> {
        queue::write_endpoint(&self.store, endpoint, None, &self.ids).await
    }

    /// Tells the endpoint this many changes of the visit, in one step of the feed.
    async fn tell(&self, count: usize, step: (Option<&str>, &str)) -> Committed {
        let one =
            WebhookEvent { organization: ORG, subject: VISIT, kind: domain::event::Kind::Booked, payload: "{}".into() };
        let progress = Progress::Feed(PositionStep { from: step.0, to: step.1 });
        let events = vec![one; count];
        let batch = FeedBatch { changes: Changes::default(), events: &events, progress, now_us: NOW, settle_us: 0 };
        commit(&self.store, &self.ids, &batch).await.unwrap()
    }

    async fn lease(&self, now_us: i64) -> Vec<DeliveryRow> {
        self.store.lease_deliveries(now_us, now_us + DAY, 10, (&[], &[])).await.unwrap()
    }

    async fn settle(&self, delivery: &DeliveryRow, status: &'static str, now_us: i64) -> Settled {
        let wake_at_us = (status == "pending").then_some(now_us + 1);
        let result = DeliveryResult { delivery, status, error: "", http: 500, wake_at_us, gone: false, now_us };
        queue::settle(&self.store, &result).await.unwrap()
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

async fn what_is_told_and_the_position_are_one_step(bed: Bed) {
    assert_eq!(bed.tell(2, (None, "p1")).await, Committed::Here { planned: 0 });
    assert_eq!(bed.tell(2, (None, "p1")).await, Committed::Elsewhere);
    assert_eq!(bed.tell(1, (Some("p0"), "p9")).await, Committed::Elsewhere);
    assert_eq!(bed.tell(1, (Some("p1"), "p2")).await, Committed::Here { planned: 0 });
    let numbers: Vec<_> = bed.all().await.iter().map(|one| (one.number, one.wake_at_us)).collect();
    assert_eq!(numbers, [(1, Some(NOW)), (2, None), (3, None)], "told once, and only the first is awake");
}

async fn a_line_moves_on_whenever_its_first_ends(bed: Bed) {
    bed.tell(3, (None, "p1")).await;
    for (number, status) in [(1, "delivered"), (2, "dead"), (3, "delivered")] {
        let leased = bed.lease(NOW).await;
        assert_eq!(leased.iter().map(|one| one.number).collect::<Vec<_>>(), [number]);
        assert_eq!(bed.settle(&leased[0], "pending", NOW).await, Settled::Here);
        let again = bed.lease(NOW + 1).await;
        assert_eq!((again[0].number, again[0].tries), (number, 2));
        assert_eq!(bed.settle(&again[0], status, NOW).await, Settled::Here);
    }
    assert_eq!(bed.store.next_delivery().await.unwrap(), None);
}

async fn a_lease_of_a_delivery_is_fenced(bed: Bed) {
    bed.tell(1, (None, "p1")).await;
    let slow = bed.lease(NOW).await.remove(0);
    assert_eq!(bed.lease(NOW + 1).await.len(), 0, "it is leased");
    let fast = bed.lease(NOW + DAY).await.remove(0);
    assert_eq!(bed.settle(&slow, "dead", NOW).await, Settled::Elsewhere);
    assert_eq!(bed.settle(&fast, "delivered", NOW).await, Settled::Here);
    assert_eq!(bed.settle(&fast, "dead", NOW).await, Settled::Elsewhere);
    assert_eq!(bed.all().await[0].status, "delivered");
    assert_eq!(bed.store.lease_deliveries(NOW, NOW, 10, (&[fast.id], &[ENDPOINT])).await.unwrap().len(), 0);
}

async fn an_endpoint_that_has_its_share_waits(bed: Bed) {
    bed.tell(1, (None, "p1")).await;
    let lease = async |but: (&[Uuid], &[Uuid])| bed.store.lease_deliveries(NOW, NOW, 10, but).await.unwrap().len();
    let id = bed.all().await[0].id;
    assert_eq!((lease((&[id], &[])).await, lease((&[], &[ENDPOINT])).await, lease((&[], &[])).await), (0, 0, 1));
}

async fn what_has_ended_is_forgotten_and_what_waits_is_not(bed: Bed) {
    bed.tell(2, (None, "p1")).await;
    let first = bed.lease(NOW).await.remove(0);
    bed.settle(&first, "delivered", NOW).await;
    let rotated = EndpointRow { version: 2, old_secret: "whsec_old".into(), old_until_us: NOW + DAY, ..endpoint() };
    bed.write(&rotated).await.unwrap();
    bed.store.sweep_deliveries(NOW, NOW + DAY).await.unwrap();
    let secret = async || bed.store.endpoint(ORG, ENDPOINT).await.unwrap().unwrap().old_secret;
    assert_eq!((bed.all().await.len(), secret().await.as_str()), (2, "whsec_old"));
    bed.store.sweep_deliveries(NOW + 1, NOW + DAY + 1).await.unwrap();
    let left: Vec<_> = bed.all().await.iter().map(|one| one.number).collect();
    assert_eq!((left, secret().await.as_str()), (vec![2], ""));
}

async fn a_change_of_an_endpoint_forgets_no_failure(bed: Bed) {
    bed.tell(1, (None, "p1")).await;
    let first = bed.lease(NOW).await.remove(0);
    bed.settle(&first, "pending", NOW).await;
    let failing = async || bed.store.endpoint(ORG, ENDPOINT).await.unwrap().unwrap().failing_since_us;
    bed.write(&EndpointRow { version: 2, description: "ours".into(), ..endpoint() }).await.unwrap();
    assert_eq!((failing().await, bed.all().await[0].status.as_str()), (Some(NOW), "pending"));
    assert!(matches!(bed.write(&EndpointRow { version: 2, ..endpoint() }).await, Err(Refusal::Stale)));
    bed.write(&EndpointRow { version: 3, enabled: false, ..endpoint() }).await.unwrap();
    let waiting = bed.all().await.remove(0);
    assert_eq!((waiting.status.as_str(), waiting.wake_at_us), ("dead", None), "what waits for a disabled one ends");
    bed.write(&EndpointRow { version: 4, ..endpoint() }).await.unwrap();
    assert_eq!(failing().await, None, "enabled anew");
}

#[test]
fn no_debug_shows_an_address_or_a_secret() {
    let (row, wire) = (endpoint(), crate::webhooks::wire::endpoint_to_wire(&endpoint()));
    let wire = ::wire::reminder::WebhookEndpoint { secret: row.secret.clone(), ..wire };
    let request = ::wire::reminder::CreateWebhookEndpointRequest { body: wire.body.clone() };
    let shown = format!("{row:?} {wire:?} {request:?}");
    assert!(!shown.contains("example.org") && !shown.contains("whsec"), "{shown}");
}

suite! {
    what_is_told_and_the_position_are_one_step
    a_line_moves_on_whenever_its_first_ends
    a_lease_of_a_delivery_is_fenced
    an_endpoint_that_has_its_share_waits
    what_has_ended_is_forgotten_and_what_waits_is_not
    a_change_of_an_endpoint_forgets_no_failure
}
