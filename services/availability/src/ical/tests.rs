mod free_busy;
mod recurrence_override;

use domain::{fault::Violation, time::Interval};
use jiff::{Timestamp, tz::TimeZone};

use super::{ReadOptions, read_busy_times};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn file(lines: &str) -> String {
    format!("BEGIN:VCALENDAR\nVERSION:2.0\n{}\nEND:VCALENDAR\n", lines.trim())
}

fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\n{}\nEND:VEVENT\n", lines.trim())
}

/// March and the first days of April 2026; the clocks of Edmonton change on 8 March, those of Berlin on 29 March.
fn window() -> Interval {
    Interval::new(at("2026-03-01T00:00:00Z"), at("2026-04-05T00:00:00Z")).unwrap()
}

fn options(home: Option<&TimeZone>, lenient: bool) -> ReadOptions<'_> {
    ReadOptions { home, window: window(), lenient, organization: "org_1" }
}

fn read(text: &str) -> Result<Vec<String>, Vec<Violation>> {
    let home = TimeZone::get("America/Edmonton").unwrap();
    let read = read_busy_times(text, &options(Some(&home), false)).map_err(|faults| faults.into_vec())?;
    Ok(read.times.iter().map(|time| format!("{} {}", time.starts_at, time.ends_at)).collect())
}

#[track_caller]
fn is(lines: &str, expected: &[&str]) {
    assert_eq!(read(&file(lines)).unwrap(), expected, "{lines}");
}

#[track_caller]
fn refused(text: &str, code: &str, line: usize) {
    let found = read(text).unwrap_err();
    assert_eq!(found[0].code, code, "{found:?}");
    assert!(found[0].detail.starts_with(&format!("line {line}: ")), "{found:?}");
}

#[test]
fn a_series_keeps_its_hour_across_a_clock_change() {
    is(
        &event(
            "UID:1\nDTSTART;TZID=America/Edmonton:20260305T090000\nDTEND;TZID=America/Edmonton:20260305T100000\nRRULE:FREQ=WEEKLY;COUNT=2",
        ),
        &["2026-03-05T16:00:00Z 2026-03-05T17:00:00Z", "2026-03-12T15:00:00Z 2026-03-12T16:00:00Z"],
    );
}

#[test]
fn a_time_in_the_gap_moves_forward_and_is_not_lost() {
    is(
        &event("UID:1\nDTSTART;TZID=America/Edmonton:20260307T023000\nDURATION:PT30M\nRRULE:FREQ=DAILY;COUNT=2"),
        &["2026-03-07T09:30:00Z 2026-03-07T10:00:00Z", "2026-03-08T09:30:00Z 2026-03-08T10:00:00Z"],
    );
}

#[test]
fn an_all_day_event_is_the_day_at_home() {
    is(&event("UID:1\nDTSTART;VALUE=DATE:20260308"), &["2026-03-08T07:00:00Z 2026-03-09T06:00:00Z"]);
    is(
        &event("UID:1\nDTSTART;VALUE=DATE:20260310\nDTEND;VALUE=DATE:20260312"),
        &["2026-03-10T06:00:00Z 2026-03-12T06:00:00Z"],
    );
}

#[test]
fn a_windows_zone_name_is_understood_with_and_without_its_definition() {
    let meeting = event("UID:1\nDTSTART;TZID=W. Europe Standard Time:20260330T090000\nDURATION:PT1H");
    let expected = ["2026-03-30T07:00:00Z 2026-03-30T08:00:00Z"];
    is(&meeting, &expected);
    let zone = "BEGIN:VTIMEZONE\nTZID:W. Europe Standard Time\nBEGIN:STANDARD\nDTSTART:16010101T030000\n\
        TZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nEND:STANDARD\nEND:VTIMEZONE\n";
    is(&format!("{zone}{meeting}"), &expected);
    let mine = "BEGIN:VTIMEZONE\nTZID:Mine\nX-LIC-LOCATION:Europe/Berlin\nEND:VTIMEZONE\n";
    is(&format!("{mine}{}", meeting.replace("W. Europe Standard Time", "Mine")), &expected);
}

