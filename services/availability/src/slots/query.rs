//! A query for open slots, resolved against one index. `search` runs it.

use std::sync::Arc;

use calendar::{
    Span,
    search::{Query, Start},
    tick::{self, MINUTES},
};
use domain::{
    directory::Service,
    id::{LocationId, PractitionerId, ServiceId},
    slot::Slot,
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;
use wire::availability as proto;

use super::{filters::SlotFilters, search::OpenSlot};
use crate::{
    index::{Index, Location},
    occupancy::MovingAppointment,
};

/// The prefix of a slot id, which a cursor leaves out.
pub(super) const SLOT_PREFIX: &str = "slot_";

/// The part of a query that its filters do not say.
#[derive(Debug, Clone)]
pub(crate) struct QuerySpec {
    pub(crate) service: ServiceId,
    /// The length of the visit; `None` for the service's own.
    pub(crate) minutes: Option<u32>,
    /// Visits start at or after `from` and before `to`.
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// Whether the rules of online booking apply.
    pub(crate) online: bool,
    /// Leaves out the times at which this patient is busy.
    pub(crate) patient: Option<Uuid>,
    /// The most slots of a page.
    pub(crate) limit: usize,
}

/// A query for open slots.
pub(crate) struct SlotQuery {
    pub(crate) index: Arc<Index>,
    pub(crate) service_id: ServiceId,
    pub(crate) service: Service,
    pub(crate) online: bool,
    pub(crate) now: Timestamp,
    pub(crate) kernel: Query,
    /// The numbers of the locations that the filters accept, ascending.
    pub(crate) locations: Vec<u32>,
    /// For each practitioner whether the filters accept them.
    practitioners: Vec<bool>,
    pub(crate) patient: Option<Uuid>,
    /// Owners whose claims do not make the patient busy.
    pub(crate) ignored: Vec<Uuid>,
    /// Owners among `ignored` whose practitioner, room and equipment count as free too: an appointment that is to move.
    pub(crate) freed: Vec<Uuid>,
}

impl SlotQuery {
    /// Resolves a query; `None` where its service is not in use.
    pub(crate) fn new(index: Arc<Index>, spec: &QuerySpec, filters: &SlotFilters, now: Timestamp) -> Option<Self> {
        let service = index.service(spec.service.uuid())?;
        let service = Service { duration_minutes: spec.minutes.unwrap_or(service.duration_minutes), ..service.clone() };
        let window = start_window(&service, spec.online, now, spec.from, spec.to);
        let kernel = Query {
            practitioners: rotation_size(&index),
            ..filters.narrow(kernel_query(&service, service.duration_minutes, window, spec.limit))
        };
        let accepted = (0..).zip(&index.locations).filter(|(_, location)| filters.accepts_location(location));
        let locations = accepted.map(|(number, _)| number).collect();
        let practitioners = index
            .practitioners
            .iter()
            .map(|practitioner| {
                (!spec.online || practitioner.body.online) && filters.accepts_practitioner(practitioner)
            })
            .collect();
        Some(Self {
            service_id: spec.service,
            service,
            online: spec.online,
            now,
            kernel,
            locations,
            practitioners,
            patient: spec.patient,
            ignored: vec![],
            freed: vec![],
            index,
        })
    }

    /// The query for an appointment that is to move: its own claims count as free, and its patient's other claims do not.
    #[must_use]
    pub(crate) fn moving(self, moving: MovingAppointment) -> Self {
        let patient = self.patient.or(moving.patient);
        Self { patient, ignored: moving.freed.clone(), freed: moving.freed, ..self }
    }

    /// Whether the filters accept a practitioner.
    #[inline]
    pub(crate) fn wants(&self, practitioner: u32) -> bool {
        self.practitioners[practitioner as usize]
    }

    /// The location of an open slot.
    #[inline]
    pub(crate) fn location(&self, slot: &OpenSlot) -> &Location {
        &self.index.locations[slot.start.location as usize]
    }

    /// The slot id of an open slot, in parts.
    pub(crate) fn slot(&self, open: &OpenSlot) -> Slot {
        Slot {
            starts_at: tick::instant(open.start.tick),
            service: self.service_id,
            location: LocationId::new(self.location(open).id),
            practitioner: PractitionerId::new(self.index.practitioners[open.start.practitioner as usize].id),
            minutes: open.minutes,
            shared: self.service.capacity > 1,
        }
    }

    /// The wire form of an open slot.
    pub(crate) fn to_wire(&self, open: &OpenSlot) -> proto::Slot {
        let practitioner = &self.index.practitioners[open.start.practitioner as usize];
        slot_to_wire(&self.slot(open), self.location(open), &practitioner.public_id, open.places_left)
    }

    /// The cursor of the page after an open slot.
    pub(crate) fn cursor_after(&self, open: &OpenSlot) -> String {
        self.slot(open).to_string().trim_start_matches(SLOT_PREFIX).to_owned()
    }

    /// The same query from its beginning.
    pub(crate) fn rewind(&mut self) {
        self.kernel.after = None;
    }

    /// The same query from after a start on.
    pub(crate) fn resume_after(&mut self, start: Start) {
        self.kernel.after = Some(start);
    }
}

/// The wire form of a slot.
pub(crate) fn slot_to_wire(slot: &Slot, location: &Location, practitioner_id: &str, places_left: u32) -> proto::Slot {
    proto::Slot {
        slot_id: slot.to_string(),
        service_id: slot.service.to_string(),
        practitioner_id: practitioner_id.to_owned(),
        location_id: location.public_id.clone(),
        starts_at_us: slot.starts_at.as_microsecond(),
        ends_at_us: slot.ends_at().as_microsecond(),
        time_zone: location.body.time_zone.clone(),
        places_left,
    }
}

/// The kernel's query for a visit of a service that takes `minutes`, on any day and at any hour.
pub(crate) fn kernel_query(service: &Service, minutes: u32, window: Span, limit: usize) -> Query {
    // A length off the grid takes all of its last tick.
    let ticks = |minutes: u32| (i64::from(minutes) + MINUTES - 1) / MINUTES;
    Query {
        prep: ticks(service.prep_minutes),
        cleanup: ticks(service.cleanup_minutes),
        ..Query::new(window, ticks(minutes).max(1), i64::from(service.start_alignment_minutes), limit)
    }
}

/// The ticks in which visits may start: after the notice and before the horizon. Staff need no notice, but cannot book the
/// past.
pub(crate) fn start_window(service: &Service, online: bool, now: Timestamp, from: Timestamp, to: Timestamp) -> Span {
    let notice =
        if online { SignedDuration::from_mins(i64::from(service.min_notice_minutes)) } else { SignedDuration::ZERO };
    let horizon = SignedDuration::from_hours(24 * i64::from(service.horizon_days));
    let first = now.saturating_add(notice).unwrap_or(Timestamp::MAX).max(from);
    let last = now.saturating_add(horizon).unwrap_or(Timestamp::MAX).min(to);
    Span::new(tick::ceil(first), tick::ceil(last))
}

/// The number of practitioners that ranks rotate over: all of them, whatever the filters, so that pages fit together.
pub(crate) fn rotation_size(index: &Index) -> u32 {
    u32::try_from(index.practitioners.len()).unwrap_or(u32::MAX).max(1)
}
