//! Displaced appointments: those that a change of the directory has made infeasible.
//!
//! Level-triggered: the flags are computed from the present state and sent to booking where they differ, until booking has
//! accepted them. So a roster that changes in the same instant as a booking ends in the same state as one that changes a
//! minute later.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
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
use tokio::sync::Notify;
use uuid::Uuid;
use wire::booking::{SetDisplacedRequest, set_displaced_request::Item};

use crate::{
    Inner,
    index::{Certification, Index},
    occupancy::{Appointment, Occupancy},
};

/// The most appointments in one call: each is a commit of booking's, and all must fit in the call's deadline.
const ITEMS_MAX: usize = 200;
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a change of the directory waits for booking before it leaves the flags to the background job.
const PROMPT_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether an appointment is feasible: its practitioner works at the location for the whole claim and holds the
/// certificate that day, its room is in use and of the right type, and its equipment is there.
///
/// An archived service does not displace: it is no longer offered, but its appointments take place.
fn is_feasible(index: &Index, occupancy: &Occupancy, id: Uuid, appointment: &Appointment) -> bool {
    is_feasible_at(index, occupancy, id, appointment, appointment.starts_at_us).unwrap_or(false)
}

/// The same as [`is_feasible`] for an appointment that is to start at another instant, with all its claims; `None` where
/// a part of it is not in use.
fn is_feasible_at(
    index: &Index,
    occupancy: &Occupancy,
    id: Uuid,
    appointment: &Appointment,
    starts_at_us: i64,
) -> Option<bool> {
    let service = index.service_or_archived(appointment.service)?;
    let (location_number, location) = index.location(appointment.location)?;
    let (practitioner_number, practitioner) = index.practitioner(appointment.practitioner)?;
    let shift = index.shift(location_number, practitioner_number)?;
    let start = from_micros(starts_at_us)?;
    let shift_us = starts_at_us - appointment.starts_at_us;
    let session = appointment.group.map_or(&[] as &[Claim], |group| occupancy.claims_of(group));
    let claims = || occupancy.claims_of(id).iter().chain(session);
    let own = claims().find(|claim| claim.kind == Kind::Practitioner);
    let (from_us, to_us) = own.map_or((appointment.starts_at_us, appointment.ends_at_us), |own| {
        (own.interval.start().as_microsecond(), own.interval.end().as_microsecond())
    });
    let claim = Interval::new(from_micros(from_us + shift_us)?, from_micros(to_us + shift_us)?)?;
    let works = shift.roster().all(Span::touching(claim));
    let day = location.zone.date(tick::floor(start));
    let required = service.required_certificate.as_ref();
    let certified = required.is_none_or(|code| practitioner.certification(code, day) == Certification::Valid);
    let fits = |room_type: &String| service.room_type.as_ref().is_none_or(|wanted| wanted == room_type);
    let in_room = appointment.room.is_none_or(|room| location.rooms.iter().any(|(id, kind)| *id == room && fits(kind)));
    let equipped = claims()
        .filter(|claim| claim.kind == Kind::Equipment)
        .all(|claim| location.units.iter().any(|(pool, unit, _)| (*pool, *unit) == (claim.resource, claim.unit)));
    Some(works && certified && in_room && equipped)
}

/// The upcoming appointments that are feasible before a change and not after it, earliest first.
///
/// `new_starts` holds the new starts, in microseconds, of the appointments that move with the change. These may have
/// moved already, so their present flag says whether they were feasible before.
pub(crate) fn displaced_by_change(
    occupancy: &Occupancy,
    before: &Index,
    after: &Index,
    new_starts: &HashMap<Uuid, i64>,
    now: Timestamp,
) -> Vec<String> {
    let is_displaced = |id: Uuid, appointment: &Appointment| match new_starts.get(&id) {
        Some(start_us) => {
            !appointment.displaced && is_feasible_at(after, occupancy, id, appointment, *start_us) != Some(true)
        }
        None => is_feasible(before, occupancy, id, appointment) && !is_feasible(after, occupancy, id, appointment),
    };
    let mut displaced: Vec<(i64, Uuid)> = upcoming(occupancy, now)
        .filter(|(id, appointment)| is_displaced(*id, appointment))
        .map(|(id, appointment)| (appointment.starts_at_us, id))
        .collect();
    displaced.sort_unstable();
    displaced.into_iter().map(|(_, id)| AppointmentId::new(id).to_string()).collect()
}

