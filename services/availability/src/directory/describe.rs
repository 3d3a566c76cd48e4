//! What messages need to name a visit.

use domain::{
    directory::{Body, Kind},
    id::{LocationId, PractitionerId, ServiceId},
};
use rpc::{Context, Fault};
use wire::availability::{
    DescribeVisitRequest, DescribeVisitResponse, DescribeVisitsRequest, DescribeVisitsResponse, DescribedVisit,
};

use crate::{Inner, failure};

/// Visits described in one answer.
const VISITS_MAX: usize = 500;

pub(crate) async fn describe(
    inner: &Inner,
    ctx: &Context,
    request: DescribeVisitRequest,
) -> Result<DescribeVisitResponse, Fault> {
    let all = describe_all(inner, ctx, DescribeVisitsRequest { visits: vec![request] }).await?;
    all.visits.into_iter().find_map(|one| one.visit).ok_or_else(Fault::not_found)
}

pub(crate) async fn describe_all(
    inner: &Inner,
    ctx: &Context,
    request: DescribeVisitsRequest,
) -> Result<DescribeVisitsResponse, Fault> {
    if request.visits.len() > VISITS_MAX {
        return Err(Fault::violation("/visits", "too_many", "at most 500 at a time"));
    }
    let organization = ctx.organization.uuid();
    let directory = inner.orgs.directory(organization).ok_or_else(Fault::not_found)?;
    let row = inner.store.organization(organization).await.map_err(failure)?.ok_or_else(Fault::not_found)?;
    let body = |kind, id| directory.get(kind, id).map(|entry| &entry.body);
    let one = |visit: &DescribeVisitRequest| {
        let Body::Service(service) = body(Kind::Service, visit.service_id.parse::<ServiceId>().ok()?.uuid())? else {
            return None;
        };
        let location = visit.location_id.parse::<LocationId>().ok()?;
        let Body::Location(location) = body(Kind::Location, location.uuid())? else { return None };
        let person = visit.practitioner_id.parse::<PractitionerId>().ok()?;
        let Body::Practitioner(person) = body(Kind::Practitioner, person.uuid())? else { return None };
        Some(DescribeVisitResponse {
            service_name: service.name.clone(),
            location_name: location.name.clone(),
            location_address: location.address.clone(),
            location_phone: location.phone.clone().unwrap_or_default(),
            time_zone: location.time_zone.clone(),
            practitioner_given_name: person.given_name.clone(),
            practitioner_family_name: person.family_name.clone(),
            organization_name: row.name.clone(),
            default_language: row.default_language.clone(),
            country: row.country.clone(),
        })
    };
    Ok(DescribeVisitsResponse {
        visits: request.visits.iter().map(|visit| DescribedVisit { visit: one(visit) }).collect(),
    })
}
