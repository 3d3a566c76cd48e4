//! A question about open slots, read from the wire and run on the kernel.

use std::sync::Arc;

use calendar::{
    Bits, Span,
    search::{Answer, Candidate, Found, Place, Query, Scratch, rank, search, within},
    tick::{self, MINUTES},
};
use domain::{
    claim::Kind,
    directory::Service,
    fault::Faults,
    id::{Id, LocationId, PractitionerId, ServiceId},
    slot::Slot,
    time::{Day, WallTime, from_micros},
};
use jiff::{SignedDuration, Timestamp};
use rpc::Fault;
use uuid::Uuid;
use wire::{
    availability::{self, SearchSlotsRequest},
    common::BookingChannel,
    convert,
};

use crate::{
    model::{Model, Place as Location},
    orgs::Org,
    projection::{Projection, start_tick},
};

const DAYS_MAX: i64 = 400;
const EARTH_RADIUS_KM: f64 = 6371.0;

/// A question that makes sense.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) model: Arc<Model>,
    pub(crate) service_id: ServiceId,
    pub(crate) service: Service,
    pub(crate) online: bool,
    pub(crate) query: Query,
    locations: Vec<bool>,
    practitioners: Vec<bool>,
    patient: Option<Uuid>,
    pub(crate) places: Vec<u32>,
}

/// A start that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Open {
    pub(crate) found: Found,
    pub(crate) places_left: u32,
}

impl Ask {
    /// Reads a request; every fault is named.
    pub(crate) fn read(org: &Org, request: &SearchSlotsRequest, now: Timestamp) -> Result<Self, Fault> {
        let model = org.model(now).ok_or_else(Fault::not_found)?;
        let mut faults = Faults::new();
        let service_id = convert::id::<domain::id::Service>(&mut faults, "service_id", &request.service_id);
        let found = service_id.and_then(|id| Some((id, model.service(id.uuid())?.clone())));
        if service_id.is_some() {
            faults.check(found.is_some(), "service_id", "unknown_reference", "there is no service in use with this id");
        }
        let window = window(&mut faults, request);
        let locations = chosen::<domain::id::Location>(&mut faults, "location_id", &request.location_ids, |id| {
            model.place(id).map(|(at, _)| at)
        });
        let practitioners =
            chosen::<domain::id::Practitioner>(&mut faults, "practitioner_id", &request.practitioner_ids, |id| {
                model.person(id).map(|(at, _)| at)
            });
        let patient = convert::optional_id::<domain::id::Patient>(&mut faults, "patient_id", &request.patient_id);
        let weekdays = weekdays(&mut faults, &request.days);
        let not_before = wall(&mut faults, "not_before", &request.not_before, 0);
        let not_after = wall(&mut faults, "not_after", &request.not_after, 1440);
        faults.check(not_before < not_after, "not_after", "ends_before_start", "must be later than `not_before`");
        faults.check(request.limit <= 200, "limit", "out_of_range", "must lie between 1 and 200");
        let after = cursor(&mut faults, &request.cursor);
        faults.result()?;
        let (Some((service_id, service)), Some((from, to))) = (found, window) else {
            return Err(Fault::internal("a question without faults lacks a part"));
        };
        let online = request.channel != BookingChannel::Staff as i32;
        let limit = if request.limit == 0 { 50 } else { request.limit as usize };
        let query = Query {
            weekdays,
            not_before,
            not_after,
            after,
            ..query(&service, bounds(&service, online, now, from, to), limit)
        };
        let near = request.near_latitude.zip(request.near_longitude);
        let wanted_place = |at: u32, place: &Location| {
            locations.as_ref().is_none_or(|wanted| wanted.contains(&at))
                && near.is_none_or(|point| distance_km(point, place).is_some_and(|km| km <= request.within_km))
        };
        let speaks = |languages: &[String]| {
            request.language.is_empty() || languages.iter().any(|language| same_language(language, &request.language))
        };
        Ok(Self {
            service_id,
            online,
            query,
            locations: (0..).zip(&model.places).map(|(at, place)| wanted_place(at, place)).collect(),
            practitioners: (0..)
                .zip(&model.people)
                .map(|(at, person)| {
                    practitioners.as_ref().is_none_or(|wanted| wanted.contains(&at))
                        && (!online || person.practitioner.online)
                        && speaks(&person.practitioner.languages)
                })
                .collect(),
            places: (0..u32::try_from(model.places.len()).unwrap_or(0)).collect(),
            patient: patient.map(Id::uuid),
            service,
            model,
        })
    }