fn upcoming(occupancy: &Occupancy, now: Timestamp) -> impl Iterator<Item = (Uuid, &Appointment)> {
    let now_us = now.as_microsecond();
    occupancy.upcoming().filter(move |(_, appointment)| appointment.starts_at_us > now_us)
}

/// The appointments whose flags must be computed again.
#[derive(Default)]
pub(crate) struct RecheckQueue {
    pending: Mutex<HashMap<Uuid, Recheck>>,
    wake: Notify,
}

/// The appointments of one organisation to recheck.
enum Recheck {
    All,
    Some(HashSet<Uuid>),
}

impl RecheckQueue {
    /// Queues all appointments of an organisation.
    pub(crate) fn push_all(&self, organization: Uuid) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(organization, Recheck::All);
        self.wake.notify_one();
    }

    /// Queues one appointment.
    pub(crate) fn push(&self, organization: Uuid, appointment: Uuid) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Recheck::Some(some) = pending.entry(organization).or_insert_with(|| Recheck::Some(HashSet::new())) {
            some.insert(appointment);
        }
        drop(pending);
        self.wake.notify_one();
    }

    /// Waits until an appointment is queued.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    fn drain(&self) -> HashMap<Uuid, Recheck> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sends the flags of the queued appointments where they differ; `false` where booking did not accept all of them.
pub(crate) async fn sync_queued(inner: &Inner) -> bool {
    let mut accepted = true;
    for (organization, recheck) in inner.rechecks.drain() {
        let items = outdated_flags(inner, organization, &recheck);
        if let Err(fault) = send_flags(inner, organization, items).await {
            let organization_id = OrganizationId::new(organization);
            tracing::warn!(
                %organization_id,
                code = fault.code.as_str(),
                "booking did not accept displaced flags; they are sent again"
            );
            inner.rechecks.push_all(organization);
            accepted = false;
        }
    }
    accepted
}

/// Sends the flags of an organisation at once, after a change of its directory; flags that booking does not accept in
/// time are left to the background job.
pub(crate) async fn sync_now(inner: &Inner, organization: Uuid) {
    let items = outdated_flags(inner, organization, &Recheck::All);
    if items.is_empty() {
        return;
    }
    let sent = tokio::time::timeout(PROMPT_TIMEOUT, send_flags(inner, organization, items)).await;
    if !matches!(sent, Ok(Ok(()))) {
        inner.rechecks.push_all(organization);
    }
}

/// The appointments whose flag differs from their feasibility.
fn outdated_flags(inner: &Inner, organization: Uuid, recheck: &Recheck) -> Vec<Item> {
    let now = inner.clock.now();
    let Some(organisation) = inner.organisations.get(organization) else { return vec![] };
    let Some(index) = organisation.index(now) else { return vec![] };
    let occupancy = organisation.occupancy(now);
    let outdated = |(id, appointment): (Uuid, &Appointment)| {
        let displaced = !is_feasible(&index, &occupancy, id, appointment);
        let location = || index.location(appointment.location).map(|(_, location)| location.body.time_zone.clone());
        (displaced != appointment.displaced).then(|| Item {
            appointment_id: AppointmentId::new(id).to_string(),
            displaced,
            seen_version: appointment.version,
            time_zone: location().unwrap_or_default(),
        })
    };
    match recheck {
        Recheck::All => upcoming(&occupancy, now).filter_map(outdated).collect(),
        Recheck::Some(some) => {
            let found = some.iter().filter_map(|id| Some((*id, occupancy.appointment(*id)?)));
            let now_us = now.as_microsecond();
            found.filter(|(_, appointment)| appointment.starts_at_us > now_us).filter_map(outdated).collect()
        }
    }
}

async fn send_flags(inner: &Inner, organization: Uuid, items: Vec<Item>) -> Result<(), Fault> {
    for part in items.chunks(ITEMS_MAX) {
        let ctx = Context::new(OrganizationId::new(organization), "availability", CALL_TIMEOUT);
        let request = SetDisplacedRequest { items: part.to_vec() };
        let answer = inner.booking.clone().set_displaced(ctx.request(request)).await?;
        metrics::counter!("availability_displaced_changes_total").increment(answer.into_inner().changed.into());
    }
    Ok(())
}
