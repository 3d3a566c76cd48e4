//! The file's frame: that each component ends where it should, and on which line what is read of it begins.

use super::Wrong;

/// The most events in one file, and lists of busy periods among them.
const EVENTS_MAX: usize = 3000;

/// The lines on which things begin, in their order.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) events: Vec<usize>,
    pub(super) lists: Vec<List>,
}

/// The lines of a VFREEBUSY.
pub(super) struct List {
    pub(super) begins: usize,
    /// Those of its FREEBUSY properties.
    pub(super) periods: Vec<usize>,
}

impl Lines {
    fn begin(&mut self, component: &str, number: usize) -> Result<(), Wrong> {
        match component {
            "VEVENT" => self.events.push(number),
            "VFREEBUSY" => self.lists.push(List { begins: number, periods: vec![] }),
            _ => {}
        }
        if self.events.len() + self.lists.len() > EVENTS_MAX {
            return Err(Wrong::new(number, "too_many", format!("at most {EVENTS_MAX} events; export fewer months")));
        }
        Ok(())
    }

    fn property(&mut self, component: &str, line: &str, number: usize) -> Result<(), Wrong> {
        let head = line.split(':').next().unwrap_or(line).to_ascii_uppercase();
        match (component, head.split(';').next()) {
            ("VFREEBUSY", Some("FREEBUSY")) => {
                if let Some(list) = self.lists.last_mut() {
                    list.periods.push(number);
                }
            }
            // RFC 2445 had it; the parser reads past it, and the event would stand for one occurrence alone.
            ("VEVENT", Some("RECURRENCE-ID")) if head.contains(";RANGE=THISANDPRIOR") => {
                let detail = "RANGE=THISANDPRIOR is not read; export the series as two events";
                return Err(Wrong::new(number, "unsupported", detail));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The lines of a whole file.
pub(super) fn lines(text: &str) -> Result<Lines, Wrong> {
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut lines = Lines::default();
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
            lines.begin(&name, number)?;
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
        } else if let Some((component, _)) = open.last() {
            lines.property(component, line, number)?;
        }
        let in_calendar = closed || open.first().is_some_and(|(name, _)| name == "VCALENDAR");
        if !in_calendar {
            return Err(Wrong::new(number, "not_a_calendar", "begin with BEGIN:VCALENDAR"));
        }
    }
    if !closed {
        return Err(Wrong::new(last, "truncated", "END:VCALENDAR is missing; send the whole file"));
    }
    Ok(lines)
}

fn named(line: &str, what: &str) -> Option<String> {
    let begin = line.get(..what.len())?;
    begin.eq_ignore_ascii_case(what).then(|| line[what.len()..].trim().to_ascii_uppercase())
}
