//! What is taken, followed from booking's feed. Pure: a change goes in, the calendars follow.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use calendar::{Bits, Span, Taken, Tick, tick};
use domain::{
    appointment::Status,
    claim::{Claim, Kind},
};
use uuid::Uuid;
use wire::booking::{AppointmentState, Change, GroupState, change::Owner};

/// What a claim takes: kind, resource, unit.
type Resource = (Kind, Uuid, i16);

/// Who claims: an appointment, a hold or a group session.
struct Owned {
    version: i64,
    claims: Vec<Claim>,
    expires_at_us: i64,
}

/// An appointment, as far as availability must know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Booked {
    pub(crate) version: i64,
    pub(crate) status: Status,
    pub(crate) service: Uuid,
    pub(crate) practitioner: Uuid,
    pub(crate) location: Uuid,
    pub(crate) room: Option<Uuid>,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) displaced: bool,
}

/// A group session that has members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) service: Uuid,
    pub(crate) practitioner: Uuid,
    pub(crate) location: Uuid,
    pub(crate) room: Option<Uuid>,
    pub(crate) starts_at_us: i64,
    pub(crate) capacity: u32,
}

/// What is taken in one organisation.
pub(crate) struct Projection {
    span: Span,
    taken: HashMap<Resource, Taken<Uuid>>,
    owners: HashMap<Uuid, Owned>,
    expiries: BinaryHeap<Reverse<(i64, Uuid)>>,
    pub(crate) booked: HashMap<Uuid, Booked>,
    pub(crate) groups: HashMap<Uuid, Group>,
    nothing: Bits,
}

impl Projection {
    pub(crate) fn new(span: Span) -> Self {
        Self {
            span,
            taken: HashMap::new(),
            owners: HashMap::new(),
            expiries: BinaryHeap::new(),
            booked: HashMap::new(),
            groups: HashMap::new(),
            nothing: Bits::new(Span::new(0, 0)),
        }
    }

