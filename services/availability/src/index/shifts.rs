//! Who works where and when: a practitioner's rosters at one location as one bitset.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use calendar::{Bits, Span, Zone, roster};
use domain::{
    directory::{Body, Certificate, Roster},
    time::Interval,
};
use uuid::Uuid;

use super::{Entry, MadeFrom, Model, Person, Place, Sorted};

/// A practitioner at a location.
pub(crate) struct Seat {
    pub(crate) place: u32,
    pub(crate) person: u32,
    hours: Arc<Hours>,
}

/// The ticks at which a practitioner works at a location, and on which days they are certified.
struct Hours {
    roster: Bits,
    /// For each certificate's code the ticks of its valid days; sorted and apart.
    certified: Vec<(String, Vec<Span>)>,
    made_from: MadeFrom,
}

impl Seat {
    /// The ticks at which they work there: rosters within opening hours, without closures, time off and imported busy time.
    pub(crate) fn roster(&self) -> &Bits {
        &self.hours.roster
    }

    /// The ticks of the days on which a certificate is valid; `None` where it is not held.
    pub(crate) fn certified(&self, code: &str) -> Option<&[Span]> {
        self.hours.certified.iter().find(|(held, _)| held == code).map(|(_, spans)| spans.as_slice())
    }
}

/// Every practitioner at every location where they have a roster.
pub(super) fn seats(
    sorted: &Sorted<'_>,
    span: Span,
    places: &[Arc<Place>],
    place_index: &HashMap<Uuid, u32>,
    people: &[Person],
    before: Option<&Model>,
) -> Vec<Seat> {
    let mut seats = Vec::with_capacity(people.len());
    for (at, person) in (0..).zip(people) {
        let children = sorted.of(person.id);
        let mut rosters: BTreeMap<u32, Vec<&Entry>> = BTreeMap::new();
        for child in children {
            if let Body::Roster(roster) = &child.body
                && let Some(place) = place_index.get(&roster.location_id.uuid())
            {
                rosters.entry(*place).or_default().push(child);
            }
        }
        for (place_at, rosters) in rosters {
            let place = &places[place_at as usize];
            let everywhere = children.iter().copied().filter(|child| !matches!(child.body, Body::Roster(_)));
            let own: Vec<&Entry> = rosters.into_iter().chain(everywhere).collect();
            let versions = own.iter().map(|entry| (entry.id, entry.version));
            let made_from: MadeFrom = place.hours_from.iter().copied().chain(versions).collect();
            let same = before.and_then(|before| {
                let seat = before.seat(before.place(place.id)?.0, before.person(person.id)?.0)?;
                Some(&seat.hours).filter(|hours| hours.made_from == made_from)
            });
            let hours = same.cloned().unwrap_or_else(|| Arc::new(hours(place, &own, span, made_from)));
            seats.push(Seat { place: place_at, person: at, hours });
        }
    }
    seats
}

fn hours(place: &Place, own: &[&Entry], span: Span, made_from: MadeFrom) -> Hours {
    let (mut rosters, mut away, mut certificates) = (vec![], vec![], vec![]);
    for entry in own {
        match &entry.body {
            Body::Roster(roster) => rosters.push(roster),
            Body::TimeOff(off) => away.extend(Interval::new(off.starts_at, off.ends_at)),
            Body::Busy(busy) => {
                away.extend(busy.times.iter().filter_map(|time| Interval::new(time.starts_at, time.ends_at)));
            }
            Body::Certificate(certificate) => certificates.push(certificate),
            _ => {}
        }
    }
    Hours {
        roster: work(place, &rosters, &away, span),
        certified: certified(&certificates, &place.zone, span),
        made_from,
    }
}

fn work(place: &Place, rosters: &[&Roster], away: &[Interval], span: Span) -> Bits {
    let mut bits = Bits::new(span);
    for roster in rosters {
        roster::work(&mut bits, &place.zone, roster);
    }
    roster::open(&mut bits, &place.zone, &place.location.opening_hours);
    for closure in &place.closures {
        bits.clear(place.zone.dates(closure.starts_on, closure.ends_on));
    }
    for interval in away {
        bits.clear(Span::touching(*interval));
    }
    bits
}

fn certified(certificates: &[&Certificate], zone: &Zone, span: Span) -> Vec<(String, Vec<Span>)> {
    let (first, last) = (zone.date(span.start), zone.date(span.end));
    let mut by_code: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
    for certificate in certificates {
        let (from, to) = (certificate.valid_from.max(first), certificate.valid_to.unwrap_or(last).min(last));
        let spans = by_code.entry(&certificate.code).or_default();
        spans.extend((from <= to).then(|| zone.dates(from, to)));
    }
    by_code.into_iter().map(|(code, spans)| (code.to_owned(), merged(spans))).collect()
}

/// The same ticks, sorted and apart.
pub(crate) fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}
