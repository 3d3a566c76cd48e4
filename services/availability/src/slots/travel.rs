//! Travel time: between visits at two locations a practitioner travels and can be booked at neither.

use calendar::{Span, Tick};
use uuid::Uuid;

use crate::{index::Index, occupancy::Occupancy};

/// When a practitioner cannot be at a location because they are at another one, or travel from or to it: the spans that
/// meet a window, without the claims of the ignored owners.
pub(super) fn away(
    index: &Index,
    occupancy: &Occupancy,
    (practitioner, location): (u32, u32),
    window: Span,
    ignored: &[Uuid],
) -> Vec<Span> {
    if !index.travel_times.travels(practitioner) {
        return vec![];
    }
    let longest = index.travel_times.longest();
    let near = Span::new(window.start - longest, window.end + longest);
    let travel_from = |other: u16| {
        let other = occupancy.locations().get(usize::from(other))?;
        index.travel_times.between(index.location(*other)?.0, location)
    };
    let claims = occupancy.located_claims(index.practitioners[practitioner as usize].id, near, ignored);
    // Consecutive claims are mostly at one location: its travel time is looked up once.
    let mut last: Option<(u16, Option<Tick>)> = None;
    let spans = claims.filter_map(|(claim, other)| {
        let cached = last.filter(|(known, _)| *known == other).map(|(_, travel)| travel);
        let travel = cached.unwrap_or_else(|| travel_from(other));
        last = Some((other, travel));
        Some(Span::new(claim.start - travel?, claim.end + travel?))
    });
    spans.filter(|span| !span.and(window).is_empty()).collect()
}
