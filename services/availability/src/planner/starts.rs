//! Open slots as candidates of the plan engine.

use std::{ops::Range, sync::Arc};

use calendar::{tick, zone::Local};
use careplan::series::{Candidate, Outside};
use domain::{
    fault::Faults,
    id::{LocationId, PractitionerId, ServiceId},
    time::{Interval, from_micros},
};
use jiff::{
    SignedDuration, Span, Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use rpc::Fault;
use uuid::Uuid;
use wire::availability::FixedVisit;

use crate::{
    index::{Index, Location},
    organisations::Organisation,
    slots::{
        filters::SlotFilters,
        query::{QuerySpec, SlotQuery},
        request::check_length,
        search::OpenSlot,
    },
};

/// A service, and the length of a visit of it in minutes; `None` for the service's own.
pub(super) type VisitKind = (ServiceId, Option<u32>);

/// The search of one kind of visit.
pub(super) struct StartsQuery<'a> {
    pub(super) kind: VisitKind,
    pub(super) filters: &'a SlotFilters,
    /// The first and the last local date, on each location's own calendar.
    pub(super) days: (Date, Date),
    pub(super) online: bool,
    pub(super) patient: Option<Uuid>,
    /// Owners whose claims do not make the patient busy.
    pub(super) ignored: &'a [Uuid],
}

/// The open slots of one kind of visit.
pub(super) struct OpenStarts {
    pub(super) query: SlotQuery,
    pub(super) slots: Vec<OpenSlot>,
}

impl OpenStarts {
    /// Searches a day more on either side: the dates are each location's own.
    ///
    /// # Errors
    /// `unknown_reference` where the service is not in use; `too_long` for more days than any search.
    pub(super) async fn search(
        organisation: &Organisation,
        index: Arc<Index>,
        starts: &StartsQuery<'_>,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let midnight = |date: Date, days: i64| {
            let date = date.saturating_add(Span::new().days(days));
            TimeZone::UTC.to_timestamp(date.to_datetime(Time::midnight())).map_err(Fault::internal)
        };
        let ((service, minutes), (first, last)) = (starts.kind, starts.days);
        let (from, to) = (midnight(first, -1)?, midnight(last, 2)?);
        let mut faults = Faults::new();
        let known = index.service(service.uuid()).is_some();
        faults.check(known, "service_id", "unknown_reference", "nothing in use has this id");
        check_length(&mut faults, from, to);
        faults.result()?;
        let (online, patient) = (starts.online, starts.patient);
        let spec = QuerySpec { service, minutes, from, to, online, patient, limit: usize::MAX };
        let mut query = SlotQuery::new(index, &spec, starts.filters, now).ok_or_else(Fault::not_found)?;
        query.ignored = starts.ignored.to_vec();
        let slots = query.all(organisation).await;
        Ok(Self { query, slots })
    }

    /// Removes the slots on other days: the search took a day more on either side.
    pub(super) fn keep_days(&mut self, (first, last): (Date, Date)) {
        let Self { query, slots } = self;
        slots.retain(|open| (first..=last).contains(&query.location(open).zone.date(open.start.tick)));
    }

    /// The candidate of one slot; its demand is 0.
    pub(super) fn candidate(&self, open: &OpenSlot, filters: &SlotFilters) -> Option<Candidate> {
        let zone = &self.query.location(open).zone;
        let minute = u16::try_from(zone.local(open.start.tick).minute).ok()?;
        let group = self.group(open, zone.date(open.start.tick), filters);
        group.candidate(open, minute, 0)
    }

    /// All slots as candidates, those of one day, practitioner and location together, which the plan engine searches
    /// fastest. The search returns most of these together already, so whole runs of slots are sorted, not each slot.
    /// Leaves `slots` in the order of the candidates; `None` where a slot has no date.
    pub(super) fn candidates(&mut self, filters: &SlotFilters) -> Option<Vec<Candidate>> {
        let zone = |open: &OpenSlot| &self.query.location(open).zone;
        let (mut runs, mut minutes, mut hours) = (Vec::<Run>::new(), Vec::with_capacity(self.slots.len()), [0; 24]);
        for (at, open) in self.slots.iter().enumerate() {
            let Local { day, minute } = zone(open).local(open.start.tick);
            let minute = u16::try_from(minute).ok()?;
            *hours.get_mut(usize::from(minute / 60))? += 1;
            minutes.push(minute);
            let key = (day, open.start.practitioner, open.start.location);
            match runs.last_mut() {
                Some(run) if run.key == key => run.slots.end = at + 1,
                _ => runs.push(Run { key, slots: at..at + 1 }),
            }
        }
        runs.sort_unstable_by_key(|run| (run.key, run.slots.start));
        let demand = demand(&hours);
        let (mut candidates, mut sorted) = (Vec::with_capacity(minutes.len()), Vec::with_capacity(minutes.len()));
        for run in runs {
            let (slots, minutes) = (&self.slots[run.slots.clone()], &minutes[run.slots]);
            let group = self.group(&slots[0], zone(&slots[0]).date(slots[0].start.tick), filters);
            for (open, minute) in slots.iter().zip(minutes) {
                candidates.push(group.candidate(open, *minute, demand[usize::from(minute / 60)])?);
            }
            sorted.extend_from_slice(slots);
        }
        self.slots = sorted;
        Some(candidates)
    }

    /// The common part of the candidates of one practitioner at one location on one day.
    fn group<'a>(&self, open: &OpenSlot, date: Date, filters: &'a SlotFilters) -> CandidateGroup<'a> {
        let practitioner = &self.query.index.practitioners[open.start.practitioner as usize];
        let location = self.query.location(open);
        CandidateGroup {
            date,
            practitioner: PractitionerId::new(practitioner.id),
            location: LocationId::new(location.id),
            outside: filters.outside(date, location, practitioner),
            filters,
        }
    }
}

