//! The checks of one start, each with its outcome: booking refuses what search hides, with the code that says why.

use calendar::{Span, tick};
use domain::{claim::Kind, directory::Service, slot::Slot};
use jiff::Timestamp;
use rpc::Code;
use uuid::Uuid;
use wire::availability::Limit;

use super::{
    limits::{Cap, Period},
    query::{kernel_query, start_window},
    travel,
};
use crate::{
    index::{Certification, Index, Location, Practitioner, Shift},
    occupancy::{GroupSession, Occupancy},
};

/// The parts of a visit that are decided before its checks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CheckOptions<'a> {
    /// Owners whose claims count as free.
    pub(crate) ignored: &'a [Uuid],
    /// The length of the visit, where it is not the service's.
    pub(crate) minutes: Option<u32>,
    /// The claims of the hold that keeps the slot.
    pub(crate) held: Option<HeldClaims>,
}

/// The claims of a hold on a slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldClaims {
    /// The claim on the practitioner.
    pub(crate) claim: Span,
    pub(crate) room: Option<Uuid>,
    pub(crate) unit: Option<(Uuid, i16)>,
}

/// A check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) code: Code,
    pub(crate) passed: bool,
    pub(crate) detail: &'static str,
}

/// Everything that the checks of one slot read.
pub(crate) struct SlotFacts<'a> {
    index: &'a Index,
    occupancy: &'a Occupancy,
    pub(crate) service: &'a Service,
    pub(crate) location: &'a Location,
    pub(crate) practitioner: &'a Practitioner,
    shift: Option<&'a Shift>,
    /// The numbers of the practitioner and the location in the index.
    numbers: (u32, u32),
    /// The number of the location's practitioners that come before this one.
    rotation: usize,
    start: tick::Tick,
    /// The length of the visit.
    pub(crate) minutes: u32,
    /// Whether the visit is a place in a group session.
    pub(crate) shared: bool,
    pub(crate) claim: Span,
    /// The group session that the start joins. It keeps its own length and claims, whatever the service says now.
    group: Option<(Uuid, &'a GroupSession)>,
    options: CheckOptions<'a>,
}

impl<'a> SlotFacts<'a> {
    /// Gathers the facts of a slot; `None` where its service, location or practitioner is not in use.
    pub(crate) fn gather(
        index: &'a Index,
        occupancy: &'a Occupancy,
        slot: &Slot,
        options: CheckOptions<'a>,
    ) -> Option<Self> {
        // A held visit takes place though its service is no longer offered, as a booked one does.
        let service = match options.held {
            Some(_) => index.service_or_archived(slot.service.uuid())?,
            None => index.service(slot.service.uuid())?,
        };
        let (location_number, location) = index.location(slot.location.uuid())?;
        let (practitioner_number, practitioner) = index.practitioner(slot.practitioner.uuid())?;
        let start = tick::floor(slot.starts_at);
        let starts_at_us = slot.starts_at.as_microsecond();
        let shared = if options.held.is_some() { slot.shared } else { service.capacity > 1 };
        let group = occupancy
            .groups(slot.service.uuid(), starts_at_us, starts_at_us + 1)
            .filter(|(id, _)| shared && !options.ignored.contains(id))
            .find(|(_, group)| group.practitioner == practitioner.id && group.location == location.id);
        let minutes = match (group, options.held) {
            (Some((_, group)), _) => group.minutes(),
            (None, Some(_)) => u32::from(slot.minutes),
            (None, None) => options.minutes.unwrap_or(service.duration_minutes),
        };
        let session_claim = group.and_then(|(id, _)| occupancy.session_claim(id));
        let held_claim = options.held.map(|held| held.claim);
        let own_claim = || kernel_query(service, minutes, index.span, 1).claim(start);
        let before = |shift: &&Shift| shift.location == location_number && shift.practitioner < practitioner_number;
        Some(Self {
            index,
            occupancy,
            service,
            location,
            practitioner,
            shift: index.shift(location_number, practitioner_number),
            numbers: (practitioner_number, location_number),
            rotation: index.shifts.iter().filter(before).count(),
            start,
            minutes,
            shared,
            claim: session_claim.or(held_claim).unwrap_or_else(own_claim),
            group,
            options,
        })
    }

