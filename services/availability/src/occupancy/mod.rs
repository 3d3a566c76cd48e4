//! The occupied time of one organisation, projected from booking's feed. Pure: a change goes in, the calendars follow.

mod calendars;
mod sessions;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
};

use calendar::{Bits, Span, tick};
use domain::{
    appointment::Status,
    claim::{Claim, Kind},
    id::{AppointmentId, GroupId, HoldId, LocationId, PractitionerId, RoomId, ServiceId},
};
use uuid::Uuid;
use wire::booking::{AppointmentState, Change, GroupState, change::Owner};

use self::calendars::{Calendars, ClaimTag};
pub(crate) use self::sessions::{FreedCalendars, GroupSession, MovingAppointment};

/// The claims of an appointment, a hold or a group session.
struct OwnerClaims {
    version: i64,
    claims: Vec<Claim>,
    expires_at_us: i64,
}

/// An upcoming appointment, with the fields that availability needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Appointment {
    pub(crate) version: i64,
    pub(crate) service: Uuid,
    pub(crate) practitioner: Uuid,
    pub(crate) location: Uuid,
    pub(crate) room: Option<Uuid>,
    pub(crate) group: Option<Uuid>,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) displaced: bool,
}

/// The state of a change's owner.
enum OwnerState {
    Upcoming(Appointment),
    Group(GroupSession),
    /// Only claims count: a hold, an appointment that is over or cancelled, a group session without members.
    ClaimsOnly,
}

/// The occupied time of one organisation.
pub(crate) struct Occupancy {
    calendars: Calendars,
    owners: HashMap<Uuid, OwnerClaims>,
    expiries: BinaryHeap<Reverse<(i64, Uuid)>>,
    upcoming: HashMap<Uuid, Appointment>,
    groups: HashMap<Uuid, GroupSession>,
    /// The appointments and holds that have a place in each group session.
    members: HashMap<Uuid, Vec<Uuid>>,
    /// The group sessions by service and start.
    group_starts: BTreeSet<(Uuid, i64, Uuid)>,
}

impl Occupancy {
    pub(crate) fn new(span: Span) -> Self {
        Self {
            calendars: Calendars::new(span),
            owners: HashMap::new(),
            expiries: BinaryHeap::new(),
            upcoming: HashMap::new(),
            groups: HashMap::new(),
            members: HashMap::new(),
            group_starts: BTreeSet::new(),
        }
    }

    /// The ticks that the calendars cover.
    pub(crate) fn span(&self) -> Span {
        self.calendars.span()
    }

    /// Applies a change and returns its owner; `None` where a newer change of the owner was applied, or the change cannot
    /// be read.
    pub(crate) fn apply(&mut self, change: &Change) -> Option<Uuid> {
        let (owner, state) = read(change)?;
        if self.owners.get(&owner).is_some_and(|known| known.version >= change.version) {
            return None;
        }
        self.release(owner);
        self.remove_state(owner);
        match state {
            OwnerState::Upcoming(appointment) => drop(self.upcoming.insert(owner, appointment)),
            OwnerState::Group(group) => {
                self.group_starts.insert((group.service, group.starts_at_us, owner));
                self.groups.insert(owner, group);
            }
            OwnerState::ClaimsOnly => {}
        }
        let claims: Vec<Claim> = change.claims.iter().filter_map(wire::convert::claim::from_wire).collect();
        for claim in &claims {
            self.calendars.insert(claim, owner);
            if claim.kind == Kind::Place {
                self.add_member(claim.resource, owner);
            }
        }
        if change.claims_expire_at_us != 0 && !claims.is_empty() {
            self.expiries.push(Reverse((change.claims_expire_at_us, owner)));
        }
        // A released hold stays known by its version, so that a late `held` change cannot restore it.
        let expires_at_us = change.claims_expire_at_us;
        self.owners.insert(owner, OwnerClaims { version: change.version, claims, expires_at_us });
        Some(owner)
    }

