//! Working time: a practitioner's rosters at one location as one bitset.

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

use super::{Children, Entry, Index, Location, Practitioner, SourceVersions};

/// The working time of a practitioner at a location, both by their numbers in the index.
pub(crate) struct Shift {
    pub(crate) location: u32,
    pub(crate) practitioner: u32,
    hours: Arc<Hours>,
}

/// The ticks at which a practitioner works at a location, and the days on which they are certified.
struct Hours {
    roster: Bits,
    /// For each certificate's code the ticks of its valid days, sorted and disjoint.
    certified: Vec<(String, Vec<Span>)>,
    sources: SourceVersions,
}

impl Shift {
    /// The ticks at which they work there: rosters within opening hours, without closures, time off and imported busy
    /// time.
    #[inline]
    pub(crate) fn roster(&self) -> &Bits {
        &self.hours.roster
    }

    /// The ticks of the days on which a certificate is valid; `None` where it is not held.
    pub(crate) fn certified(&self, code: &str) -> Option<&[Span]> {
        self.hours.certified.iter().find(|(held, _)| held == code).map(|(_, spans)| spans.as_slice())
    }
}

/// The shifts of every practitioner, by practitioner and then by location; unchanged hours are shared with `previous`.
pub(super) fn build(
    children: &Children<'_>,
    span: Span,
    locations: &[Arc<Location>],
    location_numbers: &HashMap<Uuid, u32>,
    practitioners: &[Practitioner],
    previous: Option<&Index>,
) -> Vec<Shift> {
    let mut shifts = Vec::with_capacity(practitioners.len());
    for (practitioner_number, practitioner) in (0..).zip(practitioners) {
        let children = children.of(practitioner.id);
        let mut rosters: BTreeMap<u32, Vec<&Entry>> = BTreeMap::new();
        for child in children {
            if let Body::Roster(roster) = &child.body
                && let Some(location) = location_numbers.get(&roster.location_id.uuid())
            {
                rosters.entry(*location).or_default().push(child);
            }
        }
        for (location_number, rosters) in rosters {
            let location = &locations[location_number as usize];
            let everywhere = children.iter().copied().filter(|child| !matches!(child.body, Body::Roster(_)));
            let own: Vec<&Entry> = rosters.into_iter().chain(everywhere).collect();
            let versions = own.iter().map(|entry| (entry.id, entry.version));
            let sources: SourceVersions = location.hours_sources.iter().copied().chain(versions).collect();
            let unchanged = previous.and_then(|previous| {
                let location = previous.location(location.id)?.0;
                let shift = previous.shift(location, previous.practitioner(practitioner.id)?.0)?;
                Some(&shift.hours).filter(|hours| hours.sources == sources)
            });
            let hours = unchanged.cloned().unwrap_or_else(|| Arc::new(hours(location, &own, span, sources)));
            shifts.push(Shift { location: location_number, practitioner: practitioner_number, hours });
        }
    }
    shifts
}

fn hours(location: &Location, entries: &[&Entry], span: Span, sources: SourceVersions) -> Hours {
    let (mut rosters, mut absences, mut certificates) = (vec![], vec![], vec![]);
    for entry in entries {
        match &entry.body {
            Body::Roster(roster) => rosters.push(roster),
            Body::TimeOff(off) => absences.extend(Interval::new(off.starts_at, off.ends_at)),
            Body::Busy(busy) => {
                absences.extend(busy.times.iter().filter_map(|time| Interval::new(time.starts_at, time.ends_at)));
            }
            Body::Certificate(certificate) => certificates.push(certificate),
            _ => {}
        }
    }
    Hours {
        roster: working_ticks(location, &rosters, &absences, span),
        certified: certified(&certificates, &location.zone, span),
        sources,
    }
}

fn working_ticks(location: &Location, rosters: &[&Roster], absences: &[Interval], span: Span) -> Bits {
    let mut bits = Bits::new(span);
    for roster in rosters {
        roster::set_working_hours(&mut bits, &location.zone, roster);
    }
    roster::keep_opening_hours(&mut bits, &location.zone, &location.body.opening_hours);
    for closure in &location.closures {
        bits.clear(location.zone.dates(closure.starts_on, closure.ends_on));
    }
    for absence in absences {
        bits.clear(Span::touching(*absence));
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

/// The same ticks as sorted, disjoint spans.
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
