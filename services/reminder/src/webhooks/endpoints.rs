//! Webhook endpoints: list, get, create, update, delete, and rotate the secret.

use std::sync::Arc;

use ::wire::reminder::{
    CreateWebhookEndpointRequest, DeleteWebhookEndpointRequest, DeleteWebhookEndpointResponse,
    GetWebhookEndpointRequest, ListWebhookEndpointsRequest, ListWebhookEndpointsResponse, RotateWebhookSecretRequest,
    UpdateWebhookEndpointRequest, WebhookEndpoint,
};
use domain::{fault::Faults, id::WebhookId};
use rpc::{Context, Fault};
use service::{db_error, page};
use signing::Secret;
use tonic::Response;

use super::{
    SECRET_OVERLAP_US,
    queue::{delete_endpoint, write_endpoint},
    sealed::{seal_secret, seal_url},
    wire::{endpoint_to_wire, from_wire},
};
use crate::{
    Inner,
    idempotency::{Begun, KeyGuard, answer, begin, refused, remember, stale},
    store::webhook_endpoints::EndpointRow,
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
    let mut rows = inner.store.endpoints(ctx.organization.uuid(), after, limit + 1).await.map_err(db_error::fault)?;
    let next_cursor = page::cut(&mut rows, limit, |row| (0, row.id));
    let endpoints = rows.iter().map(|row| endpoint_to_wire(&inner.keyring, row)).collect::<Result<_, _>>()?;
    Ok(ListWebhookEndpointsResponse { endpoints, next_cursor })
}

pub(crate) async fn get(
    inner: &Inner,
    ctx: &Context,
    request: GetWebhookEndpointRequest,
) -> Result<WebhookEndpoint, Fault> {
    Ok(endpoint_to_wire(&inner.keyring, &load(inner, ctx, &request.id).await?)?)
}

pub(crate) async fn create(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: CreateWebhookEndpointRequest,
) -> Result<Response<WebhookEndpoint>, Fault> {
    let body = from_wire(&inner.outbound, request.body.unwrap_or_default()).await?;
    let guard = match begin(inner, ctx, CREATE_ROUTE).await? {
        Begun::Replay(response) => return Ok(response),
        Begun::New(guard) => guard,
    };
    let now = inner.clock.now();
    let now_us = now.as_microsecond();
    let key = (ctx.organization.uuid(), inner.ids.uuid(now));
    let secret = Secret::from_random(&inner.ids.bytes());
    let endpoint = EndpointRow {
        organization_id: key.0,
        id: key.1,
        version: 1,
        url: seal_url(&inner.keyring, key, &body.url)?,
        events: EndpointRow::events_text(&body.events),
        description: body.description,
        enabled: body.enabled,
        disabled_reason: String::new(),
        secret: seal_secret(&inner.keyring, key, &secret)?,
        old_secret: String::new(),
        old_until_us: 0,
        failing_since_us: None,
        created_at_us: now_us,
        updated_at_us: now_us,
    };
    let response = WebhookEndpoint { secret: secret.encode(), ..endpoint_to_wire(&inner.keyring, &endpoint)? };
    save(inner, ctx, (CREATE_ROUTE, guard), endpoint, response).await
}

pub(crate) async fn update(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: UpdateWebhookEndpointRequest,
) -> Result<Response<WebhookEndpoint>, Fault> {
    let old = load_version(inner, ctx, &request.id, request.if_version).await?;
    let body = from_wire(&inner.outbound, request.body.unwrap_or_default()).await?;
    let guard = match begin(inner, ctx, UPDATE_ROUTE).await? {
        Begun::Replay(response) => return Ok(response),
        Begun::New(guard) => guard,
    };
    let endpoint = EndpointRow {
        version: old.version + 1,
        url: seal_url(&inner.keyring, (old.organization_id, old.id), &body.url)?,
        events: EndpointRow::events_text(&body.events),
        description: body.description,
        enabled: body.enabled,
        // A disabled endpoint keeps its reason until it is enabled.
        disabled_reason: if body.enabled { String::new() } else { old.disabled_reason },
        failing_since_us: if body.enabled && !old.enabled { None } else { old.failing_since_us },
        updated_at_us: inner.clock.now_us(),
        ..old
    };
    let response = endpoint_to_wire(&inner.keyring, &endpoint)?;
    save(inner, ctx, (UPDATE_ROUTE, guard), endpoint, response).await
}

pub(crate) async fn rotate(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RotateWebhookSecretRequest,
) -> Result<Response<WebhookEndpoint>, Fault> {
    let guard = match begin(inner, ctx, ROTATE_ROUTE).await? {
        Begun::Replay(response) => return Ok(response),
        Begun::New(guard) => guard,
    };
    let old = load(inner, ctx, &request.id).await?;
    let now_us = inner.clock.now_us();
    let secret = Secret::from_random(&inner.ids.bytes());
    let endpoint = EndpointRow {
        version: old.version + 1,
        secret: seal_secret(&inner.keyring, (old.organization_id, old.id), &secret)?,
        old_secret: old.secret,
        old_until_us: now_us + SECRET_OVERLAP_US,
        updated_at_us: now_us,
        ..old
    };
    let response = WebhookEndpoint { secret: secret.encode(), ..endpoint_to_wire(&inner.keyring, &endpoint)? };
    save(inner, ctx, (ROTATE_ROUTE, guard), endpoint, response).await
}

pub(crate) async fn delete(
    inner: &Inner,
    ctx: &Context,
    request: DeleteWebhookEndpointRequest,
) -> Result<Response<DeleteWebhookEndpointResponse>, Fault> {
    let found = load_version(inner, ctx, &request.id, request.if_version).await?;
    // A concurrent request deleted or changed the endpoint.
    if !delete_endpoint(&inner.store, found.organization_id, found.id, found.version).await.map_err(db_error::fault)? {
        load_version(inner, ctx, &request.id, found.version).await?;
    }
    Ok(answer(DeleteWebhookEndpointResponse {}, &inner.revision(), false))
}

/// Writes an endpoint, in a task of its own: a caller who disconnects does not interrupt the write.
async fn save(
    inner: &Arc<Inner>,
    ctx: &Context,
    (route, guard): (&'static str, KeyGuard),
    endpoint: EndpointRow,
    response: WebhookEndpoint,
) -> Result<Response<WebhookEndpoint>, Fault> {
    let revision = inner.revision();
    let kept = remember(inner, ctx, route, &response, &revision)?;
    let owned = inner.clone();
    let task = tokio::spawn(async move {
        let _guard = guard;
        let run = || write_endpoint(&owned.store, &endpoint, kept.as_ref(), &owned.ids);
        sql::retry_serialization(|| owned.ids.fraction(), run).await
    });
    match task.await.map_err(Fault::internal)? {
        Ok(()) => Ok(answer(response, &revision, false)),
        Err(refusal) => refused(inner, ctx, route, refusal).await,
    }
}

pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<EndpointRow, Fault> {
    let id: WebhookId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.endpoint(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
    found.ok_or_else(Fault::not_found)
}

async fn load_version(inner: &Inner, ctx: &Context, id: &str, if_version: i64) -> Result<EndpointRow, Fault> {
    let row = load(inner, ctx, id).await?;
    if if_version != 0 && if_version != row.version { Err(stale()) } else { Ok(row) }
}