    /// Runs the question; starts come in order, at most the query's limit.
    pub(crate) fn run(&self, projection: &Projection, query: &Query) -> (Vec<Open>, tick::Tick) {
        if self.online && !self.service.online {
            return (vec![], query.window.end);
        }
        let rooms: Vec<Option<Vec<&Bits>>> =
            self.model.places.iter().map(|place| self.rooms(projection, place)).collect();
        let units: Vec<Option<Vec<&Bits>>> =
            self.model.places.iter().map(|place| self.units(projection, place)).collect();
        let places: Vec<Place<'_>> = self
            .model
            .places
            .iter()
            .zip(rooms.iter().zip(&units))
            .map(|(place, (rooms, units))| Place {
                zone: &place.zone,
                rooms: rooms.as_deref(),
                units: units.as_deref(),
            })
            .collect();
        let allowed: Vec<Option<Vec<Span>>> =
            self.model.seats.iter().map(|seat| self.allowed(projection, seat.place, seat.person, query)).collect();
        let candidates: Vec<Candidate<'_>> = self
            .model
            .seats
            .iter()
            .zip(&allowed)
            .filter(|(seat, allowed)| {
                self.wants(seat.place, seat.person) && allowed.as_ref().is_none_or(|spans| !spans.is_empty())
            })
            .map(|(seat, allowed)| Candidate {
                place: seat.place,
                practitioner: seat.person,
                roster: &seat.roster,
                taken: projection.bits(Kind::Practitioner, self.model.people[seat.person as usize].id, 0),
                allowed: allowed.as_deref(),
            })
            .collect();
        let Answer { found, searched_until } = search(query, &places, &candidates, &mut Scratch::default());
        let new = found.into_iter().map(|found| Open { found, places_left: self.service.capacity });
        let mut open: Vec<Open> = new.filter(|open| self.patient_free(projection, open.found.start)).collect();
        if self.service.capacity > 1 {
            open.extend(self.joinable(projection, query, searched_until, open.len() >= query.limit));
            open.sort_unstable();
            open.truncate(query.limit);
        }
        (open, searched_until)
    }

    /// Whether the question asks about a location.
    pub(crate) fn wants_place(&self, place: u32) -> bool {
        self.locations[place as usize]
    }

    /// The same question about one location.
    pub(crate) fn at(&self, place: u32) -> Self {
        let locations = self.places.iter().map(|at| *at == place).collect();
        Self { locations, ..self.clone() }
    }

    fn wants(&self, place: u32, person: u32) -> bool {
        self.locations[place as usize] && self.practitioners[person as usize]
    }

