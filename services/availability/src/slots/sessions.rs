//! Group sessions that a patient can join, and the times at which a patient is busy.
//!
//! A session keeps its length, its claims and its start, whatever its service says now.

use calendar::{
    Span,
    search::{Query, Start, rank},
    tick::{self, MINUTES, Tick},
};
use domain::claim::{Kind, NEEDLING_SPACING_HOURS};
use uuid::Uuid;

use super::{
    checks::{CheckOptions, SlotFacts},
    query::{SlotQuery, rotation_size},
    search::OpenSlot,
};
use crate::{index::merged, occupancy::Occupancy};

/// The least time between two needling sessions of a patient.
const NEEDLING_SPACING: Tick = NEEDLING_SPACING_HOURS * 60 / MINUTES;

impl SlotQuery {
    /// The sessions of the service in a window that have members and places left, and that the rules let a patient join.
    pub(crate) fn joinable_sessions(&self, occupancy: &Occupancy, locations: &[u32], window: Span) -> Vec<OpenSlot> {
        let micros = |tick: Tick| tick::instant(tick).as_microsecond();
        let groups = occupancy.groups(self.service_id.uuid(), micros(window.start), micros(window.end));
        let open = groups.filter_map(|(id, group)| {
            let (location, place) = self.index.location(group.location).filter(|(at, _)| locations.contains(at))?;
            let (practitioner, _) = self.index.practitioner(group.practitioner).filter(|(at, _)| self.wants(*at))?;
            let visit = group.visit()?;
            let rank = rank(practitioner, rotation_size(&self.index), visit.start);
            let minutes = u16::try_from(group.minutes()).ok()?;
            let start = Start { tick: visit.start, location, rank, practitioner };
            // The session has its own length and may lie off the present grid of starts.
            let query = Query { duration: visit.end - visit.start, alignment_minutes: MINUTES, ..self.kernel.clone() };
            let wanted = !self.freed.contains(&id)
                && query.on_clock(&place.zone, visit.start).is_ok()
                && self.kernel.after.is_none_or(|after| start > after)
                && !self.is_patient_busy(occupancy, visit);
            let open = OpenSlot { start, places_left: 0, minutes };
            let slot = Some(self.slot(&open)).filter(|_| wanted)?;
            let options = CheckOptions { ignored: &self.freed, ..CheckOptions::default() };
            let facts = SlotFacts::gather(&self.index, occupancy, &slot, options)?;
            let joinable = facts.group_id() == Some(id) && facts.passes(&slot, self.online, self.now);
            joinable.then(|| OpenSlot { places_left: facts.places_left(), ..open })
        });
        open.collect()
    }

    /// Whether the patient is busy during a visit, or would be needled too close to another session.
    fn is_patient_busy(&self, occupancy: &Occupancy, visit: Span) -> bool {
        let Some(patient) = self.patient else { return false };
        let meets = |kind: Kind, visit: Span| {
            let mut claims = occupancy.claims_on(kind, patient).iter();
            claims.any(|(claim, owner)| !claim.and(visit).is_empty() && !self.ignored.contains(owner))
        };
        let spaced = Span::new(visit.start, visit.end + NEEDLING_SPACING);
        meets(Kind::Patient, visit) || self.service.needling && meets(Kind::Needling, spaced)
    }
}

/// The ticks at which a visit of a patient may not start because the patient is busy or was needled too recently, without
/// the claims of the ignored owners.
pub(crate) fn busy_starts(
    occupancy: &Occupancy,
    patient: Uuid,
    needling: bool,
    duration: Tick,
    ignored: &[Uuid],
) -> Vec<Span> {
    let starts = |kind: Kind, length: Tick| {
        let claims = occupancy.claims_on(kind, patient).iter().filter(|(_, owner)| !ignored.contains(owner));
        claims.map(move |(claim, _)| Span::new(claim.start - length + 1, claim.end))
    };
    let mut spans: Vec<Span> = starts(Kind::Patient, duration).collect();
    if needling {
        spans.extend(starts(Kind::Needling, duration + NEEDLING_SPACING));
    }
    merged(spans)
}