    /// Whether the claims of an expired hold still count.
    pub(crate) fn has_expired(&self, now_us: i64) -> bool {
        self.expiries.peek().is_some_and(|Reverse((at, _))| *at <= now_us)
    }

    /// Releases the claims of expired holds.
    pub(crate) fn expire(&mut self, now_us: i64) {
        while let Some(Reverse((at, owner))) = self.expiries.peek().copied() {
            if at > now_us {
                return;
            }
            self.expiries.pop();
            if self.owners.get(&owner).is_some_and(|known| known.expires_at_us != 0 && known.expires_at_us <= now_us) {
                self.release(owner);
            }
        }
    }

    /// Covers other ticks from now on and drops everything that lies before them.
    pub(crate) fn rebase(&mut self, span: Span) {
        if self.span() == span {
            return;
        }
        self.calendars.rebase(span);
        let start_us = tick::instant(span.start).as_microsecond();
        self.upcoming.retain(|_, appointment| appointment.ends_at_us > start_us);
        let past = |claim: &Claim| claim.interval.end().as_microsecond() <= start_us;
        self.owners.retain(|_, known| !known.claims.iter().all(past));
        self.drop_sessions_before(start_us);
    }

    /// The occupied ticks of a practitioner, a room or a unit of equipment.
    #[inline]
    pub(crate) fn bits(&self, kind: Kind, resource: Uuid, unit: i16) -> &Bits {
        self.calendars.bits(kind, resource, unit)
    }

    /// Whether a resource is free once the claims of the ignored owners are left out.
    pub(crate) fn is_free(&self, kind: Kind, resource: Uuid, unit: i16, span: Span, ignored: &[Uuid]) -> bool {
        self.calendars.is_free(kind, resource, unit, span, ignored)
    }

    /// The claims on a patient or a group session with their owners, sorted by start.
    pub(crate) fn claims_on(&self, kind: Kind, resource: Uuid) -> &[(Span, Uuid)] {
        self.calendars.sparse(kind, resource)
    }

    /// The number of a practitioner's claims that begin in these ticks, or of their needling claims alone, without those
    /// of the ignored owners.
    pub(crate) fn count_claims(&self, practitioner: Uuid, span: Span, needling: bool, ignored: &[Uuid]) -> usize {
        let claims = self.calendars.of_practitioner(practitioner);
        let from = claims.partition_point(|(claim, _)| claim.start < span.start);
        let within = claims[from..].iter().take_while(|(claim, _)| claim.start < span.end);
        within.filter(|(_, tag)| !ignored.contains(&tag.owner) && (!needling || tag.needling)).count()
    }

