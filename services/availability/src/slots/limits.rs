//! Caps: on which local days, and in which weeks, a practitioner has as many visits as they take.
//!
//! A visit counts on the day on which its claim begins. A group session counts once, and so does a hold.

use std::collections::HashMap;

use calendar::{Span, zone::Zone};
use domain::directory::{Practitioner, Service};
use jiff::civil::Date;
use rpc::Code;
use uuid::Uuid;

use crate::occupancy::Projection;

/// For how long a cap counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Period {
    Day,
    /// Monday to Sunday.
    Week,
}

/// The most visits that a practitioner takes in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cap {
    pub(crate) code: Code,
    pub(crate) period: Period,
    /// Only needling counts.
    pub(crate) needling: bool,
    pub(crate) most: u32,
}

impl Cap {
    /// The caps that a visit of a service comes under.
    pub(crate) fn all(practitioner: &Practitioner, service: &Service) -> impl Iterator<Item = Self> + use<> {
        let day = (Code::DailyCap, Period::Day);
        let week = (Code::WeeklyCap, Period::Week);
        let needles = service.needling;
        [
            (day, false, practitioner.daily_cap),
            (week, false, practitioner.weekly_cap),
            (day, true, practitioner.daily_needling_cap.filter(|_| needles)),
            (week, true, practitioner.weekly_needling_cap.filter(|_| needles)),
        ]
        .into_iter()
        .filter_map(|((code, period), needling, most)| Some(Self { code, period, needling, most: most? }))
    }

    /// How many visits more the practitioner takes in a period of this cap, those of the ignored owners left out.
    pub(crate) fn left(&self, projection: &Projection, person: Uuid, period: Span, ignored: &[Uuid]) -> usize {
        (self.most as usize).saturating_sub(projection.visits(person, period, self.needling, ignored))
    }
}

impl Period {
    /// The first day of the period that a day lies in.
    pub(crate) fn first(self, date: Date) -> Date {
        match self {
            Self::Day => date,
            Self::Week => {
                let since = i64::from(date.weekday().to_monday_zero_offset());
                date.saturating_sub(jiff::Span::new().days(since))
            }
        }
    }

    /// The ticks of the period that a day lies in.
    pub(crate) fn around(self, zone: &Zone, date: Date) -> Span {
        let first = self.first(date);
        let days = match self {
            Self::Day => 0,
            Self::Week => 6,
        };
        zone.dates(first, first.saturating_add(jiff::Span::new().days(days)))
    }
}

/// The periods that touch some ticks at each place, worked out when first asked for.
pub(crate) struct Periods {
    window: Span,
    places: HashMap<(u32, Period), Vec<Span>>,
}

impl Periods {
    pub(crate) fn new(window: Span) -> Self {
        Self { window, places: HashMap::new() }
    }

    /// Those in which the practitioner's cap is reached.
    pub(crate) fn full(
        &mut self,
        projection: &Projection,
        person: Uuid,
        cap: Cap,
        (at, zone): (u32, &Zone),
        ignored: &[Uuid],
    ) -> Vec<Span> {
        let window = self.window;
        let periods = self.places.entry((at, cap.period)).or_insert_with(|| touching(zone, window, cap.period));
        periods.iter().copied().filter(|period| cap.left(projection, person, *period, ignored) == 0).collect()
    }
}

fn touching(zone: &Zone, window: Span, period: Period) -> Vec<Span> {
    let last = zone.date(window.end);
    let mut date = period.first(zone.date(window.start));
    let mut spans = Vec::new();
    while date <= last {
        spans.push(period.around(zone, date));
        let length = match period {
            Period::Day => 1,
            Period::Week => 7,
        };
        let Ok(next) = date.checked_add(jiff::Span::new().days(length)) else { break };
        date = next;
    }
    spans
}
