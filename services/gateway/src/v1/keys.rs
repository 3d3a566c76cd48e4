//! API keys.

use axum::http::Method;
use domain::{
    fault::Faults,
    id::{KeyId, LocationId},
};
use jiff::Timestamp;
use rpc::Fault;
use serde::{Deserialize, Serialize};
use service::db_error;
use sql::Failure;
use utoipa::ToSchema;

use super::{CURSOR, LIMIT, decode_cursor, directory, page_size, time};
use crate::{
    Error,
    auth::{Role, Scope},
    call::Call,
    idempotency::IdempotentRequest,
    keys::{Key, Keys, Permissions},
    operation::{Access, Operation, handler},
    reply::Reply,
    store::keys::KeyCursor,
};

/// A key to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// The name that people read.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// The role, whose scopes the key has.
    #[serde(default)]
    #[schema(nullable = false)]
    role: Option<Role>,
    /// The permissions, besides those of the role. A key without a role needs at least one.
    #[serde(default)]
    #[schema(max_items = 9)]
    scopes: Vec<Scope>,
    /// The locations to which the key is limited. Without them it may act at all.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 50, nullable = false)]
    location_ids: Option<Vec<String>>,
    /// The instant from which on the key opens nothing. Without it the key lasts until it is revoked.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    expires_at: Option<Timestamp>,
}

/// A key without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyDetails {
    id: String,
    name: String,
    role: Option<Role>,
    /// All permissions, those of the role included.
    scopes: Vec<Scope>,
    /// The locations to which it is limited; null for all.
    location_ids: Option<Vec<String>>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A key with its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedKey {
    id: String,
    name: String,
    role: Option<Role>,
    /// All permissions, those of the role included.
    scopes: Vec<Scope>,
    /// The locations to which it is limited; null for all.
    location_ids: Option<Vec<String>>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The secret, which only this answer contains.
    key: String,
}

/// The keys of an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyPage {
    data: Vec<KeyDetails>,
    next_cursor: Option<String>,
}

const LIST_SUMMARY: &str = "Lists the keys, active ones before revoked ones, newest first";

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "keys", summary, access, handler)
    };
    vec![
        operation("create_key", Method::POST, "/v1/keys", "Creates a key", Access::Installation, handler!(create))
            .json_body("NewKey")
            .answer(201, "CreatedKey")
            .replayed_by_gateway(),
        operation("list_keys", Method::GET, "/v1/keys", LIST_SUMMARY, Access::Installation, handler!(list))
            .params(&[LIMIT, CURSOR])
            .answer(200, "KeyPage"),
        operation(
            "revoke_key",
            Method::DELETE,
            "/v1/keys/{id}",
            "Revokes a key",
            Access::Installation,
            handler!(revoke),
        )
        .answer(200, "KeyDetails"),
    ]
}

fn to_json(key: Key) -> KeyDetails {
    KeyDetails {
        id: key.id.to_string(),
        name: key.name,
        role: key.role,
        scopes: key.scopes,
        location_ids: key.locations.map(|ids| ids.iter().map(ToString::to_string).collect()),
        created_at: time::utc(key.created_at_us),
        revoked_at: key.revoked_at_us.map(time::utc),
        expires_at: key.expires_at_us.map(time::utc),
    }
}

fn fault(error: Error) -> Fault {
    match error {
        Error::Failure(failure) => db_error::fault(failure),
        other => Fault::caused_by(&other),
    }
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let new: NewKey = call.parse_body()?;
    if new.role.is_none() && new.scopes.is_empty() {
        return Err(Fault::violation("/scopes", "missing", "give the key a role or at least one scope"));
    }
    let locations = locations_of(&call, new.location_ids.as_deref().unwrap_or_default()).await?;
    let expires_at_us = new.expires_at.map(Timestamp::as_microsecond);
    if expires_at_us.is_some_and(|at| at <= call.inner.clock.now_us()) {
        return Err(Fault::violation("/expires_at", "out_of_range", "give an instant in the future, or leave it out"));
    }
    let permissions = Permissions { role: new.role, scopes: &new.scopes, locations: &locations, expires_at_us };
    let (row, secret) = Keys::new(&call.inner).generate(call.caller.organization, &new.name, permissions);
    let key = to_json(Key::from(&row));
    let id = key.id.clone();
    let created = CreatedKey {
        id: key.id,
        name: key.name,
        role: key.role,
        scopes: key.scopes,
        location_ids: key.location_ids,
        created_at: key.created_at,
        revoked_at: key.revoked_at,
        expires_at: key.expires_at,
        key: secret,
    };
    let reply = Reply::json(201, &created)?.target(&id);
    let request = IdempotentRequest::new(&call)?;
    let answer = request.as_ref().map(|request| request.seal(&reply)).transpose()?;
    match (call.inner.store.insert_key(&row, answer.as_ref()).await, request) {
        (Ok(()), request) => Ok(Reply { stored: request.is_some(), ..reply }),
        (Err(Failure::Duplicate(_)), Some(request)) => request.replay_first().await,
        (Err(failure), _) => Err(db_error::fault(failure)),
    }
}

/// The locations with these ids, all of which exist.
async fn locations_of(call: &Call, ids: &[String]) -> Result<Vec<LocationId>, Fault> {
    let (mut found, mut faults) = (Vec::new(), Faults::new());
    for (id, at) in ids.iter().zip(0..) {
        match directory::location_exists(call, id).await? {
            Some(location) => found.push(location),
            None => faults.push(format!("/location_ids/{at}"), "not_found", "there is no such location"),
        }
    }
    faults.result().map_err(Fault::invalid)?;
    Ok(found)
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let after = match call.params.text("cursor") {
        None => KeyCursor::START,
        Some(text) => {
            let (revoked, id) = decode_cursor(text)?;
            KeyCursor { revoked: revoked > 0, id }
        }
    };
    let limit = page_size(&call, 50);
    let keys = Keys::new(&call.inner);
    let mut found = keys.page_after(call.caller.organization, after, limit + 1).await.map_err(db_error::fault)?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().filter(|_| more).map(Key::cursor);
    let next_cursor = last.map(|cursor| sql::cursor::encode(i64::from(cursor.revoked), cursor.id.as_u128()));
    let rows = found.len();
    Ok(Reply::json(200, &KeyPage { data: found.into_iter().map(to_json).collect(), next_cursor })?.rows(rows))
}

async fn revoke(call: Call) -> Result<Reply, Fault> {
    let id: KeyId = call.path_param("id").parse().map_err(|_| Fault::not_found())?;
    let key = Keys::new(&call.inner).revoke(call.caller.organization, id).await.map_err(fault)?;
    call.inner.auth_cache.clear();
    call.inner.streams.revoke(&id.to_string());
    let key = key.ok_or_else(Fault::not_found)?;
    Ok(Reply::json(200, &to_json(key))?.target(&id.to_string()))
}
