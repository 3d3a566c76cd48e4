//! Lists of busy periods: `VFREEBUSY`.

use super::{event, file, is, read, refused};

fn list(lines: &str) -> String {
    format!("BEGIN:VFREEBUSY\nUID:9\nDTSTART:20260301T000000Z\n{}\nEND:VFREEBUSY\n", lines.trim())
}

#[test]
fn periods_are_busy_with_an_end_or_a_duration_one_or_several() {
    is(
        &list("FREEBUSY:20260305T080000Z/20260305T090000Z,20260306T080000Z/PT1H30M,\n 20260307T080000Z/P1D"),
        &[
            "2026-03-05T08:00:00Z 2026-03-05T09:00:00Z",
            "2026-03-06T08:00:00Z 2026-03-06T09:30:00Z",
            // A day of UTC, though the clocks of home change in it.
            "2026-03-07T08:00:00Z 2026-03-08T08:00:00Z",
        ],
    );
    is(&list("FREEBUSY:20260305T080000Z/20260305T080000Z"), &[]);
    is(&list("FREEBUSY:20260228T080000Z/20260301T060000Z"), &["2026-03-01T00:00:00Z 2026-03-01T06:00:00Z"]);
    is(&list(""), &[]);
}

#[test]
fn all_but_free_is_busy() {
    for kind in [";FBTYPE=BUSY", ";FBTYPE=BUSY-UNAVAILABLE", ";fbtype=busy-tentative", ";FBTYPE=X-OTHER", ""] {
        is(&list(&format!("FREEBUSY{kind}:20260305T080000Z/PT1H")), &["2026-03-05T08:00:00Z 2026-03-05T09:00:00Z"]);
    }
    is(&list("FREEBUSY;FBTYPE=FREE:20260305T080000Z/PT1H"), &[]);
}

#[test]
fn several_lists_and_events_make_one_calendar() {
    let events = event("UID:1\nDTSTART:20260305T083000Z\nDURATION:PT1H");
    let other = list("FREEBUSY;FBTYPE=FREE:20260305T000000Z/P1D\nFREEBUSY:20260306T080000Z/PT1H");
    is(
        &format!("{}{events}{other}", list("FREEBUSY:20260305T080000Z/PT1H")),
        &["2026-03-05T08:00:00Z 2026-03-05T09:30:00Z", "2026-03-06T08:00:00Z 2026-03-06T09:00:00Z"],
    );
}

#[test]
fn a_period_that_cannot_be_read_names_its_own_line() {
    for (error, code) in [
        ("FREEBUSY:20260305T080000/20260305T090000", "invalid_time"),
        ("FREEBUSY:20260305T080000Z/20260305T090000", "invalid_time"),
        ("FREEBUSY;TZID=Europe/Berlin:20260305T080000/PT1H", "invalid_time"),
        ("FREEBUSY:20260305T080000+0200/PT1H", "invalid_time"),
        ("FREEBUSY:20261305T080000Z/PT1H", "invalid_time"),
        ("FREEBUSY:20260305/20260306", "invalid_value"),
        ("FREEBUSY:20260305T080000Z", "invalid_value"),
        ("FREEBUSY:20260305T080000Z/-PT1H", "invalid_value"),
        ("FREEBUSY:tomorrow", "invalid_value"),
        ("FREEBUSY:20260305T090000Z/20260305T080000Z", "ends_before_start"),
    ] {
        let lines = format!("FREEBUSY:20260304T080000Z/PT1H,\n 20260305T080000Z/PT1H\n{error}");
        refused(&file(&list(&lines)), code, 8);
    }
    let two = "FREEBUSY:tomorrow\nFREEBUSY:20260305T080000Z/PT1H\nfreebusy;FBTYPE=BUSY:today";
    let found = read(&file(&list(two))).unwrap_err();
    let lines: Vec<&str> = found.iter().filter_map(|one| one.detail.split(':').next()).collect();
    assert_eq!(lines, ["line 6", "line 8"], "all faults at once");
}

#[test]
fn lists_and_periods_are_bounded_as_events_are() {
    refused(&file(&list("").repeat(30_001)), "too_many", 3 + 30_000 * 5);
    let one_event = event("UID:1\nDTSTART:20260305T080000Z");
    refused(&file(&format!("{}{one_event}", list("").repeat(30_000))), "too_many", 3 + 30_000 * 5);
    let line = format!("FREEBUSY:{}\n", vec!["20260305T080000Z/PT1H"; 1000].join(","));
    is(&list(&line.repeat(50)), &["2026-03-05T08:00:00Z 2026-03-05T09:00:00Z"]);
    refused(&file(&list(&line.repeat(51))), "too_many", 6 + 50);
    refused(&file(&format!("{}{}", list(&line.repeat(50)), list(&line))), "too_many", 6 + 50 + 4);
}