    /// Whether the slot passes every check.
    pub(crate) fn passes(&self, slot: &Slot, online: bool, now: Timestamp) -> bool {
        self.checks(slot, online, now).iter().all(|check| check.passed)
    }

    /// Every check, in the order in which refusals are reported.
    pub(crate) fn checks(&self, slot: &Slot, online: bool, now: Timestamp) -> Vec<Check> {
        let check = |code, passed, detail| Check { code, passed, detail };
        // A hold passed the rules of its day; its start must only not be past.
        let held = self.options.held.is_some();
        let window = start_window(self.service, online && !held, now, Timestamp::MIN, Timestamp::MAX);
        let on_grid = domain::time::on_grid(slot.starts_at);
        let query = kernel_query(self.service, self.minutes, self.index.span, 1);
        // An existing session or hold keeps its start, whatever the grid is now.
        let exists = self.group.is_some() || held;
        let aligned = on_grid && (exists || query.allows(self.location.zone.local(self.start)));
        let offered = held || !online || (self.service.online && self.practitioner.body.online);
        let day = self.location.zone.date(self.start);
        let closed = self.location.closures.iter().any(|closure| closure.starts_on <= day && day <= closure.ends_on);
        let works = self.shift.is_some_and(|shift| shift.roster().all(self.claim));
        let certification = match &self.service.required_certificate {
            Some(code) => self.practitioner.certification(code, day),
            None => Certification::Valid,
        };
        let (has_certificate, is_valid) =
            (certification != Certification::NotHeld, certification != Certification::NotValid);
        vec![
            check(Code::NotOffered, offered, "the service and the practitioner can be booked online"),
            check(Code::MinNotice, self.start >= window.start, "the start is far enough ahead"),
            check(Code::BeyondHorizon, held || self.start < window.end, "the start is within the booking horizon"),
            check(Code::LocationClosed, !closed, "the location is open on that day"),
            check(
                Code::OutsideRoster,
                works || closed,
                "the practitioner works there for the whole visit, buffers included",
            ),
            check(Code::OutsideRoster, aligned, "the start lies on the service's grid of starts"),
            check(Code::CertificateMissing, has_certificate, "the practitioner holds the certificate"),
            check(Code::CertificateExpired, is_valid, "the certificate is valid on that day"),
            check(Code::DailyCap, self.is_under_caps(Period::Day), "the practitioner's day has room for one more"),
            check(Code::WeeklyCap, self.is_under_caps(Period::Week), "the practitioner's week has room for one more"),
            check(
                Code::TravelTime,
                self.is_reachable(),
                "the practitioner can come from and reach their other locations",
            ),
            check(
                Code::SlotTaken,
                self.is_practitioner_free(),
                "the practitioner is free, or the group has a place left",
            ),
            check(Code::SlotTaken, self.has_room(), "a room of the right type is free"),
            check(Code::SlotTaken, self.has_unit(), "a unit of the equipment is free"),
        ]
    }

    /// The group session that the start joins.
    pub(crate) fn group_id(&self) -> Option<Uuid> {
        self.group.map(|(id, _)| id)
    }

    /// Whether the visit differs from what the slot says: its length, or whether it is a place in a group session.
    pub(crate) fn differs_from(&self, slot: &Slot) -> bool {
        let follows_service = self.options.minutes.is_none() || self.group.is_some();
        let other_length = follows_service && u32::from(slot.minutes) != self.minutes;
        self.options.held.is_none() && (slot.shared != self.shared || other_length)
    }

    /// The places left for one more patient. The service gives the number of places, as it does for booking, also for a
    /// session that began before the number changed.
    pub(crate) fn places_left(&self) -> u32 {
        let capacity = self.service.capacity;
        match self.group {
            Some((id, _)) => capacity.saturating_sub(self.occupancy.occupied_places(id, self.options.ignored)),
            None => capacity,
        }
    }

    /// Rooms of the right type and whether each is free: free ones first, the held one before the others, and then in an
    /// order that begins at another room for each practitioner. So practitioners who are booked in the same instant do not
    /// compete for one room, and each seldom changes rooms.
    pub(crate) fn rooms(&self) -> Vec<(Uuid, bool)> {
        if let Some((_, group)) = self.group {
            return group.room.map(|room| (room, true)).into_iter().collect();
        }
        let Some(wanted) = &self.service.room_type else { return vec![] };
        let of_type = self.location.rooms.iter().filter(|(_, room_type)| room_type == wanted);
        let rooms = of_type.map(|(id, _)| (*id, self.is_free(Kind::Room, *id, 0))).collect();
        let held = self.options.held.and_then(|held| held.room);
        self.rotated(rooms, |(id, free)| (!free, Some(*id) != held))
    }

