//! Series expanded into occurrences, with exceptions and overrides applied.

use std::collections::BTreeSet;

use domain::time::Interval;
use jiff::{Timestamp, civil::DateTime};

use super::{ReadError, event::Event, recurrence_override::Overrides, rule::Rule};

/// The most occurrences that are expanded for one file, those before the window included.
const OCCURRENCES_MAX: usize = 50_000;
/// The most days, weeks, months or years that rules step through for one file.
const STEPS_MAX: i64 = 500_000;
/// The most rules in one file.
const RULES_MAX: usize = 1000;
/// The most rules without an occurrence, such as 30 February: calcard searches long for each.
const BARREN_MAX: usize = 10;
/// The most pairs of a series and an override of one of its occurrences.
const REPLACED_MAX: usize = 500_000;

/// The limits that a file has budget.
struct Budget {
    occurrences: usize,
    steps: i64,
    rules: usize,
    barren: usize,
    replaced: usize,
}

/// Start and end.
pub(super) type Span = (Timestamp, Timestamp);

/// The busy occurrences up to the end of the window, unsorted, and the errors of the events that a lenient reader skips.
pub(super) fn spans(
    events: &[Event],
    window: Interval,
    lenient: bool,
) -> Result<(Vec<Span>, Vec<ReadError>), ReadError> {
    let overrides = Overrides::of(events)?;
    let mut budget = Budget {
        occurrences: OCCURRENCES_MAX,
        steps: STEPS_MAX,
        rules: RULES_MAX,
        barren: BARREN_MAX,
        replaced: REPLACED_MAX,
    };
    let (mut spans, mut errors) = (Vec::new(), Vec::new());
    for event in events {
        match of_event(event, &overrides, window, &mut budget) {
            Ok(found) => spans.extend(found),
            Err(error) if lenient => errors.push(ReadError { line: event.line, ..error }),
            Err(error) => return Err(ReadError { line: event.line, ..error }),
        }
    }
    Ok((spans, errors))
}

fn of_event(
    event: &Event,
    overrides: &Overrides<'_>,
    window: Interval,
    budget: &mut Budget,
) -> Result<Vec<Span>, ReadError> {
    budget.replaced = budget.replaced.checked_sub(overrides.count(event)).ok_or_else(too_many)?;
    let future_overrides = overrides.future_overrides(event);
    if !(event.busy || future_overrides.any_busy()) || overrides.is_overridden(event) {
        return Ok(vec![]);
    }
    let exclusions = overrides.exclusions(event);
    let end = window.end().saturating_add(future_overrides.max_advance()).unwrap_or(Timestamp::MAX);
    let excepted = of_rules(&event.except_rules, event, end, budget)?;
    let regular = starts(event, end, budget)?.into_iter().filter(|civil| !excepted.contains(civil));
    let regular = regular.map(|civil| (&event.start, civil, event.length));
    let additions =
        event.additions.iter().map(|(date_time, length)| (date_time, date_time.civil, length.unwrap_or(event.length)));
    let mut spans = Vec::new();
    for (clock, civil, length) in regular.chain(additions) {
        let start = clock.at(civil);
        if exclusions.contains(start, civil) {
            continue;
        }
        let (civil, length, busy) = match future_overrides.at(start) {
            Some(future_override) => {
                (civil.saturating_add(future_override.shift), future_override.length, future_override.busy)
            }
            None => (civil, length, event.busy),
        };
        if busy {
            spans.push((clock.at(civil), length.end(clock, civil)));
        }
    }
    Ok(spans)
}

/// The wall-clock starts of an event up to an instant. DTSTART is among them whether a rule generates it or not, unless
/// every rule has ended before it.
fn starts(event: &Event, end: Timestamp, budget: &mut Budget) -> Result<BTreeSet<DateTime>, ReadError> {
    let begins = event.start.civil;
    if event.rules.is_empty() || event.recurrence_id.is_some() {
        return Ok(BTreeSet::from([begins]));
    }
    let mut starts = of_rules(&event.rules, event, end, budget)?;
    if event.rules.iter().any(|rule| rule.until.is_none_or(|until| until >= begins)) {
        starts.insert(begins);
    }
    Ok(starts)
}

fn of_rules(
    rules: &[Rule],
    event: &Event,
    end: Timestamp,
    budget: &mut Budget,
) -> Result<BTreeSet<DateTime>, ReadError> {
    let (begins, end) = (event.start.civil, event.start.zone.to_datetime(end));
    let mut starts = BTreeSet::new();
    for rule in rules {
        let until = rule.until.map_or(end, |until| until.min(end));
        if until < begins {
            continue;
        }
        let steps = 1 + until.date().duration_since(begins.date()).as_hours() / 24 / rule.step_days();
        budget.steps = Some(budget.steps - steps).filter(|steps| *steps >= 0).ok_or_else(too_many)?;
        budget.rules = budget.rules.checked_sub(1).ok_or_else(too_many)?;
        let found = rule.starts(begins, end, budget.occurrences + 1)?;
        let barren = budget.barren.checked_sub(usize::from(found.is_empty()));
        let occurrences = budget.occurrences.checked_sub(found.len());
        let (Some(barren), Some(occurrences)) = (barren, occurrences) else {
            // Every further rule would be searched as long.
            budget.rules = 0;
            return Err(too_many());
        };
        (budget.barren, budget.occurrences) = (barren, occurrences);
        starts.extend(found);
    }
    Ok(starts)
}

fn too_many() -> ReadError {
    let detail = "with this event the series of the file reach too far; let them begin later or be fewer";
    ReadError::new(0, "too_many", detail)
}
