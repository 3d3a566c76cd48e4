//! What is open, as candidates for the plan engine.

use calendar::zone::Local;
use careplan::series::{Candidate, Outside};
use domain::{
    fault::Faults,
    id::{Id, LocationId, PractitionerId},
    time::{Day, Interval, WallTime, from_micros},
};
use jiff::{SignedDuration, Span, Timestamp, civil::Date, tz::TimeZone};
use rpc::Fault;
use uuid::Uuid;
use wire::availability::{FixedVisit, SearchSlotsRequest};

use super::super::{ask::Ask, find};
use crate::{model::Model, orgs::Org};

/// Where, with whom, on which days and at which hours a visit is wished.
pub(super) struct Wishes {
    days: Vec<Day>,
    not_before: u16,
    not_after: u16,
    pub(super) locations: Vec<LocationId>,
    pub(super) practitioner: Option<PractitionerId>,
}

/// Wishes as a request writes them, and where its fields are.
pub(super) struct Written<'a> {
    pub(super) at: &'a str,
    pub(super) days: &'a [String],
    pub(super) not_before: &'a str,
    pub(super) not_after: &'a str,
    pub(super) location_ids: &'a [String],
    pub(super) practitioner_id: &'a str,
}

impl Wishes {
    pub(super) fn read(faults: &mut Faults, written: &Written<'_>) -> Self {
        let pointer = |field: &str| format!("{}/{field}", written.at);
        let days = written.days.iter().filter_map(|day| {
            day.parse().map_err(|expected: &str| faults.push(pointer("days"), "invalid_value", expected)).ok()
        });
        let days = days.collect();
        let mut wall = |field: &str, text: &str, otherwise: u16| match text.parse::<WallTime>() {
            _ if text.is_empty() => otherwise,
            Ok(time) => time.minutes(),
            Err(expected) => {
                faults.push(pointer(field), "invalid_time", expected);
                otherwise
            }
        };
        let (not_before, not_after) =
            (wall("not_before", written.not_before, 0), wall("not_after", written.not_after, 1440));
        let location =
            |text: &String| wire::convert::id::<domain::id::Location>(faults, &pointer("location_ids"), text);
        let locations = written.location_ids.iter().filter_map(location).collect();
        let named = !written.location_ids.is_empty();
        faults.check(named, pointer("location_ids"), "missing", "name at least one location");
        let practitioner = wire::convert::optional_id(faults, &pointer("practitioner_id"), written.practitioner_id);
        Self { days, not_before, not_after, locations, practitioner }
    }

    /// Which of them a start does not keep.
    fn outside(&self, minute: u16, end: u16, date: Date, slot: &domain::slot::Slot) -> Outside {
        let day = i64::from(date.weekday().to_monday_zero_offset());
        Outside {
            minutes: self.not_before.saturating_sub(minute).max(end.saturating_sub(self.not_after)),
            day: !self.days.is_empty() && !self.days.iter().any(|wished| i64::from(wished.from_monday()) == day),
            location: !self.locations.contains(&slot.location),
            practitioner: self.practitioner.is_some_and(|wished| wished != slot.practitioner),
        }
    }
}

/// The starts that are open for a service.
pub(super) struct Starts {
    pub(super) ask: Ask,
    pub(super) open: Vec<find::Open>,
}

