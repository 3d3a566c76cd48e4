//! Events laid out in time: series without their exceptions, and turned where an event says that they turn.

use std::collections::BTreeSet;

use domain::time::Interval;
use jiff::{Timestamp, civil::DateTime};

use super::{Wrong, event::Event, recurrence_override::Replacements, rule::Rule};

/// The most occurrences that are laid out for one file, those before the window among them.
const OCCURRENCES_MAX: usize = 50_000;
/// The most days, weeks, months or years that are gone through for one file.
const STEPS_MAX: i64 = 500_000;
/// The most rules in one file.
const RULES_MAX: usize = 1000;
/// The most series that never take place, such as on 30 February: each is searched for at length.
const BARREN_MAX: usize = 10;
/// The most pairs of a series and an event in place of one of its occurrences.
const REPLACED_MAX: usize = 500_000;

/// What may still be laid out for a file.
struct Left {
    occurrences: usize,
    steps: i64,
    rules: usize,
    barren: usize,
    replaced: usize,
}

/// From when and until when.
pub(super) type Span = (Timestamp, Timestamp);

/// The occurrences that make busy, those after the window left out, in no order; with the events that a lenient reader
/// leaves out because they cannot be laid out.
pub(super) fn spans(events: &[Event], window: Interval, lenient: bool) -> Result<(Vec<Span>, Vec<Wrong>), Wrong> {
    let replacements = Replacements::of(events)?;
    let mut left = Left {
        occurrences: OCCURRENCES_MAX,
        steps: STEPS_MAX,
        rules: RULES_MAX,
        barren: BARREN_MAX,
        replaced: REPLACED_MAX,
    };
    let (mut spans, mut wrongs) = (Vec::new(), Vec::new());
    for event in events {
        match of_event(event, &replacements, window, &mut left) {
            Ok(found) => spans.extend(found),
            Err(wrong) if lenient => wrongs.push(Wrong { line: event.line, ..wrong }),
            Err(wrong) => return Err(Wrong { line: event.line, ..wrong }),
        }
    }
    Ok((spans, wrongs))
}

fn of_event(
    event: &Event,
    replacements: &Replacements<'_>,
    window: Interval,
    left: &mut Left,
) -> Result<Vec<Span>, Wrong> {
    left.replaced = left.replaced.checked_sub(replacements.count(event)).ok_or_else(too_many)?;
    let turns = replacements.turns(event);
    if !(event.busy || turns.any_busy()) || replacements.gives_way(event) {
        return Ok(vec![]);
    }
    let gone = replacements.gone(event);
    let end = window.end().saturating_add(turns.earlier()).unwrap_or(Timestamp::MAX);
    let except = of_rules(&event.except_rules, event, end, left)?;
    let of_rule = starts(event, end, left)?.into_iter().filter(|civil| !except.contains(civil));
    let of_rule = of_rule.map(|civil| (&event.start, civil, event.length));
    let more = event.more.iter().map(|(moment, length)| (moment, moment.civil, length.unwrap_or(event.length)));
    let mut spans = Vec::new();
    for (clock, civil, length) in of_rule.chain(more) {
        let start = clock.at(civil);
        if gone.has(start, civil) {
            continue;
        }
        let (civil, length, busy) = match turns.at(start) {
            Some(turn) => (civil.saturating_add(turn.shift), turn.length, turn.busy),
            None => (civil, length, event.busy),
        };
        if busy {
            spans.push((clock.at(civil), length.end(clock, civil)));
        }
    }
    Ok(spans)
}

/// The wall-clock starts of an event, up to an instant. That from which it begins is among them whether its rules have it
/// or not, unless they have ended before.
fn starts(event: &Event, end: Timestamp, left: &mut Left) -> Result<BTreeSet<DateTime>, Wrong> {
    let begins = event.start.civil;
    if event.rules.is_empty() || event.replaces.is_some() {
        return Ok(BTreeSet::from([begins]));
    }
    let mut starts = of_rules(&event.rules, event, end, left)?;
    if event.rules.iter().any(|rule| rule.until.is_none_or(|until| until >= begins)) {
        starts.insert(begins);
    }
    Ok(starts)
}

fn of_rules(rules: &[Rule], event: &Event, end: Timestamp, left: &mut Left) -> Result<BTreeSet<DateTime>, Wrong> {
    let (begins, end) = (event.start.civil, event.start.zone.to_datetime(end));
    let mut starts = BTreeSet::new();
    for rule in rules {
        let until = rule.until.map_or(end, |until| until.min(end));
        if until < begins {
            continue;
        }
        let steps = 1 + until.date().duration_since(begins.date()).as_hours() / 24 / rule.days_of_a_step();
        left.steps = Some(left.steps - steps).filter(|left| *left >= 0).ok_or_else(too_many)?;
        left.rules = left.rules.checked_sub(1).ok_or_else(too_many)?;
        let found = rule.starts(begins, end, left.occurrences + 1)?;
        let barren = left.barren.checked_sub(usize::from(found.is_empty()));
        let occurrences = left.occurrences.checked_sub(found.len());
        let (Some(barren), Some(occurrences)) = (barren, occurrences) else {
            // What follows would be searched for as long.
            left.rules = 0;
            return Err(too_many());
        };
        (left.barren, left.occurrences) = (barren, occurrences);
        starts.extend(found);
    }
    Ok(starts)
}

fn too_many() -> Wrong {
    let detail = "with this event the series of the file reach too far; let them begin later or be fewer";
    Wrong::new(0, "too_many", detail)
}