    /// Applies a change unless a newer one of the same owner was applied; answers whose it was.
    pub(crate) fn apply(&mut self, change: &Change) -> Option<Uuid> {
        let owner = match change.owner.as_ref()? {
            Owner::Appointment(state) => state.id.parse::<domain::id::AppointmentId>().ok()?.uuid(),
            Owner::Group(state) => state.id.parse::<domain::id::GroupId>().ok()?.uuid(),
            Owner::Hold(state) => state.id.parse::<domain::id::HoldId>().ok()?.uuid(),
        };
        if self.owners.get(&owner).is_some_and(|owned| owned.version >= change.version) {
            return None;
        }
        self.release(owner);
        match change.owner.as_ref()? {
            Owner::Appointment(state) => self.booked.insert(owner, booked(state, change.version)?).map(drop),
            Owner::Group(_) if change.claims.is_empty() => self.groups.remove(&owner).map(drop),
            Owner::Group(state) => self.groups.insert(owner, group(state)?).map(drop),
            Owner::Hold(_) => None,
        };
        let claims: Vec<Claim> = change.claims.iter().filter_map(wire::convert::claim::from_wire).collect();
        for claim in &claims {
            let resource = (claim.kind, claim.resource, claim.unit);
            let taken = self.taken.entry(resource).or_insert_with(|| Taken::new(self.span));
            taken.insert(Span::touching(claim.interval), owner);
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
        if self.span == span {
            return;
        }
        self.span = span;
        for taken in self.taken.values_mut() {
            taken.rebase(span, span.start);
        }
        self.taken.retain(|_, taken| !taken.is_empty());
        let ends_us = tick::instant(span.start).as_microsecond();
        self.booked.retain(|_, booked| booked.ends_at_us > ends_us);
        self.groups.retain(|_, group| group.starts_at_us > ends_us);
        let past = |claim: &Claim| claim.interval.end().as_microsecond() <= ends_us;
        self.owners.retain(|_, owned| !(owned.claims.is_empty() || owned.claims.iter().all(past)));
    }

    /// What is taken of a resource, as bits.
    pub(crate) fn bits(&self, kind: Kind, resource: Uuid, unit: i16) -> &Bits {
        self.taken.get(&(kind, resource, unit)).map_or(&self.nothing, Taken::bits)
    }

    /// Whether a resource is free, claims of the ignored owners left out.
    pub(crate) fn is_free(&self, kind: Kind, resource: Uuid, unit: i16, span: Span, ignored: &[Uuid]) -> bool {
        let taken = self.taken.get(&(kind, resource, unit));
        taken.is_none_or(|taken| taken.is_free(span, |owner| ignored.contains(owner)))
    }

    /// How many places of a group session are taken, those of the ignored owners left out.
    pub(crate) fn places_taken(&self, id: Uuid, group: &Group, ignored: &[Uuid]) -> u32 {
        let at = Span::new(start_tick(group), start_tick(group) + 1);
        let units = 0..i16::try_from(group.capacity).unwrap_or(0);
        let taken = units.filter(|unit| !self.is_free(Kind::Place, id, *unit, at, ignored)).count();
        u32::try_from(taken).unwrap_or(group.capacity)
    }

    /// Starts of a practitioner's visits in these ticks, those of the ignored owners left out.
    pub(crate) fn visits(&self, practitioner: Uuid, span: Span, ignored: &[Uuid]) -> usize {
        let Some(taken) = self.taken.get(&(Kind::Practitioner, practitioner, 0)) else { return 0 };
        let claims = taken.claims();
        let from = claims.partition_point(|(claim, _)| claim.start < span.start);
        let mine = claims[from..].iter().take_while(|(claim, _)| claim.start < span.end);
        mine.filter(|(_, owner)| !ignored.contains(owner)).count()
    }

    /// A practitioner's claims that touch these ticks, by their start.
    pub(crate) fn claims(&self, practitioner: Uuid) -> &[(Span, Uuid)] {
        self.taken.get(&(Kind::Practitioner, practitioner, 0)).map_or(&[], Taken::claims)
    }

    fn release(&mut self, owner: Uuid) {
        let Some(owned) = self.owners.get_mut(&owner) else { return };
        for claim in std::mem::take(&mut owned.claims) {
            if let Some(taken) = self.taken.get_mut(&(claim.kind, claim.resource, claim.unit)) {
                taken.remove(Span::touching(claim.interval), &owner);
            }
        }
    }
}

/// The tick at which a group session starts.
pub(crate) fn start_tick(group: &Group) -> Tick {
    domain::time::from_micros(group.starts_at_us).map_or(0, tick::floor)
}

fn booked(state: &AppointmentState, version: i64) -> Option<Booked> {
    Some(Booked {
        version,
        status: state.status.parse().ok()?,
        service: state.service_id.parse::<domain::id::ServiceId>().ok()?.uuid(),
        practitioner: state.practitioner_id.parse::<domain::id::PractitionerId>().ok()?.uuid(),
        location: state.location_id.parse::<domain::id::LocationId>().ok()?.uuid(),
        room: state.room_id.parse::<domain::id::RoomId>().ok().map(Into::into),
        starts_at_us: state.starts_at_us,
        ends_at_us: state.ends_at_us,
        displaced: state.displaced,
    })
}

fn group(state: &GroupState) -> Option<Group> {
    Some(Group {
        service: state.service_id.parse::<domain::id::ServiceId>().ok()?.uuid(),
        practitioner: state.practitioner_id.parse::<domain::id::PractitionerId>().ok()?.uuid(),
        location: state.location_id.parse::<domain::id::LocationId>().ok()?.uuid(),
        room: state.room_id.parse::<domain::id::RoomId>().ok().map(Into::into),
        starts_at_us: state.starts_at_us,
        capacity: state.capacity,
    })
}
