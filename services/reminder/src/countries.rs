//! The countries to whose telephone numbers an organisation sends texts. Calls to some countries and satellite networks earn
//! their callee money, so a front end could be made to pay for texts to them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::{id::OrganizationId, phone};
use rpc::{Context, Fault};
use wire::availability::{DescribeVisitResponse, GetOrganizationRequest};

use crate::Inner;

/// How long a list of countries is used.
const MAX_AGE: Duration = Duration::from_secs(600);
/// A list of this age is read again before it refuses a number: a location may be new.
const REFUSING_AGE_MAX: Duration = Duration::from_secs(2);

/// A list of countries, with the moment of its reading.
type ReadCountries = (Instant, Arc<[String]>);

/// The countries of organisations, each as old as its reading.
#[derive(Default)]
pub(crate) struct KnownCountries(Mutex<HashMap<OrganizationId, ReadCountries>>);

impl KnownCountries {
    fn get(&self, organization: OrganizationId) -> Option<(Duration, Arc<[String]>)> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&organization).map(|(read_at, countries)| (read_at.elapsed(), countries.clone()))
    }

    fn put(&self, organization: OrganizationId, countries: Arc<[String]>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(organization, (Instant::now(), countries));
    }
}

/// Whether texts may go to a number (E.164): to one of the configured countries, or else of the organisation's own and those
/// of its locations. `visit` is a visit that availability has described already.
pub(crate) async fn allow(
    inner: &Inner,
    ctx: &Context,
    number: &str,
    visit: Option<&DescribeVisitResponse>,
) -> Result<bool, Fault> {
    let configured = inner.config.countries(ctx.organization);
    if !configured.is_empty() {
        return Ok(phone::belongs_to(number, configured));
    }
    if let Some(visit) = visit {
        let here = phone::country_of_zone(&visit.time_zone).unwrap_or_default();
        if phone::belongs_to(number, &[visit.country.as_str(), here]) {
            return Ok(true);
        }
    }
    if let Some((age, countries)) = inner.known_countries.get(ctx.organization).filter(|(age, _)| *age < MAX_AGE) {
        let belongs = phone::belongs_to(number, &countries);
        if belongs || age < REFUSING_AGE_MAX {
            return Ok(belongs);
        }
    }
    let request = ctx.request(GetOrganizationRequest {});
    let home = inner.directory.clone().get_organization(request).await?.into_inner().country;
    let of_locations = service::countries::of_locations(&inner.directory, ctx).await?;
    let countries: Arc<[String]> = of_locations.into_iter().map(str::to_owned).chain([home]).collect();
    inner.known_countries.put(ctx.organization, countries.clone());
    Ok(phone::belongs_to(number, &countries))
}
