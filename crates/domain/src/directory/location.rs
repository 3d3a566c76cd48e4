use serde::{Deserialize, Serialize};

use crate::{
    fault::{Faults, check_text},
    id::LocationId,
    phone,
    time::{Day, WallTime, zone},
};

/// A clinic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// The name that patients read.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 200))]
    pub name: String,
    /// IANA time zone, such as `America/Edmonton`.
    #[cfg_attr(feature = "schema", schema(max_length = 64))]
    pub time_zone: String,
    /// Postal address on one line.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(max_length = 300))]
    pub address: String,
    /// Degrees north, -90 to 90; given together with `longitude`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = -90, maximum = 90, nullable = false))]
    pub latitude: Option<f64>,
    /// Degrees east, -180 to 180.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = -180, maximum = 180, nullable = false))]
    pub longitude: Option<f64>,
    /// The opening hours; none: all rostered hours.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(max_items = 42))]
    pub opening_hours: Vec<DayHours>,
    /// The clinic's telephone number in messages to patients: with its country code, or as it is dialled in the country of
    /// the time zone. It is stored and returned in E.164 form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 40, example = "+17805550100", nullable = false))]
    pub phone: Option<String>,
    /// The travel times to other locations, where the distance gives no good estimate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 200))]
    pub travel_times: Vec<TravelTime>,
}

/// A practitioner's travel time to another location, and back unless that location gives its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TravelTime {
    /// The other location.
    pub location_id: LocationId,
    /// Minutes from door to door, 0 to 1440; 0 for two locations under one roof.
    #[cfg_attr(feature = "schema", schema(maximum = 1440))]
    pub minutes: u32,
}

/// Wall-clock hours `[from, to)` on one day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DayHours {
    /// The day.
    pub day: Day,
    /// The opening time.
    pub from: WallTime,
    /// The closing time, later than `from`; `24:00` is the end of the day.
    pub to: WallTime,
}

impl Location {
    pub(super) fn check(&self, faults: &mut Faults) {
        check_text(faults, "/name", &self.name, 200);
        faults.check(
            zone(&self.time_zone).is_some(),
            "/time_zone",
            "unknown_time_zone",
            "give the exact name of an IANA time zone, such as America/Edmonton",
        );
        if !self.address.is_empty() {
            check_text(faults, "/address", &self.address, 300);
        }
        let within = |degrees: Option<f64>, max: f64| degrees.is_none_or(|d| d.is_finite() && d.abs() <= max);
        faults.check(within(self.latitude, 90.0), "/latitude", "out_of_range", "must lie between -90 and 90");
        faults.check(within(self.longitude, 180.0), "/longitude", "out_of_range", "must lie between -180 and 180");
        faults.check(
            self.latitude.is_some() == self.longitude.is_some(),
            "/longitude",
            "incomplete",
            "give latitude and longitude together, or neither",
        );
        faults.check(self.opening_hours.len() <= 42, "/opening_hours", "too_many", "at most 42 entries");
        for (at, hours) in self.opening_hours.iter().enumerate() {
            faults.check(
                hours.from < hours.to,
                format!("/opening_hours/{at}/to"),
                "ends_before_start",
                "must be later than `from`; split hours that pass midnight in two",
            );
        }
        faults.check(self.travel_times.len() <= 200, "/travel_times", "too_many", "at most 200 entries");
        for (at, travel) in self.travel_times.iter().enumerate() {
            let pointer = format!("/travel_times/{at}/minutes");
            faults.check(travel.minutes <= 1440, pointer, "out_of_range", "must lie between 0 and 1440");
        }
        if let Some(text) = &self.phone {
            let country = phone::country_of_zone(&self.time_zone);
            if let Err(error) = phone::parse(text, country) {
                faults.push("/phone", "invalid_phone", error.detail(country));
            }
        }
    }
}
