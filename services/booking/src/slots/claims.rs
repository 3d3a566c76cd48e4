//! The claims that a slot makes on time. Pure.
//!
//! A single appointment claims its practitioner, its room, a unit of its equipment and its patient. A group session
//! claims practitioner, room and equipment once, as the group's own; each member claims one place and themselves.

use domain::claim::{Claim, Kind, needling};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::check::CheckedSlot;
use crate::store::{batch::claim_row, claims::ClaimRow, groups::GroupRow};

/// The candidates that a slot tries: the index of a room, the index of an equipment unit, and the number of a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    room: usize,
    unit: usize,
    place: i16,
    /// The group session that is believed to exist.
    pub(crate) joined: Option<JoinedSession>,
}

/// A group session that exists and is joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JoinedSession {
    pub(crate) room: Option<Uuid>,
}

/// The claims of one slot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SlotClaims {
    /// Owned by the appointment or hold.
    pub(crate) own: Vec<Claim>,
    /// For a group session: the group and its own claims.
    pub(crate) group: Option<(GroupRow, Vec<ClaimRow>)>,
    pub(crate) room: Option<Uuid>,
}

impl Choice {
    /// The first choice for a slot. A group session that has members is joined at its next place, or at the place that a
    /// hold keeps in it.
    pub(crate) fn first(slot: &CheckedSlot) -> Self {
        let free = i16::try_from(slot.wire.places_left).unwrap_or(slot.capacity).min(slot.capacity);
        let place = slot.held_place().unwrap_or(slot.capacity - free);
        let joins = slot.is_shared() && !slot.group_id.is_empty();
        let joined = joins.then(|| JoinedSession { room: slot.rooms.first().copied() });
        Self { place, joined, ..Self::default() }
    }

    /// The next choice after claims of these kinds met others' claims, or `None` where no candidate is left.
    pub(crate) fn next(mut self, slot: &CheckedSlot, conflicts: &[Kind]) -> Option<Self> {
        let is_held = slot.held_place().is_some();
        let blocks = |kind: &Kind| !matches!(kind, Kind::Room | Kind::Equipment | Kind::Place) || is_held;
        if conflicts.iter().any(blocks) {
            return None;
        }
        if conflicts.contains(&Kind::Room) {
            self.room += 1;
        }
        if conflicts.contains(&Kind::Equipment) {
            self.unit += 1;
        }
        if conflicts.contains(&Kind::Place) {
            self.place += 1;
        }
        let fits = (slot.rooms.is_empty() || self.room < slot.rooms.len())
            && (slot.units.is_empty() || self.unit < slot.units.len())
            && self.place < 2 * slot.capacity;
        fits.then_some(self)
    }
}

/// The claims that a slot makes under a choice, the patient's among them where one is known.
pub(crate) fn claims_for(organization: Uuid, slot: &CheckedSlot, choice: Choice, patient: Option<Uuid>) -> SlotClaims {
    let claim = Claim::new;
    let room = match choice.joined {
        Some(session) => session.room,
        None => slot.rooms.get(choice.room).copied(),
    };
    let mut resources = vec![Claim {
        location: Some(slot.slot.location.uuid()),
        needling: slot.needling,
        ..claim(Kind::Practitioner, slot.slot.practitioner.uuid(), 0, slot.busy)
    }];
    resources.extend(room.map(|room| claim(Kind::Room, room, 0, slot.busy)));
    resources.extend(slot.units.get(choice.unit).map(|(pool, unit)| claim(Kind::Equipment, *pool, *unit, slot.busy)));
    let mut own: Vec<Claim> = patient
        .map(|patient| claim(Kind::Patient, patient, 0, slot.interval))
        .into_iter()
        .chain(patient.filter(|_| slot.needling).and_then(|patient| needling(patient, slot.interval)))
        .collect();
    if !slot.is_shared() {
        own.extend(resources);
        own.sort();
        return SlotClaims { own, group: None, room };
    }
    let group = group_row(organization, slot, room);
    let place = slot.held_place().unwrap_or(choice.place % slot.capacity);
    own.push(claim(Kind::Place, group.id, place, slot.interval));
    own.sort();
    let claims = resources.iter().map(|claim| claim_row(claim, group.id, None)).collect();
    SlotClaims { own, group: Some((group, claims)), room }
}

fn group_row(organization: Uuid, slot: &CheckedSlot, room: Option<Uuid>) -> GroupRow {
    let (service_id, practitioner_id) = (slot.slot.service.uuid(), slot.slot.practitioner.uuid());
    let location_id = slot.slot.location.uuid();
    let starts_at_us = slot.interval.start().as_microsecond();
    GroupRow {
        id: group_id(organization, service_id, practitioner_id, location_id, starts_at_us),
        service_id,
        practitioner_id,
        location_id,
        room_id: room,
        starts_at_us,
        ends_at_us: slot.interval.end().as_microsecond(),
        capacity: i32::from(slot.capacity),
    }
}

/// The id of the one group session that a slot can be, the same for every caller: a version 8 UUID (RFC 9562) of the
/// SHA-256 of its parts.
pub(crate) fn group_id(
    organization: Uuid,
    service: Uuid,
    practitioner: Uuid,
    location: Uuid,
    starts_at_us: i64,
) -> Uuid {
    let mut hash = Sha256::new();
    for part in [organization, service, practitioner, location] {
        hash.update(part.as_bytes());
    }
    hash.update(starts_at_us.to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
