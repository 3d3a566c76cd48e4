//! Caps: the local days and the weeks in which a practitioner has as many visits as they take.
//!
//! A visit counts on the day on which its claim begins. A group session counts once, and so does a hold.

use std::collections::HashMap;

use calendar::{Span, zone::Zone};
use domain::directory::{Practitioner, Service};
use jiff::civil::Date;
use rpc::Code;
use uuid::Uuid;

use crate::occupancy::Occupancy;

/// The period that a cap counts over.
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
    /// Whether only needling counts.
    pub(crate) needling: bool,
    pub(crate) max: u32,
}

impl Cap {
    /// The caps that apply to a visit of a service.
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
        .filter_map(|((code, period), needling, max)| Some(Self { code, period, needling, max: max? }))
    }

    /// The number of further visits that the practitioner takes in a period of this cap, where the claims of the ignored
    /// owners do not count.
    pub(crate) fn remaining(&self, occupancy: &Occupancy, practitioner: Uuid, period: Span, ignored: &[Uuid]) -> usize {
        (self.max as usize).saturating_sub(occupancy.count_claims(practitioner, period, self.needling, ignored))
    }
}

impl Period {
    /// The first day of the period that contains a day.
    pub(crate) fn first_day(self, date: Date) -> Date {
        match self {
            Self::Day => date,
            Self::Week => {
                let since = i64::from(date.weekday().to_monday_zero_offset());
                date.saturating_sub(jiff::Span::new().days(since))
            }
        }
    }

    /// The ticks of the period that contains a day.
    pub(crate) fn around(self, zone: &Zone, date: Date) -> Span {
        let first = self.first_day(date);
        zone.dates(first, first.saturating_add(jiff::Span::new().days(self.days() - 1)))
    }

    fn days(self) -> i64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
        }
    }
}

/// The periods of each location that touch a window, computed at the first use.
pub(super) struct PeriodCache {
    window: Span,
    periods: HashMap<(u32, Period), Vec<Span>>,
}

impl PeriodCache {
    pub(super) fn new(window: Span) -> Self {
        Self { window, periods: HashMap::new() }
    }

    /// The periods in which the practitioner's cap is reached, on the calendar of a location (number and zone).
    pub(super) fn full(
        &mut self,
        occupancy: &Occupancy,
        practitioner: Uuid,
        cap: Cap,
        (location, zone): (u32, &Zone),
        ignored: &[Uuid],
    ) -> Vec<Span> {
        let window = self.window;
        let periods = self.periods.entry((location, cap.period)).or_insert_with(|| touching(zone, window, cap.period));
        periods.iter().copied().filter(|period| cap.remaining(occupancy, practitioner, *period, ignored) == 0).collect()
    }
}

fn touching(zone: &Zone, window: Span, period: Period) -> Vec<Span> {
    let last = zone.date(window.end);
    let mut date = period.first_day(zone.date(window.start));
    let mut spans = Vec::new();
    while date <= last {
        spans.push(period.around(zone, date));
        let Ok(next) = date.checked_add(jiff::Span::new().days(period.days())) else { break };
        date = next;
    }
    spans
}
