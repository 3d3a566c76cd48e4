//! Names of zones, and the file's own definitions of them.

use super::{Case, busy, event, refused};

/// A zone with the rules of the United States.
fn eastern(name: &str) -> String {
    format!(
        "BEGIN:VTIMEZONE\nTZID:{name}\n\
        BEGIN:STANDARD\nDTSTART:16010101T020000\nTZOFFSETFROM:-0400\nTZOFFSETTO:-0500\n\
        RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11\nEND:STANDARD\n\
        BEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETFROM:-0500\nTZOFFSETTO:-0400\n\
        RRULE:FREQ=YEARLY;BYDAY=2SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE\n"
    )
}

/// A zone without summer time, as Exchange writes it.
fn fixed(name: &str, offset: &str) -> String {
    let half = |kind: &str| {
        format!("BEGIN:{kind}\nDTSTART:16010101T000000\nTZOFFSETFROM:{offset}\nTZOFFSETTO:{offset}\nEND:{kind}\n")
    };
    format!("BEGIN:VTIMEZONE\nTZID:{name}\n{}{}END:VTIMEZONE\n", half("STANDARD"), half("DAYLIGHT"))
}

/// An hour at 11:00 of a zone, on these days of 2027.
fn hours(zone: &str, days: &[&str]) -> String {
    let hour = |day: &&str| {
        let (uid, start, end) = (
            format!("UID:{day}"),
            format!("DTSTART;TZID={zone}:2027{day}T110000"),
            format!("DTEND;TZID={zone}:2027{day}T120000"),
        );
        event(&[&uid, &start, &end])
    };
    days.iter().map(hour).collect()
}

const WINTER: &str = "0112";
const SUMMER: &str = "0508";
/// The two hours at offsets of -5 and -4, at -5, at +1 and +2, and at UTC.
const EASTERN: &[&str] = &["20270112T1600 20270112T1700", "20270508T1500 20270508T1600"];
const MINUS_FIVE: &[&str] = &["20270112T1600 20270112T1700", "20270508T1600 20270508T1700"];
const BERLIN: &[&str] = &["20270112T1000 20270112T1100", "20270508T0900 20270508T1000"];
const AT_UTC: &[&str] = &["20270112T1100 20270112T1200", "20270508T1100 20270508T1200"];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = definitions();
    cases.extend(names());
    cases.extend(without_a_name());
    cases
}

fn definitions() -> Vec<Case> {
    let with = |definition: String, zone: &str| definition + &hours(zone, &[WINTER, SUMMER]);
    let one_year = "BEGIN:VTIMEZONE\nTZID:Europe/Berlin\n\
        BEGIN:DAYLIGHT\nDTSTART:20260329T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nEND:DAYLIGHT\n\
        BEGIN:STANDARD\nDTSTART:20261025T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nEND:STANDARD\nEND:VTIMEZONE\n";
    let no_more_summers = "BEGIN:VTIMEZONE\nTZID:Clinic\n\
        BEGIN:DAYLIGHT\nDTSTART:20180401T000000\nTZOFFSETFROM:-0500\nTZOFFSETTO:-0400\nEND:DAYLIGHT\n\
        BEGIN:STANDARD\nDTSTART:20181104T000000\nTZOFFSETFROM:-0400\nTZOFFSETTO:-0500\nEND:STANDARD\nEND:VTIMEZONE\n";
    let by_dates = "BEGIN:VTIMEZONE\nTZID:Clinic\n\
        BEGIN:STANDARD\nDTSTART:20261101T020000\nRDATE:20271107T020000\nTZOFFSETFROM:-0400\nTZOFFSETTO:-0500\n\
        END:STANDARD\n\
        BEGIN:DAYLIGHT\nDTSTART:20270314T020000\nRDATE:20280312T020000\nTZOFFSETFROM:-0500\nTZOFFSETTO:-0400\n\
        END:DAYLIGHT\nEND:VTIMEZONE\n";
    let by_rules_that_end = eastern("Clinic")
        .replace("BYMONTH=11", "BYMONTH=11;UNTIL=20281105T060000Z")
        .replace("BYMONTH=3", "BYMONTH=3;UNTIL=20280312T070000Z");
    let placed = "BEGIN:VTIMEZONE\nTZID:Clinic\nX-LIC-LOCATION:Europe/Berlin\nEND:VTIMEZONE\n";
    vec![
        busy("named by its offset", with(eastern("(UTC-05:00) Clinic"), "\"(UTC-05:00) Clinic\""), EASTERN),
        busy("its offset without quotes", with(eastern("(UTC-05:00) Clinic"), "(UTC-05:00) Clinic"), EASTERN),
        busy(
            "in another language",
            with(eastern("(UTC-05:00) Ostküste (USA und Kanada)"), "\"(UTC-05:00) Ostküste (USA und Kanada)\""),
            EASTERN,
        ),
        busy("an offset alone, defined", with(eastern("UTC-05:00"), "\"UTC-05:00\""), EASTERN),
        busy("named by a comma", with(eastern("Clinic\\, upstairs"), "\"Clinic, upstairs\""), EASTERN),
        busy("the definition counts more than IANA's name", with(eastern("Europe/Berlin"), "Europe/Berlin"), EASTERN),
        busy(
            "the definition counts more than Windows' name",
            with(eastern("W. Europe Standard Time"), "W. Europe Standard Time"),
            EASTERN,
        ),
        busy("two halves alike and no rule", with(fixed("Clinic", "-0500"), "Clinic"), MINUS_FIVE),
        busy(
            "two halves alike under a name with summers",
            with(fixed("Europe/Berlin", "-0500"), "Europe/Berlin"),
            MINUS_FIVE,
        ),
        busy("spaces around the defined name", with(eastern(" Clinic  time "), "Clinic time"), EASTERN),
        busy("spaces around the name in the event", with(eastern("Clinic time"), " Clinic time "), EASTERN),
        busy("a definition of a year that is over", with(one_year.to_owned(), "Europe/Berlin"), BERLIN),
        busy(
            "the same under Windows' name",
            with(one_year.replace("Europe/Berlin", "W. Europe Standard Time"), "W. Europe Standard Time"),
            BERLIN,
        ),
        busy("summers that have ended", with(no_more_summers.to_owned(), "Clinic"), MINUS_FIVE),
        busy("changes listed by date", with(by_dates.to_owned(), "Clinic"), EASTERN),
        busy("rules that end after the window", with(by_rules_that_end, "Clinic"), EASTERN),
        busy("a definition that only says where", with(placed.to_owned(), "Clinic"), BERLIN),
        refused(
            "a definition that says nothing",
            "BEGIN:VTIMEZONE\nTZID:Clinic\nEND:VTIMEZONE\n".to_owned() + &hours("Clinic", &[WINTER]),
            "unknown_time_zone",
            7,
        ),
    ]
}

