//! Group sessions. A session keeps the length and the claims that it began with, whatever its service says now.

use calendar::{Bits, Span};
use domain::{
    claim::Kind,
    time::{Interval, from_micros},
};
use uuid::Uuid;

use super::Occupancy;

/// A group session that has members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupSession {
    pub(crate) service: Uuid,
    pub(crate) practitioner: Uuid,
    pub(crate) location: Uuid,
    pub(crate) room: Option<Uuid>,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
}

impl GroupSession {
    /// The ticks of the session itself, without preparation and clean-up; `None` where its instants are invalid.
    pub(crate) fn visit(&self) -> Option<Span> {
        Some(Span::touching(Interval::new(from_micros(self.starts_at_us)?, from_micros(self.ends_at_us)?)?))
    }

    /// The length in minutes.
    pub(crate) fn minutes(&self) -> u32 {
        minutes_between(self.starts_at_us, self.ends_at_us)
    }
}

/// The minutes between two instants, both in microseconds.
fn minutes_between(from_us: i64, to_us: i64) -> u32 {
    u32::try_from((to_us - from_us) / 60_000_000).unwrap_or(0)
}

/// An appointment that is to move, as a search for its new time needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MovingAppointment {
    pub(crate) service: Uuid,
    /// The length that the appointment keeps.
    pub(crate) minutes: u32,
    pub(crate) patient: Option<Uuid>,
    /// The owners whose claims count as free: the appointment, and its group session if it has no other member.
    pub(crate) freed: Vec<Uuid>,
}

impl Occupancy {
    /// The group sessions of a service that start in `from_us..to_us`, earliest first.
    pub(crate) fn groups(
        &self,
        service: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> impl Iterator<Item = (Uuid, &GroupSession)> {
        let range =
            self.group_starts.range((service, from_us, Uuid::nil())..(service, to_us.max(from_us), Uuid::nil()));
        range.filter_map(|(_, _, id)| Some((*id, self.groups.get(id)?)))
    }

    /// The number of occupied places in a group session, without those of the ignored owners.
    pub(crate) fn occupied_places(&self, group: Uuid, ignored: &[Uuid]) -> u32 {
        let occupied = self.members(group).iter().filter(|owner| !ignored.contains(owner)).count();
        u32::try_from(occupied).unwrap_or(u32::MAX)
    }

    /// The claim of a group session on its practitioner.
    pub(crate) fn session_claim(&self, group: Uuid) -> Option<Span> {
        let claims = self.claims_of(group).iter();
        claims.filter(|claim| claim.kind == Kind::Practitioner).map(|claim| Span::touching(claim.interval)).next()
    }

    /// Some owners, and the group sessions that would be empty without them: these end with their last member.
    pub(crate) fn with_emptied_sessions(&self, owners: &[Uuid]) -> Vec<Uuid> {
        let groups = owners.iter().filter_map(|owner| self.appointment(*owner)?.group);
        let emptied = groups.filter(|group| self.members(*group).iter().all(|member| owners.contains(member)));
        owners.iter().copied().chain(emptied).collect()
    }

    /// An upcoming appointment, as one that is to move.
    pub(crate) fn moving(&self, id: Uuid) -> Option<MovingAppointment> {
        let appointment = self.appointment(id)?;
        let patient = self.claims_of(id).iter().find(|claim| claim.kind == Kind::Patient);
        Some(MovingAppointment {
            service: appointment.service,
            minutes: minutes_between(appointment.starts_at_us, appointment.ends_at_us),
            patient: patient.map(|claim| claim.resource),
            freed: self.with_emptied_sessions(&[id]),
        })
    }

    /// The appointments in upcoming group sessions of a service beyond `capacity` places: the last booked of each session.
    pub(crate) fn over_capacity(&self, service: Uuid, capacity: u32, now_us: i64) -> Vec<Uuid> {
        let upcoming = self.groups(service, now_us + 1, i64::MAX);
        upcoming
            .flat_map(|(group, _)| {
                let members = self.members(group).iter().copied();
                let mut booked: Vec<Uuid> = members.filter(|owner| self.appointment(*owner).is_some()).collect();
                // A version 7 id begins with the time of its creation (RFC 9562).
                booked.sort_unstable();
                booked.into_iter().skip(capacity as usize)
            })
            .collect()
    }

    /// The owners of a group session's places.
    fn members(&self, group: Uuid) -> &[Uuid] {
        self.members.get(&group).map_or(&[], Vec::as_slice)
    }

    pub(super) fn add_member(&mut self, group: Uuid, owner: Uuid) {
        self.members.entry(group).or_default().push(owner);
    }

    pub(super) fn remove_member(&mut self, group: Uuid, owner: Uuid) {
        if let Some(members) = self.members.get_mut(&group) {
            members.retain(|member| *member != owner);
            if members.is_empty() {
                self.members.remove(&group);
            }
        }
    }

    /// Drops the sessions that began at or before an instant, with their members.
    pub(super) fn drop_sessions_before(&mut self, before_us: i64) {
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
pub(crate) struct FreedCalendars<'a> {
    occupancy: &'a Occupancy,
    /// Copies of the calendars that these owners claim.
    freed: Vec<(Kind, Uuid, i16, Bits)>,
}

impl<'a> FreedCalendars<'a> {
    pub(crate) fn new(occupancy: &'a Occupancy, owners: &[Uuid]) -> Self {
        let claims = owners.iter().flat_map(|owner| occupancy.claims_of(*owner));
        let freed = claims.filter_map(|claim| {
            let (kind, resource, unit) = (claim.kind, claim.resource, claim.unit);
            Some((kind, resource, unit, occupancy.calendars.without(kind, resource, unit, owners)?))
        });
        Self { occupancy, freed: freed.collect() }
    }

    /// The occupied ticks of a practitioner, a room or a unit of equipment.
    #[inline]
    pub(crate) fn bits(&self, kind: Kind, resource: Uuid, unit: i16) -> &Bits {
        let freed = self.freed.iter().find(|(own, id, at, _)| (*own, *id, *at) == (kind, resource, unit));
        freed.map_or_else(|| self.occupancy.bits(kind, resource, unit), |(.., bits)| bits)
    }
}
