//! Organisations, for the installation's own key.

use axum::http::Method;
use domain::directory::Organization;
use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::availability::{self, CreateOrganizationRequest, ListOrganizationsRequest};

use super::time;
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

/// All organisations.
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
        operation("list_organizations", Method::GET, "All organisations", handler!(list))
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
    let request = call.context().request(ListOrganizationsRequest {});
    let answer = call.inner.directory.clone().list_organizations(request).await?.into_inner();
    let data = answer.organizations.into_iter().map(shown).collect();
    Reply::json(200, &OrganizationPage { data, next_cursor: None })
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let body: Organization = call.read()?;
    let request = CreateOrganizationRequest {
        id: String::new(),
        name: body.name,
        default_language: body.default_language,
        country: body.country,
    };
    let made = call.inner.directory.clone().create_organization(call.context().request(request)).await?;
    let made = shown(made.into_inner());
    Ok(Reply::json(201, &made)?.target(&made.id))
}
