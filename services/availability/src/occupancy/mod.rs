//! What is taken, followed from booking's feed. Pure: a change goes in, the calendars follow.

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

use self::calendars::Calendars;
pub(crate) use self::sessions::{Freed, Group, Moving};

/// Who claims: an appointment, a hold or a group session.
struct Owned {
    version: i64,
    claims: Vec<Claim>,
    expires_at_us: i64,
}

/// An appointment that is still to come, as far as availability must know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Booked {
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

/// What a change says of its owner.
enum State {
    /// Still to come.
    Booked(Booked),
    Group(Group),
    /// Nothing but its claims: a hold, a visit that is over or called off, a group session without members.
    Bare,
}

/// What is taken in one organisation.
pub(crate) struct Projection {
    calendars: Calendars,
    owners: HashMap<Uuid, Owned>,
    expiries: BinaryHeap<Reverse<(i64, Uuid)>>,
    booked: HashMap<Uuid, Booked>,
    groups: HashMap<Uuid, Group>,
    /// Who has a place in each group session: appointments and holds.
    members: HashMap<Uuid, Vec<Uuid>>,
    /// The groups by service and start.
    group_starts: BTreeSet<(Uuid, i64, Uuid)>,
}

impl Projection {
    pub(crate) fn new(span: Span) -> Self {
        Self {
            calendars: Calendars::new(span),
            owners: HashMap::new(),
            expiries: BinaryHeap::new(),
            booked: HashMap::new(),
            groups: HashMap::new(),
            members: HashMap::new(),
            group_starts: BTreeSet::new(),
        }
    }

    /// The ticks that the calendars cover.
    pub(crate) fn span(&self) -> Span {
        self.calendars.span()
    }

    /// Applies a change unless a newer one of the same owner was applied, or it makes no sense; answers whose it was.
    pub(crate) fn apply(&mut self, change: &Change) -> Option<Uuid> {
        let (owner, state) = read(change)?;
        if self.owners.get(&owner).is_some_and(|owned| owned.version >= change.version) {
            return None;
        }
        self.release(owner);
        self.forget(owner);
        match state {
            State::Booked(booked) => drop(self.booked.insert(owner, booked)),
            State::Group(group) => {
                self.group_starts.insert((group.service, group.starts_at_us, owner));
                self.groups.insert(owner, group);
            }
            State::Bare => {}
        }
        let claims: Vec<Claim> = change.claims.iter().filter_map(wire::convert::claim::from_wire).collect();
        for claim in &claims {
            self.calendars.take(claim, owner);
            if claim.kind == Kind::Place {
                self.enter(claim.resource, owner);
            }
        }
        if change.claims_expire_at_us != 0 && !claims.is_empty() {
            self.expiries.push(Reverse((change.claims_expire_at_us, owner)));
        }
        // A hold that is gone stays known for its version, so that a late `held` cannot bring it back.
        self.owners.insert(owner, Owned { version: change.version, claims, expires_at_us: change.claims_expire_at_us });
        Some(owner)
    }

    /// Whether a hold has expired that is still counted.
    pub(crate) fn has_expired(&self, now_us: i64) -> bool {
        self.expiries.peek().is_some_and(|Reverse((at, _))| *at <= now_us)
    }

    /// Frees what expired holds have: an expired hold blocks nobody, at once.
    pub(crate) fn expire(&mut self, now_us: i64) {
        while let Some(Reverse((at, owner))) = self.expiries.peek().copied() {
            if at > now_us {
                return;
            }
            self.expiries.pop();
            if self.owners.get(&owner).is_some_and(|owned| owned.expires_at_us != 0 && owned.expires_at_us <= now_us) {
                self.release(owner);
            }
        }
    }

    /// Holds calendars for other ticks from now on, and forgets what lies before them.
    pub(crate) fn rebase(&mut self, span: Span) {
        if self.span() == span {
            return;
        }
        self.calendars.rebase(span);
        let ends_us = tick::instant(span.start).as_microsecond();
        self.booked.retain(|_, booked| booked.ends_at_us > ends_us);
        let past = |claim: &Claim| claim.interval.end().as_microsecond() <= ends_us;
        self.owners.retain(|_, owned| !owned.claims.iter().all(past));
        self.forget_sessions(ends_us);
    }

    /// What is taken of a practitioner, a room or a unit of equipment, as bits.
    pub(crate) fn bits(&self, kind: Kind, resource: Uuid, unit: i16) -> &Bits {
        self.calendars.bits(kind, resource, unit)
    }

    /// Whether a resource is free, claims of the ignored owners left out.
    pub(crate) fn is_free(&self, kind: Kind, resource: Uuid, unit: i16, span: Span, ignored: &[Uuid]) -> bool {
        self.calendars.is_free(kind, resource, unit, span, ignored)
    }

