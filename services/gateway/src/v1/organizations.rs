//! Organisations, for the installation's own key.

use axum::http::Method;
use domain::directory::Organization;
use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::availability::{self, CreateOrganizationRequest, ListOrganizationsRequest};

use super::{CURSOR, LIMIT, next_cursor, time};
use crate::{
    call::{Call, Reply},
    operation::{Access, Operation, handler},
};

/// An organisation.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownOrganization {
    id: String,
    name: String,
    default_language: String,
    country: String,
    #[schema(format = DateTime)]
    created_at: String,
}

/// A page of the organisations.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrganizationPage {
    data: Vec<ShownOrganization>,
    next_cursor: Option<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, summary: &str, handler| {
        Operation::new(id, method, "/v1/organizations", "organizations", summary, Access::Installation, handler)
    };
    vec![
        operation("list_organizations", Method::GET, "The organisations, the oldest first", handler!(list))
            .params(&[LIMIT, CURSOR])
            .answer(200, "OrganizationPage"),
        operation("create_organization", Method::POST, "Adds an organisation", handler!(create))
            .body("Organization")
            .answer(201, "ShownOrganization"),
    ]
}

fn shown(it: availability::Organization) -> ShownOrganization {
    ShownOrganization {
        id: it.id,
        name: it.name,
        default_language: it.default_language,
        country: it.country,
        created_at: time::utc(it.created_at_us),
    }
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let request =
        ListOrganizationsRequest { limit: call.params.number("limit"), cursor: call.params.text_or_empty("cursor") };
    let request = call.context().request(request);
    let answer = call.inner.directory.clone().list_organizations(request).await?.into_inner();
    let data = answer.organizations.into_iter().map(shown).collect();
    Reply::json(200, &OrganizationPage { data, next_cursor: next_cursor(answer.next_cursor) })
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let body: Organization = call.read()?;
    let request = CreateOrganizationRequest {
        id: String::new(),
        name: body.name,
        default_language: body.default_language,
        country: body.country,
    };
    let response = call.inner.directory.clone().create_organization(call.context().forward(request)).await?;
    let reply = Reply::empty(201).after(&response);
    let made = shown(response.into_inner());
    let json = Reply::json(201, &made)?.target(&made.id);
    Ok(Reply { revision: reply.revision, replayed: reply.replayed, ..json })
}
