//! Overrides of this and future occurrences: `RANGE=THISANDFUTURE`.

use super::{event, file, is, read, refused};

/// 09:00 to 10:00 at Edmonton each Thursday; the clock changes between the first and the second.
const WEEKLY: &str = "UID:1\nDTSTART;TZID=America/Edmonton:20260305T090000\nDTEND;TZID=America/Edmonton:20260305T100000\n\
    RRULE:FREQ=WEEKLY;COUNT=4";

fn and(lines: &[&str]) -> String {
    std::iter::once(&WEEKLY).chain(lines).map(|lines| event(lines)).collect()
}

/// From an occurrence of the weekly series on, by its instant or its date, with these further lines.
fn from(occurrence: &str, lines: &str) -> String {
    let occurrence = if occurrence.len() == 8 { format!(";VALUE=DATE:{occurrence}") } else { format!(":{occurrence}") };
    format!("UID:1\nRECURRENCE-ID;RANGE=THISANDFUTURE{occurrence}\n{lines}")
}

const FIRST: &str = "2026-03-05T16:00:00Z 2026-03-05T17:00:00Z";

#[test]
fn later_occurrences_move_by_the_same_time_and_last_as_long() {
    // Its zone's, another's or UTC's: the series keeps its new hour at Edmonton.
    for start in [
        "DTSTART;TZID=America/Edmonton:20260312T110000",
        "DTSTART:20260312T170000Z",
        "DTSTART;TZID=Europe/Berlin:20260312T180000",
    ] {
        is(
            &and(&[&from("20260312T150000Z", &format!("{start}\nDURATION:PT30M"))]),
            &[
                FIRST,
                "2026-03-12T17:00:00Z 2026-03-12T17:30:00Z",
                "2026-03-19T17:00:00Z 2026-03-19T17:30:00Z",
                "2026-03-26T17:00:00Z 2026-03-26T17:30:00Z",
            ],
        );
    }
}

#[test]
fn a_series_moved_before_a_clock_change_keeps_its_new_hour_after_it() {
    let moved = from("20260305T160000Z", "DTSTART:20260305T180000Z\nDURATION:PT1H");
    is(
        &and(&[&moved]),
        &[
            "2026-03-05T18:00:00Z 2026-03-05T19:00:00Z",
            "2026-03-12T17:00:00Z 2026-03-12T18:00:00Z",
            "2026-03-19T17:00:00Z 2026-03-19T18:00:00Z",
            "2026-03-26T17:00:00Z 2026-03-26T18:00:00Z",
        ],
    );
    // 02:30 is not there on the 8th: it moves forward, as that of any series.
    let daily = event("UID:1\nDTSTART;TZID=America/Edmonton:20260306T013000\nDURATION:PT15M\nRRULE:FREQ=DAILY;COUNT=4");
    let later = event(&from("20260307T083000Z", "DTSTART;TZID=America/Edmonton:20260307T023000\nDURATION:PT15M"));
    is(
        &format!("{daily}{later}"),
        &[
            "2026-03-06T08:30:00Z 2026-03-06T08:45:00Z",
            "2026-03-07T09:30:00Z 2026-03-07T09:45:00Z",
            "2026-03-08T09:30:00Z 2026-03-08T09:45:00Z",
            "2026-03-09T08:30:00Z 2026-03-09T08:45:00Z",
        ],
    );
}

#[test]
fn an_override_of_a_single_occurrence_wins() {
    let moved = from("20260312T150000Z", "DTSTART:20260312T170000Z\nDURATION:PT30M");
    let alone = |day: &str, start: &str| {
        format!("UID:1\nRECURRENCE-ID;TZID=America/Edmonton:202603{day}T090000\nDTSTART:{start}\nDURATION:PT2H")
    };
    let expected = [
        FIRST,
        "2026-03-12T17:00:00Z 2026-03-12T17:30:00Z",
        "2026-03-20T15:00:00Z 2026-03-20T17:00:00Z",
        "2026-03-26T17:00:00Z 2026-03-26T17:30:00Z",
    ];
    // In whichever order they stand.
    is(&and(&[&moved, &alone("19", "20260320T150000Z")]), &expected);
    is(&and(&[&alone("19", "20260320T150000Z"), &moved]), &expected);
    // The override's own occurrence, too: the others still move.
    is(
        &and(&[&moved, &alone("12", "20260313T150000Z")]),
        &[
            FIRST,
            "2026-03-13T15:00:00Z 2026-03-13T17:00:00Z",
            "2026-03-19T17:00:00Z 2026-03-19T17:30:00Z",
            "2026-03-26T17:00:00Z 2026-03-26T17:30:00Z",
        ],
    );
    let off = format!("{}\nSTATUS:CANCELLED", alone("19", "20260319T150000Z"));
    is(
        &and(&[&moved, &off]),
        &[FIRST, "2026-03-12T17:00:00Z 2026-03-12T17:30:00Z", "2026-03-26T17:00:00Z 2026-03-26T17:30:00Z"],
    );
}

