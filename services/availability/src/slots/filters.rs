//! The filters of a slot search, written once for search, waitlist and planner.
//!
//! A new filter is a field of the proto message `SlotFilters`, a field of [`SlotFilters`], its line in
//! [`SlotFilters::read`], and its part of one `accepts_…` method or of [`SlotFilters::narrow`].

use calendar::search::Query;
use careplan::series::Outside;
use domain::{
    directory,
    fault::Faults,
    id::{self, Id, LocationId, PractitionerId},
    slot::WITHIN_KM_MAX,
    time::{Day, WallTime},
};
use jiff::civil::Date;
use wire::{availability as proto, convert};

use crate::index::{Index, Location, Practitioner, distance_km};

/// The most locations, and the most practitioners, that one filter names.
const IDS_MAX: usize = 200;
const EVERY_DAY: u8 = 0x7f;
const MINUTES_PER_DAY: i64 = 1440;

/// How the faults of a request point to its filters.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pointers<'a> {
    /// Query parameters of REST, such as `location_id`.
    Parameters,
    /// Fields of a JSON body below this pointer, such as `/visits/3/location_ids`.
    Body(&'a str),
}

impl Pointers<'_> {
    fn of(self, parameter: &str, field: &str) -> String {
        match self {
            Self::Parameters => parameter.to_owned(),
            Self::Body(root) => format!("{root}/{field}"),
        }
    }
}

/// A point and a distance around it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Near {
    /// Latitude and longitude in degrees.
    point: (f64, f64),
    within_km: f64,
}

/// The locations, practitioners, days and hours that a slot may have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SlotFilters {
    /// Sorted; empty for every location.
    locations: Vec<LocationId>,
    /// Sorted; empty for every practitioner.
    practitioners: Vec<PractitionerId>,
    near: Option<Near>,
    /// A language tag; empty for any language.
    language: String,
    /// Bit n allows weekday n; Monday is 0.
    weekdays: u8,
    /// The earliest start, in minutes after local midnight.
    not_before: i64,
    /// The latest end, in minutes after local midnight of the day of the start; 1440 for no limit.
    not_after: i64,
}

impl Default for SlotFilters {
    fn default() -> Self {
        Self {
            locations: vec![],
            practitioners: vec![],
            near: None,
            language: String::new(),
            weekdays: EVERY_DAY,
            not_before: 0,
            not_after: MINUTES_PER_DAY,
        }
    }
}

impl SlotFilters {
    /// Only these locations.
    pub(crate) fn at(mut locations: Vec<LocationId>) -> Self {
        locations.sort_unstable();
        locations.dedup();
        Self { locations, ..Self::default() }
    }

    /// Reads the filters of a request and adds every fault.
    pub(crate) fn read(faults: &mut Faults, filters: Option<&proto::SlotFilters>, pointers: Pointers<'_>) -> Self {
        let Some(filters) = filters else { return Self::default() };
        let of = |parameter: &str, field: &str| pointers.of(parameter, field);
        let locations = ids::<id::Location>(faults, &of("location_id", "location_ids"), &filters.location_ids);
        let practitioners =
            ids::<id::Practitioner>(faults, &of("practitioner_id", "practitioner_id"), &filters.practitioner_ids);
        let near = filters.near.map(|near| read_near(faults, near, pointers));
        let weekdays = weekdays(faults, &of("day", "days"), &filters.days);
        let not_before = minute(faults, &of("not_before", "not_before"), &filters.not_before, 0);
        let not_after = minute(faults, &of("not_after", "not_after"), &filters.not_after, MINUTES_PER_DAY);
        let detail = "must be later than `not_before`";
        faults.check(not_before < not_after, of("not_after", "not_after"), "ends_before_start", detail);
        let language = filters.language.clone();
        Self { locations, practitioners, near, language, weekdays, not_before, not_after }
    }

    /// Adds a fault for each named location or practitioner that is not in use. An id of another organisation is
    /// unknown like any other.
    pub(crate) fn check_in_use(&self, faults: &mut Faults, index: &Index, pointers: Pointers<'_>) {
        let mut check = |known: bool, parameter: &str, field: &str| {
            let detail = "nothing in use has this id";
            faults.check(known, pointers.of(parameter, field), "unknown_reference", detail);
        };
        for location in &self.locations {
            check(index.location(location.uuid()).is_some(), "location_id", "location_ids");
        }
        for practitioner in &self.practitioners {
            check(index.practitioner(practitioner.uuid()).is_some(), "practitioner_id", "practitioner_id");
        }
    }

    pub(crate) fn locations(&self) -> &[LocationId] {
        &self.locations
    }

