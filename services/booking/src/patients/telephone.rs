//! The country in which a telephone number in national form is read.

use std::collections::{BTreeMap, HashMap};

use domain::{
    fault::Faults,
    patient::{Details, Record, StaffFields},
    phone::{self, ParseError},
};
use rpc::{Context, Fault};
use service::countries;
use wire::{
    availability::GetOrganizationRequest,
    booking::{PatientDetails, PatientStaffFields},
    convert,
};

use crate::Inner;

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

/// Reads a patient's record with every fault of it. Without fields of the staff, `old` ones stay.
pub(crate) async fn read_record(
    inner: &Inner,
    ctx: &Context,
    details: Option<PatientDetails>,
    staff: Option<PatientStaffFields>,
    old: StaffFields,
) -> Result<Record, Fault> {
    let details = details.unwrap_or_default();
    let home = country(inner, ctx, &details.phone, None).await?;
    let mut countries = HashMap::new();
    for contact in staff.iter().flat_map(|fields| &fields.contacts) {
        countries.insert(contact.phone.clone(), country(inner, ctx, &contact.phone, None).await?);
    }
    let country_of = |phone: &str| countries.get(phone).cloned().flatten();
    let details = convert::patient::from_wire(&details, "", home.as_deref());
    let staff = staff.map_or(Ok(old), |fields| convert::patient::staff_from_wire(&fields, "", country_of));
    match (details, staff) {
        (Ok(details), Ok(staff)) => Ok(Record { details, staff }),
        (details, staff) => {
            let mut faults = Faults::new();
            for found in [details.err(), staff.err()].into_iter().flatten() {
                faults.extend(found);
            }
            Err(faults.into())
        }
    }
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
    let countries = countries::of_locations(&inner.directory, ctx).await?;
    let mut readings: BTreeMap<String, &str> =
        countries.into_iter().filter_map(|country| Some((phone::parse(text, Some(country)).ok()?, country))).collect();
    let only = readings.pop_first().filter(|_| readings.is_empty()).map(|(_, country)| country);
    Ok(Some(only.or(here).map_or(home, str::to_owned)))
}
