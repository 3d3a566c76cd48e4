//! Webhook endpoints of an organisation, and their deliveries.

use axum::http::Method;
use domain::{event::Kind, webhook::DeliveryStatus};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::{
    convert::optional_text,
    reminder::{
        self, CreateWebhookEndpointRequest, DeleteWebhookEndpointRequest, GetWebhookEndpointRequest,
        ListWebhookDeliveriesRequest, ListWebhookEndpointsRequest, ReplayWebhookDeliveryRequest,
        RotateWebhookSecretRequest, TestWebhookEndpointRequest, UpdateWebhookEndpointRequest,
    },
};

use super::{CURSOR, LIMIT, next_cursor, time};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Body, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

const STATUS: Param = Param::new("status", Type::Word(DeliveryStatus::WORDS), "In this status").repeated();

/// The URL of an endpoint, and the events that it receives.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookEndpointBody {
    /// `https://`, on the public internet.
    #[schema(min_length = 1, max_length = 2000)]
    url: String,
    /// These events only; none: all.
    #[serde(default)]
    #[schema(max_items = 21)]
    events: Vec<Kind>,
    #[serde(default)]
    #[schema(max_length = 200)]
    description: String,
    /// A disabled endpoint receives no events, and its pending deliveries are dead until they are replayed.
    #[serde(default = "enabled")]
    enabled: bool,
}

// The schema takes a literal alone.
const _: () = assert!(Kind::ALL.len() == 21, "raise `max_items` of `events` with the number of event types");

fn enabled() -> bool {
    true
}

/// A webhook endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEndpoint {
    id: String,
    version: i64,
    url: String,
    /// None: all.
    #[schema(value_type = Vec<Kind>)]
    events: Vec<String>,
    description: String,
    enabled: bool,
    /// `gone`: it answered 410. `failing`: no attempt has succeeded for five days.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    disabled_reason: Option<String>,
    /// Since when no attempt has succeeded.
    #[schema(format = DateTime)]
    failing_since: Option<String>,
    /// Signs deliveries by the Standard Webhooks specification. Only the answer that creates it contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    secret: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// The webhook endpoints of an organisation.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEndpointPage {
    data: Vec<WebhookEndpoint>,
    next_cursor: Option<String>,
}

/// A delivery of an event.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookDelivery {
    /// Also the header `webhook-id` of the delivery.
    id: String,
    webhook_endpoint_id: String,
    event: String,
    #[schema(value_type = DeliveryStatus)]
    status: String,
    attempts: u32,
    /// The receiver's last HTTP status.
    last_status: Option<u32>,
    /// Why the last attempt failed.
    last_error: Option<String>,
    /// None: it waits for an earlier delivery about the same resource, or no attempt is left.
    #[schema(format = DateTime)]
    next_try_at: Option<String>,
    /// The body of the delivery.
    #[schema(value_type = Object)]
    payload: Value,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    delivered_at: Option<String>,
}

/// The deliveries to an endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookDeliveryPage {
    data: Vec<WebhookDelivery>,
    next_cursor: Option<String>,
}

pub(super) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::Admin]);
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "webhooks", summary, access, handler)
    };
    let collection = "/v1/webhook_endpoints";
    let resource = "/v1/webhook_endpoints/{id}";
    let action_path = |action: &str| format!("{resource}/{action}");
    let replay_path = "/v1/webhook_endpoints/{parent_id}/deliveries/{id}/replay";
    vec![
        operation("list_webhook_endpoints", Method::GET, collection, "Lists the webhook endpoints", handler!(list))
            .params(&[LIMIT, CURSOR])
            .answer(200, "WebhookEndpointPage"),
        operation("create_webhook_endpoint", Method::POST, collection, "Creates a webhook endpoint", handler!(create))
            .json_body("WebhookEndpointBody")
            .answer(201, "WebhookEndpoint"),
        operation("get_webhook_endpoint", Method::GET, resource, "Returns one webhook endpoint", handler!(get))
            .answer(200, "WebhookEndpoint"),
        operation("patch_webhook_endpoint", Method::PATCH, resource, "Changes a webhook endpoint", handler!(patch))
            .body(Body::MergePatch)
            .answer(200, "WebhookEndpoint"),
        operation(
            "delete_webhook_endpoint",
            Method::DELETE,
            resource,
            "Deletes a webhook endpoint and its deliveries",
            handler!(delete),
        )
        .no_content(),
        operation(
            "rotate_webhook_secret",
            Method::POST,
            &action_path("rotate_secret"),
            "Creates a new secret; for 24 hours the old one signs, too",
            handler!(rotate),
        )
        .answer(200, "WebhookEndpoint"),
        operation("test_webhook_endpoint", Method::POST, &action_path("test"), "Sends a `ping` event", handler!(test))
            .answer(200, "WebhookDelivery"),
        operation(
            "list_webhook_deliveries",
            Method::GET,
            &action_path("deliveries"),
            "Lists the deliveries to a webhook endpoint, newest first",
            handler!(list_deliveries),
        )
        .params(&[STATUS, LIMIT, CURSOR])
        .answer(200, "WebhookDeliveryPage"),
        operation(
            "replay_webhook_delivery",
            Method::POST,
            replay_path,
            "Repeats a delivered or dead delivery",
            handler!(replay),
        )
        .answer(200, "WebhookDelivery"),
    ]
}

fn to_wire(body: WebhookEndpointBody) -> reminder::WebhookEndpointBody {
    reminder::WebhookEndpointBody {
        url: body.url,
        events: body.events.iter().map(ToString::to_string).collect(),
        description: body.description,
        enabled: body.enabled,
    }
}