    /// Units of the right equipment and whether each is free, in the same order as rooms.
    pub(crate) fn units(&self) -> Vec<(Uuid, i16, bool)> {
        let Some(wanted) = self.service.equipment_type.as_ref().filter(|_| self.group.is_none()) else { return vec![] };
        let of_type = self.location.units.iter().filter(|(_, _, unit_type)| unit_type == wanted);
        let units = of_type.map(|(id, unit, _)| (*id, *unit, self.is_free(Kind::Equipment, *id, *unit)));
        let held = self.options.held.and_then(|held| held.unit);
        self.rotated(units.collect(), |(id, unit, free)| (!free, Some((*id, *unit)) != held))
    }

    fn rotated<T>(&self, mut candidates: Vec<T>, last: impl Fn(&T) -> (bool, bool)) -> Vec<T> {
        if !candidates.is_empty() {
            let by = self.rotation % candidates.len();
            candidates.rotate_left(by);
        }
        candidates.sort_by_key(last);
        candidates
    }

    /// Whether the caps of a period allow one more visit. Joining a session adds none.
    fn is_under_caps(&self, period: Period) -> bool {
        let date = self.location.zone.date(self.start);
        let mut caps = Cap::all(&self.practitioner.body, self.service).filter(|cap| cap.period == period);
        self.group.is_some()
            || caps.all(|cap| {
                let span = period.around(&self.location.zone, date);
                cap.remaining(self.occupancy, self.practitioner.id, span, self.options.ignored) > 0
            })
    }

    /// Whether travel times allow the visit. The practitioner of an existing session is there already.
    fn is_reachable(&self) -> bool {
        let away = || travel::away(self.index, self.occupancy, self.numbers, self.claim, self.options.ignored);
        self.group.is_some() || away().is_empty()
    }

    /// The limits that booking must recheck in its own transaction, since others may book in the same instant.
    pub(crate) fn limits(&self) -> Vec<Limit> {
        let date = self.location.zone.date(self.start);
        let micros = |tick: tick::Tick| tick::instant(tick).as_microsecond();
        let caps = Cap::all(&self.practitioner.body, self.service).map(|cap| {
            let span = cap.period.around(&self.location.zone, date);
            Limit {
                code: cap.code.as_str().to_owned(),
                location_id: String::new(),
                needling: cap.needling,
                starts_at_us: micros(span.start),
                ends_at_us: micros(span.end),
                most: cap.max,
            }
        });
        let (practitioner, location) = self.numbers;
        let shifts = self.index.shifts.iter();
        let elsewhere = shifts.filter(|shift| shift.practitioner == practitioner && shift.location != location);
        let travel = elsewhere.filter_map(|shift| {
            let travel = self.index.travel_times.between(shift.location, location)?;
            Some(Limit {
                code: Code::TravelTime.as_str().to_owned(),
                location_id: self.index.locations[shift.location as usize].public_id.clone(),
                needling: false,
                starts_at_us: micros(self.claim.start - travel),
                ends_at_us: micros(self.claim.end + travel),
                most: 0,
            })
        });
        caps.chain(travel).collect()
    }

    fn is_practitioner_free(&self) -> bool {
        match self.group {
            Some(_) => self.places_left() > 0 || self.options.held.is_some(),
            None => self.is_free(Kind::Practitioner, self.practitioner.id, 0),
        }
    }

    fn has_room(&self) -> bool {
        self.group.is_some() || self.service.room_type.is_none() || self.rooms().iter().any(|(_, free)| *free)
    }

    fn has_unit(&self) -> bool {
        self.group.is_some() || self.service.equipment_type.is_none() || self.units().iter().any(|(_, _, free)| *free)
    }

    fn is_free(&self, kind: Kind, resource: Uuid, unit: i16) -> bool {
        self.occupancy.is_free(kind, resource, unit, self.claim, self.options.ignored)
    }
}