#[test]
fn exceptions_additions_and_replacements_of_a_series_count() {
    let series = event(
        "UID:1\nSEQUENCE:0\nDTSTART;TZID=Europe/Berlin:20260302T090000\nDTEND;TZID=Europe/Berlin:20260302T100000\n\
        RRULE:FREQ=DAILY;COUNT=5\nEXDATE;TZID=Europe/Berlin:20260303T090000\nRDATE:20260320T120000Z",
    );
    let moved = event("UID:1\nSEQUENCE:4\nRECURRENCE-ID:20260304T080000Z\nDTSTART:20260304T150000Z\nDURATION:PT30M");
    let cancelled =
        event("UID:1\nSTATUS:CANCELLED\nRECURRENCE-ID:20260305T080000Z\nDTSTART:20260305T080000Z\nDURATION:PT1H");
    let other = event("UID:2\nRECURRENCE-ID:20260306T080000Z\nDTSTART:20260306T200000Z\nDURATION:PT1H");
    is(
        &format!("{series}{moved}{cancelled}{other}"),
        &[
            "2026-03-02T08:00:00Z 2026-03-02T09:00:00Z",
            "2026-03-04T15:00:00Z 2026-03-04T15:30:00Z",
            "2026-03-06T08:00:00Z 2026-03-06T09:00:00Z",
            "2026-03-06T20:00:00Z 2026-03-06T21:00:00Z",
            "2026-03-20T12:00:00Z 2026-03-20T13:00:00Z",
        ],
    );
}

#[test]
fn transparent_cancelled_and_empty_events_are_left_out() {
    for line in ["TRANSP:TRANSPARENT", "STATUS:CANCELLED"] {
        is(&event(&format!("UID:1\nDTSTART:20260305T080000Z\nDURATION:PT1H\n{line}")), &[]);
    }
    is(&event("UID:1\nDTSTART:20260305T080000Z"), &[]);
    is(&event("UID:1\nDTSTART:20260405T080000Z\nDURATION:PT1H"), &[]);
}

#[test]
fn a_rule_ends_where_it_says_and_an_endless_one_with_the_window() {
    let daily = |until: &str| {
        event(&format!("UID:1\nDTSTART;TZID=America/Edmonton:20260302T190000\nDURATION:PT1H\nRRULE:FREQ=DAILY{until}"))
    };
    let two = ["2026-03-03T02:00:00Z 2026-03-03T03:00:00Z", "2026-03-04T02:00:00Z 2026-03-04T03:00:00Z"];
    is(&daily(";UNTIL=20260304T020000Z"), &two);
    is(&daily(";UNTIL=20260303"), &two);
    is(&daily(";UNTIL=20260301T000000Z"), &[]);
    let endless = read(&file(&daily("").replace("20260302T19", "20200302T19"))).unwrap();
    assert_eq!(endless.len(), 35, "one for each day of the window");
    let two_of_them = format!("{}{}", daily("").replace("UID:1", "UID:2"), daily("").replace("T19", "T21"));
    assert_eq!(read(&file(&two_of_them)).unwrap().len(), 66, "an endless series leaves room for the next");
}

#[test]
fn rules_that_never_take_place_are_harmless_and_few() {
    let barren = event("UID:1\nDTSTART:20260305T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30");
    // Their first occurrence counts, as that of any series.
    is(&barren.repeat(10), &["2026-03-05T08:00:00Z 2026-03-05T09:00:00Z"]);
    refused(&file(&barren.repeat(1000)), "too_many", 3 + 10 * 6);
    let once = event("UID:1\nDTSTART:20260305T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=1");
    refused(&file(&once.repeat(1001)), "too_many", 3 + 1000 * 6);
}

#[test]
fn intervals_that_meet_are_merged() {
    let events: String =
        ["08", "09"].map(|hour| event(&format!("UID:{hour}\nDTSTART:20260305T{hour}0000Z\nDURATION:PT1H"))).concat();
    is(&events, &["2026-03-05T08:00:00Z 2026-03-05T10:00:00Z"]);
}

