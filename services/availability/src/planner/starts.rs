//! What is open, as candidates for the plan engine.

use calendar::{tick, zone::Local};
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

use crate::{
    index::Model,
    organisations::Org,
    slots::{query::Ask, search},
};

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

    /// Which of them no start on this day, of this practitioner and at this location keeps.
    fn outside(&self, date: Date, slot: &domain::slot::Slot) -> Outside {
        let day = i64::from(date.weekday().to_monday_zero_offset());
        Outside {
            minutes: 0,
            day: !self.days.is_empty() && !self.days.iter().any(|wished| i64::from(wished.from_monday()) == day),
            location: !self.locations.contains(&slot.location),
            practitioner: self.practitioner.is_some_and(|wished| wished != slot.practitioner),
        }
    }

    /// By how many minutes a visit misses the wished hours.
    fn minutes_outside(&self, minute: u16, end: u16) -> u16 {
        self.not_before.saturating_sub(minute).max(end.saturating_sub(self.not_after))
    }
}

/// The starts that are open for a service.
pub(super) struct Starts {
    pub(super) ask: Ask,
    pub(super) open: Vec<search::Open>,
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
        let open = ask.every(org).await;
        Ok(Self { ask, open })
    }

    /// Whether they are of this service and so many minutes long.
    pub(super) fn gives(&self, given: (domain::id::ServiceId, u32)) -> bool {
        (self.ask.service_id, self.ask.service.duration_minutes) == given
    }

    /// Leaves out what lies on other days: the search took a day more on either side.
    pub(super) fn keep_days(&mut self, (first, last): (Date, Date)) {
        let places = &self.ask.model.places;
        self.open
            .retain(|open| (first..=last).contains(&places[open.found.place as usize].zone.date(open.found.start)));
    }

    /// A start as a candidate, however wanted its hour is.
    pub(super) fn candidate(&self, open: &search::Open, wishes: &Wishes) -> Option<Candidate> {
        let zone = &self.ask.model.places[open.found.place as usize].zone;
        let minute = u16::try_from(zone.local(open.found.start).minute).ok()?;
        self.seat(open, zone.date(open.found.start), wishes).candidate(open, minute, 0)
    }

    /// All starts as candidates, those of one day, practitioner and location together, as the plan engine likes them.
    /// Search gives most of these together already, so that runs of them are brought into order and not each start.
    pub(super) fn candidates(&mut self, wishes: &Wishes) -> Option<Vec<Candidate>> {
        let zone = |open: &search::Open| &self.ask.model.places[open.found.place as usize].zone;
        let (mut runs, mut minutes, mut hours) = (Vec::<Run>::new(), Vec::with_capacity(self.open.len()), [0; 24]);
        for (at, open) in self.open.iter().enumerate() {
            let Local { day, minute } = zone(open).local(open.found.start);
            let minute = u16::try_from(minute).ok()?;
            *hours.get_mut(usize::from(minute / 60))? += 1;
            minutes.push(minute);
            let key = (day, open.found.practitioner, open.found.place);
            match runs.last_mut() {
                Some(run) if run.key == key => run.starts.end = at + 1,
                _ => runs.push(Run { key, starts: at..at + 1 }),
            }
        }
        runs.sort_unstable_by_key(|run| (run.key, run.starts.start));
        let demand = demand(&hours);
        let (mut candidates, mut sorted) = (Vec::with_capacity(minutes.len()), Vec::with_capacity(minutes.len()));
        for run in runs {
            let (open, minutes) = (&self.open[run.starts.clone()], &minutes[run.starts]);
            let seat = self.seat(&open[0], zone(&open[0]).date(open[0].found.start), wishes);
            for (open, minute) in open.iter().zip(minutes) {
                candidates.push(seat.candidate(open, *minute, demand[usize::from(minute / 60)])?);
            }
            sorted.extend_from_slice(open);
        }
        self.open = sorted;
        Some(candidates)
    }

    /// What the starts of one practitioner at one location on one day have in common.
    fn seat<'a>(&self, open: &search::Open, date: Date, wishes: &'a Wishes) -> Seat<'a> {
        let slot = self.ask.slot(open);
        let outside = wishes.outside(date, &slot);
        Seat { date, practitioner: slot.practitioner, location: slot.location, outside, wishes }
    }
}

/// A practitioner at a location on a day of its calendar.
struct Seat<'a> {
    date: Date,
    practitioner: PractitionerId,
    location: LocationId,
    outside: Outside,
    wishes: &'a Wishes,
}

impl Seat<'_> {
    /// The start at a minute of the day.
    fn candidate(&self, open: &search::Open, minute: u16, demand: u16) -> Option<Candidate> {
        let start = tick::instant(open.found.start);
        let end = minute + open.minutes;
        Some(Candidate {
            visit: Interval::new(start, start + SignedDuration::from_mins(i64::from(open.minutes)))?,
            date: self.date,
            minute,
            practitioner: self.practitioner,
            location: self.location,
            demand,
            outside: Outside { minutes: self.wishes.minutes_outside(minute, end), ..self.outside },
        })
    }
}

/// Starts of one day, practitioner and location that stand together.
struct Run {
    key: (i64, u32, u32),
    starts: std::ops::Range<usize>,
}

/// How wanted each hour of the day is, in thousandths: the fewer of its starts are open, measured against the hour with
/// the most.
fn demand(hours: &[u32; 24]) -> [u16; 24] {
    let most = u64::from(hours.iter().copied().max().unwrap_or(1).max(1));
    hours.map(|open| 1000 - u16::try_from(u64::from(open) * 1000 / most).unwrap_or(1000))
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
