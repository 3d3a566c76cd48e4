//! A question about open slots, read from the wire. How it is answered is in `find.rs`.

use std::sync::Arc;

use calendar::{
    Span,
    search::{Found, Query, rank},
    tick::{self, MINUTES},
};
use domain::{
    directory::Service,
    fault::Faults,
    id::{AppointmentId, Id, LocationId, PractitionerId, ServiceId},
    slot::Slot,
    time::{Day, WallTime},
};
use jiff::{SignedDuration, Timestamp};
use rpc::Fault;
use uuid::Uuid;
use wire::{
    availability::{self, SearchSlotsRequest},
    common::BookingChannel,
    convert,
};

use super::{near::Near, search::Open};
use crate::{
    index::{Model, Place},
    occupancy::Moving,
    organisations::Org,
};

const DAYS_MAX: i64 = 400;
const CHOSEN_MAX: usize = 200;
/// The prefix of a slot id, which a cursor leaves out.
const SLOT_PREFIX: &str = "slot_";

/// A question that makes sense.
pub(crate) struct Ask {
    pub(crate) model: Arc<Model>,
    pub(crate) service_id: ServiceId,
    pub(crate) service: Service,
    pub(crate) online: bool,
    pub(crate) now: Timestamp,
    pub(crate) query: Query,
    /// The locations that are asked about, in the model's order.
    pub(crate) places: Vec<u32>,
    /// For each practitioner whether they are asked about.
    people: Vec<bool>,
    pub(crate) patient: Option<Uuid>,
    /// Owners whose claims do not keep the patient from a start.
    pub(crate) ignored: Vec<Uuid>,
    /// Of these, owners whose practitioner, room and equipment count as free too: an appointment that is to move.
    pub(crate) freed: Vec<Uuid>,
}

impl Ask {
    /// Reads a request; every fault is named.
    pub(crate) fn read(org: &Org, request: &SearchSlotsRequest, now: Timestamp) -> Result<Self, Fault> {
        let model = org.model(now).ok_or_else(Fault::not_found)?;
        if request.moving.is_empty() {
            return Self::of(model, request, now);
        }
        let (service, moving) = moves(org, &request.moving, now)?;
        if request.service_id.parse() != Ok(service) {
            return Err(Fault::violation("moving", "other_service", "name the appointment's own service"));
        }
        let asked = SearchSlotsRequest { minutes: moving.minutes, ..request.clone() };
        let ask = Self::of(model, &asked, now)?;
        Ok(Self { patient: ask.patient.or(moving.patient), ignored: moving.freed.clone(), freed: moving.freed, ..ask })
    }

