//! The country in which a telephone number in national form is read.

use std::collections::BTreeMap;

use domain::{
    directory::Kind,
    patient::Details,
    phone::{self, ParseError},
};
use rpc::{Context, Fault};
use wire::{
    availability::{GetOrganizationRequest, ListEntriesRequest, entry_body},
    booking::PatientDetails,
    convert,
};

use crate::Inner;

/// Locations whose countries are considered.
const LOCATIONS_MAX: u32 = 200;

/// Reads a patient's details, with the telephone number in E.164 form. `time_zone` is that of the location of the booking,
/// where there is one.
pub(crate) async fn read_details(
    inner: &Inner,
    ctx: &Context,
    details: &PatientDetails,
    at: &str,
    time_zone: Option<&str>,
) -> Result<Details, Fault> {
    let country = country(inner, ctx, &details.phone, time_zone).await?;
    Ok(convert::patient::from_wire(details, at, country.as_deref())?)
}

/// The country of a number, as an ISO 3166 code; `None` for a number in international form. It is the first country that has
/// such a number of these: the location's, the organisation's, and that of its other locations where only one has it.
async fn country(inner: &Inner, ctx: &Context, text: &str, time_zone: Option<&str>) -> Result<Option<String>, Fault> {
    if phone::parse(text, None) != Err(ParseError::NoCountry) {
        return Ok(None);
    }
    let has = |country: &str| phone::parse(text, Some(country)).is_ok();
    let here = time_zone.and_then(phone::country_of_zone);
    if let Some(country) = here.filter(|country| has(country)) {
        return Ok(Some(country.to_owned()));
    }
    let request = ctx.request(GetOrganizationRequest {});
    let home = inner.directory.clone().get_organization(request).await?.into_inner().country;
    if has(&home) {
        return Ok(Some(home));
    }
    let request = ListEntriesRequest {
        kind: convert::directory::kind_to_wire(Kind::Location) as i32,
        limit: LOCATIONS_MAX,
        ..ListEntriesRequest::default()
    };
    let locations = inner.directory.clone().list_entries(ctx.request(request)).await?.into_inner().entries;
    let zones = locations.into_iter().filter_map(|entry| match entry.body?.body? {
        entry_body::Body::Location(location) => Some(location.time_zone),
        _ => None,
    });
    let countries = zones.filter_map(|zone| phone::country_of_zone(&zone));
    let mut readings: BTreeMap<String, &str> =
        countries.filter_map(|country| Some((phone::parse(text, Some(country)).ok()?, country))).collect();
    let only = readings.pop_first().filter(|_| readings.is_empty()).map(|(_, country)| country);
    Ok(Some(only.or(here).map_or(home, str::to_owned)))
}