    fn rooms<'a>(&self, projection: &'a Projection, place: &Location) -> Option<Vec<&'a Bits>> {
        let wanted = self.service.room_type.as_ref()?;
        let of_type = place.rooms.iter().filter(|(_, room_type)| room_type == wanted);
        Some(of_type.map(|(id, _)| projection.bits(Kind::Room, *id, 0)).collect())
    }

    fn units<'a>(&self, projection: &'a Projection, place: &Location) -> Option<Vec<&'a Bits>> {
        let wanted = self.service.equipment_type.as_ref()?;
        let of_type = place.units.iter().filter(|(_, _, unit_type)| unit_type == wanted);
        Some(of_type.map(|(id, unit, _)| projection.bits(Kind::Equipment, *id, *unit)).collect())
    }

    /// Where a certificate or a daily cap allows visits to start; `None` for everywhere.
    fn allowed(&self, projection: &Projection, place: u32, person: u32, query: &Query) -> Option<Vec<Span>> {
        let (at, who) = (&self.model.places[place as usize], &self.model.people[person as usize]);
        let certificate = self.service.required_certificate.as_ref();
        let mut allowed = certificate.map(|code| who.certified(code, &at.zone, self.model.span));
        if let Some(cap) = who.practitioner.daily_cap {
            let full = full_days(projection, who.id, cap, at, query.window);
            let spans = allowed.unwrap_or_else(|| vec![self.model.span]);
            allowed = Some(full.iter().fold(spans, |spans, full| {
                let cut = |span: Span| {
                    [Span::new(span.start, span.end.min(full.start)), Span::new(span.start.max(full.end), span.end)]
                };
                spans.into_iter().flat_map(cut).filter(|span| !span.is_empty()).collect()
            }));
        }
        allowed
    }

    fn patient_free(&self, projection: &Projection, start: tick::Tick) -> bool {
        let visit = Span::new(start, start + self.query.duration);
        self.patient.is_none_or(|patient| projection.is_free(Kind::Patient, patient, 0, visit, &[]))
    }

    /// Group sessions with members and places left.
    fn joinable(&self, projection: &Projection, query: &Query, until: tick::Tick, full: bool) -> Vec<Open> {
        let people = self.model.seats.iter().map(|seat| seat.person + 1).max().unwrap_or(1);
        let mut open = Vec::new();
        for (id, group) in &projection.groups {
            let start = start_tick(group);
            let located = self.model.place(group.location).zip(self.model.person(group.practitioner));
            let Some(((place, at), (person, _))) = located else { continue };
            let found = Found { start, place, rank: rank(person, people, start), practitioner: person };
            let fits = group.service == self.service_id.uuid()
                && self.wants(place, person)
                && within(&[query.window], start)
                && query.allows(at.zone.local(start))
                && (!full || start <= until)
                && query.after.is_none_or(|after| found > after)
                && self.patient_free(projection, start);
            let left = group.capacity.saturating_sub(projection.places_taken(*id, group, &[]));
            if fits && left > 0 {
                open.push(Open { found, places_left: left });
            }
        }
        open
    }

    /// A start for the wire.
    pub(crate) fn shown(&self, open: &Open) -> availability::Slot {
        let place = &self.model.places[open.found.place as usize];
        let slot = Slot {
            starts_at: tick::instant(open.found.start),
            service: self.service_id,
            location: LocationId::new(place.id),
            practitioner: PractitionerId::new(self.model.people[open.found.practitioner as usize].id),
        };
        shown(&slot, &self.service, place, open.places_left)
    }
}

/// A slot for the wire.
pub(crate) fn shown(slot: &Slot, service: &Service, place: &Location, places_left: u32) -> availability::Slot {
    let starts_at_us = slot.starts_at.as_microsecond();
    availability::Slot {
        slot_id: slot.to_string(),
        service_id: slot.service.to_string(),
        practitioner_id: slot.practitioner.to_string(),
        location_id: slot.location.to_string(),
        starts_at_us,
        ends_at_us: starts_at_us + i64::from(service.duration_minutes) * 60_000_000,
        time_zone: place.location.time_zone.clone(),
        places_left,
    }
}

/// The kernel's query for a service, any day and hour.
pub(crate) fn query(service: &Service, window: Span, limit: usize) -> Query {
    let ticks = |minutes: u32| i64::from(minutes) / MINUTES;
    Query {
        prep: ticks(service.prep_minutes),
        cleanup: ticks(service.cleanup_minutes),
        ..Query::new(window, ticks(service.duration_minutes), i64::from(service.start_alignment_minutes), limit)
    }
}

/// The ticks in which visits may start now: after the notice, before the horizon.
pub(crate) fn bounds(service: &Service, online: bool, now: Timestamp, from: Timestamp, to: Timestamp) -> Span {
    let notice =
        if online { SignedDuration::from_mins(i64::from(service.min_notice_minutes)) } else { SignedDuration::ZERO };
    let horizon = SignedDuration::from_hours(24 * i64::from(service.horizon_days));
    let first = now.saturating_add(notice).unwrap_or(Timestamp::MAX).max(from);
    let last = now.saturating_add(horizon).unwrap_or(Timestamp::MAX).min(to);
    Span::new(tick::ceil(first), tick::ceil(last))
}