    /// Reads a request against a model that need not be the present one. No appointment is to move.
    pub(crate) fn of(model: Arc<Model>, request: &SearchSlotsRequest, now: Timestamp) -> Result<Self, Fault> {
        let mut faults = Faults::new();
        let service_id = convert::id::<domain::id::Service>(&mut faults, "service_id", &request.service_id);
        let found = service_id.and_then(|id| Some((id, model.service(id.uuid())?.clone())));
        let found = found.map(|(id, service)| match request.minutes {
            0 => (id, service),
            duration_minutes => (id, Service { duration_minutes, ..service }),
        });
        let known = found.is_some() || service_id.is_none();
        faults.check(known, "service_id", "unknown_reference", "nothing in use has this id");
        let window = window(&mut faults, request);
        let locations = chosen::<domain::id::Location>(&mut faults, "location_id", &request.location_ids, |id| {
            model.place(id).map(|(at, _)| at)
        });
        let practitioners =
            chosen::<domain::id::Practitioner>(&mut faults, "practitioner_id", &request.practitioner_ids, |id| {
                model.person(id).map(|(at, _)| at)
            });
        let near = Near::read(&mut faults, request);
        let patient = convert::optional_id::<domain::id::Patient>(&mut faults, "patient_id", &request.patient_id);
        let weekdays = weekdays(&mut faults, &request.days);
        let not_before = wall(&mut faults, "not_before", &request.not_before, 0);
        let not_after = wall(&mut faults, "not_after", &request.not_after, 1440);
        faults.check(not_before < not_after, "not_after", "ends_before_start", "must be later than `not_before`");
        faults.check(request.limit <= 200, "limit", "out_of_range", "must lie between 1 and 200");
        let after = cursor(&mut faults, &model, service_id, &request.cursor);
        faults.result()?;
        let (Some((service_id, service)), Some((from, to))) = (found, window) else {
            return Err(Fault::internal("a question without faults lacks a part"));
        };
        let online = request.channel != BookingChannel::Staff as i32;
        let limit = if request.limit == 0 { 50 } else { request.limit as usize };
        let window = bounds(&service, online, now, from, to);
        let any = query(&service, service.duration_minutes, window, limit);
        let wanted = |at: u32, place: &Place| {
            locations.as_ref().is_none_or(|chosen| chosen.contains(&at))
                && near.as_ref().is_none_or(|near| near.holds(&place.location))
        };
        let places = (0..).zip(&model.places).filter(|(at, place)| wanted(*at, place)).map(|(at, _)| at).collect();
        let speaks = |languages: &[String]| {
            request.language.is_empty() || languages.iter().any(|language| same_language(language, &request.language))
        };
        let people = (0..)
            .zip(&model.people)
            .map(|(at, person)| {
                practitioners.as_ref().is_none_or(|chosen| chosen.contains(&at))
                    && (!online || person.practitioner.online)
                    && speaks(&person.practitioner.languages)
            })
            .collect();
        let query = Query { weekdays, not_before, not_after, practitioners: everyone(&model), after, ..any };
        let patient = patient.map(Id::uuid);
        let (ignored, freed) = (vec![], vec![]);
        Ok(Self { service_id, service, online, now, query, places, people, patient, ignored, freed, model })
    }

    /// Whether the question asks about a practitioner.
    pub(crate) fn wants(&self, person: u32) -> bool {
        self.people[person as usize]
    }

    /// The slot of a start.
    pub(crate) fn slot(&self, open: &Open) -> Slot {
        Slot {
            starts_at: tick::instant(open.found.start),
            service: self.service_id,
            location: LocationId::new(self.model.places[open.found.place as usize].id),
            practitioner: PractitionerId::new(self.model.people[open.found.practitioner as usize].id),
            minutes: open.minutes,
            shared: self.service.capacity > 1,
        }
    }

    /// A start for the wire.
    pub(crate) fn shown(&self, open: &Open) -> availability::Slot {
        let place = &self.model.places[open.found.place as usize];
        let person = &self.model.people[open.found.practitioner as usize];
        shown(&self.slot(open), place, &person.shown_id, open.places_left)
    }

    /// The cursor of the page after this start.
    pub(crate) fn cursor_after(&self, open: &Open) -> String {
        self.slot(open).to_string().trim_start_matches(SLOT_PREFIX).to_owned()
    }
}

/// The appointment that a search names as moving, with its service; one that is not ahead is unknown.
pub(crate) fn moves(org: &Org, text: &str, now: Timestamp) -> Result<(ServiceId, Moving), Fault> {
    let unknown = || Fault::violation("moving", "unknown_reference", "no appointment that is ahead has this id");
    let id: AppointmentId = text.parse().map_err(|_| unknown())?;
    let moving = org.projection(now).moving(id.uuid()).ok_or_else(unknown)?;
    Ok((ServiceId::new(moving.service), moving))
}

/// A slot for the wire.
pub(crate) fn shown(slot: &Slot, place: &Place, practitioner_id: &str, places_left: u32) -> availability::Slot {
    availability::Slot {
        slot_id: slot.to_string(),
        service_id: slot.service.to_string(),
        practitioner_id: practitioner_id.to_owned(),
        location_id: place.shown_id.clone(),
        starts_at_us: slot.starts_at.as_microsecond(),
        ends_at_us: slot.ends_at().as_microsecond(),
        time_zone: place.location.time_zone.clone(),
        places_left,
    }
}