    /// The practitioner, where the filters name exactly one.
    pub(crate) fn only_practitioner(&self) -> Option<PractitionerId> {
        if let [practitioner] = self.practitioners[..] { Some(practitioner) } else { None }
    }

    /// Whether slots may be at a location.
    pub(crate) fn accepts_location(&self, location: &Location) -> bool {
        self.names_location(LocationId::new(location.id)) && self.near.is_none_or(|near| near.contains(&location.body))
    }

    /// Whether slots may be with a practitioner.
    pub(crate) fn accepts_practitioner(&self, practitioner: &Practitioner) -> bool {
        let speaks = |spoken: &String| same_language(spoken, &self.language);
        self.names_practitioner(PractitionerId::new(practitioner.id))
            && (self.language.is_empty() || practitioner.body.languages.iter().any(speaks))
    }

    fn names_location(&self, id: LocationId) -> bool {
        self.locations.is_empty() || self.locations.binary_search(&id).is_ok()
    }

    fn names_practitioner(&self, id: PractitionerId) -> bool {
        self.practitioners.is_empty() || self.practitioners.binary_search(&id).is_ok()
    }

    /// The kernel's query, narrowed to the days and hours.
    pub(crate) fn narrow(&self, query: Query) -> Query {
        Query { weekdays: self.weekdays, not_before: self.not_before, not_after: self.not_after, ..query }
    }

    /// The filters that no start on this date, at this location and with this practitioner passes.
    pub(crate) fn outside(&self, date: Date, location: &Location, practitioner: &Practitioner) -> Outside {
        Outside {
            minutes: 0,
            day: self.weekdays >> date.weekday().to_monday_zero_offset() & 1 == 0,
            location: !self.accepts_location(location),
            practitioner: !self.accepts_practitioner(practitioner),
        }
    }

    /// The minutes by which a visit misses the hours; both times in minutes after local midnight.
    pub(crate) fn minutes_outside(&self, start: u16, end: u16) -> u16 {
        let missed = (self.not_before - i64::from(start)).max(i64::from(end) - self.not_after).max(0);
        u16::try_from(missed).unwrap_or(u16::MAX)
    }
}

impl Near {
    /// Whether a location is near enough; a location without coordinates never is.
    fn contains(self, location: &directory::Location) -> bool {
        let point = location.latitude.zip(location.longitude);
        point.is_some_and(|point| distance_km(self.point, point) <= self.within_km)
    }
}

fn read_near(faults: &mut Faults, near: proto::Near, pointers: Pointers<'_>) -> Near {
    let proto::Near { latitude, longitude, within_km } = near;
    let on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    let detail = "give latitude and longitude in degrees, as `51.05,-114.07`";
    faults.check(on_earth, pointers.of("near", "near"), "out_of_range", detail);
    let in_range = within_km > 0.0 && within_km <= f64::from(WITHIN_KM_MAX);
    let detail = format!("give a distance above 0 and at most {WITHIN_KM_MAX} km with `near`");
    faults.check(in_range, pointers.of("within_km", "within_km"), "out_of_range", detail);
    Near { point: (latitude, longitude), within_km }
}

fn ids<K: id::Kind>(faults: &mut Faults, pointer: &str, texts: &[String]) -> Vec<Id<K>> {
    faults.check(texts.len() <= IDS_MAX, pointer, "too_many", format!("name at most {IDS_MAX}"));
    let texts = texts.iter().take(IDS_MAX);
    let mut ids: Vec<Id<K>> = texts.filter_map(|text| convert::id::<K>(faults, pointer, text)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn weekdays(faults: &mut Faults, pointer: &str, days: &[String]) -> u8 {
    let mut mask = 0;
    for day in days {
        match day.parse::<Day>() {
            Ok(day) => mask |= 1 << day.from_monday(),
            Err(expected) => faults.push(pointer, "invalid_value", expected),
        }
    }
    if days.is_empty() { EVERY_DAY } else { mask }
}

fn minute(faults: &mut Faults, pointer: &str, text: &str, default: i64) -> i64 {
    if text.is_empty() {
        return default;
    }
    match text.parse::<WallTime>() {
        Ok(time) => i64::from(time.minutes()),
        Err(expected) => {
            faults.push(pointer, "invalid_time", expected);
            default
        }
    }
}

fn same_language(spoken: &str, wanted: &str) -> bool {
    let primary = |tag: &str| tag.split('-').next().unwrap_or(tag).to_ascii_lowercase();
    spoken.eq_ignore_ascii_case(wanted) || primary(spoken) == primary(wanted)
}