impl Starts {
    /// Looks for them from one day to another, on any location's own calendar; claims of the ignored owners do not keep
    /// the patient from a start.
    pub(super) async fn find(
        org: &Org,
        question: SearchSlotsRequest,
        (first, last): (Date, Date),
        ignored: &[Uuid],
        now: Timestamp,
    ) -> Result<Self, Fault> {
        // A day more on either side: the dates are each location's own.
        let instant = |date: Date, days: i64| {
            let date = date.saturating_add(Span::new().days(days));
            TimeZone::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).map(Timestamp::as_microsecond)
        };
        let question = SearchSlotsRequest {
            from_us: instant(first, -1).map_err(Fault::internal)?,
            to_us: instant(last, 2).map_err(Fault::internal)?,
            ..question
        };
        let mut ask = Ask::read(org, &question, now)?;
        ask.ignored = ignored.to_vec();
        let open = ask.page(org, usize::MAX).await.open;
        Ok(Self { ask, open })
    }

    /// A start as a candidate; how wanted its hour is comes later.
    pub(super) fn candidate(&self, open: &find::Open, wishes: &Wishes) -> Option<Candidate> {
        let zone = &self.ask.model.places[open.found.place as usize].zone;
        self.candidate_on(open, zone.date(open.found.start), zone.local(open.found.start), wishes)
    }

    /// All starts as candidates, those of one day, practitioner and location together, as the plan engine likes them.
    pub(super) fn candidates(&mut self, wishes: &Wishes) -> Option<Vec<Candidate>> {
        let places = &self.ask.model.places;
        let mut sorted: Vec<(u128, Local, find::Open)> = Vec::with_capacity(self.open.len());
        for open in self.open.drain(..) {
            let found = &open.found;
            let local = places[found.place as usize].zone.local(found.start);
            let parts = [local.day, i64::from(found.practitioner), i64::from(found.place), found.start];
            // Each part takes 32 bits: days, places in lists, and ticks of five minutes.
            let key = parts.iter().fold(0_u128, |key, part| (key << 32) | u128::from(*part as u32));
            sorted.push((key, local, open));
        }
        sorted.sort_unstable_by_key(|(key, ..)| *key);
        let (mut today, mut candidates) = (None, Vec::with_capacity(sorted.len()));
        for (_, local, open) in sorted {
            let (_, date) = *today.insert(match today {
                Some((day, date)) if day == local.day => (day, date),
                _ => (local.day, places[open.found.place as usize].zone.date(open.found.start)),
            });
            self.open.push(open);
            candidates.push(self.candidate_on(&open, date, local, wishes)?);
        }
        Some(candidates)
    }

    fn candidate_on(&self, open: &find::Open, date: Date, local: Local, wishes: &Wishes) -> Option<Candidate> {
        let slot = self.ask.slot(&open.found);
        let minute = u16::try_from(local.minute).ok()?;
        let minutes = self.ask.service.duration_minutes;
        let end = minute + u16::try_from(minutes).ok()?;
        Some(Candidate {
            visit: Interval::new(slot.starts_at, slot.starts_at + SignedDuration::from_mins(i64::from(minutes)))?,
            date,
            minute,
            practitioner: slot.practitioner,
            location: slot.location,
            demand: 0,
            outside: wishes.outside(minute, end, date, &slot),
        })
    }
}

/// A visit that is booked or done, as a candidate; faults are named below `at`.
pub(super) fn of_visit(model: &Model, visit: &FixedVisit, at: &str) -> Result<Candidate, Fault> {
    let wrong = |field: &str, detail: &str| Fault::violation(&format!("{at}/{field}"), "invalid_value", detail);
    let interval = from_micros(visit.starts_at_us).zip(from_micros(visit.ends_at_us));
    let interval = interval.and_then(|(start, end)| Interval::new(start, end));
    let interval = interval.ok_or_else(|| wrong("ends_at_us", "must be later than starts_at_us"))?;
    let practitioner =
        visit.practitioner_id.parse().map_err(|_| wrong("practitioner_id", "is not the id of a practitioner"))?;
    let location: LocationId =
        visit.location_id.parse().map_err(|_| wrong("location_id", "is not the id of a location"))?;
    // A place that is no longer in use still had its own dates.
    let zone = model.place(location.uuid()).and_then(|(_, place)| TimeZone::get(&place.location.time_zone).ok());
    let local = interval.start().to_zoned(zone.unwrap_or(TimeZone::UTC));
    Ok(Candidate {
        visit: interval,
        date: local.date(),
        minute: local.hour() as u16 * 60 + local.minute() as u16,
        practitioner,
        location,
        demand: 0,
        outside: Outside::default(),
    })
}

/// Whether a service is needling.
pub(super) fn needling(model: &Model, service: &str) -> bool {
    let id = service.parse::<Id<domain::id::Service>>().ok();
    id.and_then(|id| model.service_ever(id.uuid())).is_some_and(|service| service.needling)
}

/// Those of some locations that are in use.
pub(super) fn in_use(model: &Model, locations: &[LocationId]) -> Vec<String> {
    let known = locations.iter().filter(|location| model.place(location.uuid()).is_some());
    known.map(ToString::to_string).collect()
}
