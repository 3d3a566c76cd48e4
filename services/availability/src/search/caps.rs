//! Daily caps: on which local days a practitioner has as many visits as they take.
//!
//! A visit counts on the day on which its claim begins. A group session counts once, and so does a hold.

use std::collections::HashMap;

use calendar::Span;
use uuid::Uuid;

use crate::{model::Place, projection::Projection};

/// The local days of some ticks at each place, worked out when first asked for.
pub(super) struct Days {
    window: Span,
    places: HashMap<u32, Vec<Span>>,
}

impl Days {
    pub(super) fn new(window: Span) -> Self {
        Self { window, places: HashMap::new() }
    }

    /// The days on which the practitioner's cap is reached.
    pub(super) fn full(
        &mut self,
        projection: &Projection,
        person: Uuid,
        cap: u32,
        at: u32,
        place: &Place,
    ) -> Vec<Span> {
        let window = self.window;
        let days = self.places.entry(at).or_insert_with(|| local_days(place, window));
        days.iter().copied().filter(|day| is_full(projection, person, cap, *day, &[])).collect()
    }
}

fn local_days(place: &Place, window: Span) -> Vec<Span> {
    let last = place.zone.date(window.end);
    let mut date = place.zone.date(window.start);
    let mut days = Vec::new();
    while date <= last {
        days.push(place.zone.dates(date, date));
        let Ok(next) = date.tomorrow() else { break };
        date = next;
    }
    days
}

/// Whether a practitioner's cap is reached on a day, the ignored owners left out.
pub(super) fn is_full(projection: &Projection, person: Uuid, cap: u32, day: Span, ignored: &[Uuid]) -> bool {
    projection.visits(person, day, ignored) >= cap as usize
}
