//! API keys and the audit log.

use axum::http::Method;
use domain::id::{KeyId, PatientId};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use sql::Failure;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{CURSOR, LIMIT, cursor, page_size, time};
use crate::{
    Error, audit,
    auth::Scope,
    call::{Call, Reply},
    failure,
    idempotency::Keyed,
    keys::{self, Key, Keys},
    operation::{Access, Operation, Param, Type, handler},
    store::KeyPlace,
};

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// What people call it.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it may do.
    #[schema(min_items = 1, max_items = 8)]
    scopes: Vec<Scope>,
}

/// A key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownKey {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

/// A key that was made just now.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeKey {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
    /// The key itself, shown this once.
    key: String,
}

/// The keys of an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyPage {
    data: Vec<ShownKey>,
    next_cursor: Option<String>,
}

/// A line of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditLine {
    #[schema(format = DateTime)]
    at: String,
    /// A key's id, `admin` or `patient`.
    caller: String,
    /// The operation.
    action: String,
    /// What was made or changed.
    target: Option<String>,
    patient_id: Option<String>,
}

/// A page of the audit log, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    data: Vec<AuditLine>,
    next_cursor: Option<String>,
}

const LISTED: &str = "The keys: those in use first, of either the newest first";

pub(crate) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "keys", summary, access, handler)
    };
    let patient = Param::new("patient_id", Type::Id("pat"), "Only about this patient");
    vec![
        operation("create_key", Method::POST, "/v1/keys", "Makes a key", Access::Installation, handler!(create))
            .body("NewKey")
            .answer(201, "MadeKey")
            .keeps(),
        operation("list_keys", Method::GET, "/v1/keys", LISTED, Access::Installation, handler!(list))
            .params(&[LIMIT, CURSOR])
            .answer(200, "KeyPage"),
        operation("revoke_key", Method::DELETE, "/v1/keys/{id}", "Ends a key", Access::Installation, handler!(revoke))
            .answer(200, "ShownKey"),
        operation(
            "audit",
            Method::GET,
            "/v1/audit",
            "Who read or changed what",
            Access::Scopes(&[Scope::Admin]),
            handler!(log),
        )
        .params(&[patient, LIMIT, CURSOR])
        .answer(200, "AuditPage"),
    ]
}

fn shown(key: Key) -> ShownKey {
    ShownKey {
        id: key.id.to_string(),
        name: key.name,
        scopes: key.scopes,
        created_at: time::utc(key.created_at_us),
        revoked_at: key.revoked_at_us.map(time::utc),
    }
}

fn failed(error: Error) -> Fault {
    match error {
        Error::Failure(error) => failure(error),
        other => Fault::internal(other),
    }
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let new: NewKey = call.read()?;
    let (row, secret) = Keys::of(&call.inner).fresh(call.caller.organization, &new.name, &new.scopes);
    let key = shown(keys::shown(&row));
    let id = key.id.clone();
    let made = MadeKey {
        id: key.id,
        name: key.name,
        scopes: key.scopes,
        created_at: key.created_at,
        revoked_at: key.revoked_at,
        key: secret,
    };
    let reply = Reply::json(201, &made)?.target(&id);
    let keyed = Keyed::of(&call)?;
    let answer = keyed.as_ref().map(|keyed| keyed.sealed(&reply)).transpose()?;
    match (call.inner.store.add_key(&row, answer.as_ref()).await, keyed) {
        (Ok(()), keyed) => Ok(Reply { kept: keyed.is_some(), ..reply }),
        (Err(Failure::Duplicate(_)), Some(keyed)) => keyed.replayed().await,
        (Err(other), _) => Err(failure(other)),
    }
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let after = match call.params.text("cursor") {
        None => KeyPlace { revoked: false, id: Uuid::max() },
        Some(text) => {
            let (revoked, id) = cursor(text)?;
            KeyPlace { revoked: revoked > 0, id }
        }
    };
    let limit = page_size(&call, 50);
    let keys = Keys::of(&call.inner);
    let mut found = keys.after(call.caller.organization, after, limit + 1).await.map_err(failure)?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().filter(|_| more).map(Key::place);
    let next_cursor = last.map(|place| sql::cursor::encode(i64::from(place.revoked), place.id.as_u128()));
    Reply::json(200, &KeyPage { data: found.into_iter().map(shown).collect(), next_cursor })
}

async fn revoke(call: Call) -> Result<Reply, Fault> {
    let id: KeyId = call.part("id").parse().map_err(|_| Fault::not_found())?;
    let key = Keys::of(&call.inner).revoke(call.caller.organization, id).await.map_err(failed)?;
    call.inner.cache.clear();
    let key = key.ok_or_else(Fault::not_found)?;
    Ok(Reply::json(200, &shown(key))?.target(&audit::key_text(id.uuid())))
}

async fn log(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let limit = i64::from(page_size(&call, 50));
    let patient = params.text("patient_id").and_then(|id| id.parse::<PatientId>().ok()).map(Uuid::from);
    let before = params.text("cursor").map_or(Ok(Uuid::max()), |text| cursor(text).map(|(_, id)| id))?;
    let rows = call.inner.store.audit(call.caller.organization.uuid(), patient, before, limit + 1).await;
    let mut rows = rows.map_err(failure)?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let next_cursor = rows.last().filter(|_| more).map(|row| sql::cursor::encode(0, row.id.as_u128()));
    let data = rows.into_iter().map(|row| AuditLine {
        at: time::utc(row.at_us),
        caller: row.caller,
        action: row.action,
        target: (!row.target.is_empty()).then_some(row.target),
        patient_id: row.patient_id.map(|id| PatientId::new(id).to_string()),
    });
    Reply::json(200, &AuditPage { data: data.collect(), next_cursor })
}
