//! Displaced appointments: those whose ground a change of the directory has taken away.
//!
//! Level-triggered: what should be flagged is computed from what is, and told to booking where it differs, until
//! booking has heard it. A roster that changes in the same instant as a booking ends in the same state as one that
//! changes a minute later.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use calendar::{Span, tick};
use domain::{
    claim::{Claim, Kind},
    id::{AppointmentId, OrganizationId},
    time::{Interval, from_micros},
};
use jiff::Timestamp;
use rpc::{Context, Fault};
use runtime::Shutdown;
use tokio::sync::Notify;
use uuid::Uuid;
use wire::booking::{SetDisplacedRequest, set_displaced_request::Item};

use crate::{
    Inner,
    index::Model,
    jobs::feed::wait,
    occupancy::{Booked, Projection},
};

/// Appointments in one call: each is a commit of booking's, and all must fit in the call's deadline.
const ITEMS_MAX: usize = 200;
const WITHIN: Duration = Duration::from_secs(10);
/// How long a change of the directory waits for booking to hear of it, before it is left to the background.
const PROMPT: Duration = Duration::from_secs(1);
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(5);

/// Whether a booked visit still has its ground: its practitioner works there for all the time that is claimed, and
/// holds the certificate that day; its room is in use and of the right type; its equipment is there.
///
/// An archived service does not take the ground away: it is no longer offered, but what is booked takes place.
pub(crate) fn stands(model: &Model, projection: &Projection, id: Uuid, booked: &Booked) -> bool {
    ground(model, projection, id, booked, booked.starts_at_us).unwrap_or(false)
}

/// The same of a visit that is to start at another instant, with all that it claims.
fn ground(model: &Model, projection: &Projection, id: Uuid, booked: &Booked, starts_at_us: i64) -> Option<bool> {
    let service = model.service_ever(booked.service)?;
    let (place_at, place) = model.place(booked.location)?;
    let (person_at, person) = model.person(booked.practitioner)?;
    let seat = model.seat(place_at, person_at)?;
    let start = from_micros(starts_at_us)?;
    let by_us = starts_at_us - booked.starts_at_us;
    let group = booked.group.map_or(&[] as &[Claim], |group| projection.claims_of(group));
    let claims = || projection.claims_of(id).iter().chain(group);
    let own = claims().find(|claim| claim.kind == Kind::Practitioner);
    let (from_us, to_us) = own.map_or((booked.starts_at_us, booked.ends_at_us), |own| {
        (own.interval.start().as_microsecond(), own.interval.end().as_microsecond())
    });
    let busy = Interval::new(from_micros(from_us + by_us)?, from_micros(to_us + by_us)?)?;
    let works = seat.roster().all(Span::touching(busy));
    let day = place.zone.date(tick::floor(start));
    let certified = service.required_certificate.as_ref().is_none_or(|code| person.holds(code, day).1);
    let fits = |room_type: &String| service.room_type.as_ref().is_none_or(|wanted| wanted == room_type);
    let in_room = booked.room.is_none_or(|room| place.rooms.iter().any(|(id, kind)| *id == room && fits(kind)));
    let equipped = claims()
        .filter(|claim| claim.kind == Kind::Equipment)
        .all(|claim| place.units.iter().any(|(pool, unit, _)| (*pool, *unit) == (claim.resource, claim.unit)));
    Some(works && certified && in_room && equipped)
}

/// The appointments ahead that stand before a change and no longer after it, earliest first. Of those that move with the
/// change `starts` says when they are to start: they may be on their way already, so that their flag tells whether they
/// stood.
pub(crate) fn between(
    projection: &Projection,
    before: &Model,
    after: &Model,
    starts: &HashMap<Uuid, i64>,
    now: Timestamp,
) -> Vec<String> {
    let falls = |id: Uuid, booked: &Booked| match starts.get(&id) {
        Some(start_us) => !booked.displaced && ground(after, projection, id, booked, *start_us) != Some(true),
        None => stands(before, projection, id, booked) && !stands(after, projection, id, booked),
    };
    let mut fallen: Vec<(i64, Uuid)> = ahead(projection, now)
        .filter(|(id, booked)| falls(*id, booked))
        .map(|(id, booked)| (booked.starts_at_us, id))
        .collect();
    fallen.sort_unstable();
    fallen.into_iter().map(|(_, id)| AppointmentId::new(id).to_string()).collect()
}

