//! Which claims a slot lays. Pure.
//!
//! A visit of its own claims its practitioner, its room, a unit of its equipment and its patient. A group session
//! claims practitioner, room and equipment once, as the group's own; each member claims one place and themselves.

use domain::claim::{Claim, Kind, needling};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    slots::check::Ground,
    store::{
        batch::claim_row,
        rows::{ClaimRow, GroupRow},
    },
};

/// Which of the candidates to take; raised when one turns out to be another's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    room: usize,
    unit: usize,
    place: i16,
    /// The group session that is believed to exist.
    pub(crate) session: Option<Session>,
}

/// A group session that is joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) room: Option<Uuid>,
}

/// The claims of one slot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Laid {
    /// Owned by the appointment or hold.
    pub(crate) own: Vec<Claim>,
    /// For a group session: the group and its own claims.
    pub(crate) group: Option<(GroupRow, Vec<ClaimRow>)>,
    pub(crate) room: Option<Uuid>,
}

impl Choice {
    /// The first choice for a slot: a group that has members already is joined at its next place, or at the place that a
    /// hold keeps in it.
    pub(crate) fn first(ground: &Ground) -> Self {
        let free = i16::try_from(ground.shown.places_left).unwrap_or(ground.capacity).min(ground.capacity);
        let place = ground.kept_place().unwrap_or(ground.capacity - free);
        let joins = ground.shared() && !ground.joins.is_empty();
        let session = joins.then(|| Session { room: ground.rooms.first().copied() });
        Self { place, session, ..Self::default() }
    }

    /// The next choice after some claims were another's, or `None` where no candidate is left.
    pub(crate) fn next(mut self, ground: &Ground, taken: &[Kind]) -> Option<Self> {
        let kept = ground.kept_place().is_some();
        let blocked = |kind: &Kind| !matches!(kind, Kind::Room | Kind::Equipment | Kind::Place) || kept;
        if taken.iter().any(blocked) {
            return None;
        }
        if taken.contains(&Kind::Room) {
            self.room += 1;
        }
        if taken.contains(&Kind::Equipment) {
            self.unit += 1;
        }
        if taken.contains(&Kind::Place) {
            self.place += 1;
        }
        let fits = (ground.rooms.is_empty() || self.room < ground.rooms.len())
            && (ground.units.is_empty() || self.unit < ground.units.len())
            && self.place < 2 * ground.capacity;
        fits.then_some(self)
    }
}

/// The claims that a slot lays under a choice, the patient's among them where one is known.
pub(crate) fn lay(organization: Uuid, ground: &Ground, choice: Choice, patient: Option<Uuid>) -> Laid {
    let claim = Claim::new;
    let room = match choice.session {
        Some(session) => session.room,
        None => ground.rooms.get(choice.room).copied(),
    };
    let mut place = vec![Claim {
        location: Some(ground.slot.location.uuid()),
        needling: ground.needling,
        ..claim(Kind::Practitioner, ground.slot.practitioner.uuid(), 0, ground.busy)
    }];
    place.extend(room.map(|room| claim(Kind::Room, room, 0, ground.busy)));
    place.extend(ground.units.get(choice.unit).map(|(pool, unit)| claim(Kind::Equipment, *pool, *unit, ground.busy)));
    let mut own: Vec<Claim> = patient
        .map(|patient| claim(Kind::Patient, patient, 0, ground.visit))
        .into_iter()
        .chain(patient.filter(|_| ground.needling).and_then(|patient| needling(patient, ground.visit)))
        .collect();
    if !ground.shared() {
        own.extend(place);
        own.sort();
        return Laid { own, group: None, room };
    }
    let group = group_row(organization, ground, room);
    let number = ground.kept_place().unwrap_or(choice.place % ground.capacity);
    own.push(claim(Kind::Place, group.id, number, ground.visit));
    own.sort();
    let claims = place.iter().map(|claim| claim_row(claim, group.id, None)).collect();
    Laid { own, group: Some((group, claims)), room }
}

fn group_row(organization: Uuid, ground: &Ground, room: Option<Uuid>) -> GroupRow {
    GroupRow {
        id: group_id(
            organization,
            ground.slot.service.uuid(),
            ground.slot.practitioner.uuid(),
            ground.slot.location.uuid(),
            ground.visit.start().as_microsecond(),
        ),
        service_id: ground.slot.service.uuid(),
        practitioner_id: ground.slot.practitioner.uuid(),
        location_id: ground.slot.location.uuid(),
        room_id: room,
        starts_at_us: ground.visit.start().as_microsecond(),
        ends_at_us: ground.visit.end().as_microsecond(),
        capacity: i32::from(ground.capacity),
    }
}

/// The id of the one group session that a slot can be, the same for whoever asks: a version 8 UUID (RFC 9562) of
/// what it is.
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