    /// The claims on a patient or a group session, by their start.
    pub(crate) fn claims_on(&self, kind: Kind, resource: Uuid) -> &[(Span, Uuid)] {
        self.calendars.sparse(kind, resource)
    }

    /// How many of a practitioner's claims begin in these ticks, or of their needling alone; those of the ignored owners
    /// left out.
    pub(crate) fn visits(&self, practitioner: Uuid, span: Span, needling: bool, ignored: &[Uuid]) -> usize {
        let claims = self.calendars.of_practitioner(practitioner);
        let from = claims.partition_point(|(claim, _)| claim.start < span.start);
        let mine = claims[from..].iter().take_while(|(claim, _)| claim.start < span.end);
        mine.filter(|(_, mark)| !ignored.contains(&mark.owner) && (!needling || mark.needling)).count()
    }

    /// A practitioner's claims that meet some ticks, with the number of each one's location where it is known; those of
    /// the ignored owners left out. No claim is longer than a day.
    pub(crate) fn whereabouts<'a>(
        &'a self,
        practitioner: Uuid,
        span: Span,
        ignored: &'a [Uuid],
    ) -> impl Iterator<Item = (Span, u16)> + 'a {
        let claims = self.calendars.of_practitioner(practitioner);
        let from = claims.partition_point(|(claim, _)| claim.start < span.start - tick::PER_DAY);
        let near = claims[from..].iter().take_while(move |(claim, _)| claim.start < span.end);
        let mine = near.filter(move |(claim, mark)| claim.end > span.start && !ignored.contains(&mark.owner));
        mine.filter_map(|(span, mark)| Some((*span, mark.location?)))
    }

    /// The locations by the numbers that whereabouts tell.
    pub(crate) fn locations(&self) -> &[Uuid] {
        self.calendars.locations()
    }

    /// Everything that an owner has taken.
    pub(crate) fn claims_of(&self, owner: Uuid) -> &[Claim] {
        self.owners.get(&owner).map_or(&[], |owned| owned.claims.as_slice())
    }

    /// The appointments that are still to come.
    pub(crate) fn booked(&self) -> impl Iterator<Item = (Uuid, &Booked)> {
        self.booked.iter().map(|(id, booked)| (*id, booked))
    }

    /// An appointment that is still to come.
    pub(crate) fn appointment(&self, id: Uuid) -> Option<&Booked> {
        self.booked.get(&id)
    }

    fn release(&mut self, owner: Uuid) {
        let claims = self.owners.get_mut(&owner).map(|owned| std::mem::take(&mut owned.claims));
        for claim in claims.unwrap_or_default() {
            self.calendars.free(&claim, owner);
            if claim.kind == Kind::Place {
                self.leave(claim.resource, owner);
            }
        }
    }

    fn forget(&mut self, owner: Uuid) {
        self.booked.remove(&owner);
        if let Some(group) = self.groups.remove(&owner) {
            self.group_starts.remove(&(group.service, group.starts_at_us, owner));
        }
    }
}

/// Whose claims a change is about; `None` where it makes no sense.
pub(crate) fn owner(change: &Change) -> Option<Uuid> {
    read(change).map(|(owner, _)| owner)
}

fn read(change: &Change) -> Option<(Uuid, State)> {
    Some(match change.owner.as_ref()? {
        Owner::Appointment(state) => (state.id.parse::<AppointmentId>().ok()?.uuid(), booked(state, change.version)?),
        Owner::Group(state) => {
            let id = state.id.parse::<GroupId>().ok()?.uuid();
            (id, if change.claims.is_empty() { State::Bare } else { State::Group(group(state)?) })
        }
        Owner::Hold(state) => (state.id.parse::<HoldId>().ok()?.uuid(), State::Bare),
        // A plan takes nothing: its appointments do.
        Owner::Plan(_) | Owner::Offer(_) | Owner::Waitlist(_) => return None,
    })
}

fn booked(state: &AppointmentState, version: i64) -> Option<State> {
    if !state.status.parse::<Status>().ok()?.is_upcoming() {
        return Some(State::Bare);
    }
    Some(State::Booked(Booked {
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

fn group(state: &GroupState) -> Option<Group> {
    Some(Group {
        service: state.service_id.parse::<ServiceId>().ok()?.uuid(),
        practitioner: state.practitioner_id.parse::<PractitionerId>().ok()?.uuid(),
        location: state.location_id.parse::<LocationId>().ok()?.uuid(),
        room: state.room_id.parse::<RoomId>().ok().map(Into::into),
        starts_at_us: state.starts_at_us,
        ends_at_us: state.ends_at_us,
    })
}
