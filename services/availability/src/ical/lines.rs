//! The structure of a file: unfolded content lines, balanced components, and the properties of times. No name and no text
//! of the file is kept.

use super::ReadError;

/// The most events and lists of busy periods in one file: as many as fit into the largest file.
const EVENTS_MAX: usize = 30_000;

/// The properties that are read.
const PROPERTIES: [&str; 18] = [
    "UID",
    "SEQUENCE",
    "DTSTART",
    "DTEND",
    "DURATION",
    "RRULE",
    "EXRULE",
    "RDATE",
    "EXDATE",
    "RECURRENCE-ID",
    "STATUS",
    "TRANSP",
    "FREEBUSY",
    "TZID",
    "TZOFFSETFROM",
    "TZOFFSETTO",
    "X-LIC-LOCATION",
    "X-MICROSOFT-CDO-TZID",
];
/// The properties whose values have no colon: the last colon ends the parameters, even where one of them has an unquoted
/// colon.
const WITHOUT_COLON: [&str; 5] = ["DTSTART", "DTEND", "RDATE", "EXDATE", "RECURRENCE-ID"];

/// A property: `NAME;PARAMETER=value:value`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) name: &'static str,
    pub(super) line: usize,
    /// Names in capitals, values without quotes.
    parameters: Vec<(String, String)>,
    pub(super) value: String,
}

impl Property {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Reads a content line; `None` for a property that is not kept.
    fn read(text: &str, line: usize) -> Option<Self> {
        let (own, tail) = text.split_at(text.find([':', ';']).unwrap_or(text.len()));
        let name = PROPERTIES.into_iter().find(|name| name.eq_ignore_ascii_case(own.trim()))?;
        let mut quoted = false;
        let mut colons = tail.char_indices().filter(|(_, letter)| {
            quoted ^= *letter == '"';
            *letter == ':' && !quoted
        });
        let colon = if tail.starts_with(';') && WITHOUT_COLON.contains(&name) { colons.last() } else { colons.next() };
        let (head, value) = colon.map_or((tail, ""), |(at, _)| (&tail[..at], &tail[at + 1..]));
        Some(Self { name, line, parameters: parameters(head), value: value.trim().to_owned() })
    }
}

fn parameters(head: &str) -> Vec<(String, String)> {
    let mut quoted = false;
    let parts = head.split(|letter| {
        quoted ^= letter == '"';
        letter == ';' && !quoted
    });
    let pairs = parts.filter_map(|part| part.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_ascii_uppercase(), value.replace('"', ""))).collect()
}

/// A component and its kept properties.
#[derive(Debug)]
pub(super) struct Component {
    /// In capitals.
    name: String,
    /// The line at which it begins, from 1.
    pub(super) line: usize,
    pub(super) properties: Vec<Property>,
    /// The observances of a time zone.
    pub(super) observances: Vec<Component>,
}

impl Component {
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &Property> {
        self.properties.iter().filter(move |property| property.name == name)
    }

    pub(super) fn first(&self, name: &str) -> Option<&Property> {
        self.all(name).next()
    }

    /// Whether the first value of this name is a word, in whatever case.
    pub(super) fn is(&self, name: &str, word: &str) -> bool {
        self.first(name).is_some_and(|property| property.value.eq_ignore_ascii_case(word))
    }

    /// A value of type TEXT, unescaped (RFC 5545, 3.3.11).
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.first(name).map(|property| unescaped(&property.value))
    }
}

/// Text without its backslashes.
pub(super) fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain
}

/// The kept components of a file, in its order.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) zones: Vec<Component>,
    pub(super) events: Vec<Component>,
    pub(super) free_busy: Vec<Component>,
    /// The parts that a lenient reader skipped.
    pub(super) skipped: Vec<ReadError>,
}

