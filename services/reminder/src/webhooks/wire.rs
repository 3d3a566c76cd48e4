//! Endpoints and deliveries to and from the wire format.

use domain::{
    event::Kind,
    fault::{Faults, check_text},
    id::{WebhookDeliveryId, WebhookId},
};
use service::seal::{self, Keyring};
use wire::reminder::{WebhookDelivery, WebhookEndpoint, WebhookEndpointBody};

use super::sealed;
use crate::store::{webhook_deliveries::DeliveryRow, webhook_endpoints::EndpointRow};

const URL_CHARS_MAX: usize = 2000;
const DESCRIPTION_CHARS_MAX: usize = 200;

/// A validated endpoint body.
pub(crate) struct EndpointBody {
    pub(crate) url: String,
    /// The subscribed events; empty: all.
    pub(crate) events: Vec<Kind>,
    pub(crate) description: String,
    pub(crate) enabled: bool,
}

/// Validates a body and resolves the host of its URL.
///
/// # Errors
/// All faults.
pub(crate) async fn from_wire(outbound: &outbound::Client, body: WebhookEndpointBody) -> Result<EndpointBody, Faults> {
    let mut faults = Faults::new();
    let within_limit = body.url.chars().count() <= URL_CHARS_MAX;
    faults.check(within_limit, "/url", "too_long", format!("at most {URL_CHARS_MAX} characters"));
    if within_limit && let Err(error) = outbound.check_url(&body.url).await {
        faults.push("/url", error.code(), error.to_string());
    }
    if !body.description.is_empty() {
        check_text(&mut faults, "/description", &body.description, DESCRIPTION_CHARS_MAX);
    }
    let events_max = Kind::ALL.len();
    faults.check(body.events.len() <= events_max, "/events", "too_many", format!("at most {events_max} entries"));
    let mut events = Vec::new();
    for (index, event) in body.events.iter().enumerate().take(events_max) {
        match event.parse() {
            Ok(kind) if events.contains(&kind) => {
                faults.push(format!("/events/{index}"), "duplicate", "name each event once");
            }
            Ok(kind) => events.push(kind),
            Err(expected) => faults.push(format!("/events/{index}"), "invalid_value", expected),
        }
    }
    faults.result()?;
    Ok(EndpointBody { url: body.url, events, description: body.description, enabled: body.enabled })
}

/// An endpoint without its secret.
///
/// # Errors
/// When its address does not open.
pub(crate) fn endpoint_to_wire(keyring: &Keyring, row: &EndpointRow) -> Result<WebhookEndpoint, seal::Error> {
    Ok(WebhookEndpoint {
        id: WebhookId::new(row.id).to_string(),
        version: row.version,
        body: Some(WebhookEndpointBody {
            url: sealed::open_url(keyring, row)?,
            events: row.events().iter().map(ToString::to_string).collect(),
            description: row.description.clone(),
            enabled: row.enabled,
        }),
        disabled_reason: row.disabled_reason.clone(),
        secret: String::new(),
        created_at_us: row.created_at_us,
        updated_at_us: row.updated_at_us,
        failing_since_us: row.failing_since_us.unwrap_or(0),
    })
}

pub(crate) fn delivery_to_wire(row: &DeliveryRow) -> WebhookDelivery {
    WebhookDelivery {
        id: WebhookDeliveryId::new(row.id).to_string(),
        webhook_endpoint_id: WebhookId::new(row.endpoint_id).to_string(),
        event: row.event.clone(),
        status: row.status.clone(),
        attempts: row.attempts.unsigned_abs(),
        last_status: row.last_status.unsigned_abs(),
        last_error: row.last_error.clone(),
        next_try_at_us: row.wake_at_us.unwrap_or(0),
        payload: row.payload.clone(),
        created_at_us: row.created_at_us,
        delivered_at_us: row.delivered_at_us.unwrap_or(0),
    }
}
