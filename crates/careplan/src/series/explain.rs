//! A series in one sentence.

use super::{Problem, Series};

impl Problem {
    /// What a person reads: how many, from when to when, with how many practitioners and where, and each departure from
    /// the best.
    pub fn explain(&self, series: &Series) -> String {
        let chosen: Vec<_> =
            self.sessions.iter().zip(&series.picks).map(|(session, pick)| session.candidate(*pick)).collect();
        let (Some(first), Some(last)) = (chosen.first(), chosen.last()) else { return "no sessions".to_owned() };
        let count = |number: usize, one: &str| match number {
            1 => format!("1 {one}"),
            many => format!("{many} {one}s"),
        };
        let mut people: Vec<_> = chosen.iter().map(|candidate| candidate.practitioner).collect();
        people.sort();
        people.dedup();
        let mut places: Vec<_> = chosen.iter().map(|candidate| candidate.location).collect();
        places.sort();
        places.dedup();
        let span = if first.date == last.date {
            format!("on {}", first.date)
        } else {
            format!("from {} to {}", first.date, last.date)
        };
        let mut text = format!(
            "{} {span} with {} at {}",
            count(chosen.len(), "session"),
            count(people.len(), "practitioner"),
            count(places.len(), "location"),
        );
        let days = |points: u64, weight: u32| usize::try_from(points / u64::from(weight.max(1))).unwrap_or(0);
        let (terms, weights) = (&series.terms, &self.weights);
        let mut departures = Vec::new();
        if terms.gaps > 0 {
            departures
                .push(format!("gaps off the ideal by {} in all", count(days(terms.gaps, weights.gap_day), "day")));
        }
        if terms.hours > 0 {
            departures.push("some hours or days that were not wished".to_owned());
        }
        if terms.lateness > 0 {
            departures
                .push(format!("{} later than the earliest", count(days(terms.lateness, weights.late_day), "day")));
        }
        if terms.moved > 0 {
            departures.push(format!("{} moved", count(days(terms.moved, weights.moved), "booked session")));
        }
        if departures.is_empty() {
            text.push_str("; every gap is ideal");
        } else {
            text.push_str("; ");
            text.push_str(&departures.join("; "));
        }
        text
    }
}