#[test]
fn a_refusal_names_the_line() {
    refused("", "truncated", 1);
    refused("hello\n", "not_a_calendar", 1);
    refused("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR\n", "unbalanced", 3);
    refused("BEGIN:VCALENDAR\nVERSION:2.0\n", "truncated", 2);
    refused(&format!("{}{}", file(""), file("")), "more_than_one", 5);
    let whole = "UID:1\nDTSTART:20260305T080000Z\nDURATION:PT1H";
    for (error, code) in [
        ("UID:2", "missing"),
        ("DTSTART:20261305T080000Z", "invalid_time"),
        ("DTSTART;TZID=Narnia/Lamppost:20260305T080000", "unknown_time_zone"),
        ("DTSTART:20260305T080000Z\nDTEND:20260305T070000Z", "ends_before_start"),
        ("DTSTART:20260305T080000Z\nDURATION:soon", "invalid_value"),
        ("DTSTART:20260305T080000Z\nRRULE:FREQ=HOURLY", "unsupported"),
        ("DTSTART:20260305T080000Z\nRRULE:sometimes", "invalid_value"),
        ("DTSTART:20260305T080000Z\nEXDATE:never", "invalid_value"),
        ("DTSTART:18000305T080000Z\nRRULE:FREQ=DAILY", "too_many"),
        ("DTSTART:00020305T080000Z\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "too_many"),
        ("DTSTART:20260305T080000Z\nRRULE:FREQ=DAILY;BYHOUR=1,2,3,4,5;BYMINUTE=1,2,3,4,5", "unsupported"),
    ] {
        refused(&file(&format!("{}{}", event(whole), event(error))), code, 8);
    }
    let floating = file(&event("UID:1\nDTSTART:20260305T080000"));
    assert_eq!(read_busy_times(&floating, &options(None, false)).unwrap_err().into_vec()[0].code, "no_time_zone");
}

/// As Exchange writes a zone that someone has set by hand: Newfoundland's rules under a name that says nothing.
const CUSTOM: &str = "BEGIN:VTIMEZONE\nTZID:Customized Time Zone\n\
    BEGIN:STANDARD\nDTSTART:16010101T020000\nTZOFFSETFROM:-0230\nTZOFFSETTO:-0330\n\
    RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=1SU;BYMONTH=11\nEND:STANDARD\n\
    BEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETFROM:-0330\nTZOFFSETTO:-0230\n\
    RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=2SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE\n";

#[test]
fn a_zone_that_the_file_defines_itself_is_followed_across_its_clock_change() {
    let weekly =
        event("UID:1\nDTSTART;TZID=Customized Time Zone:20260305T090000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=2");
    is(
        &format!("{CUSTOM}{weekly}"),
        &["2026-03-05T12:30:00Z 2026-03-05T13:30:00Z", "2026-03-12T11:30:00Z 2026-03-12T12:30:00Z"],
    );
    let fixed = "BEGIN:VTIMEZONE\nTZID:Odd\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0545\n\
        TZOFFSETTO:+0545\nEND:STANDARD\nEND:VTIMEZONE\n";
    let once = event("UID:1\nDTSTART;TZID=Odd:20260305T090000\nDURATION:PT1H");
    is(&format!("{fixed}{once}"), &["2026-03-05T03:15:00Z 2026-03-05T04:15:00Z"]);
    // Of an older rule and a newer one, the newer counts.
    let older = CUSTOM.replace("16010101", "15010101").replace("-0230", "-0130").replace("END:VTIMEZONE\n", "");
    let newer = CUSTOM.split_once("Zone\n").map(|(_, tail)| tail).unwrap_or_default();
    is(
        &format!("{older}{newer}{weekly}"),
        &["2026-03-05T12:30:00Z 2026-03-05T13:30:00Z", "2026-03-12T11:30:00Z 2026-03-12T12:30:00Z"],
    );
}

#[test]
fn a_zone_of_other_rules_is_followed_as_they_say() {
    let once =
        |day: &str| event(&format!("UID:{day}\nDTSTART;TZID=Customized Time Zone:202603{day}T090000\nDURATION:PT1H"));
    for (other, eighth) in [
        // The 8th of March is a Sunday, and the last but three of its month is the 8th, too.
        ("BYMONTHDAY=8;BYMONTH=3", "2026-03-08T11:30:00Z 2026-03-08T12:30:00Z"),
        ("BYDAY=-4SU;BYMONTH=3", "2026-03-08T11:30:00Z 2026-03-08T12:30:00Z"),
        ("BYDAY=2SU;BYMONTH=3;UNTIL=20260308T053000Z", "2026-03-08T11:30:00Z 2026-03-08T12:30:00Z"),
        // Its summers ended in 2025.
        ("BYDAY=2SU;BYMONTH=3;UNTIL=20250309T053000Z", "2026-03-08T12:30:00Z 2026-03-08T13:30:00Z"),
    ] {
        let zone = CUSTOM.replace("BYDAY=2SU;BYMONTH=3", other);
        is(&format!("{zone}{}{}", once("07"), once("08")), &["2026-03-07T12:30:00Z 2026-03-07T13:30:00Z", eighth]);
    }
}

#[test]
fn a_zone_that_says_nothing_is_refused() {
    for zone in ["", "BEGIN:STANDARD\nDTSTART:16010101T000000\nEND:STANDARD\n"] {
        let zone = format!("BEGIN:VTIMEZONE\nTZID:Customized Time Zone\n{zone}END:VTIMEZONE\n");
        let once = event("UID:1\nDTSTART;TZID=Customized Time Zone:20260305T090000\nDURATION:PT1H");
        refused(&file(&format!("{zone}{once}")), "unknown_time_zone", 3 + zone.lines().count());
    }
}
