//! Locations within a distance of a point.

use domain::{directory::Location, fault::Faults};
use wire::availability::SearchSlotsRequest;

const EARTH_RADIUS_KM: f64 = 6371.0;
/// Half the Earth's circumference: nothing is further away.
const WITHIN_KM_MAX: f64 = 20_038.0;

/// A point and how far from it.
pub(crate) struct Near {
    latitude: f64,
    longitude: f64,
    within_km: f64,
}

impl Near {
    /// Reads the point of a request, where it names one.
    pub(crate) fn read(faults: &mut Faults, request: &SearchSlotsRequest) -> Option<Self> {
        if request.near_latitude.is_none() && request.near_longitude.is_none() {
            return None;
        }
        let point = request.near_latitude.zip(request.near_longitude);
        let (latitude, longitude) = point.unwrap_or((f64::NAN, f64::NAN));
        let on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        faults.check(on_earth, "near", "out_of_range", "give latitude and longitude in degrees, as `51.05,-114.07`");
        let within_km = request.within_km;
        let sensible = within_km > 0.0 && within_km <= WITHIN_KM_MAX;
        faults.check(sensible, "within_km", "out_of_range", "give a distance above 0 and at most 20038 km with `near`");
        Some(Self { latitude, longitude, within_km })
    }

    /// Whether a location is near enough; one without a point never is.
    pub(crate) fn holds(&self, location: &Location) -> bool {
        let point = location.latitude.zip(location.longitude);
        point.is_some_and(|point| distance_km((self.latitude, self.longitude), point) <= self.within_km)
    }
}

/// Great-circle distance by the haversine formula (R. W. Sinnott, Sky and Telescope 68, 1984).
pub(crate) fn distance_km(one: (f64, f64), other: (f64, f64)) -> f64 {
    let (lat, long) = (one.0.to_radians(), one.1.to_radians());
    let (latitude, longitude) = (other.0.to_radians(), other.1.to_radians());
    let half = |angle: f64| (angle / 2.0).sin().powi(2);
    let chord = half(latitude - lat) + lat.cos() * latitude.cos() * half(longitude - long);
    2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_map() {
        let (calgary, edmonton) = ((51.045, -114.057), (53.546, -113.491));
        assert!((distance_km(calgary, edmonton) - 281.0).abs() < 2.0);
        assert!((distance_km((0.0, 179.9), (0.0, -179.9)) - 22.2).abs() < 0.1);
    }
}
