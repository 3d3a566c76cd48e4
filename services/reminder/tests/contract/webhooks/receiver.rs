//! A reminder service and a receiver of its webhooks.

use rpc::{Context, Fault};
use serde_json::Value;
use signing::{Secret, signature_header};
use testkit::{
    database::Database,
    http::{Pages, Received},
    poll,
};
use wire::reminder::{
    CreateWebhookEndpointRequest, GetWebhookEndpointRequest, ListWebhookDeliveriesRequest,
    ReplayWebhookDeliveryRequest, UpdateWebhookEndpointRequest, WebhookDelivery, WebhookEndpoint, WebhookEndpointBody,
};

use crate::common::{Running, WITHIN, World, organization};

pub const NOW: &str = "2026-03-04T11:00:00Z";
pub const PATH: &str = "/hook";
pub const SECOND: i64 = 1_000_000;

pub fn ctx() -> Context {
    Running::context(organization(1))
}

/// A running service and a receiver, which answers 204 by default.
pub struct WebhookFixture {
    pub world: World,
    pub service: Running,
    pub pages: Pages,
}

impl WebhookFixture {
    pub async fn on(database: Database) -> Self {
        let mut world = World::new(database, NOW).await;
        world.config.webhooks.private_addresses = true;
        let service = world.start().await;
        let pages = Pages::serve().await.unwrap();
        pages.say(PATH, 204, "", b"");
        Self { world, service, pages }
    }

    pub fn body(&self, events: &[&str]) -> WebhookEndpointBody {
        WebhookEndpointBody {
            url: format!("{}{PATH}", self.pages.url),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            description: String::new(),
            enabled: true,
        }
    }

    pub async fn endpoint(&self, events: &[&str]) -> WebhookEndpoint {
        self.create(&ctx(), self.body(events)).await.unwrap()
    }

    pub async fn create(&self, ctx: &Context, body: WebhookEndpointBody) -> Result<WebhookEndpoint, Fault> {
        let request = CreateWebhookEndpointRequest { body: Some(body) };
        let made = self.service.webhooks.clone().create_webhook_endpoint(ctx.forward(request)).await;
        Ok(made.map_err(Fault::from)?.into_inner())
    }

    pub async fn get(&self, id: &str) -> WebhookEndpoint {
        let request = GetWebhookEndpointRequest { id: id.to_owned() };
        self.service.webhooks.clone().get_webhook_endpoint(ctx().request(request)).await.unwrap().into_inner()
    }

    pub async fn set_enabled(&self, endpoint: &WebhookEndpoint, enabled: bool) -> WebhookEndpoint {
        let body = WebhookEndpointBody { enabled, ..endpoint.body.clone().unwrap() };
        let request = UpdateWebhookEndpointRequest { id: endpoint.id.clone(), body: Some(body), if_version: 0 };
        self.service.webhooks.clone().update_webhook_endpoint(ctx().request(request)).await.unwrap().into_inner()
    }

    /// The deliveries to an endpoint, the oldest first.
    pub async fn deliveries(&self, endpoint: &WebhookEndpoint) -> Vec<WebhookDelivery> {
        let request = ListWebhookDeliveriesRequest { webhook_endpoint_id: endpoint.id.clone(), ..Default::default() };
        let list = self.service.webhooks.clone().list_webhook_deliveries(ctx().request(request)).await;
        let mut deliveries = list.unwrap().into_inner().deliveries;
        deliveries.reverse();
        deliveries
    }

    pub async fn when(
        &self,
        what: &str,
        endpoint: &WebhookEndpoint,
        wanted: impl Fn(&[WebhookDelivery]) -> bool,
    ) -> Vec<WebhookDelivery> {
        let ask = || async {
            let deliveries = self.deliveries(endpoint).await;
            wanted(&deliveries).then_some(deliveries)
        };
        poll::until(what, WITHIN, ask).await
    }

    /// Waits until the last delivery has this number of recorded attempts. A delivery that is due in exactly a minute is leased:
    /// no delay is that long.
    pub async fn tried(&self, endpoint: &WebhookEndpoint, attempts: u32) -> WebhookDelivery {
        let lease = self.world.clock.now_us() + 60 * SECOND;
        let recorded = |one: &WebhookDelivery| one.attempts == attempts && one.next_try_at_us != lease;
        let what = format!("{attempts} attempts");
        self.when(&what, endpoint, |all| all.last().is_some_and(recorded)).await.pop().unwrap()
    }

    pub async fn replay(&self, delivery: &WebhookDelivery) -> Result<WebhookDelivery, Fault> {
        let request = ReplayWebhookDeliveryRequest {
            webhook_endpoint_id: delivery.webhook_endpoint_id.clone(),
            id: delivery.id.clone(),
        };
        let replayed = self.service.webhooks.clone().replay_webhook_delivery(ctx().request(request)).await;
        Ok(replayed.map_err(Fault::from)?.into_inner())
    }

    /// Waits for this number of requests.
    pub async fn received(&self, count: usize) -> Vec<Received> {
        let ask = || async {
            let received = self.pages.received();
            (received.len() >= count).then_some(received)
        };
        let received = poll::until(&format!("{count} requests"), WITHIN, ask).await;
        assert_eq!(received.len(), count);
        received
    }

    pub fn to(&self, at_us: i64) {
        let left = at_us - self.world.clock.now_us();
        self.world.clock.advance(jiff::SignedDuration::from_micros(left));
    }
}

/// The event's type, and the appointment's id and version.
pub fn parse_event(received: &Received) -> (String, String, i64) {
    let body: Value = serde_json::from_str(&received.body).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&body["type"]), text(&body["data"]["appointment_id"]), body["data"]["version"].as_i64().unwrap_or(0))
}

/// Whether exactly these secrets signed the request, in this order.
pub fn signed_by(received: &Received, secrets: &[&str]) -> bool {
    let secrets: Vec<Secret> = secrets.iter().map(|secret| secret.parse().unwrap()).collect();
    let header = |name: &str| received.headers[name].as_str();
    let timestamp = header("webhook-timestamp").parse().unwrap();
    header("webhook-signature") == signature_header(&secrets, header("webhook-id"), timestamp, received.body.as_bytes())
}
