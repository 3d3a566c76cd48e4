//! The rules of one start, each with its outcome: what search hides, booking refuses with the code that says why.

use calendar::{Span, tick};
use domain::{claim::Kind, directory::Service, slot::Slot};
use jiff::Timestamp;
use rpc::Code;
use uuid::Uuid;
use wire::availability::Limit;

use super::{
    limits::{Cap, Period},
    query::{bounds, query},
    travel,
};
use crate::{
    index::{Model, Person, Place, Seat},
    occupancy::{Group, Projection},
};

/// What is decided of a visit before its rules are looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms<'a> {
    /// Owners whose claims count as free.
    pub(crate) ignored: &'a [Uuid],
    /// How many minutes the visit takes, where it does not follow its service.
    pub(crate) minutes: Option<u32>,
    /// What a hold keeps for it.
    pub(crate) kept: Option<Kept>,
}

/// What a hold keeps for a slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// The practitioner's time.
    pub(crate) claim: Span,
    pub(crate) room: Option<Uuid>,
    pub(crate) unit: Option<(Uuid, i16)>,
}

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
    /// How many minutes the visit takes.
    pub(crate) minutes: u32,
    /// Whether the visit is a place in a group session.
    pub(crate) shared: bool,
    pub(crate) claim: Span,
    /// The group session that the start joins. It keeps its own length and claims, whatever the service says now.
    group: Option<(Uuid, &'a Group)>,
    terms: Terms<'a>,
}

/// Finds the ground under a slot; `None` where a part of it is not in use.
pub(crate) fn ground<'a>(
    model: &'a Model,
    projection: &'a Projection,
    slot: &Slot,
    terms: Terms<'a>,
) -> Option<Ground<'a>> {
    // What a hold keeps takes place though the service is no longer offered, as what is booked does.
    let service = match terms.kept {
        Some(_) => model.service_ever(slot.service.uuid())?,
        None => model.service(slot.service.uuid())?,
    };
    let (place_at, place) = model.place(slot.location.uuid())?;
    let (person_at, person) = model.person(slot.practitioner.uuid())?;
    let start = tick::floor(slot.starts_at);
    let starts_at_us = slot.starts_at.as_microsecond();
    let shared = if terms.kept.is_some() { slot.shared } else { service.capacity > 1 };
    let group = projection
        .groups(slot.service.uuid(), starts_at_us, starts_at_us + 1)
        .filter(|(id, _)| shared && !terms.ignored.contains(id))
        .find(|(_, group)| group.practitioner == person.id && group.location == place.id);
    let minutes = match (group, terms.kept) {
        (Some((_, group)), _) => group.minutes(),
        (None, Some(_)) => u32::from(slot.minutes),
        (None, None) => terms.minutes.unwrap_or(service.duration_minutes),
    };
    let of_session = group.and_then(|(id, _)| projection.session_claim(id));
    let kept = terms.kept.map(|kept| kept.claim);
    let claim = of_session.or(kept).unwrap_or_else(|| query(service, minutes, model.span, 1).claim(start));
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
        minutes,
        shared,
        claim,
        group,
        terms,
    })
}

impl Ground<'_> {
    /// Every rule in the order in which they are told.
    pub(crate) fn rules(&self, slot: &Slot, online: bool, now: Timestamp) -> Vec<Rule> {
        let rule = |code, passed, detail| Rule { code, passed, detail };
        // A hold was made under the rules of its day; what it keeps only must not be past.
        let kept = self.terms.kept.is_some();
        let open = bounds(self.service, online && !kept, now, Timestamp::MIN, Timestamp::MAX);
        let on_grid = domain::time::on_grid(slot.starts_at);
        let query = query(self.service, self.minutes, self.model.span, 1);
        // A session that exists is where it is, whatever the grid is now.
        let exists = self.group.is_some() || kept;
        let aligned = on_grid && (exists || query.allows(self.place.zone.local(self.start)));
        let offered = kept || !online || (self.service.online && self.person.practitioner.online);
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
            rule(Code::BeyondHorizon, kept || self.start < open.end, "the start is within the booking horizon"),
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

    /// Whether the slot said something else of the visit: its length, or whether it is a place in a group session.
    pub(crate) fn differs(&self, slot: &Slot) -> bool {
        let follows = self.terms.minutes.is_none() || self.group.is_some();
        self.terms.kept.is_none() && (slot.shared != self.shared || follows && u32::from(slot.minutes) != self.minutes)
    }

    /// Places left for one more patient. The service says how many there are, as it does for booking: a session that
    /// was begun before its service was made smaller or larger follows.
    pub(crate) fn places_left(&self) -> u32 {
        let capacity = self.service.capacity;
        match self.group {
            Some((id, _)) => capacity.saturating_sub(self.projection.places_taken(id, self.terms.ignored)),
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
        let rooms = of_type.map(|(id, _)| (*id, self.free(Kind::Room, *id, 0))).collect();
        let kept = self.terms.kept.and_then(|kept| kept.room);
        self.in_turn(rooms, |(id, free)| (!free, Some(*id) != kept))
    }

    /// Units of the right equipment, in the same order.
    pub(crate) fn units(&self) -> Vec<(Uuid, i16, bool)> {
        let Some(wanted) = self.service.equipment_type.as_ref().filter(|_| self.group.is_none()) else { return vec![] };
        let of_type = self.place.units.iter().filter(|(_, _, unit_type)| unit_type == wanted);
        let units = of_type.map(|(id, unit, _)| (*id, *unit, self.free(Kind::Equipment, *id, *unit)));
        let kept = self.terms.kept.and_then(|kept| kept.unit);
        self.in_turn(units.collect(), |(id, unit, free)| (!free, Some((*id, *unit)) != kept))
    }

    fn in_turn<T>(&self, mut candidates: Vec<T>, last: impl Fn(&T) -> (bool, bool)) -> Vec<T> {
        if !candidates.is_empty() {
            let turn = self.turn % candidates.len();
            candidates.rotate_left(turn);
        }
        candidates.sort_by_key(last);
        candidates
    }

    /// Joining a session adds none to the practitioner's day.
    fn under_cap(&self, period: Period) -> bool {
        let date = self.place.zone.date(self.start);
        let mut caps = Cap::all(&self.person.practitioner, self.service).filter(|cap| cap.period == period);
        self.group.is_some()
            || caps.all(|cap| {
                let span = period.around(&self.place.zone, date);
                cap.left(self.projection, self.person.id, span, self.terms.ignored) > 0
            })
    }

    /// Who joins a session goes where the practitioner is already.
    fn in_reach(&self) -> bool {
        self.group.is_some()
            || travel::away(self.model, self.projection, self.at, self.claim, self.terms.ignored).is_empty()
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
            Some(_) => self.places_left() > 0 || self.terms.kept.is_some(),
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
        self.projection.is_free(kind, resource, unit, self.claim, self.terms.ignored)
    }
}
