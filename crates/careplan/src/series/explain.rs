//! A sentence that describes a series.

use super::{CURRENT, Candidate, Difference, PartOfDay, Problem, Series, day};

fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        many => format!("{many} {noun}s"),
    }
}

impl Problem {
    /// A sentence for people: the number of sessions, their dates, the numbers of practitioners and locations, each departure
    /// from the ideal, and the differences from the first series.
    pub fn explain(&self, series: &Series, first: &Series) -> String {
        let chosen = self.chosen(series);
        let (Some(from), Some(to)) = (chosen.first(), chosen.last()) else { return "no sessions".to_owned() };
        let mut practitioners: Vec<_> = chosen.iter().map(|candidate| candidate.practitioner).collect();
        practitioners.sort();
        practitioners.dedup();
        let mut locations: Vec<_> = chosen.iter().map(|candidate| candidate.location).collect();
        locations.sort();
        locations.dedup();
        let span = if from.date == to.date {
            format!("on {}", from.date)
        } else {
            format!("from {} to {}", from.date, to.date)
        };
        let whole = format!(
            "{} {span} with {} at {}",
            count(chosen.len(), "session"),
            count(practitioners.len(), "practitioner"),
            count(locations.len(), "location"),
        );
        let departures = self.departures(series);
        let departures = if departures.is_empty() { vec!["every gap is ideal".to_owned()] } else { departures };
        let differences = (series.picks != first.picks).then(|| self.differences_in_words(series, first));
        [vec![whole], departures, differences.into_iter().collect()].concat().join("; ")
    }

    fn chosen(&self, series: &Series) -> Vec<&Candidate> {
        self.sessions.iter().zip(&series.picks).map(|(session, pick)| session.candidate(*pick)).collect()
    }

    fn departures(&self, series: &Series) -> Vec<String> {
        let (terms, weights) = (&series.terms, &self.weights);
        let number = |points: u64, weight: u64| usize::try_from(points / weight.max(1)).unwrap_or(0);
        let mut departures = Vec::new();
        if terms.gaps > 0 {
            let days = number(terms.gaps, u64::from(weights.gap_day));
            departures.push(format!("gaps off the ideal by {} in all", count(days, "day")));
        }
        if let Some(part) = self.kept_part(&series.picks) {
            departures.push(self.part_of_day_in_words(series, part));
        } else if terms.hours > 0 {
            departures.push("some hours or days that were not wished".to_owned());
        }
        if terms.lateness > 0 {
            departures.push(self.lateness_in_words(series));
        }
        if terms.moved > 0 {
            departures.push(format!("{} moved", count(number(terms.moved, weights.moved), "booked session")));
        }
        departures
    }

    /// The number of sessions outside the series' part of the day.
    fn part_of_day_in_words(&self, series: &Series, part: PartOfDay) -> String {
        let open = self.sessions.iter().zip(&series.picks).filter(|(session, _)| !session.fixed);
        match open.filter(|(session, pick)| session.candidate(**pick).part() != part).count() {
            0 => format!("all in the {}", part.as_str()),
            others => format!("{} outside the {}", count(others, "session"), part.as_str()),
        }
    }

    /// The days by which the series begins late, or else its sessions are later than the ideal gaps give.
    fn lateness_in_words(&self, series: &Series) -> String {
        let days = self.chosen(series).into_iter().zip(self.earliest()).zip(&self.sessions);
        let late = days.filter(|(_, session)| !session.fixed);
        let mut late =
            late.map(|((candidate, earliest), _)| usize::try_from(day(candidate.date) - earliest).unwrap_or(0));
        match late.next() {
            Some(days) if days > 0 => format!("begins {} after the first possible day", count(days, "day")),
            _ => format!("up to {} later than the ideal gaps give", count(late.max().unwrap_or(0), "day")),
        }
    }

    /// The differences of a series from the first one.
    fn differences_in_words(&self, series: &Series, first: &Series) -> String {
        let chosen = self.chosen(series).into_iter().zip(self.chosen(first));
        let picks = series.picks.iter().zip(&first.picks);
        let both = chosen.zip(picks).filter(|(_, (own, other))| **own != CURRENT && **other != CURRENT);
        let both: Vec<(&Candidate, &Candidate)> = both.map(|(pair, _)| pair).collect();
        let Some((own, other)) = both.first() else {
            return "unlike the first proposal, it gives other sessions a new time".to_owned();
        };
        let differences = self.differences(&series.picks, &first.picks).map(|difference| match difference {
            Difference::Practitioner => "with another practitioner".to_owned(),
            Difference::PartOfDay if both.iter().all(|(each, _)| each.part() == own.part()) => {
                format!("in the {}", own.part().as_str())
            }
            Difference::PartOfDay => "in another part of the day".to_owned(),
            Difference::Day => {
                let days = day(own.date) - day(other.date);
                let side = if days < 0 { "earlier" } else { "later" };
                format!("on another day, the first {} {side}", count(days.unsigned_abs() as usize, "day"))
            }
        });
        let which = if both.len() == 1 { "the session is" } else { "every session is" };
        format!("unlike the first proposal, {which} {}", differences.collect::<Vec<_>>().join(" and "))
    }
}