#[test]
fn the_last_override_counts_and_a_cancelled_one_ends_the_series() {
    let first = from("20260312T150000Z", "DTSTART:20260312T170000Z\nDURATION:PT30M");
    let second = from("20260319T150000Z", "DTSTART;TZID=America/Edmonton:20260318T080000\nDURATION:PT15M");
    is(
        &and(&[&second, &first]),
        &[
            FIRST,
            "2026-03-12T17:00:00Z 2026-03-12T17:30:00Z",
            "2026-03-18T14:00:00Z 2026-03-18T14:15:00Z",
            "2026-03-25T14:00:00Z 2026-03-25T14:15:00Z",
        ],
    );
    for none in ["STATUS:CANCELLED", "TRANSP:TRANSPARENT"] {
        let ended = from("20260319T150000Z", &format!("DTSTART:20260319T150000Z\nDURATION:PT1H\n{none}"));
        is(&and(&[&ended]), &[FIRST, "2026-03-12T15:00:00Z 2026-03-12T16:00:00Z"]);
    }
    // A series that leaves its owner free, and then does not.
    let free = event(&format!("{WEEKLY}\nTRANSP:TRANSPARENT"));
    let busy = event(&from("20260326T150000Z", "DTSTART:20260326T150000Z\nDURATION:PT1H"));
    is(&format!("{free}{busy}"), &["2026-03-26T15:00:00Z 2026-03-26T16:00:00Z"]);
    is(
        &format!("{free}{}", busy.replace("20260326", "20260319")).replace("COUNT=4", "COUNT=3"),
        &["2026-03-19T15:00:00Z 2026-03-19T16:00:00Z"],
    );
}

#[test]
fn exceptions_and_additions_of_the_series_refer_to_its_own_times() {
    let series = format!("{WEEKLY}\nEXDATE:20260319T150000Z\nRDATE:20260303T160000Z,20260314T160000Z");
    let moved = from("20260312T150000Z", "DTSTART:20260312T170000Z\nDURATION:PT30M");
    is(
        &format!("{}{}", event(&series), event(&moved)),
        &[
            "2026-03-03T16:00:00Z 2026-03-03T17:00:00Z",
            FIRST,
            "2026-03-12T17:00:00Z 2026-03-12T17:30:00Z",
            "2026-03-14T18:00:00Z 2026-03-14T18:30:00Z",
            "2026-03-26T17:00:00Z 2026-03-26T17:30:00Z",
        ],
    );
}

#[test]
fn whole_days_move_as_times_do() {
    let days = event("UID:1\nDTSTART;VALUE=DATE:20260303\nRRULE:FREQ=WEEKLY;COUNT=3");
    let later = event(&from("20260310", "DTSTART;VALUE=DATE:20260311\nDTEND;VALUE=DATE:20260313"));
    is(
        &format!("{days}{later}"),
        &[
            "2026-03-03T07:00:00Z 2026-03-04T07:00:00Z",
            "2026-03-11T06:00:00Z 2026-03-13T06:00:00Z",
            "2026-03-18T06:00:00Z 2026-03-20T06:00:00Z",
        ],
    );
    // A date names the occurrence of that day.
    let moved = from("20260312", "DTSTART;TZID=America/Edmonton:20260312T110000\nDURATION:PT30M");
    is(
        &and(&[&moved]).replace("COUNT=4", "COUNT=3"),
        &[FIRST, "2026-03-12T17:00:00Z 2026-03-12T17:30:00Z", "2026-03-19T17:00:00Z 2026-03-19T17:30:00Z"],
    );
}

#[test]
fn occurrences_after_the_window_can_move_into_it() {
    let monthly = event("UID:1\nDTSTART:20260302T080000Z\nDURATION:PT1H\nRRULE:FREQ=MONTHLY");
    let earlier = event(&from("20260402T080000Z", "DTSTART:20260310T080000Z\nDURATION:PT1H"));
    // The next occurrence, of 2 May, moves to 9 April, which is after the window.
    is(
        &format!("{monthly}{earlier}"),
        &["2026-03-02T08:00:00Z 2026-03-02T09:00:00Z", "2026-03-10T08:00:00Z 2026-03-10T09:00:00Z"],
    );
    let daily = event("UID:1\nDTSTART:20260330T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY");
    let earlier = event(&from("20260331T080000Z", "DTSTART:20260320T080000Z\nDURATION:PT1H"));
    let times = read(&file(&format!("{daily}{earlier}"))).unwrap();
    assert_eq!(times.len(), 16, "each day from the 20th of March to the 4th of April, the 30th once: {times:?}");
}

#[test]
fn overrides_are_bounded_and_unclear_ones_are_refused() {
    let moved = from("20260312T150000Z", "DTSTART:20260312T170000Z\nDURATION:PT30M");
    for (error, code) in [
        (format!("{moved}\nRRULE:FREQ=DAILY"), "unsupported"),
        (format!("{moved}\nRDATE:20260326T150000Z"), "unsupported"),
        (format!("{moved}\nEXDATE:20260326T150000Z"), "unsupported"),
    ] {
        refused(&file(&and(&[&error])), code, 9);
    }
    refused(&file(&and(&[&moved.replace("THISANDFUTURE", "THISANDPRIOR")])), "unsupported", 11);
    // As far ahead of its series as no calendar reaches.
    let far = moved.replace("DTSTART:2026", "DTSTART:0002");
    let endless = and(&[&far]).replace("WEEKLY;COUNT=4", "DAILY");
    refused(&file(&endless), "too_many", 3);
    assert!(read(&file(&and(&vec![moved.as_str(); 100]))).is_ok());
    refused(&file(&and(&vec![moved.as_str(); 101])), "too_many", 9 + 100 * 6);
}