impl File {
    /// Reads a file. A lenient reader skips components that do not end, and everything after the calendar.
    pub(super) fn read(text: &str, lenient: bool) -> Result<Self, ReadError> {
        let mut parser = Parser { lenient, ..Parser::default() };
        let lines = unfold(text.trim_start_matches('\u{feff}'));
        let last = lines.last().map_or(1, |(number, _)| *number);
        for (number, line) in lines {
            let line = line.trim();
            if parser.closed {
                let detail = "send one calendar at a time, without text after its end";
                parser.skip_or_fail(ReadError::new(number, "more_than_one", detail).of("VCALENDAR"))?;
                break;
            }
            if let Some(name) = name_after(line, "BEGIN:") {
                parser.begin(name, number)?;
            } else if let Some(name) = name_after(line, "END:") {
                parser.end(&name, number)?;
            } else if let Some(component) = parser.open.last_mut() {
                component.properties.extend(Property::read(line, number));
            } else {
                return Err(not_a_calendar(number));
            }
        }
        if !parser.closed {
            let truncated = ReadError::new(last, "truncated", "END:VCALENDAR is missing; send the whole file");
            parser.skip_or_fail(truncated.of("VCALENDAR"))?;
            if parser.open.is_empty() {
                return Err(not_a_calendar(last));
            }
            parser.skip_open_from(1);
        }
        Ok(parser.file)
    }
}

fn not_a_calendar(line: usize) -> ReadError {
    ReadError::new(line, "not_a_calendar", "begin with BEGIN:VCALENDAR").of("VCALENDAR")
}

#[derive(Default)]
struct Parser {
    file: File,
    open: Vec<Component>,
    closed: bool,
    lenient: bool,
}

impl Parser {
    /// Skips an error where the reader is lenient.
    fn skip_or_fail(&mut self, error: ReadError) -> Result<(), ReadError> {
        if !self.lenient {
            return Err(error);
        }
        self.file.skipped.push(error);
        Ok(())
    }

    fn begin(&mut self, name: String, line: usize) -> Result<(), ReadError> {
        if self.open.is_empty() && name != "VCALENDAR" {
            return Err(not_a_calendar(line));
        }
        let counted = |component: &&Component| matches!(component.name.as_str(), "VEVENT" | "VFREEBUSY");
        let before = self.file.events.len() + self.file.free_busy.len() + self.open.iter().filter(counted).count();
        self.open.push(Component { name, line, properties: vec![], observances: vec![] });
        if before >= EVENTS_MAX && self.open.last().as_ref().is_some_and(counted) {
            return Err(ReadError::new(line, "too_many", format!("at most {EVENTS_MAX} events; export fewer months")));
        }
        Ok(())
    }

    fn end(&mut self, name: &str, line: usize) -> Result<(), ReadError> {
        let Some(begun) = self.open.last() else {
            return Err(ReadError::new(line, "unbalanced", "there is no BEGIN for this END").of("VCALENDAR"));
        };
        if begun.name != name {
            let detail = format!("this END does not fit the BEGIN of line {}; is the file whole?", begun.line);
            let error = ReadError::new(line, "unbalanced", detail).of("VCALENDAR");
            match self.open.iter().rposition(|component| component.name == name) {
                Some(at) if self.lenient => self.skip_open_from(at + 1),
                _ => return self.skip_or_fail(error),
            }
        }
        let Some(component) = self.open.pop() else { return Ok(()) };
        match component.name.as_str() {
            "VEVENT" => self.file.events.push(component),
            "VFREEBUSY" => self.file.free_busy.push(component),
            "VTIMEZONE" => self.file.zones.push(component),
            "STANDARD" | "DAYLIGHT" => {
                if let Some(zone) = self.open.last_mut() {
                    zone.observances.push(component);
                }
            }
            _ => self.closed = self.open.is_empty(),
        }
        Ok(())
    }

    /// Skips the open components from this depth on.
    fn skip_open_from(&mut self, depth: usize) {
        for component in self.open.split_off(depth) {
            let detail = "END is missing; send the whole file";
            let error = ReadError::new(component.line, "unbalanced", detail);
            self.file.skipped.push(if component.name == "VEVENT" { error } else { error.of("VCALENDAR") });
        }
    }
}

/// The unfolded content lines with the numbers of their first physical lines (RFC 5545, 3.1). CRLF, LF and CR end a line.
fn unfold(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let physical = text.split('\n').flat_map(|line| line.trim_end_matches('\r').split('\r'));
    for (number, line) in (1..).zip(physical) {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some((_, begun))) => begun.push_str(more),
            _ if line.trim().is_empty() => {}
            _ => lines.push((number, line.to_owned())),
        }
    }
    lines
}

fn name_after(line: &str, keyword: &str) -> Option<String> {
    let begin = line.get(..keyword.len())?;
    begin.eq_ignore_ascii_case(keyword).then(|| line[keyword.len()..].trim().to_ascii_uppercase())
}
