//! The zones of names: those of the tz database, Windows' names, and spellings of UTC.

use std::str::FromStr;

use calcard::common::timezone::Tz;
use jiff::tz::TimeZone;

use super::date_time::utc_offset;

/// The names of UTC. Exchange writes it in the language of the mailbox, with or without `(UTC)` or `(UTC+00:00)` before it.
const UTC: [&str; 18] = [
    "utc",
    "gmt",
    "uct",
    "z",
    "zulu",
    "coordinated universal time",
    "universal coordinated time",
    "universal time",
    "universal time coordinated",
    "greenwich mean time",
    "gecoördineerde wereldtijd",
    "hora universal coordinada",
    "horário universal coordenado",
    "koordinierte weltzeit",
    "ora coordinata universale",
    "tempo universal coordenado",
    "temps universel coordonné",
    "tiempo universal coordinado",
];
/// Names in the tz database of the machine that are no zones.
const NO_PLACE: [&str; 4] = ["etc/unknown", "factory", "localtime", "posixrules"];

/// A name in normal form: without quotes, and without spaces around it, repeated or after commas.
pub(super) fn plain(name: &str) -> String {
    let name = name.replace('"', "").split_whitespace().collect::<Vec<_>>().join(" ");
    name.replace(", ", ",")
}

/// The zone of a plain name in whatever case; `None` for an offset or an unknown name.
pub(super) fn known(name: &str) -> Option<TimeZone> {
    // Exchange writes the winter's offset before the name; only the name counts.
    let label = name.strip_prefix('(').and_then(|name| name.split_once(')')).map(|(_, label)| label.trim());
    if name.eq_ignore_ascii_case("(utc)") || name.eq_ignore_ascii_case("(gmt)") {
        return Some(TimeZone::UTC);
    }
    let name = label.unwrap_or(name);
    if UTC.contains(&name.to_lowercase().as_str()) {
        return Some(TimeZone::UTC);
    }
    of_database(name).or_else(|| after_path(name)).or_else(|| of_windows(name))
}

/// The zone of a name that is only an offset: `UTC-05:00`, `(GMT+0530)`, `+01:00`.
pub(super) fn offset(name: &str) -> Option<TimeZone> {
    let name = name.strip_prefix('(').and_then(|name| name.strip_suffix(')')).unwrap_or(name).to_ascii_uppercase();
    let sign = name.strip_prefix("UTC").or_else(|| name.strip_prefix("GMT")).unwrap_or(&name).trim();
    let (sign, digits) = sign.split_at_checked(sign.chars().next()?.len_utf8())?;
    // A single digit is an hour.
    let hour = digits.split(':').next().unwrap_or_default();
    let digits = if hour.len() == 1 { format!("0{digits}") } else { digits.to_owned() };
    utc_offset(&format!("{sign}{digits}")).map(TimeZone::fixed)
}

fn of_database(name: &str) -> Option<TimeZone> {
    let name = name.replace(' ', "_");
    if NO_PLACE.contains(&name.to_ascii_lowercase().as_str()) {
        return None;
    }
    TimeZone::get(&name).ok()
}

/// The end of a path such as `/mozilla.org/20050126_1/Europe/Berlin` (RFC 5545, 3.2.19) or `tzone://Microsoft/Utc`.
fn after_path(name: &str) -> Option<TimeZone> {
    let is_path = name.starts_with('/') || name.split('/').next().is_some_and(|first| first.contains(['.', ':']));
    let ends = name.char_indices().filter(|(_, letter)| *letter == '/').map(|(at, _)| &name[at + 1..]);
    ends.filter(|_| is_path).find_map(of_database)
}

fn of_windows(name: &str) -> Option<TimeZone> {
    let spaced = name.replace(',', ", ");
    // calcard would guess a name that begins with an offset.
    let Tz::Tz(zone) = Tz::from_str(Some(spaced.as_str()).filter(|name| !name.starts_with('('))?).ok()? else {
        return None;
    };
    TimeZone::get(zone.name()).ok()
}
