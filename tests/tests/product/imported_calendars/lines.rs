//! How single lines are written: values, lengths, folds and ends.

use super::{Case, busy, event, refused};

pub(crate) fn cases() -> Vec<Case> {
    [values(), lengths(), folds(), lists()].into_iter().flatten().collect()
}

fn values() -> Vec<Case> {
    vec![
        busy(
            "a date with a time in it",
            event(&["UID:1", "DTSTART;VALUE=DATE:20270118T200000", "DTEND;VALUE=DATE:20270118T220000"]),
            &["20270119T0100 20270119T0300"],
        ),
        busy(
            "the same over several days",
            event(&["UID:1", "DTSTART;VALUE=DATE:20270118T200000", "DTEND;VALUE=DATE:20270120T220000"]),
            &["20270119T0100 20270121T0300"],
        ),
        busy(
            "the same with a zone, and in UTC",
            event(&[
                "UID:1",
                "DTSTART;VALUE=DATE;TZID=Europe/Berlin:20270118T200000",
                "DTEND;VALUE=DATE:20270118T210000Z",
            ]),
            &["20270118T1900 20270118T2100"],
        ),
        busy(
            "a time that is a date",
            event(&["UID:1", "DTSTART;VALUE=DATE-TIME:20270118", "DTEND:20270119"]),
            &["20270118T0500 20270119T0500"],
        ),
        busy(
            "a day that ends on itself is that day",
            event(&["UID:1", "DTSTART;VALUE=DATE:20270118", "DTEND;VALUE=DATE:20270118"]),
            &["20270118T0500 20270119T0500"],
        ),
        busy(
            "midnight as the end of a day",
            event(&["UID:1", "DTSTART:20270118T230000", "DTEND:20270118T240000"]),
            &["20270119T0400 20270119T0500"],
        ),
        refused(
            "a day that there is not",
            event(&["UID:1", "DTSTART:20270230T080000Z", "DURATION:PT1H"]),
            "invalid_time",
            4,
        ),
        refused(
            "more digits than a time has",
            event(&["UID:1", "DTSTART:20270118T2000000Z", "DURATION:PT1H"]),
            "invalid_value",
            4,
        ),
    ]
}

fn lengths() -> Vec<Case> {
    let lasting = |duration: &str| event(&["UID:1", "DTSTART;TZID=America/New_York:20270313T090000", duration]);
    vec![
        busy("a duration of hours", lasting("DURATION:PT1H30M"), &["20270313T1400 20270313T1530"]),
        // Its day has 23 hours, since the clock changes in it; 24 hours are 24 hours.
        busy("a duration of a day", lasting("DURATION:P1D"), &["20270313T1400 20270314T1300"]),
        busy("a duration of 24 hours", lasting("DURATION:PT24H"), &["20270313T1400 20270314T1400"]),
        busy("a duration of a week", lasting("DURATION:+P1W"), &["20270313T1400 20270320T1300"]),
        busy("a duration of both", lasting("DURATION:P1DT2H"), &["20270313T1400 20270314T1500"]),
        busy("no length at all", lasting("CLASS:PUBLIC"), &[]),
        busy(
            "days by a duration",
            event(&["UID:1", "DTSTART;VALUE=DATE:20270118", "DURATION:P2D"]),
            &["20270118T0500 20270120T0500"],
        ),
        refused("a negative duration", lasting("DURATION:-PT1H"), "invalid_value", 4),
        refused("a duration of nothing", lasting("DURATION:P"), "invalid_value", 4),
        refused("an end before the start", lasting("DTEND:20270313T130000Z"), "ends_before_start", 4),
    ]
}

fn folds() -> Vec<Case> {
    let hour: &[&str] = &["20270118T1900 20270118T2000"];
    let folded = "BEGIN:VEVENT\nUID:1\nSUMMARY:A long\n  text\nDTSTART;TZID=Eur\n ope/Ber\n\tlin:20270118T2\n 00000\nDURATION:PT1H\nEND:VEVENT\n";
    let spaced = "BEGIN:VEVENT\nUID:1\n\nDTSTART;TZID=Europe/Berlin:20270118T200000\n  \nDURATION:PT1H \nEND:VEVENT\n";
    vec![
        busy("folded lines", folded, hour),
        busy("blank lines and spaces at the end", spaced, hour),
        busy("names in small letters", folded.to_lowercase().replace("europe", "Europe"), hour),
        busy("CR twice before LF", folded.replace('\n', "\r\n"), hour),
        busy(
            "an alarm's times are its own",
            spaced.replace("END:VEVENT", "BEGIN:VALARM\nTRIGGER:-PT5M\nDURATION:PT9H\nEND:VALARM\nEND:VEVENT"),
            hour,
        ),
        busy(
            "a text that looks like a time",
            spaced.replace("UID:1", "UID:1\nDESCRIPTION:\n DTSTART:20270101T000000Z"),
            hour,
        ),
        refused(
            "a line that is named after folds",
            folded.to_owned() + &event(&["UID:2", "DTSTART:never", "DURATION:PT1H"]),
            "invalid_value",
            14,
        ),
    ]
}

fn lists() -> Vec<Case> {
    let list = |line: &str| format!("BEGIN:VFREEBUSY\nUID:1\n{line}\nEND:VFREEBUSY\n");
    vec![
        busy(
            "listed periods",
            list("FREEBUSY;FBTYPE=BUSY:20270118T190000Z/20270118T200000Z,20270119T190000Z/PT30M"),
            &["20270118T1900 20270118T2000", "20270119T1900 20270119T1930"],
        ),
        busy("a list of free time, whatever stands in it", list("FREEBUSY;FBTYPE=FREE:whenever"), &[]),
        refused("a listed time without UTC", list("FREEBUSY:20270118T190000/PT1H"), "invalid_time", 6),
    ]
}