/// The candidates of a practitioner at a location on a day of its calendar.
struct CandidateGroup<'a> {
    date: Date,
    practitioner: PractitionerId,
    location: LocationId,
    outside: Outside,
    filters: &'a SlotFilters,
}

impl CandidateGroup<'_> {
    /// The candidate at a minute of the day.
    fn candidate(&self, open: &OpenSlot, minute: u16, demand: u16) -> Option<Candidate> {
        let start = tick::instant(open.start.tick);
        let end = minute + open.minutes;
        Some(Candidate {
            visit: Interval::new(start, start + SignedDuration::from_mins(i64::from(open.minutes)))?,
            date: self.date,
            minute,
            practitioner: self.practitioner,
            location: self.location,
            demand,
            outside: Outside { minutes: self.filters.minutes_outside(minute, end), ..self.outside },
        })
    }
}

/// Consecutive slots of one day, practitioner and location.
struct Run {
    key: (i64, u32, u32),
    slots: Range<usize>,
}

/// The demand of each hour of the day, in thousandths: the fewer of its starts are open, compared with the hour that has
/// the most.
fn demand(hours: &[u32; 24]) -> [u16; 24] {
    let most = u64::from(hours.iter().copied().max().unwrap_or(1).max(1));
    hours.map(|open| 1000 - u16::try_from(u64::from(open) * 1000 / most).unwrap_or(1000))
}

/// The candidate of a booked or completed visit; the pointers of faults lie below `root`.
pub(super) fn candidate_of_visit(index: &Index, visit: &FixedVisit, root: &str) -> Result<Candidate, Fault> {
    let invalid = |field: &str, detail: &str| Fault::violation(&format!("{root}/{field}"), "invalid_value", detail);
    let interval = from_micros(visit.starts_at_us).zip(from_micros(visit.ends_at_us));
    let interval = interval.and_then(|(start, end)| Interval::new(start, end));
    let interval = interval.ok_or_else(|| invalid("ends_at_us", "must be later than starts_at_us"))?;
    let practitioner =
        visit.practitioner_id.parse().map_err(|_| invalid("practitioner_id", "is not the id of a practitioner"))?;
    let location: LocationId =
        visit.location_id.parse().map_err(|_| invalid("location_id", "is not the id of a location"))?;
    let zone_of = |location: &Location| TimeZone::get(&location.body.time_zone).ok();
    // Without a location in use, the date is that of UTC.
    let zone = index.location(location.uuid()).and_then(|(_, location)| zone_of(location)).unwrap_or(TimeZone::UTC);
    let local = interval.start().to_zoned(zone);
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
pub(super) fn is_needling(index: &Index, service_id: &str) -> bool {
    let service = service_id.parse::<ServiceId>().ok();
    service.and_then(|id| index.service_or_archived(id.uuid())).is_some_and(|service| service.needling)
}