/// The kernel's query for a visit of a service that takes so many minutes, any day and hour.
pub(crate) fn query(service: &Service, minutes: u32, window: Span, limit: usize) -> Query {
    // What does not end on the grid takes all of its last tick.
    let ticks = |minutes: u32| (i64::from(minutes) + MINUTES - 1) / MINUTES;
    Query {
        prep: ticks(service.prep_minutes),
        cleanup: ticks(service.cleanup_minutes),
        ..Query::new(window, ticks(minutes).max(1), i64::from(service.start_alignment_minutes), limit)
    }
}

/// The ticks in which visits may start now: after the notice, before the horizon. Staff need no notice, but cannot
/// book the past.
pub(crate) fn bounds(service: &Service, online: bool, now: Timestamp, from: Timestamp, to: Timestamp) -> Span {
    let notice =
        if online { SignedDuration::from_mins(i64::from(service.min_notice_minutes)) } else { SignedDuration::ZERO };
    let horizon = SignedDuration::from_hours(24 * i64::from(service.horizon_days));
    let first = now.saturating_add(notice).unwrap_or(Timestamp::MAX).max(from);
    let last = now.saturating_add(horizon).unwrap_or(Timestamp::MAX).min(to);
    Span::new(tick::ceil(first), tick::ceil(last))
}

fn window(faults: &mut Faults, request: &SearchSlotsRequest) -> Option<(Timestamp, Timestamp)> {
    let from = convert::instant(faults, "from", request.from_us);
    let to = convert::instant(faults, "to", request.to_us);
    let (from, to) = (from?, to?);
    faults.check(from < to, "to", "ends_before_start", "must be later than `from`");
    let longest = SignedDuration::from_hours(24 * DAYS_MAX);
    faults.check(to.duration_since(from) <= longest, "to", "too_long", "at most 400 days after `from`");
    Some((from, to))
}

/// The places in the model of what the caller names; `None` where nothing is named. The words are the same for an
/// id that nobody has and for one of another organisation.
fn chosen<K: domain::id::Kind>(
    faults: &mut Faults,
    pointer: &str,
    texts: &[String],
    find: impl Fn(Uuid) -> Option<u32>,
) -> Option<Vec<u32>> {
    faults.check(texts.len() <= CHOSEN_MAX, pointer, "too_many", "name at most 200");
    let found = texts.iter().take(CHOSEN_MAX).filter_map(|text| {
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

/// Reads where the page before ended. It names ids, not places in a list, so that it holds while the directory
/// changes; where its location or practitioner is gone, its whole tick comes again rather than be left out.
fn cursor(faults: &mut Faults, model: &Model, service: Option<ServiceId>, text: &str) -> Option<Found> {
    if text.is_empty() {
        return None;
    }
    let slot = format!("{SLOT_PREFIX}{text}").parse::<Slot>().ok();
    let slot = slot.filter(|slot| service.is_none_or(|service| service == slot.service));
    faults.check(slot.is_some(), "cursor", "invalid_cursor", "use the next_cursor of the page before, as it is");
    let slot = slot?;
    let start = tick::floor(slot.starts_at);
    let found = model.place(slot.location.uuid()).zip(model.person(slot.practitioner.uuid()));
    Some(match found {
        Some(((place, _), (practitioner, _))) => {
            Found { start, place, rank: rank(practitioner, everyone(model), start), practitioner }
        }
        None => Found { start: start - 1, place: u32::MAX, rank: u32::MAX, practitioner: u32::MAX },
    })
}

/// Among how many practitioners turns are taken: all of them, whatever is asked, so that pages fit together.
pub(crate) fn everyone(model: &Model) -> u32 {
    u32::try_from(model.people.len()).unwrap_or(u32::MAX).max(1)
}

fn same_language(spoken: &str, asked: &str) -> bool {
    let primary = |tag: &str| tag.split('-').next().unwrap_or(tag).to_ascii_lowercase();
    spoken.eq_ignore_ascii_case(asked) || primary(spoken) == primary(asked)
}
