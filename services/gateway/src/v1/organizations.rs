//! Organisations, for the installation's own key.

use axum::http::Method;
use domain::directory::Organization;
use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::availability::{self, CreateOrganizationRequest, ListOrganizationsRequest};

use super::{CURSOR, LIMIT, next_cursor, time};
use crate::{
    call::Call,
    operation::{Access, Operation, handler},
    reply::Reply,
};

/// An organisation.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrganizationDetails {
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
    data: Vec<OrganizationDetails>,
    next_cursor: Option<String>,
}

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, summary: &str, handler| {
        Operation::new(id, method, "/v1/organizations", "organizations", summary, Access::Installation, handler)
    };
    vec![
        operation("list_organizations", Method::GET, "Lists the organisations, oldest first", handler!(list))
            .params(&[LIMIT, CURSOR])
            .answer(200, "OrganizationPage"),
        operation("create_organization", Method::POST, "Creates an organisation", handler!(create))
            .json_body("Organization")
            .answer(201, "OrganizationDetails"),
    ]
}

fn to_json(organization: availability::Organization) -> OrganizationDetails {
    OrganizationDetails {
        id: organization.id,
        name: organization.name,
        default_language: organization.default_language,
        country: organization.country,
        created_at: time::utc(organization.created_at_us),
    }
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let request =
        ListOrganizationsRequest { limit: call.params.number("limit"), cursor: call.params.text_or_empty("cursor") };
    let request = call.context().request(request);
    let answer = call.inner.directory.clone().list_organizations(request).await?.into_inner();
    let data: Vec<OrganizationDetails> = answer.organizations.into_iter().map(to_json).collect();
    let rows = data.len();
    Ok(Reply::json(200, &OrganizationPage { data, next_cursor: next_cursor(answer.next_cursor) })?.rows(rows))
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let body: Organization = call.parse_body()?;
    let request = CreateOrganizationRequest {
        id: String::new(),
        name: body.name,
        default_language: body.default_language,
        country: body.country,
    };
    let response = call.inner.directory.clone().create_organization(call.context().forward(request)).await?;
    let (metadata, organization, _) = response.into_parts();
    let organization = to_json(organization);
    Ok(Reply::json(201, &organization)?.target(&organization.id).write_metadata(&metadata))
}
