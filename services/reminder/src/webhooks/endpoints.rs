//! Webhook endpoints: list, get, create, update, delete, and rotate the secret.

use std::sync::Arc;

use ::wire::reminder::{
    CreateWebhookEndpointRequest, DeleteWebhookEndpointRequest, DeleteWebhookEndpointResponse,
    GetWebhookEndpointRequest, ListWebhookEndpointsRequest, ListWebhookEndpointsResponse, RotateWebhookSecretRequest,
    UpdateWebhookEndpointRequest, WebhookEndpoint,
};
use domain::{fault::Faults, id::WebhookId};
use rpc::{Context, Fault};
use signing::Secret;
use tonic::Response;

use super::{
    SECRET_OVERLAP_US,
    wire::{endpoint_to_wire, from_wire},
};
use crate::{
    Inner, page,
    store::{EndpointWrite, Refusal, rows::EndpointRow},
    write::{answer, failure, refused, remember, replay, stale},
};

const CREATE_ROUTE: &str = "/meridian.reminder.v1.Webhooks/CreateWebhookEndpoint";
const UPDATE_ROUTE: &str = "/meridian.reminder.v1.Webhooks/UpdateWebhookEndpoint";
const ROTATE_ROUTE: &str = "/meridian.reminder.v1.Webhooks/RotateWebhookSecret";

pub(crate) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListWebhookEndpointsRequest,
) -> Result<ListWebhookEndpointsResponse, Fault> {
    let mut faults = Faults::new();
    let requested = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, requested.limit);
    let after = page::cursor(&mut faults, &requested.cursor).map(|(_, id)| id);
    faults.result()?;
    let mut rows = inner.store.endpoints(ctx.organization.uuid(), after, limit + 1).await.map_err(failure)?;
    let next_cursor = page::cut(&mut rows, limit, |row| (0, row.id));
    Ok(ListWebhookEndpointsResponse { endpoints: rows.iter().map(endpoint_to_wire).collect(), next_cursor })
}

pub(crate) async fn get(
    inner: &Inner,
    ctx: &Context,
    request: GetWebhookEndpointRequest,
) -> Result<WebhookEndpoint, Fault> {
    Ok(endpoint_to_wire(&load(inner, ctx, &request.id).await?))
}

pub(crate) async fn create(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: CreateWebhookEndpointRequest,
) -> Result<Response<WebhookEndpoint>, Fault> {
    let body = from_wire(&inner.outbound, request.body.unwrap_or_default()).await?;
    if let Some(response) = replay(inner, ctx, CREATE_ROUTE).await? {
        return Ok(response);
    }
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let endpoint = EndpointRow {
        organization_id: ctx.organization.uuid(),
        id: inner.ids.uuid(now),
        version: 1,
        url: body.url,
        events: EndpointRow::events_text(&body.events),
        description: body.description,
        enabled: body.enabled,
        disabled_reason: String::new(),
        secret: Secret::from_random(&inner.ids.bytes()).encode(),
        old_secret: String::new(),
        old_until_us: 0,
        failing_since_us: None,
        created_at_us: now_us,
        updated_at_us: now_us,
    };
    let response = WebhookEndpoint { secret: endpoint.secret.clone(), ..endpoint_to_wire(&endpoint) };
    save(inner, ctx, CREATE_ROUTE, endpoint, response).await
}

pub(crate) async fn update(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: UpdateWebhookEndpointRequest,
) -> Result<Response<WebhookEndpoint>, Fault> {
    let old = load_version(inner, ctx, &request.id, request.if_version).await?;
    let body = from_wire(&inner.outbound, request.body.unwrap_or_default()).await?;
    if let Some(response) = replay(inner, ctx, UPDATE_ROUTE).await? {
        return Ok(response);
    }
    let endpoint = EndpointRow {
        version: old.version + 1,
        url: body.url,
        events: EndpointRow::events_text(&body.events),
        description: body.description,
        enabled: body.enabled,
        // A disabled endpoint keeps its reason until it is enabled.
        disabled_reason: if body.enabled { String::new() } else { old.disabled_reason },
        failing_since_us: if body.enabled && !old.enabled { None } else { old.failing_since_us },
        updated_at_us: inner.clock.now_us(),
        ..old
    };
    let response = endpoint_to_wire(&endpoint);
    save(inner, ctx, UPDATE_ROUTE, endpoint, response).await
}

pub(crate) async fn rotate(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RotateWebhookSecretRequest,
) -> Result<Response<WebhookEndpoint>, Fault> {
    if let Some(response) = replay(inner, ctx, ROTATE_ROUTE).await? {
        return Ok(response);
    }
    let old = load(inner, ctx, &request.id).await?;
    let now_us = inner.clock.now_us();
    let endpoint = EndpointRow {
        version: old.version + 1,
        secret: Secret::from_random(&inner.ids.bytes()).encode(),
        old_secret: old.secret,
        old_until_us: now_us + SECRET_OVERLAP_US,
        updated_at_us: now_us,
        ..old
    };
    let response = WebhookEndpoint { secret: endpoint.secret.clone(), ..endpoint_to_wire(&endpoint) };
    save(inner, ctx, ROTATE_ROUTE, endpoint, response).await
}

pub(crate) async fn delete(
    inner: &Inner,
    ctx: &Context,
    request: DeleteWebhookEndpointRequest,
) -> Result<Response<DeleteWebhookEndpointResponse>, Fault> {
    let found = load_version(inner, ctx, &request.id, request.if_version).await?;
    // A concurrent request deleted or changed the endpoint.
    if !inner.store.delete_endpoint(found.organization_id, found.id, found.version).await.map_err(failure)? {
        load_version(inner, ctx, &request.id, found.version).await?;
    }
    Ok(answer(DeleteWebhookEndpointResponse {}, &inner.revision(), false))
}

/// Writes an endpoint, in a task of its own: a caller who disconnects does not interrupt the write.
async fn save(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    endpoint: EndpointRow,
    response: WebhookEndpoint,
) -> Result<Response<WebhookEndpoint>, Fault> {
    let revision = inner.revision();
    let kept = remember(ctx, route, &response, &revision);
    let owned = inner.clone();
    let task = tokio::spawn(async move {
        let fraction = || owned.ids.fraction();
        sql::retry_serialization(fraction, || {
            let write = EndpointWrite { endpoint: &endpoint, remember: kept.clone(), ids: &owned.ids };
            let store = &owned.store;
            async move { store.write_endpoint(&write).await }
        })
        .await
    });
    match task.await.map_err(Fault::internal)? {
        Ok(()) => Ok(answer(response, &revision, false)),
        // A concurrent request with the same key may have written it; its answer holds for this request, too.
        Err(Refusal::Stale) => replay(inner, ctx, route).await?.ok_or_else(stale),
        Err(other) => refused(inner, ctx, route, other).await,
    }
}

pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<EndpointRow, Fault> {
    let id: WebhookId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.endpoint(ctx.organization.uuid(), id.uuid()).await.map_err(failure)?;
    found.ok_or_else(Fault::not_found)
}

async fn load_version(inner: &Inner, ctx: &Context, id: &str, if_version: i64) -> Result<EndpointRow, Fault> {
    let row = load(inner, ctx, id).await?;
    if if_version != 0 && if_version != row.version { Err(stale()) } else { Ok(row) }
}
