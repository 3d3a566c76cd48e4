//! The rules of one start, each with its outcome: what search hides, booking refuses with the code that says why.

use calendar::{Span, tick};
use domain::{claim::Kind, directory::Service, slot::Slot};
use jiff::Timestamp;
use rpc::Code;
use uuid::Uuid;
use wire::availability::Limit;

use super::{
    ask::{bounds, query},
    caps::{Cap, Period},
    roads,
};
use crate::{
    model::{Model, Person, Place, Seat},
    projection::{Group, Projection},
};

/// One rule and whether the start keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) code: Code,
    pub(crate) passed: bool,
    pub(crate) detail: &'static str,
}

/// Everything that the rules look at.
pub(crate) struct Ground<'a> {
    model: &'a Model,
    projection: &'a Projection,
    pub(crate) service: &'a Service,
    pub(crate) place: &'a Place,
    pub(crate) person: &'a Person,
    seat: Option<&'a Seat>,
    /// The practitioner and the place, as the model counts them.
    at: (u32, u32),
    /// How many of the place come before the practitioner: their turn among its rooms and units.
    turn: usize,
    start: tick::Tick,
    pub(crate) claim: Span,
    /// The group session that the start joins.
    group: Option<(Uuid, &'a Group)>,
    ignored: &'a [Uuid],
}

/// Finds the ground under a slot; `None` where a part of it is not in use.
pub(crate) fn ground<'a>(
    model: &'a Model,
    projection: &'a Projection,
    slot: &Slot,
    ignored: &'a [Uuid],
) -> Option<Ground<'a>> {
    let service = model.service(slot.service.uuid())?;
    let (place_at, place) = model.place(slot.location.uuid())?;
    let (person_at, person) = model.person(slot.practitioner.uuid())?;
    let start = tick::floor(slot.starts_at);
    let starts_at_us = slot.starts_at.as_microsecond();
    let group = projection
        .groups(slot.service.uuid(), starts_at_us, starts_at_us + 1)
        .filter(|_| service.capacity > 1)
        .find(|(_, group)| group.practitioner == person.id && group.location == place.id);
    Some(Ground {
        model,
        projection,
        service,
        place,
        person,
        seat: model.seat(place_at, person_at),
        at: (person_at, place_at),
        turn: model.seats.iter().filter(|seat| seat.place == place_at && seat.person < person_at).count(),
        start,
        claim: query(service, model.span, 1).claim(start),
        group,
        ignored,
    })
}

