//! Webhook endpoints: where an organisation's own systems are told what happens.

use axum::http::Method;
use domain::{event::Kind, webhook::DeliveryStatus};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use wire::{
    common::Page,
    convert::optional_text,
    reminder::{
        self, CreateWebhookEndpointRequest, DeleteWebhookEndpointRequest, GetWebhookEndpointRequest,
        ListWebhookDeliveriesRequest, ListWebhookEndpointsRequest, ReplayWebhookDeliveryRequest,
        RotateWebhookSecretRequest, TestWebhookEndpointRequest, UpdateWebhookEndpointRequest,
    },
};

use super::{CURSOR, LIMIT, directory::merge, next_cursor, time};
use crate::{
    auth::Scope,
    call::{Call, Reply, read},
    operation::{Access, Operation, Param, Type, handler},
};

const STATUS: Param = Param::new("status", Type::Word(DeliveryStatus::WORDS), "Only these statuses").repeats();

/// Where to tell, and what.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookEndpointBody {
    /// `https://`, on the public internet.
    #[schema(min_length = 1, max_length = 2000)]
    url: String,
    /// Only these; none: all.
    #[serde(default)]
    #[schema(max_items = 20)]
    events: Vec<Kind>,
    #[serde(default)]
    #[schema(max_length = 200)]
    description: String,
    /// While it is disabled nothing is told, and what waits is dead until it is replayed.
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
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
    /// `gone`: it answered 410. `failing`: nothing has succeeded for five days.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    disabled_reason: Option<String>,
    /// Since when no attempt has succeeded.
    #[schema(format = DateTime)]
    failing_since: Option<String>,
    /// Signs what is sent there, to the Standard Webhooks specification. Shown only when it is made.
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

/// A delivery.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookDelivery {
    /// Also the `webhook-id` that the receiver sees.
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
    /// None: it waits behind an earlier one about the same thing, or nothing is left to do.
    #[schema(format = DateTime)]
    next_try_at: Option<String>,
    /// What is sent.
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