fn names() -> Vec<Case> {
    let both = |zone: &str| hours(zone, &[WINTER, SUMMER]);
    let mut cases = vec![
        refused(
            "an offset with a label that nobody knows",
            hours("\"(UTC-05:00) Clinic\"", &[WINTER]),
            "unknown_time_zone",
            4,
        ),
        refused("a name that nobody knows", hours("Narnia/Lamppost", &[WINTER]), "unknown_time_zone", 4),
        refused("a path to nowhere", hours("/example.org/Narnia/Lamppost", &[WINTER]), "unknown_time_zone", 4),
        refused("no path, and another zone at its end", hours("Narnia/Cuba", &[WINTER]), "unknown_time_zone", 4),
        busy("Exchange's name with its offset", both("\"(UTC-05:00) Eastern Time (US & Canada)\""), EASTERN),
        busy("Windows' name", both("Eastern Standard Time"), EASTERN),
        busy(
            "Windows' name without quotes around its commas",
            both("(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna"),
            BERLIN,
        ),
        busy("half an hour", hours("\"UTC+05:30\"", &[SUMMER]), &["20270508T0530 20270508T0630"]),
    ];
    for offset in ["\"UTC-05:00\"", "\"(UTC-05:00)\"", "GMT-0500", "UTC-5", "-0500", "Etc/GMT+5"] {
        cases.push(busy("an offset is fixed", both(offset), MINUS_FIVE));
    }
    let berlin = [
        "europe/berlin",
        "EUROPE/BERLIN",
        "/Europe/Berlin",
        "/mozilla.org/20050126_1/Europe/Berlin",
        "/freeassociation.sourceforge.net/Europe/Berlin",
        "/freeassociation.sourceforge.net/Tzfile/Europe/Berlin",
        "/softwarestudio.org/Olson_20011030_5/europe/berlin",
        "\"http://tzurl.org/zoneinfo/Europe/Berlin\"",
    ];
    cases.extend(berlin.map(|name| busy("IANA's name in other letters or behind a path", both(name), BERLIN)));
    let utc = [
        "UTC",
        "utc",
        "GMT",
        "Z",
        "Etc/UTC",
        "\"(UTC) Coordinated Universal Time\"",
        "\"(UTC+00:00) Coordinated Universal Time\"",
        "\"(GMT+00:00) Coordinated Universal Time\"",
        "Coordinated Universal Time",
        "\"(UTC) Koordinierte Weltzeit\"",
        "\"(UTC+00:00)\"",
        "\"(UTC)\"",
        "\"UTC+00:00\"",
        "\"UTC-00:00\"",
        "tzone://Microsoft/Utc",
        "\"tzone://Microsoft/Utc\"",
    ];
    cases.extend(utc.map(|name| busy(Box::leak(format!("UTC as {name}").into_boxed_str()), both(name), AT_UTC)));
    cases
}

fn without_a_name() -> Vec<Case> {
    vec![
        busy(
            "times without a zone are those of home",
            event(&["UID:1", "DTSTART:20270508T110000", "DTEND:20270508T120000"]),
            &["20270508T1500 20270508T1600"],
        ),
        busy(
            "whole days are those of home, on the day of a clock change too",
            event(&["UID:1", "DTSTART;VALUE=DATE:20270314"]),
            &["20270314T0500 20270315T0400"],
        ),
        busy(
            "an offset in the value",
            event(&["UID:1", "DTSTART:20270508T110000-0700", "DTEND:20270508T120000-0700"]),
            &["20270508T1800 20270508T1900"],
        ),
        busy(
            "an end without a zone is on the clock of its start",
            event(&["UID:1", "DTSTART;TZID=Europe/Berlin:20270508T110000", "DTEND:20270508T120000"]),
            &["20270508T0900 20270508T1000"],
        ),
        busy(
            "start and end in different zones",
            event(&[
                "UID:1",
                "DTSTART;TZID=Europe/Berlin:20270508T110000",
                "DTEND;TZID=America/New_York:20270508T120000",
            ]),
            &["20270508T0900 20270508T1600"],
        ),
    ]
}
