//! Group sessions: each keeps the length and the claims that it began with, whatever its service says now.

use calendar::Span;
use domain::{
    claim::Kind,
    time::{Interval, from_micros},
};
use uuid::Uuid;

use super::Projection;

/// A group session that has members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) service: Uuid,
    pub(crate) practitioner: Uuid,
    pub(crate) location: Uuid,
    pub(crate) room: Option<Uuid>,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
}

impl Group {
    /// The session itself, without preparation and clean-up; `None` where its instants make no sense.
    pub(crate) fn visit(&self) -> Option<Span> {
        Some(Span::touching(Interval::new(from_micros(self.starts_at_us)?, from_micros(self.ends_at_us)?)?))
    }

    /// How many minutes it takes.
    pub(crate) fn minutes(&self) -> u32 {
        minutes(self.starts_at_us, self.ends_at_us)
    }
}

/// The minutes from one instant to another, both in microseconds.
fn minutes(from_us: i64, to_us: i64) -> u32 {
    u32::try_from((to_us - from_us) / 60_000_000).unwrap_or(0)
}

/// An appointment that is to move: what a search for its new time must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moving {
    pub(crate) service: Uuid,
    /// The length that it keeps.
    pub(crate) minutes: u32,
    pub(crate) patient: Option<Uuid>,
    /// Whose claims count as free: its own, and those of its group session where nobody else is in it.
    pub(crate) freed: Vec<Uuid>,
}

impl Projection {
    /// The group sessions of a service that start from one instant up to another, earliest first.
    pub(crate) fn groups(&self, service: Uuid, from_us: i64, to_us: i64) -> impl Iterator<Item = (Uuid, &Group)> {
        let range =
            self.group_starts.range((service, from_us, Uuid::nil())..(service, to_us.max(from_us), Uuid::nil()));
        range.filter_map(|(_, _, id)| Some((*id, self.groups.get(id)?)))
    }

    /// How many places of a group session are taken, those of the ignored owners left out.
    pub(crate) fn places_taken(&self, id: Uuid, ignored: &[Uuid]) -> u32 {
        let taken = self.members(id).iter().filter(|owner| !ignored.contains(owner)).count();
        u32::try_from(taken).unwrap_or(u32::MAX)
    }

    /// The time that a group session claims of its practitioner.
    pub(crate) fn session_claim(&self, id: Uuid) -> Option<Span> {
        let claims = self.claims_of(id).iter();
        claims.filter(|claim| claim.kind == Kind::Practitioner).map(|claim| Span::touching(claim.interval)).next()
    }

    /// Some owners, and the group sessions of the appointments among them in which nobody else is: those end with them.
    pub(crate) fn with_own_sessions(&self, owners: &[Uuid]) -> Vec<Uuid> {
        let groups = owners.iter().filter_map(|owner| self.appointment(*owner)?.group);
        let alone = groups.filter(|group| self.members(*group).iter().all(|member| owners.contains(member)));
        owners.iter().copied().chain(alone).collect()
    }

    /// An appointment that is still to come, as one that is to move.
    pub(crate) fn moving(&self, appointment: Uuid) -> Option<Moving> {
        let booked = self.appointment(appointment)?;
        let patient = self.claims_of(appointment).iter().find(|claim| claim.kind == Kind::Patient);
        Some(Moving {
            service: booked.service,
            minutes: minutes(booked.starts_at_us, booked.ends_at_us),
            patient: patient.map(|claim| claim.resource),
            freed: self.with_own_sessions(&[appointment]),
        })
    }

    /// The appointments that the coming group sessions of a service have beyond so many places: those that were booked
    /// last, session by session.
    pub(crate) fn beyond(&self, service: Uuid, capacity: u32, now_us: i64) -> Vec<Uuid> {
        let coming = self.groups(service, now_us + 1, i64::MAX);
        coming
            .flat_map(|(id, _)| {
                let booked = self.members(id).iter().copied().filter(|owner| self.appointment(*owner).is_some());
                let mut booked: Vec<Uuid> = booked.collect();
                // An id begins with the time at which it was made (RFC 9562, version 7).
                booked.sort_unstable();
                booked.into_iter().skip(capacity as usize)
            })
            .collect()
    }

    /// The owners of a group session's places.
    fn members(&self, id: Uuid) -> &[Uuid] {
        self.members.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn enter(&mut self, group: Uuid, owner: Uuid) {
        self.members.entry(group).or_default().push(owner);
    }

    pub(super) fn leave(&mut self, group: Uuid, owner: Uuid) {
        if let Some(members) = self.members.get_mut(&group) {
            members.retain(|member| *member != owner);
            if members.is_empty() {
                self.members.remove(&group);
            }
        }
    }

    /// Forgets the sessions that began before an instant, and those who were in them.
    pub(super) fn forget_sessions(&mut self, before_us: i64) {
        self.groups.retain(|_, group| group.starts_at_us > before_us);
        self.group_starts.retain(|(_, starts_at_us, _)| *starts_at_us > before_us);
        let owners = &self.owners;
        self.members.retain(|_, members| {
            members.retain(|member| owners.contains_key(member));
            !members.is_empty()
        });
    }
}

/// The calendars without the claims of some owners.
pub(crate) struct Freed<'a> {
    projection: &'a Projection,
    calendars: Vec<(Kind, Uuid, i16, calendar::Bits)>,
}

impl<'a> Freed<'a> {
    pub(crate) fn new(projection: &'a Projection, owners: &[Uuid]) -> Self {
        let claims = owners.iter().flat_map(|owner| projection.claims_of(*owner));
        let calendars = claims.filter_map(|claim| {
            let (kind, resource, unit) = (claim.kind, claim.resource, claim.unit);
            Some((kind, resource, unit, projection.calendars.without(kind, resource, unit, owners)?))
        });
        Self { projection, calendars: calendars.collect() }
    }

    /// What is taken of a practitioner, a room or a unit of equipment, as bits.
    pub(crate) fn bits(&self, kind: Kind, resource: Uuid, unit: i16) -> &calendar::Bits {
        let freed = self.calendars.iter().find(|(one, id, at, _)| (*one, *id, *at) == (kind, resource, unit));
        freed.map_or_else(|| self.projection.bits(kind, resource, unit), |(.., bits)| bits)
    }
}
