//! Group sessions that a patient can join. Each keeps its length, its claims and its start, whatever its service says now.

use calendar::{
    Span,
    search::{Found, Query, rank},
    tick::{self, MINUTES, Tick},
};
use domain::claim::{Kind, NEEDLING_SPACING_HOURS};
use uuid::Uuid;

use super::{
    checks::{self, Terms},
    query::{Ask, everyone},
    search::Open,
};
use crate::{index::merged, occupancy::Projection};

/// How long needling sessions of a patient are apart.
const SPACING: Tick = NEEDLING_SPACING_HOURS * 60 / MINUTES;

impl Ask {
    /// Group sessions of the service with members and places left: those that the rules let a patient join.
    pub(crate) fn joinable(&self, projection: &Projection, places: &[u32], window: Span) -> Vec<Open> {
        let instants = |tick: Tick| tick::instant(tick).as_microsecond();
        let groups = projection.groups(self.service_id.uuid(), instants(window.start), instants(window.end));
        let open = groups.filter_map(|(id, group)| {
            let (place, located) = self.model.place(group.location).filter(|(at, _)| places.contains(at))?;
            let (practitioner, _) = self.model.person(group.practitioner).filter(|(at, _)| self.wants(*at))?;
            let visit = group.visit()?;
            let rank = rank(practitioner, everyone(&self.model), visit.start);
            let minutes = u16::try_from(group.minutes()).ok()?;
            let found = Found { start: visit.start, place, rank, practitioner };
            // It has its own length, and stays where it is though the grid of starts is another by now.
            let query = Query { duration: visit.end - visit.start, alignment_minutes: MINUTES, ..self.query.clone() };
            let asked = !self.freed.contains(&id)
                && query.on_clock(&located.zone, visit.start).is_ok()
                && self.query.after.is_none_or(|after| found > after)
                && !self.is_elsewhere(projection, visit);
            let open = Open { found, places_left: 0, minutes };
            let slot = Some(self.slot(&open)).filter(|_| asked)?;
            let terms = Terms { ignored: &self.freed, ..Terms::default() };
            let ground = checks::ground(&self.model, projection, &slot, terms)?;
            let kept = ground.group_id() == Some(id)
                && ground.rules(&slot, self.online, self.now).iter().all(|rule| rule.passed);
            kept.then(|| Open { places_left: ground.places_left(), ..open })
        });
        open.collect()
    }

    /// Whether the patient is somewhere else during a visit, or would be needled too near to another time.
    fn is_elsewhere(&self, projection: &Projection, visit: Span) -> bool {
        let Some(patient) = self.patient else { return false };
        let meets = |kind: Kind, visit: Span| {
            let mut claims = projection.claims_on(kind, patient).iter();
            claims.any(|(claim, owner)| !claim.and(visit).is_empty() && !self.ignored.contains(owner))
        };
        let spaced = Span::new(visit.start, visit.end + SPACING);
        meets(Kind::Patient, visit) || self.service.needling && meets(Kind::Needling, spaced)
    }
}

/// The ticks at which a visit of a patient may not start because they are elsewhere or needled too recently, claims of
/// the ignored owners left out.
pub(crate) fn elsewhere(
    projection: &Projection,
    patient: Uuid,
    needling: bool,
    duration: Tick,
    ignored: &[Uuid],
) -> Vec<Span> {
    let meets = |kind: Kind, length: Tick| {
        let claims = projection.claims_on(kind, patient).iter().filter(|(_, owner)| !ignored.contains(owner));
        claims.map(move |(claim, _)| Span::new(claim.start - length + 1, claim.end))
    };
    let mut spans: Vec<Span> = meets(Kind::Patient, duration).collect();
    if needling {
        spans.extend(meets(Kind::Needling, duration + SPACING));
    }
    merged(spans)
}