    /// A practitioner's claims that meet some ticks, each with the number of its location (see [`Self::locations`]),
    /// without claims that name no location and those of the ignored owners.
    pub(crate) fn located_claims<'a>(
        &'a self,
        practitioner: Uuid,
        span: Span,
        ignored: &'a [Uuid],
    ) -> impl Iterator<Item = (Span, u16)> + 'a {
        let met = self.claims_meeting(practitioner, span).filter(|(_, tag)| !ignored.contains(&tag.owner));
        met.filter_map(|(span, tag)| Some((*span, tag.location?)))
    }

    /// The parts of a practitioner's claims that lie within some ticks, without those of holds.
    pub(crate) fn booked(&self, practitioner: Uuid, span: Span) -> impl Iterator<Item = Span> {
        let is_hold = move |owner: &Uuid| self.owners.get(owner).is_some_and(|known| known.expires_at_us != 0);
        let booked = self.claims_meeting(practitioner, span).filter(move |(_, tag)| !is_hold(&tag.owner));
        booked.map(move |(claim, _)| claim.and(span))
    }

    /// A practitioner's claims that meet some ticks. No claim is longer than a day.
    fn claims_meeting(&self, practitioner: Uuid, span: Span) -> impl Iterator<Item = &(Span, ClaimTag)> {
        let claims = self.calendars.of_practitioner(practitioner);
        let from = claims.partition_point(|(claim, _)| claim.start < span.start - tick::PER_DAY);
        let near = claims[from..].iter().take_while(move |(claim, _)| claim.start < span.end);
        near.filter(move |(claim, _)| claim.end > span.start)
    }

    /// The locations, by the numbers that [`Self::located_claims`] returns.
    pub(crate) fn locations(&self) -> &[Uuid] {
        self.calendars.locations()
    }

    /// All claims of an owner.
    pub(crate) fn claims_of(&self, owner: Uuid) -> &[Claim] {
        self.owners.get(&owner).map_or(&[], |known| known.claims.as_slice())
    }

    /// The upcoming appointments.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = (Uuid, &Appointment)> {
        self.upcoming.iter().map(|(id, appointment)| (*id, appointment))
    }

    /// An upcoming appointment.
    pub(crate) fn appointment(&self, id: Uuid) -> Option<&Appointment> {
        self.upcoming.get(&id)
    }

    fn release(&mut self, owner: Uuid) {
        let claims = self.owners.get_mut(&owner).map(|known| std::mem::take(&mut known.claims));
        for claim in claims.unwrap_or_default() {
            self.calendars.remove(&claim, owner);
            if claim.kind == Kind::Place {
                self.remove_member(claim.resource, owner);
            }
        }
    }

    fn remove_state(&mut self, owner: Uuid) {
        self.upcoming.remove(&owner);
        if let Some(group) = self.groups.remove(&owner) {
            self.group_starts.remove(&(group.service, group.starts_at_us, owner));
        }
    }
}

/// The owner of a change's claims; `None` where the change has none or cannot be read.
pub(crate) fn owner(change: &Change) -> Option<Uuid> {
    read(change).map(|(owner, _)| owner)
}

fn read(change: &Change) -> Option<(Uuid, OwnerState)> {
    Some(match change.owner.as_ref()? {
        Owner::Appointment(state) => {
            (state.id.parse::<AppointmentId>().ok()?.uuid(), appointment(state, change.version)?)
        }
        Owner::Group(state) => {
            let id = state.id.parse::<GroupId>().ok()?.uuid();
            let empty = change.claims.is_empty();
            (id, if empty { OwnerState::ClaimsOnly } else { OwnerState::Group(group(state)?) })
        }
        Owner::Hold(state) => (state.id.parse::<HoldId>().ok()?.uuid(), OwnerState::ClaimsOnly),
        // Plans, offers and waitlist entries have no claims of their own.
        Owner::Plan(_) | Owner::Offer(_) | Owner::Waitlist(_) => return None,
    })
}

fn appointment(state: &AppointmentState, version: i64) -> Option<OwnerState> {
    if !state.status.parse::<Status>().ok()?.is_upcoming() {
        return Some(OwnerState::ClaimsOnly);
    }
    Some(OwnerState::Upcoming(Appointment {
        version,
        service: state.service_id.parse::<ServiceId>().ok()?.uuid(),
        practitioner: state.practitioner_id.parse::<PractitionerId>().ok()?.uuid(),
        location: state.location_id.parse::<LocationId>().ok()?.uuid(),
        room: state.room_id.parse::<RoomId>().ok().map(Into::into),
        group: state.group_id.parse::<GroupId>().ok().map(Into::into),
        starts_at_us: state.starts_at_us,
        ends_at_us: state.ends_at_us,
        displaced: state.displaced,
    }))
}

fn group(state: &GroupState) -> Option<GroupSession> {
    Some(GroupSession {
        service: state.service_id.parse::<ServiceId>().ok()?.uuid(),
        practitioner: state.practitioner_id.parse::<PractitionerId>().ok()?.uuid(),
        location: state.location_id.parse::<LocationId>().ok()?.uuid(),
        room: state.room_id.parse::<RoomId>().ok().map(Into::into),
        starts_at_us: state.starts_at_us,
        ends_at_us: state.ends_at_us,
    })
}
