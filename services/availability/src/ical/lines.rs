//! The file's frame: content lines unfolded, components that end where they should, and of each the properties that say
//! when. Nothing else of the file is kept: no name, no text.

use super::Wrong;

/// The most events in one file, and lists of busy periods among them: as many as the largest file holds.
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
/// Those whose values hold no colon, so that one in a parameter without its quotes does no harm.
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

    /// `None` where the line holds another property than those that are read.
    fn read(text: &str, line: usize) -> Option<Self> {
        let (own, rest) = text.split_at(text.find([':', ';']).unwrap_or(text.len()));
        let name = PROPERTIES.into_iter().find(|name| name.eq_ignore_ascii_case(own.trim()))?;
        let mut quoted = false;
        let mut colons = rest.char_indices().filter(|(_, letter)| {
            quoted ^= *letter == '"';
            *letter == ':' && !quoted
        });
        let colon = if rest.starts_with(';') && WITHOUT_COLON.contains(&name) { colons.last() } else { colons.next() };
        let (head, value) = colon.map_or((rest, ""), |(at, _)| (&rest[..at], &rest[at + 1..]));
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

/// A component and what is read of it.
#[derive(Debug)]
pub(super) struct Component {
    /// In capitals.
    name: String,
    /// Where it begins.
    pub(super) line: usize,
    pub(super) properties: Vec<Property>,
    /// The two halves of a zone's year.
    pub(super) parts: Vec<Component>,
}

impl Component {
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &Property> {
        self.properties.iter().filter(move |property| property.name == name)
    }

    pub(super) fn first(&self, name: &str) -> Option<&Property> {
        self.all(name).next()
    }

    /// The first value of this name as a word, compared without regard to case.
    pub(super) fn says(&self, name: &str, word: &str) -> bool {
        self.first(name).is_some_and(|property| property.value.eq_ignore_ascii_case(word))
    }

    /// A value that is text, without what escapes its marks (RFC 5545, 3.3.11).
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

/// What is read of a file, in its order.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) zones: Vec<Component>,
    pub(super) events: Vec<Component>,
    /// VFREEBUSY.
    pub(super) lists: Vec<Component>,
    /// What a lenient reader leaves out.
    pub(super) skipped: Vec<Wrong>,
}

impl File {
    /// Reads the frame. A lenient reader leaves out components that do not end, and what follows the calendar.
    pub(super) fn read(text: &str, lenient: bool) -> Result<Self, Wrong> {
        let mut frame = Frame { lenient, ..Frame::default() };
        let lines = unfold(text.trim_start_matches('\u{feff}'));
        let last = lines.last().map_or(1, |(number, _)| *number);
        for (number, line) in lines {
            let line = line.trim();
            if frame.closed {
                let detail = "send one calendar at a time, without text after its end";
                frame.wrong(Wrong::new(number, "more_than_one", detail).of("VCALENDAR"))?;
                break;
            }
            if let Some(name) = named(line, "BEGIN:") {
                frame.begin(name, number)?;
            } else if let Some(name) = named(line, "END:") {
                frame.end(&name, number)?;
            } else if let Some(component) = frame.open.last_mut() {
                component.properties.extend(Property::read(line, number));
            } else {
                return Err(not_a_calendar(number));
            }
        }
        if !frame.closed {
            let truncated = Wrong::new(last, "truncated", "END:VCALENDAR is missing; send the whole file");
            frame.wrong(truncated.of("VCALENDAR"))?;
            if frame.open.is_empty() {
                return Err(not_a_calendar(last));
            }
            frame.give_up(1);
        }
        Ok(frame.file)
    }
}

fn not_a_calendar(line: usize) -> Wrong {
    Wrong::new(line, "not_a_calendar", "begin with BEGIN:VCALENDAR").of("VCALENDAR")
}

#[derive(Default)]
struct Frame {
    file: File,
    open: Vec<Component>,
    closed: bool,
    lenient: bool,
}

impl Frame {
    fn wrong(&mut self, wrong: Wrong) -> Result<(), Wrong> {
        if !self.lenient {
            return Err(wrong);
        }
        self.file.skipped.push(wrong);
        Ok(())
    }

    fn begin(&mut self, name: String, line: usize) -> Result<(), Wrong> {
        if self.open.is_empty() && name != "VCALENDAR" {
            return Err(not_a_calendar(line));
        }
        let counted = |one: &&Component| matches!(one.name.as_str(), "VEVENT" | "VFREEBUSY");
        let before = self.file.events.len() + self.file.lists.len() + self.open.iter().filter(counted).count();
        self.open.push(Component { name, line, properties: vec![], parts: vec![] });
        if before >= EVENTS_MAX && self.open.last().as_ref().is_some_and(counted) {
            return Err(Wrong::new(line, "too_many", format!("at most {EVENTS_MAX} events; export fewer months")));
        }
        Ok(())
    }

    fn end(&mut self, name: &str, line: usize) -> Result<(), Wrong> {
        let Some(begun) = self.open.last() else {
            return Err(Wrong::new(line, "unbalanced", "there is no BEGIN for this END").of("VCALENDAR"));
        };
        if begun.name != name {
            let detail = format!("this END does not fit the BEGIN of line {}; is the file whole?", begun.line);
            let wrong = Wrong::new(line, "unbalanced", detail).of("VCALENDAR");
            match self.open.iter().rposition(|component| component.name == name) {
                Some(at) if self.lenient => self.give_up(at + 1),
                _ => return self.wrong(wrong),
            }
        }
        let Some(component) = self.open.pop() else { return Ok(()) };
        match component.name.as_str() {
            "VEVENT" => self.file.events.push(component),
            "VFREEBUSY" => self.file.lists.push(component),
            "VTIMEZONE" => self.file.zones.push(component),
            "STANDARD" | "DAYLIGHT" => {
                if let Some(zone) = self.open.last_mut() {
                    zone.parts.push(component);
                }
            }
            _ => self.closed = self.open.is_empty(),
        }
        Ok(())
    }

    /// Leaves out what is open from this depth on.
    fn give_up(&mut self, depth: usize) {
        for component in self.open.split_off(depth) {
            let detail = "END is missing; send the whole file";
            let wrong = Wrong::new(component.line, "unbalanced", detail);
            self.file.skipped.push(if component.name == "VEVENT" { wrong } else { wrong.of("VCALENDAR") });
        }
    }
}

/// The content lines with the numbers of the lines on which they begin (RFC 5545, 3.1). Lines end with CRLF, LF or CR.
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

fn named(line: &str, what: &str) -> Option<String> {
    let begin = line.get(..what.len())?;
    begin.eq_ignore_ascii_case(what).then(|| line[what.len()..].trim().to_ascii_uppercase())
}
