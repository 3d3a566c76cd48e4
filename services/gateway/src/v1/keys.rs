//! API keys and the audit log.

use axum::http::Method;
use domain::id::{KeyId, PatientId};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use service::db_error;
use sql::Failure;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{CURSOR, LIMIT, decode_cursor, page_size, time};
use crate::{
    Error,
    auth::Scope,
    call::Call,
    idempotency::IdempotentRequest,
    keys::{Key, Keys},
    operation::{Access, Operation, handler},
    params::{Param, Type},
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
    /// The permissions.
    #[schema(min_items = 1, max_items = 8)]
    scopes: Vec<Scope>,
}

/// A key without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyDetails {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

/// A key with its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedKey {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
    /// The secret, which only this answer contains.
    key: String,
}

/// The keys of an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyPage {
    data: Vec<KeyDetails>,
    next_cursor: Option<String>,
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    #[schema(format = DateTime)]
    at: String,
    /// A key's id, `admin` or `patient`.
    caller: String,
    /// The id of the operation.
    action: String,
    /// The resource that was created or changed.
    target: Option<String>,
    patient_id: Option<String>,
}

/// A page of the audit log, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    data: Vec<AuditEntry>,
    next_cursor: Option<String>,
}

const LIST_SUMMARY: &str = "Lists the keys, active ones before revoked ones, newest first";

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "keys", summary, access, handler)
    };
    let patient = Param::new("patient_id", Type::Id("pat"), "About this patient");
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
        operation(
            "audit",
            Method::GET,
            "/v1/audit",
            "Lists the audit log, newest first",
            Access::Scopes(&[Scope::Admin]),
            handler!(list_audit),
        )
        .params(&[patient, LIMIT, CURSOR])
        .answer(200, "AuditPage"),
    ]
}

fn to_json(key: Key) -> KeyDetails {
    KeyDetails {
        id: key.id.to_string(),
        name: key.name,
        scopes: key.scopes,
        created_at: time::utc(key.created_at_us),
        revoked_at: key.revoked_at_us.map(time::utc),
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
    let (row, secret) = Keys::new(&call.inner).generate(call.caller.organization, &new.name, &new.scopes);
    let key = to_json(Key::from(&row));
    let id = key.id.clone();
    let created = CreatedKey {
        id: key.id,
        name: key.name,
        scopes: key.scopes,
        created_at: key.created_at,
        revoked_at: key.revoked_at,
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
    Reply::json(200, &KeyPage { data: found.into_iter().map(to_json).collect(), next_cursor })
}

async fn revoke(call: Call) -> Result<Reply, Fault> {
    let id: KeyId = call.path_param("id").parse().map_err(|_| Fault::not_found())?;
    let key = Keys::new(&call.inner).revoke(call.caller.organization, id).await.map_err(fault)?;
    call.inner.auth_cache.clear();
    let key = key.ok_or_else(Fault::not_found)?;
    Ok(Reply::json(200, &to_json(key))?.target(&id.to_string()))
}

async fn list_audit(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let limit = i64::from(page_size(&call, 50));
    let patient = params.text("patient_id").and_then(|id| id.parse::<PatientId>().ok()).map(Uuid::from);
    let before = params.text("cursor").map_or(Ok(Uuid::max()), |text| decode_cursor(text).map(|(_, id)| id))?;
    let rows = call.inner.store.list_audit_entries(call.caller.organization.uuid(), patient, before, limit + 1).await;
    let mut rows = rows.map_err(db_error::fault)?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let next_cursor = rows.last().filter(|_| more).map(|row| sql::cursor::encode(0, row.id.as_u128()));
    let data = rows.into_iter().map(|row| AuditEntry {
        at: time::utc(row.at_us),
        caller: row.caller,
        action: row.action,
        target: (!row.target.is_empty()).then_some(row.target),
        patient_id: row.patient_id.map(|id| PatientId::new(id).to_string()),
    });
    Reply::json(200, &AuditPage { data: data.collect(), next_cursor })
}
