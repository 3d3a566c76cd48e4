//! The file's frame: that each component ends where it should, and on which line each event begins.

use super::Wrong;

/// The most events in one file.
const EVENTS_MAX: usize = 3000;

/// The lines on which events begin, in their order.
pub(super) fn begins(text: &str) -> Result<Vec<usize>, Wrong> {
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut begins = Vec::new();
    let mut last = 1;
    let mut closed = false;
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = at + 1;
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        last = number;
        if closed {
            return Err(Wrong::new(number, "more_than_one", "send one calendar at a time, without text after its end"));
        }
        if let Some(name) = named(line, "BEGIN:") {
            if name == "VEVENT" {
                begins.push(number);
            } else if name == "VFREEBUSY" {
                let detail = "VFREEBUSY is not read; export the calendar with its events";
                return Err(Wrong::new(number, "unsupported", detail));
            }
            open.push((name, number));
        } else if let Some(name) = named(line, "END:") {
            match open.pop() {
                Some((opened, _)) if opened == name => closed = open.is_empty(),
                Some((_, begun)) => {
                    let detail = format!("this END does not fit the BEGIN of line {begun}; is the file whole?");
                    return Err(Wrong::new(number, "unbalanced", detail));
                }
                None => return Err(Wrong::new(number, "unbalanced", "there is no BEGIN for this END")),
            }
        }
        let in_calendar = closed || open.first().is_some_and(|(name, _)| name == "VCALENDAR");
        if !in_calendar {
            return Err(Wrong::new(number, "not_a_calendar", "begin with BEGIN:VCALENDAR"));
        }
    }
    if !closed {
        return Err(Wrong::new(last, "truncated", "END:VCALENDAR is missing; send the whole file"));
    }
    if begins.len() > EVENTS_MAX {
        let line = begins[EVENTS_MAX];
        return Err(Wrong::new(line, "too_many", format!("at most {EVENTS_MAX} events; export fewer months")));
    }
    Ok(begins)
}

fn named(line: &str, what: &str) -> Option<String> {
    let begin = line.get(..what.len())?;
    begin.eq_ignore_ascii_case(what).then(|| line[what.len()..].trim().to_ascii_uppercase())
}
