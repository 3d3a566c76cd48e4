//! What messages need to name a visit.

use domain::{
    directory::{Body, Kind},
    id::{LocationId, PractitionerId, ServiceId},
};
use rpc::{Context, Fault};
use wire::availability::{DescribeVisitRequest, DescribeVisitResponse};

use crate::{Inner, failure};

pub(crate) async fn describe(
    inner: &Inner,
    ctx: &Context,
    request: &DescribeVisitRequest,
) -> Result<DescribeVisitResponse, Fault> {
    let organization = ctx.organization.uuid();
    let directory = inner.orgs.directory(organization).ok_or_else(Fault::not_found)?;
    let row = inner.store.organization(organization).await.map_err(failure)?.ok_or_else(Fault::not_found)?;
    let body = |kind, id| directory.get(kind, id).map(|entry| &entry.body);
    let service = request.service_id.parse::<ServiceId>().ok().and_then(|id| body(Kind::Service, id.uuid()));
    let location = request.location_id.parse::<LocationId>().ok().and_then(|id| body(Kind::Location, id.uuid()));
    let person =
        request.practitioner_id.parse::<PractitionerId>().ok().and_then(|id| body(Kind::Practitioner, id.uuid()));
    let (Some(Body::Service(service)), Some(Body::Location(location)), Some(Body::Practitioner(person))) =
        (service, location, person)
    else {
        return Err(Fault::not_found());
    };
    Ok(DescribeVisitResponse {
        service_name: service.name.clone(),
        location_name: location.name.clone(),
        location_address: location.address.clone(),
        location_phone: location.phone.clone().unwrap_or_default(),
        time_zone: location.time_zone.clone(),
        practitioner_given_name: person.given_name.clone(),
        practitioner_family_name: person.family_name.clone(),
        organization_name: row.name.clone(),
        default_language: row.default_language.clone(),
    })
}