/// The local days in the window on which a practitioner's cap is reached.
pub(crate) fn full_days(projection: &Projection, person: Uuid, cap: u32, place: &Location, window: Span) -> Vec<Span> {
    let mut full: Vec<Span> = Vec::new();
    let mut counted: Option<(Span, u32)> = None;
    for (claim, _) in projection.claims(person) {
        let same = counted.filter(|(day, _)| day.start <= claim.start && claim.start < day.end);
        let (day, count) = match same {
            Some((day, count)) => (day, count + 1),
            None => {
                let date = place.zone.date(claim.start);
                (place.zone.dates(date, date), 1)
            }
        };
        counted = Some((day, count));
        if count == cap && day.end > window.start && day.start < window.end {
            full.push(day);
        }
    }
    full
}

fn window(faults: &mut Faults, request: &SearchSlotsRequest) -> Option<(Timestamp, Timestamp)> {
    let (from, to) = (from_micros(request.from_us)?, from_micros(request.to_us)?);
    faults.check(from < to, "to", "ends_before_start", "must be later than `from`");
    let days = to.duration_since(from).as_hours() / 24;
    faults.check(days <= DAYS_MAX, "to", "too_long", "at most 400 days after `from`");
    Some((from, to))
}

fn chosen<K: domain::id::Kind>(
    faults: &mut Faults,
    pointer: &str,
    texts: &[String],
    find: impl Fn(Uuid) -> Option<u32>,
) -> Option<Vec<u32>> {
    let found = texts.iter().filter_map(|text| {
        let id = convert::id::<K>(faults, pointer, text)?;
        let at = find(id.uuid());
        faults.check(at.is_some(), pointer, "unknown_reference", "nothing in use has this id");
        at
    });
    let found: Vec<u32> = found.collect();
    (!texts.is_empty()).then_some(found)
}

fn weekdays(faults: &mut Faults, days: &[String]) -> u8 {
    let mut mask = 0;
    for day in days {
        match day.parse::<Day>() {
            Ok(day) => mask |= 1 << day.from_monday(),
            Err(expected) => faults.push("day", "invalid_value", expected),
        }
    }
    if days.is_empty() { 0x7f } else { mask }
}

fn wall(faults: &mut Faults, pointer: &str, text: &str, otherwise: i64) -> i64 {
    if text.is_empty() {
        return otherwise;
    }
    match text.parse::<WallTime>() {
        Ok(time) => i64::from(time.minutes()),
        Err(expected) => {
            faults.push(pointer, "invalid_time", expected);
            otherwise
        }
    }
}

/// The cursor after a start: where it stands in the order.
pub(crate) fn cursor_after(found: &Found) -> String {
    let id = u128::from(found.place) << 64 | u128::from(found.rank) << 32 | u128::from(found.practitioner);
    sql::cursor::encode(found.start, id)
}

fn cursor(faults: &mut Faults, text: &str) -> Option<Found> {
    if text.is_empty() {
        return None;
    }
    let part = |id: u128, shift: u32| u32::try_from(id >> shift & u128::from(u32::MAX)).unwrap_or(0);
    let found = sql::cursor::decode(text).map(|(start, id)| Found {
        start,
        place: part(id, 64),
        rank: part(id, 32),
        practitioner: part(id, 0),
    });
    let fits = found.is_some_and(|found| found.start.abs() < 1 << 40);
    faults.check(fits, "cursor", "invalid_cursor", "use the next_cursor of the page before, as it is");
    found
}

fn same_language(spoken: &str, asked: &str) -> bool {
    let primary = |tag: &str| tag.split('-').next().unwrap_or(tag).to_ascii_lowercase();
    spoken.eq_ignore_ascii_case(asked) || primary(spoken) == primary(asked)
}

/// Great-circle distance by the haversine formula (R. W. Sinnott, Sky and Telescope 68, 1984).
fn distance_km(point: (f64, f64), place: &Location) -> Option<f64> {
    let (latitude, longitude) = (place.location.latitude?.to_radians(), place.location.longitude?.to_radians());
    let (lat, long) = (point.0.to_radians(), point.1.to_radians());
    let half = |angle: f64| (angle / 2.0).sin().powi(2);
    let chord = half(latitude - lat) + lat.cos() * latitude.cos() * half(longitude - long);
    Some(2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin())
}
