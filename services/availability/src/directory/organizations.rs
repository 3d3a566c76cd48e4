//! Organisations: made once, never changed here.

use domain::{fault::Faults, id::OrganizationId};
use rpc::{Context, Fault};
use tonic::Response;
use uuid::Uuid;
use wire::{
    availability::{CreateOrganizationRequest, ListOrganizationsRequest, ListOrganizationsResponse, Organization},
    convert::directory as convert,
};

use super::write::{remember, replay};
use crate::{Inner, failure, revision::Revision, store::OrganizationRow};

const ROUTE: &str = "CreateOrganization";

fn shown(row: &OrganizationRow) -> Organization {
    Organization {
        id: OrganizationId::new(row.id).to_string(),
        name: row.name.clone(),
        default_language: row.default_language.clone(),
        country: row.country.clone(),
        created_at_us: row.created_at_us,
    }
}

pub(crate) async fn get(inner: &Inner, ctx: &Context) -> Result<Organization, Fault> {
    let found = inner.store.organization(ctx.organization.uuid()).await.map_err(failure)?;
    Ok(shown(&found.ok_or_else(Fault::not_found)?))
}

pub(crate) async fn list(
    inner: &Inner,
    request: &ListOrganizationsRequest,
) -> Result<ListOrganizationsResponse, Fault> {
    let (limit, after) = page(request.limit, &request.cursor)?;
    let mut rows = inner.store.organizations().await.map_err(failure)?;
    rows.retain(|row| after.is_none_or(|after| row.id > after));
    rows.sort_unstable_by_key(|row| row.id);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    Ok(ListOrganizationsResponse {
        next_cursor: last.map(|row| sql::cursor::encode(0, row.id.as_u128())).unwrap_or_default(),
        organizations: rows.iter().map(shown).collect(),
    })
}

/// How many entries a page has, and after which id it begins.
pub(crate) fn page(limit: u32, cursor: &str) -> Result<(usize, Option<Uuid>), Fault> {
    let mut faults = Faults::new();
    faults.check(limit <= 200, "limit", "out_of_range", "must lie between 1 and 200");
    let after = sql::cursor::decode(cursor).map(|(_, id)| Uuid::from_u128(id));
    let fits = cursor.is_empty() || after.is_some();
    faults.check(fits, "cursor", "invalid_cursor", "use the next_cursor of the page before, as it is");
    faults.result().map_err(Fault::invalid)?;
    Ok((if limit == 0 { 50 } else { limit as usize }, after))
}

/// Makes an organisation, or answers the one with this id.
pub(crate) async fn create(
    inner: &Inner,
    ctx: Option<&Context>,
    request: &CreateOrganizationRequest,
) -> Result<Response<Organization>, Fault> {
    if let Some(ctx) = ctx
        && let Some(response) = replay(inner, ctx, ROUTE).await?
    {
        return Ok(response);
    }
    let body = convert::organization_from_wire(request).map_err(Fault::invalid)?;
    let now = inner.clock.now();
    let id = match request.id.as_str() {
        "" => inner.ids.uuid(now),
        text => text
            .parse::<OrganizationId>()
            .map_err(|error| Fault::violation("/id", "invalid_id", &error.to_string()))?
            .uuid(),
    };
    let row = OrganizationRow {
        id,
        name: body.name,
        default_language: body.default_language,
        country: body.country,
        created_at_us: now.as_microsecond(),
        directory_version: 1,
    };
    let row = inner.store.organization(id).await.map_err(failure)?.unwrap_or(row);
    let revision = Revision { directory: Some(row.directory_version), ..Revision::default() }.to_string();
    let answer = shown(&row);
    let keep = ctx.and_then(|ctx| remember(ctx, ROUTE, &answer, &revision));
    match (inner.store.create_organization(&row, keep.as_ref(), now.as_microsecond()).await, ctx) {
        (Ok(()), _) => {}
        // The key was used at the same moment: the other's answer counts.
        (Err(sql::Failure::Duplicate(_)), Some(ctx)) => {
            return replay(inner, ctx, ROUTE).await?.ok_or_else(|| Fault::internal("a replay has no answer"));
        }
        (Err(other), _) => return Err(failure(other)),
    }
    inner.reload(id).await.map_err(failure)?;
    Ok(rpc::respond(answer, &revision, false))
}
