//! Endpoints from the wire, with every fault named, and to the wire.

use domain::{
    event::Kind,
    fault::{Faults, check_text},
    id::{WebhookDeliveryId, WebhookId},
};
use wire::reminder::{WebhookDelivery, WebhookEndpoint, WebhookEndpointBody};

use crate::store::rows::{DeliveryRow, EndpointRow};

const URL_CHARS_MAX: usize = 2000;
const DESCRIPTION_CHARS_MAX: usize = 200;

/// What an endpoint wants.
pub(crate) struct Body {
    pub(crate) url: String,
    /// Empty: all.
    pub(crate) events: Vec<Kind>,
    pub(crate) description: String,
    pub(crate) enabled: bool,
}

/// From the wire; looks up where the address leads.
///
/// # Errors
/// All faults found.
pub(crate) async fn from_wire(outbound: &outbound::Client, body: WebhookEndpointBody) -> Result<Body, Faults> {
    let mut faults = Faults::new();
    let short = body.url.chars().count() <= URL_CHARS_MAX;
    faults.check(short, "/url", "too_long", format!("at most {URL_CHARS_MAX} characters"));
    if short && let Err(error) = outbound.may_use(&body.url).await {
        faults.push("/url", error.code(), error.to_string());
    }
    if !body.description.is_empty() {
        check_text(&mut faults, "/description", &body.description, DESCRIPTION_CHARS_MAX);
    }
    let most = Kind::ALL.len();
    faults.check(body.events.len() <= most, "/events", "too_many", format!("at most {most} entries"));
    let mut events = Vec::new();
    for (at, event) in body.events.iter().enumerate().take(most) {
        match event.parse() {
            Ok(kind) if events.contains(&kind) => {
                faults.push(format!("/events/{at}"), "duplicate", "name each event once");
            }
            Ok(kind) => events.push(kind),
            Err(expected) => faults.push(format!("/events/{at}"), "invalid_value", expected),
        }
    }
    faults.result()?;
    Ok(Body { url: body.url, events, description: body.description, enabled: body.enabled })
}

/// For the wire, without its secret.
pub(crate) fn to_wire(row: &EndpointRow) -> WebhookEndpoint {
    WebhookEndpoint {
        id: WebhookId::new(row.id).to_string(),
        version: row.version,
        body: Some(WebhookEndpointBody {
            url: row.url.clone(),
            events: row.events().iter().map(ToString::to_string).collect(),
            description: row.description.clone(),
            enabled: row.enabled,
        }),
        disabled_reason: row.disabled_reason.clone(),
        secret: String::new(),
        created_at_us: row.created_at_us,
        updated_at_us: row.updated_at_us,
        failing_since_us: row.failing_since_us.unwrap_or(0),
    }
}

/// A delivery for the wire.
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
