//! Organisations: created once, then immutable.

use domain::{fault::Faults, id::OrganizationId};
use rpc::{Context, Fault};
use runtime::{Clock, Ids};
use service::{
    db_error,
    idempotency::{self, Begun},
};
use sql::Failure;
use tonic::Response;
use wire::{
    availability::{CreateOrganizationRequest, ListOrganizationsRequest, ListOrganizationsResponse, Organization},
    convert::directory as convert,
};

use super::commit;
use crate::{
    Inner,
    revision::Revision,
    store::{OrganizationRow, Store},
};

const ROUTE: &str = "CreateOrganization";

fn to_wire(row: &OrganizationRow) -> Organization {
    Organization {
        id: OrganizationId::new(row.id).to_string(),
        name: row.name.clone(),
        default_language: row.default_language.clone(),
        country: row.country.clone(),
        created_at_us: row.created_at_us,
    }
}

pub(crate) async fn get(inner: &Inner, ctx: &Context) -> Result<Organization, Fault> {
    let found = inner.store.organization(ctx.organization.uuid()).await.map_err(db_error::fault)?;
    Ok(to_wire(&found.ok_or_else(Fault::not_found)?))
}

/// The default organisation, made if there is none.
pub(crate) async fn get_default(inner: &Inner) -> Result<Organization, Fault> {
    let row = ensure_default(&inner.store, &inner.clock, &inner.ids).await.map_err(db_error::fault)?;
    if inner.organisations.directory(row.id).is_none() {
        inner.load_directory(row.id).await.map_err(db_error::fault)?;
    }
    Ok(to_wire(&row))
}

/// The default organisation of a database; the first call makes it.
pub(crate) async fn ensure_default(store: &Store, clock: &Clock, ids: &Ids) -> Result<OrganizationRow, Failure> {
    let now = clock.now();
    let new = OrganizationRow {
        id: ids.uuid(now),
        name: "Default organisation".to_owned(),
        default_language: "en".to_owned(),
        country: "CA".to_owned(),
        created_at_us: now.as_microsecond(),
        directory_version: 1,
    };
    store.default_organization(&new).await
}

pub(crate) async fn list(
    inner: &Inner,
    request: &ListOrganizationsRequest,
) -> Result<ListOrganizationsResponse, Fault> {
    let mut faults = Faults::new();
    let limit = service::page::limit(&mut faults, request.limit);
    let after = service::page::cursor(&mut faults, &request.cursor).map(|(_, id)| id);
    faults.result()?;
    let mut rows = inner.store.organizations().await.map_err(db_error::fault)?;
    rows.retain(|row| after.is_none_or(|after| row.id > after));
    rows.sort_unstable_by_key(|row| row.id);
    let next_cursor = service::page::cut(&mut rows, limit, |row| (0, row.id));
    Ok(ListOrganizationsResponse { next_cursor, organizations: rows.iter().map(to_wire).collect() })
}

/// Creates an organisation, or returns the existing one with the requested id. The context is absent where the caller
/// belongs to no organisation; it only scopes the idempotency key.
pub(crate) async fn create(
    inner: &Inner,
    ctx: Option<&Context>,
    request: &CreateOrganizationRequest,
) -> Result<Response<Organization>, Fault> {
    let (running, database, keyring) = (&inner.running_keys, &inner.store.database, &inner.keyring);
    let _guard = match ctx {
        Some(ctx) => match idempotency::begin(running, database, keyring, ctx, ROUTE, idempotency::as_kept).await? {
            Begun::New(guard) => Some(guard),
            Begun::Replay(response) => return Ok(response),
        },
        None => None,
    };
    let body = convert::organization_from_wire(request).map_err(Fault::invalid)?;
    let now = inner.clock.now();
    let id = match request.id.as_str() {
        "" => inner.ids.uuid(now),
        text => text
            .parse::<OrganizationId>()
            .map_err(|error| Fault::violation("/id", "invalid_id", &error.to_string()))?
            .uuid(),
    };
    let new = OrganizationRow {
        id,
        name: body.name,
        default_language: body.default_language,
        country: body.country,
        created_at_us: now.as_microsecond(),
        directory_version: 1,
    };
    let row = inner.store.organization(id).await.map_err(db_error::fault)?.unwrap_or(new);
    let revision = Revision { directory: Some(row.directory_version), ..Revision::default() }.to_string();
    let answer = to_wire(&row);
    let remember = match ctx {
        Some(ctx) => idempotency::remember(keyring, ctx, ROUTE, &answer, &revision)?,
        None => None,
    };
    match (commit::organization(inner, &row, remember.as_ref(), now.as_microsecond()).await, ctx) {
        (Ok(()), _) => {}
        // Another process used the key in the same moment: its answer counts.
        (Err(Failure::Duplicate(_)), Some(ctx)) => {
            return idempotency::replay_winner(database, keyring, ctx, ROUTE, idempotency::as_kept).await;
        }
        (Err(other), _) => return Err(db_error::fault(other)),
    }
    inner.load_directory(id).await.map_err(db_error::fault)?;
    Ok(rpc::respond(answer, &revision, false))
}