pub(crate) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::Admin]);
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "webhooks", summary, access, handler)
    };
    let all = "/v1/webhook_endpoints";
    let one = "/v1/webhook_endpoints/{id}";
    let below = |rest: &str| format!("{one}/{rest}");
    let replay = "/v1/webhook_endpoints/{parent_id}/deliveries/{id}/replay";
    vec![
        operation("list_webhook_endpoints", Method::GET, all, "The webhook endpoints", handler!(list))
            .params(&[LIMIT, CURSOR])
            .answer(200, "WebhookEndpointPage"),
        operation("create_webhook_endpoint", Method::POST, all, "Adds a webhook endpoint", handler!(create))
            .body("WebhookEndpointBody")
            .answer(201, "WebhookEndpoint"),
        operation("get_webhook_endpoint", Method::GET, one, "One webhook endpoint", handler!(get))
            .answer(200, "WebhookEndpoint"),
        operation("patch_webhook_endpoint", Method::PATCH, one, "Changes a webhook endpoint", handler!(patch))
            .body("MergePatch")
            .answer(200, "WebhookEndpoint"),
        operation(
            "delete_webhook_endpoint",
            Method::DELETE,
            one,
            "Deletes a webhook endpoint and its deliveries",
            handler!(delete),
        )
        .no_content(),
        operation(
            "rotate_webhook_secret",
            Method::POST,
            &below("rotate_secret"),
            "Makes a new secret; the old one signs beside it for 24 hours",
            handler!(rotate),
        )
        .answer(200, "WebhookEndpoint"),
        operation("test_webhook_endpoint", Method::POST, &below("test"), "Sends a `ping`", handler!(test))
            .answer(200, "WebhookDelivery"),
        operation(
            "list_webhook_deliveries",
            Method::GET,
            &below("deliveries"),
            "The deliveries to a webhook endpoint, the newest first",
            handler!(deliveries),
        )
        .params(&[STATUS, LIMIT, CURSOR])
        .answer(200, "WebhookDeliveryPage"),
        operation(
            "replay_webhook_delivery",
            Method::POST,
            replay,
            "Delivers a delivered or dead one again",
            handler!(replayed),
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

fn shown(endpoint: reminder::WebhookEndpoint) -> WebhookEndpoint {
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

fn delivery_shown(delivery: reminder::WebhookDelivery) -> WebhookDelivery {
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
    let endpoint = response.get_ref();
    let (id, version) = (endpoint.id.clone(), endpoint.version);
    let reply = Reply::empty(status).after(&response);
    let body = Reply::json(status, &shown(response.into_inner()))?.body;
    Ok(Reply { body, ..reply }.version(version).target(&id))
}

fn delivery_reply(response: tonic::Response<reminder::WebhookDelivery>) -> Result<Reply, Fault> {
    let id = response.get_ref().id.clone();
    let reply = Reply::empty(200).after(&response);
    let body = Reply::json(200, &delivery_shown(response.into_inner()))?.body;
    Ok(Reply { body, ..reply }.target(&id))
}

fn page(call: &Call) -> Option<Page> {
    Some(Page { limit: call.params.number("limit"), cursor: call.params.text_or_empty("cursor") })
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let request = ListWebhookEndpointsRequest { page: page(&call) };
    let answer =
        call.inner.webhooks.clone().list_webhook_endpoints(call.context().request(request)).await?.into_inner();
    let data = answer.endpoints.into_iter().map(shown).collect();
    Reply::json(200, &WebhookEndpointPage { data, next_cursor: next_cursor(answer.next_cursor) })
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let body: WebhookEndpointBody = call.read()?;
    let request = CreateWebhookEndpointRequest { body: Some(to_wire(body)) };
    let made = call.inner.webhooks.clone().create_webhook_endpoint(call.context().forward(request)).await?;
    let path = format!("/v1/webhook_endpoints/{}", made.get_ref().id);
    Ok(reply(201, made)?.location(path))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetWebhookEndpointRequest { id: call.part("id") };
    reply(200, call.inner.webhooks.clone().get_webhook_endpoint(call.context().request(request)).await?)
}

async fn patch(call: Call) -> Result<Reply, Fault> {
    let id = call.part("id");
    let request = GetWebhookEndpointRequest { id: id.clone() };
    let present = call.inner.webhooks.clone().get_webhook_endpoint(call.context().request(request)).await?.into_inner();
    let version = present.version;
    let present = shown(present);
    let mut merged = serde_json::json!({"url": present.url, "events": present.events,
        "description": present.description, "enabled": present.enabled});
    merge(&mut merged, &call.body);
    call.inner.schemas.check_merged("WebhookEndpointBody", &call.body, &merged)?;
    let body: WebhookEndpointBody = read(&merged)?;
    let if_version = match call.if_version()? {
        0 => version,
        version => version,
    };
    let request = UpdateWebhookEndpointRequest { id, body: Some(to_wire(body)), if_version };
    reply(200, call.inner.webhooks.clone().update_webhook_endpoint(call.context().request(request)).await?)
}

async fn delete(call: Call) -> Result<Reply, Fault> {
    let id = call.part("id");
    let request = DeleteWebhookEndpointRequest { id: id.clone(), if_version: call.if_version()? };
    let done = call.inner.webhooks.clone().delete_webhook_endpoint(call.context().request(request)).await?;
    Ok(Reply::empty(204).after(&done).target(&id))
}

async fn rotate(call: Call) -> Result<Reply, Fault> {
    let request = RotateWebhookSecretRequest { id: call.part("id") };
    reply(200, call.inner.webhooks.clone().rotate_webhook_secret(call.context().forward(request)).await?)
}

async fn test(call: Call) -> Result<Reply, Fault> {
    let request = TestWebhookEndpointRequest { id: call.part("id") };
    delivery_reply(call.inner.webhooks.clone().test_webhook_endpoint(call.context().forward(request)).await?)
}

async fn deliveries(call: Call) -> Result<Reply, Fault> {
    let request = ListWebhookDeliveriesRequest {
        webhook_endpoint_id: call.part("id"),
        statuses: call.params.all("status"),
        page: page(&call),
    };
    let answer =
        call.inner.webhooks.clone().list_webhook_deliveries(call.context().request(request)).await?.into_inner();
    let data = answer.deliveries.into_iter().map(delivery_shown).collect();
    Reply::json(200, &WebhookDeliveryPage { data, next_cursor: next_cursor(answer.next_cursor) })
}

async fn replayed(call: Call) -> Result<Reply, Fault> {
    let request = ReplayWebhookDeliveryRequest { webhook_endpoint_id: call.part("parent_id"), id: call.part("id") };
    delivery_reply(call.inner.webhooks.clone().replay_webhook_delivery(call.context().forward(request)).await?)
}