impl Ground<'_> {
    /// Every rule in the order in which they are told.
    pub(crate) fn rules(&self, slot: &Slot, online: bool, now: Timestamp) -> Vec<Rule> {
        let rule = |code, passed, detail| Rule { code, passed, detail };
        let open = bounds(self.service, online, now, Timestamp::MIN, Timestamp::MAX);
        let on_grid = domain::time::on_grid(slot.starts_at);
        let query = query(self.service, self.model.span, 1);
        let aligned = on_grid && query.allows(self.place.zone.local(self.start));
        let offered = !online || (self.service.online && self.person.practitioner.online);
        let day = self.place.zone.date(self.start);
        let closed = self.place.closures.iter().any(|closure| closure.starts_on <= day && day <= closure.ends_on);
        let works = self.seat.is_some_and(|seat| seat.roster().all(self.claim));
        let (held, valid) = match &self.service.required_certificate {
            Some(code) => self.person.holds(code, day),
            None => (true, true),
        };
        vec![
            rule(Code::NotOffered, offered, "the service and the practitioner can be booked online"),
            rule(Code::MinNotice, self.start >= open.start, "the start is far enough ahead"),
            rule(Code::BeyondHorizon, self.start < open.end, "the start is within the booking horizon"),
            rule(Code::LocationClosed, !closed, "the location is open on that day"),
            rule(
                Code::OutsideRoster,
                works || closed,
                "the practitioner works there for the whole visit, buffers included",
            ),
            rule(Code::OutsideRoster, aligned, "the start lies on the service's grid of starts"),
            rule(Code::CertificateMissing, held, "the practitioner holds the certificate"),
            rule(Code::CertificateExpired, valid || !held, "the certificate is valid on that day"),
            rule(Code::DailyCap, self.under_cap(Period::Day), "the practitioner's day has room for one more"),
            rule(Code::WeeklyCap, self.under_cap(Period::Week), "the practitioner's week has room for one more"),
            rule(Code::TravelTime, self.in_reach(), "the practitioner can come from and reach their other locations"),
            rule(Code::SlotTaken, self.practitioner_free(), "the practitioner is free, or the group has a place left"),
            rule(Code::SlotTaken, self.has_room(), "a room of the right type is free"),
            rule(Code::SlotTaken, self.has_unit(), "a unit of the equipment is free"),
        ]
    }

    /// The group session that the start joins.
    pub(crate) fn group_id(&self) -> Option<Uuid> {
        self.group.map(|(id, _)| id)
    }

    /// Places left for one more patient. The service says how many there are, as it does for booking: a session that
    /// was begun before its service was made smaller or larger follows.
    pub(crate) fn places_left(&self) -> u32 {
        let capacity = self.service.capacity;
        match self.group {
            Some((id, group)) => {
                capacity.saturating_sub(self.projection.places_taken(id, group, capacity, self.ignored))
            }
            None => capacity,
        }
    }

    /// Rooms of the right type, free ones first, and then each practitioner their own first: neighbours who are booked
    /// in the same instant do not meet in one room, and a practitioner seldom changes it.
    pub(crate) fn rooms(&self) -> Vec<(Uuid, bool)> {
        if let Some((_, group)) = self.group {
            return group.room.map(|room| (room, true)).into_iter().collect();
        }
        let Some(wanted) = &self.service.room_type else { return vec![] };
        let of_type = self.place.rooms.iter().filter(|(_, room_type)| room_type == wanted);
        self.in_turn(of_type.map(|(id, _)| (*id, self.free(Kind::Room, *id, 0))).collect(), |(_, free)| *free)
    }

    /// Units of the right equipment, in the same order.
    pub(crate) fn units(&self) -> Vec<(Uuid, i16, bool)> {
        let Some(wanted) = self.service.equipment_type.as_ref().filter(|_| self.group.is_none()) else { return vec![] };
        let of_type = self.place.units.iter().filter(|(_, _, unit_type)| unit_type == wanted);
        let units = of_type.map(|(id, unit, _)| (*id, *unit, self.free(Kind::Equipment, *id, *unit)));
        self.in_turn(units.collect(), |(_, _, free)| *free)
    }

    fn in_turn<T>(&self, mut candidates: Vec<T>, free: impl Fn(&T) -> bool) -> Vec<T> {
        if !candidates.is_empty() {
            let turn = self.turn % candidates.len();
            candidates.rotate_left(turn);
        }
        candidates.sort_by_key(|candidate| !free(candidate));
        candidates
    }

    /// Joining a session adds none to the practitioner's day.
    fn under_cap(&self, period: Period) -> bool {
        let date = self.place.zone.date(self.start);
        let mut caps = Cap::all(&self.person.practitioner, self.service).filter(|cap| cap.period == period);
        self.group.is_some()
            || caps.all(|cap| {
                let span = period.around(&self.place.zone, date);
                cap.left(self.projection, self.person.id, span, self.ignored) > 0
            })
    }

    /// Who joins a session goes where the practitioner is already.
    fn in_reach(&self) -> bool {
        self.group.is_some() || roads::away(self.model, self.projection, self.at, self.claim, self.ignored).is_empty()
    }

    /// What booking must see to hold in its own transaction, since others may be booking in the same instant.
    pub(crate) fn limits(&self) -> Vec<Limit> {
        let date = self.place.zone.date(self.start);
        let us = |tick: tick::Tick| tick::instant(tick).as_microsecond();
        let caps = Cap::all(&self.person.practitioner, self.service).map(|cap| {
            let span = cap.period.around(&self.place.zone, date);
            Limit {
                code: cap.code.as_str().to_owned(),
                location_id: String::new(),
                needling: cap.needling,
                starts_at_us: us(span.start),
                ends_at_us: us(span.end),
                most: cap.most,
            }
        });
        let (person, place) = self.at;
        let others = self.model.seats.iter().filter(|seat| seat.person == person && seat.place != place);
        let roads = others.filter_map(|seat| {
            let road = self.model.roads.between(seat.place, place)?;
            Some(Limit {
                code: Code::TravelTime.as_str().to_owned(),
                location_id: self.model.places[seat.place as usize].shown_id.clone(),
                needling: false,
                starts_at_us: us(self.claim.start - road),
                ends_at_us: us(self.claim.end + road),
                most: 0,
            })
        });
        caps.chain(roads).collect()
    }

    fn practitioner_free(&self) -> bool {
        match self.group {
            Some(_) => self.places_left() > 0,
            None => self.free(Kind::Practitioner, self.person.id, 0),
        }
    }

    fn has_room(&self) -> bool {
        self.group.is_some() || self.service.room_type.is_none() || self.rooms().iter().any(|(_, free)| *free)
    }

    fn has_unit(&self) -> bool {
        self.group.is_some() || self.service.equipment_type.is_none() || self.units().iter().any(|(_, _, free)| *free)
    }

    fn free(&self, kind: Kind, resource: Uuid, unit: i16) -> bool {
        self.projection.is_free(kind, resource, unit, self.claim, self.ignored)
    }
}