fn ahead(projection: &Projection, now: Timestamp) -> impl Iterator<Item = (Uuid, &Booked)> {
    let now_us = now.as_microsecond();
    projection.booked().filter(move |(_, booked)| booked.starts_at_us > now_us)
}

/// Which appointments' flags are to be looked at.
#[derive(Default)]
pub(crate) struct Doubts {
    doubted: Mutex<HashMap<Uuid, Doubt>>,
    bell: Notify,
}

enum Doubt {
    All,
    Some(HashSet<Uuid>),
}

impl Doubts {
    /// All appointments of an organisation.
    pub(crate) fn all(&self, organization: Uuid) {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner).insert(organization, Doubt::All);
        self.bell.notify_one();
    }

    /// One appointment.
    pub(crate) fn one(&self, organization: Uuid, appointment: Uuid) {
        let mut doubted = self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Doubt::Some(some) = doubted.entry(organization).or_insert_with(|| Doubt::Some(HashSet::new())) {
            some.insert(appointment);
        }
        drop(doubted);
        self.bell.notify_one();
    }

    fn take(&self) -> HashMap<Uuid, Doubt> {
        std::mem::take(&mut *self.doubted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Settles doubts as they come, until draining begins.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut pause = PAUSE_FIRST;
    while shutdown.until(inner.doubts.bell.notified()).await.is_some() {
        match shutdown.until(settle_all(inner)).await {
            None => return,
            Some(true) => pause = PAUSE_FIRST,
            Some(false) => {
                if shutdown.until(wait(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(PAUSE_LAST);
            }
        }
    }
}

/// Answers whether booking has heard of everything.
async fn settle_all(inner: &Inner) -> bool {
    let mut heard = true;
    for (organization, doubt) in inner.doubts.take() {
        let items = wrong(inner, organization, &doubt);
        if let Err(fault) = tell(inner, organization, items).await {
            tracing::warn!(
                code = fault.code.as_str(),
                "booking could not be told of displaced appointments; again soon"
            );
            inner.doubts.all(organization);
            heard = false;
        }
    }
    heard
}

/// Tells booking at once what a change of the directory has changed; what does not get through in time is left to
/// the background.
pub(crate) async fn settle(inner: &Inner, organization: Uuid) {
    let items = wrong(inner, organization, &Doubt::All);
    if items.is_empty() {
        return;
    }
    if !matches!(tokio::time::timeout(PROMPT, tell(inner, organization, items)).await, Ok(Ok(()))) {
        inner.doubts.all(organization);
    }
}

/// The appointments whose flag is not what it should be.
fn wrong(inner: &Inner, organization: Uuid, doubt: &Doubt) -> Vec<Item> {
    let now = inner.clock.now();
    let Some(org) = inner.orgs.get(organization) else { return vec![] };
    let Some(model) = org.model(now) else { return vec![] };
    let projection = org.projection(now);
    let check = |(id, booked): (Uuid, &Booked)| {
        let displaced = !stands(&model, &projection, id, booked);
        (displaced != booked.displaced).then(|| Item {
            appointment_id: AppointmentId::new(id).to_string(),
            displaced,
            seen_version: booked.version,
            time_zone: model
                .place(booked.location)
                .map(|(_, place)| place.location.time_zone.clone())
                .unwrap_or_default(),
        })
    };
    match doubt {
        Doubt::All => ahead(&projection, now).filter_map(check).collect(),
        Doubt::Some(some) => {
            let found = some.iter().filter_map(|id| Some((*id, projection.appointment(*id)?)));
            found.filter(|(_, booked)| booked.starts_at_us > now.as_microsecond()).filter_map(check).collect()
        }
    }
}

async fn tell(inner: &Inner, organization: Uuid, items: Vec<Item>) -> Result<(), Fault> {
    for part in items.chunks(ITEMS_MAX) {
        let ctx = Context::new(OrganizationId::new(organization), "availability", WITHIN);
        let request = SetDisplacedRequest { items: part.to_vec() };
        let answer = inner.booking.clone().set_displaced(ctx.request(request)).await?;
        metrics::counter!("availability_displaced_changes_total").increment(answer.into_inner().changed.into());
    }
    Ok(())
}