fn to_json(endpoint: reminder::WebhookEndpoint) -> WebhookEndpoint {
    let body = endpoint.body.unwrap_or_default();
    WebhookEndpoint {
        id: endpoint.id,
        version: endpoint.version,
        url: body.url,
        events: body.events,
        description: body.description,
        enabled: body.enabled,
        disabled_reason: optional_text(&endpoint.disabled_reason),
        failing_since: time::optional(endpoint.failing_since_us, ""),
        secret: optional_text(&endpoint.secret),
        created_at: time::utc(endpoint.created_at_us),
        updated_at: time::utc(endpoint.updated_at_us),
    }
}

fn delivery_to_json(delivery: reminder::WebhookDelivery) -> WebhookDelivery {
    WebhookDelivery {
        id: delivery.id,
        webhook_endpoint_id: delivery.webhook_endpoint_id,
        event: delivery.event,
        status: delivery.status,
        attempts: delivery.attempts,
        last_status: (delivery.last_status != 0).then_some(delivery.last_status),
        last_error: optional_text(&delivery.last_error),
        next_try_at: time::optional(delivery.next_try_at_us, ""),
        payload: serde_json::from_str(&delivery.payload).unwrap_or_default(),
        created_at: time::utc(delivery.created_at_us),
        delivered_at: time::optional(delivery.delivered_at_us, ""),
    }
}

fn reply(status: u16, response: tonic::Response<reminder::WebhookEndpoint>) -> Result<Reply, Fault> {
    let (metadata, endpoint, _) = response.into_parts();
    let endpoint = to_json(endpoint);
    let reply = Reply::json(status, &endpoint)?.write_metadata(&metadata);
    Ok(reply.version(endpoint.version).target(&endpoint.id))
}

fn delivery_reply(response: tonic::Response<reminder::WebhookDelivery>) -> Result<Reply, Fault> {
    let (metadata, delivery, _) = response.into_parts();
    let delivery = delivery_to_json(delivery);
    Ok(Reply::json(200, &delivery)?.target(&delivery.id).write_metadata(&metadata))
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let request = ListWebhookEndpointsRequest { page: call.page() };
    let answer =
        call.inner.webhooks.clone().list_webhook_endpoints(call.context().request(request)).await?.into_inner();
    let data: Vec<WebhookEndpoint> = answer.endpoints.into_iter().map(to_json).collect();
    let rows = data.len();
    Ok(Reply::json(200, &WebhookEndpointPage { data, next_cursor: next_cursor(answer.next_cursor) })?.rows(rows))
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let body: WebhookEndpointBody = call.parse_body()?;
    let request = CreateWebhookEndpointRequest { body: Some(to_wire(body)) };
    let created = call.inner.webhooks.clone().create_webhook_endpoint(call.context().forward(request)).await?;
    let path = format!("/v1/webhook_endpoints/{}", created.get_ref().id);
    Ok(reply(201, created)?.location(path))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetWebhookEndpointRequest { id: call.path_param("id") };
    reply(200, call.inner.webhooks.clone().get_webhook_endpoint(call.context().request(request)).await?)
}

async fn patch(call: Call) -> Result<Reply, Fault> {
    let id = call.path_param("id");
    let request = GetWebhookEndpointRequest { id: id.clone() };
    let current = call.inner.webhooks.clone().get_webhook_endpoint(call.context().request(request)).await?.into_inner();
    let if_version = call.if_match_or(current.version)?;
    let current = to_json(current);
    let resource = json!({"url": current.url, "events": current.events, "description": current.description,
        "enabled": current.enabled});
    let body: WebhookEndpointBody = call.merge_patch("WebhookEndpointBody", resource)?;
    let request = UpdateWebhookEndpointRequest { id, body: Some(to_wire(body)), if_version };
    reply(200, call.inner.webhooks.clone().update_webhook_endpoint(call.context().request(request)).await?)
}

async fn delete(call: Call) -> Result<Reply, Fault> {
    let id = call.path_param("id");
    let request = DeleteWebhookEndpointRequest { id: id.clone(), if_version: call.if_match()? };
    let deleted = call.inner.webhooks.clone().delete_webhook_endpoint(call.context().request(request)).await?;
    Ok(Reply::empty(204).write_metadata(deleted.metadata()).target(&id))
}

async fn rotate(call: Call) -> Result<Reply, Fault> {
    let request = RotateWebhookSecretRequest { id: call.path_param("id") };
    reply(200, call.inner.webhooks.clone().rotate_webhook_secret(call.context().forward(request)).await?)
}

async fn test(call: Call) -> Result<Reply, Fault> {
    let request = TestWebhookEndpointRequest { id: call.path_param("id") };
    delivery_reply(call.inner.webhooks.clone().test_webhook_endpoint(call.context().forward(request)).await?)
}

async fn list_deliveries(call: Call) -> Result<Reply, Fault> {
    let request = ListWebhookDeliveriesRequest {
        webhook_endpoint_id: call.path_param("id"),
        statuses: call.params.all("status"),
        page: call.page(),
    };
    let answer =
        call.inner.webhooks.clone().list_webhook_deliveries(call.context().request(request)).await?.into_inner();
    let data: Vec<WebhookDelivery> = answer.deliveries.into_iter().map(delivery_to_json).collect();
    let rows = data.len();
    Ok(Reply::json(200, &WebhookDeliveryPage { data, next_cursor: next_cursor(answer.next_cursor) })?.rows(rows))
}

async fn replay(call: Call) -> Result<Reply, Fault> {
    let request =
        ReplayWebhookDeliveryRequest { webhook_endpoint_id: call.path_param("parent_id"), id: call.path_param("id") };
    delivery_reply(call.inner.webhooks.clone().replay_webhook_delivery(call.context().forward(request)).await?)
}
