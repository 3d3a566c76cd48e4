//! The road: between visits at two locations a practitioner is on the way, and can be booked at neither.

use calendar::{Span, Tick};
use uuid::Uuid;

use crate::{index::Model, occupancy::Projection};

/// When a practitioner cannot be at a place because they are elsewhere, or on the way from there or to there: what meets
/// some ticks, those of the ignored owners left out.
pub(crate) fn away(
    model: &Model,
    projection: &Projection,
    (person, place): (u32, u32),
    window: Span,
    ignored: &[Uuid],
) -> Vec<Span> {
    if !model.roads.roams(person) {
        return vec![];
    }
    let longest = model.roads.longest();
    let near = Span::new(window.start - longest, window.end + longest);
    let road = |location: u16| {
        let location = projection.locations().get(usize::from(location))?;
        model.roads.between(model.place(*location)?.0, place)
    };
    let visits = projection.whereabouts(model.people[person as usize].id, near, ignored);
    // A day's visits are at one place, mostly: its road is looked up once.
    let mut last: Option<(u16, Option<Tick>)> = None;
    let spans = visits.filter_map(|(visit, location)| {
        let known = last.filter(|(known, _)| *known == location).map(|(_, road)| road);
        let found = known.unwrap_or_else(|| road(location));
        last = Some((location, found));
        Some(Span::new(visit.start - found?, visit.end + found?))
    });
    spans.filter(|span| !span.and(window).is_empty()).collect()
}
