//! `DescribeVisits`: the names that messages need for a visit.

use domain::{
    directory::{Body, Kind},
    id::{LocationId, PractitionerId, ServiceId},
};
use rpc::{Context, Fault};
use service::db_error;
use wire::availability::{
    DescribeVisitRequest, DescribeVisitResponse, DescribeVisitsRequest, DescribeVisitsResponse, DescribedVisit,
};

use crate::{Inner, index::directory::Directory, store::OrganizationRow};

const VISITS_MAX: usize = 500;

/// One visit.
///
/// # Errors
/// `not_found` where its service, location or practitioner is unknown.
pub(crate) async fn describe(
    inner: &Inner,
    ctx: &Context,
    request: DescribeVisitRequest,
) -> Result<DescribeVisitResponse, Fault> {
    let described = describe_all(inner, ctx, &DescribeVisitsRequest { visits: vec![request] }).await?;
    described.visits.into_iter().find_map(|described| described.visit).ok_or_else(Fault::not_found)
}

/// Several visits; those with an unknown part stay empty.
pub(crate) async fn describe_all(
    inner: &Inner,
    ctx: &Context,
    request: &DescribeVisitsRequest,
) -> Result<DescribeVisitsResponse, Fault> {
    if request.visits.len() > VISITS_MAX {
        return Err(Fault::violation("/visits", "too_many", &format!("at most {VISITS_MAX} at a time")));
    }
    let organization = ctx.organization.uuid();
    let directory = inner.organisations.directory(organization).ok_or_else(Fault::not_found)?;
    let row = inner.store.organization(organization).await.map_err(db_error::fault)?.ok_or_else(Fault::not_found)?;
    let described = request.visits.iter().map(|visit| DescribedVisit { visit: to_wire(visit, &directory, &row) });
    Ok(DescribeVisitsResponse { visits: described.collect() })
}

fn to_wire(
    visit: &DescribeVisitRequest,
    directory: &Directory,
    organization: &OrganizationRow,
) -> Option<DescribeVisitResponse> {
    let body = |kind, id| directory.get(kind, id).map(|entry| &entry.body);
    let service = visit.service_id.parse::<ServiceId>().ok()?;
    let Body::Service(service) = body(Kind::Service, service.uuid())? else { return None };
    let location = visit.location_id.parse::<LocationId>().ok()?;
    let Body::Location(location) = body(Kind::Location, location.uuid())? else { return None };
    let practitioner = visit.practitioner_id.parse::<PractitionerId>().ok()?;
    let Body::Practitioner(practitioner) = body(Kind::Practitioner, practitioner.uuid())? else { return None };
    Some(DescribeVisitResponse {
        service_name: service.name.clone(),
        location_name: location.name.clone(),
        location_address: location.address.clone(),
        location_phone: location.phone.clone().unwrap_or_default(),
        time_zone: location.time_zone.clone(),
        practitioner_given_name: practitioner.given_name.clone(),
        practitioner_family_name: practitioner.family_name.clone(),
        organization_name: organization.name.clone(),
        default_language: organization.default_language.clone(),
        country: organization.country.clone(),
    })
}
