//! The road: between visits at two locations a practitioner is on the way, and can be booked at neither.

use calendar::{Span, Tick};
use uuid::Uuid;

use crate::{model::Model, projection::Projection};

/// When a practitioner cannot be at a place because they are elsewhere, or on the way from there or to there: what meets
/// some ticks, those of the ignored owners left out.
pub(super) fn away(
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
    let road = |location: &uuid::Uuid| model.roads.between(model.place(*location)?.0, place);
    let roads: Vec<Option<Tick>> = projection.locations().iter().map(road).collect();
    let visits = projection.whereabouts(model.people[person as usize].id, near, ignored);
    let spans = visits.filter_map(|(visit, location)| {
        let road = (*roads.get(usize::from(location))?)?;
        Some(Span::new(visit.start - road, visit.end + road))
    });
    spans.filter(|span| !span.and(window).is_empty()).collect()
}
