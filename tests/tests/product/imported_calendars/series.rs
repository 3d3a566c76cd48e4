//! Series: their rules, exceptions, additions and the occurrences that stand elsewhere.

use super::{Case, busy, event, refused};

/// At 09:00 for an hour in New York from this day on.
fn series(day: &str, more: &[&str]) -> String {
    let start = format!("DTSTART;TZID=America/New_York:{day}T090000");
    event(&[&["UID:1", &start, "DURATION:PT1H"], more].concat())
}

pub(crate) fn cases() -> Vec<Case> {
    [rules(), first_ones(), overrides(), exceptions(), whole_days()].into_iter().flatten().collect()
}

fn rules() -> Vec<Case> {
    let monday = |more: &[&str]| series("20270104", more);
    vec![
        busy(
            "two rules in one event",
            monday(&["RRULE:FREQ=WEEKLY;COUNT=2", "RRULE:FREQ=MONTHLY;BYMONTHDAY=20;COUNT=2"]),
            &[
                "20270104T1400 20270104T1500",
                "20270111T1400 20270111T1500",
                "20270120T1400 20270120T1500",
                "20270220T1400 20270220T1500",
            ],
        ),
        busy(
            "a rule that takes away",
            monday(&["RRULE:FREQ=WEEKLY;COUNT=4", "EXRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=2"]),
            &["20270111T1400 20270111T1500", "20270125T1400 20270125T1500"],
        ),
        busy(
            "it keeps its hour across a clock change",
            series("20270311", &["RRULE:FREQ=WEEKLY;UNTIL=20270318T130000Z"]),
            &["20270311T1400 20270311T1500", "20270318T1300 20270318T1400"],
        ),
        busy(
            "a rule that ends on a day has that day",
            monday(&["RRULE:FREQ=WEEKLY;UNTIL=20270111"]),
            &["20270104T1400 20270104T1500", "20270111T1400 20270111T1500"],
        ),
        busy(
            "a rule that ends on a time without a zone",
            monday(&["RRULE:FREQ=WEEKLY;UNTIL=20270111T090000"]),
            &["20270104T1400 20270104T1500", "20270111T1400 20270111T1500"],
        ),
        busy(
            "Exchange's count for a series without an end",
            series("20280131", &["RRULE:FREQ=WEEKLY;COUNT=-1"]),
            &["20280131T1400 20280131T1500"],
        ),
        busy("a rule that ended before it began", monday(&["RRULE:FREQ=WEEKLY;UNTIL=20270101T000000Z"]), &[]),
        busy(
            "the calendar that everybody has",
            monday(&["RRULE:RSCALE=GREGORIAN;FREQ=WEEKLY;COUNT=1;SKIP=OMIT"]),
            &["20270104T1400 20270104T1500"],
        ),
        refused("another calendar", monday(&["RRULE:RSCALE=HEBREW;FREQ=YEARLY"]), "unsupported", 4),
        refused("a part that nobody knows", monday(&["RRULE:FREQ=YEARLY;BYEASTER=0"]), "unsupported", 4),
        refused("a series of nothing", monday(&["RRULE:FREQ=WEEKLY;COUNT=0"]), "invalid_value", 4),
        refused("more often than daily", monday(&["RRULE:FREQ=HOURLY;COUNT=3"]), "unsupported", 4),
        refused("a month that is none", monday(&["RRULE:FREQ=YEARLY;BYMONTH=13"]), "invalid_value", 4),
    ]
}

fn first_ones() -> Vec<Case> {
    let tuesday = |more: &[&str]| series("20270105", more);
    vec![
        busy(
            "a first one off its rule",
            tuesday(&["RRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=2"]),
            &["20270105T1400 20270105T1500", "20270107T1400 20270107T1500", "20270114T1400 20270114T1500"],
        ),
        busy(
            "a first one off its rule, and taken out",
            tuesday(&["RRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=2", "EXDATE;TZID=America/New_York:20270105T090000"]),
            &["20270107T1400 20270107T1500", "20270114T1400 20270114T1500"],
        ),
        busy(
            "a first day off its rule",
            event(&["UID:1", "DTSTART;VALUE=DATE:20270105", "RRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=1"]),
            &["20270105T0500 20270106T0500", "20270107T0500 20270108T0500"],
        ),
    ]
}

fn overrides() -> Vec<Case> {
    let three = series("20270104", &["RRULE:FREQ=WEEKLY;COUNT=3"]);
    let in_place = |more: &[&str]| {
        let lines = ["UID:1", "RECURRENCE-ID;TZID=America/New_York:20270111T090000"];
        three.clone() + &event(&[&lines, more].concat())
    };
    const MOVED: &[&str] =
        &["20270104T1400 20270104T1500", "20270112T1900 20270112T2000", "20270118T1400 20270118T1500"];
    let moved = ["DTSTART;TZID=America/New_York:20270112T140000", "DURATION:PT1H"];
    let with = |more: &[&str]| in_place(&[&moved, more].concat());
    vec![
        busy("one that repeats the rule of its series", with(&["RRULE:FREQ=WEEKLY;COUNT=3"]), MOVED),
        busy("one with another rule is still one", with(&["RRULE:FREQ=DAILY;COUNT=9"]), MOVED),
        busy(
            "one that repeats exceptions and additions of its series",
            with(&["EXDATE;TZID=America/New_York:20270112T140000", "RDATE;TZID=America/New_York:20270120T090000"]),
            MOVED,
        ),
        busy(
            "one that is named without a zone",
            in_place(&moved).replace("RECURRENCE-ID;TZID=America/New_York:", "RECURRENCE-ID:"),
            MOVED,
        ),
        busy(
            "one that is named without a zone, of a series elsewhere",
            in_place(&moved)
                .replace("RECURRENCE-ID;TZID=America/New_York:", "RECURRENCE-ID:")
                .replace("America/New_York:202701", "Europe/Berlin:202701"),
            &["20270104T0800 20270104T0900", "20270112T1300 20270112T1400", "20270118T0800 20270118T0900"],
        ),
        busy(
            "one that is named by its day",
            in_place(&moved).replace(";TZID=America/New_York:20270111T090000", ";VALUE=DATE:20270111"),
            MOVED,
        ),
        busy(
            "all that follow, with the rule of the series",
            three.clone()
                + &event(&[
                    "UID:1",
                    "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=America/New_York:20270111T090000",
                    "DTSTART;TZID=America/New_York:20270112T140000",
                    "DURATION:PT1H",
                    "RRULE:FREQ=WEEKLY;COUNT=3",
                ]),
            &["20270104T1400 20270104T1500", "20270112T1900 20270112T2000", "20270119T1900 20270119T2000"],
        ),
        refused(
            "all that follow, with another rule",
            three.clone()
                + &event(&[
                    "UID:1",
                    "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=America/New_York:20270111T090000",
                    "DTSTART;TZID=America/New_York:20270112T140000",
                    "DURATION:PT1H",
                    "RRULE:FREQ=DAILY",
                ]),
            "unsupported",
            10,
        ),
    ]
}

fn exceptions() -> Vec<Case> {
    let three = |more: &str| series("20270104", &["RRULE:FREQ=WEEKLY;COUNT=3", more]);
    const TWO: &[&str] = &["20270104T1400 20270104T1500", "20270118T1400 20270118T1500"];
    let mut cases: Vec<Case> = [
        "EXDATE;TZID=America/New_York:20270111T090000",
        "EXDATE:20270111T090000",
        "EXDATE:20270111T140000Z",
        "EXDATE;TZID=Europe/Berlin:20270111T150000",
        "EXDATE;VALUE=DATE:20270111",
        "EXDATE;VALUE=DATE:20270111T090000",
        "EXDATE:20270111T140000Z,20270201T140000Z",
    ]
    .into_iter()
    .map(|exception| busy(exception, three(exception), TWO))
    .collect();
    let elsewhere = three("EXDATE:20270111T090000").replace("America/New_York", "Europe/Berlin");
    cases.push(busy(
        "an exception without a zone, of a series elsewhere",
        elsewhere,
        &["20270104T0800 20270104T0900", "20270118T0800 20270118T0900"],
    ));
    let one = |more: &[&str]| series("20270104", more);
    cases.push(busy(
        "additions as periods",
        one(&["RDATE;VALUE=PERIOD:20270105T140000Z/20270105T143000Z,20270106T140000Z/PT2H"]),
        &["20270104T1400 20270104T1500", "20270105T1400 20270105T1430", "20270106T1400 20270106T1600"],
    ));
    cases.push(busy(
        "additions as times",
        one(&["RDATE:20270105T100000,20270105T100000"]),
        &["20270104T1400 20270104T1500", "20270105T1500 20270105T1600"],
    ));
    cases
}

fn whole_days() -> Vec<Case> {
    let days =
        |more: &[&str]| event(&[&["UID:1", "DTSTART;VALUE=DATE:20270104", "RRULE:FREQ=WEEKLY;COUNT=3"], more].concat());
    const TWO: &[&str] = &["20270104T0500 20270105T0500", "20270118T0500 20270119T0500"];
    let mut cases: Vec<Case> = [
        "EXDATE;TZID=Europe/Berlin:20270111T000000",
        "EXDATE;TZID=Asia/Tokyo:20270111T000000",
        "EXDATE:20270111T000000Z",
        "EXDATE:20270111T050000Z",
        "EXDATE:20270111T000000",
        "EXDATE;VALUE=DATE:20270111",
        "EXDATE:20270111",
    ]
    .into_iter()
    .map(|exception| busy(exception, days(&[exception]), TWO))
    .collect();
    for id in ["RECURRENCE-ID;TZID=Europe/Berlin:20270111T000000", "RECURRENCE-ID:20270111T000000Z"] {
        let moved = event(&["UID:1", id, "DTSTART;VALUE=DATE:20270113", "DTEND;VALUE=DATE:20270114"]);
        let expected = &["20270104T0500 20270105T0500", "20270113T0500 20270114T0500", "20270118T0500 20270119T0500"];
        cases.push(busy(id, days(&[]) + &moved, expected));
    }
    let further = &[
        "20270104T0500 20270105T0500",
        "20270111T0500 20270112T0500",
        "20270118T0500 20270119T0500",
        "20270121T0500 20270122T0500",
    ];
    cases.push(busy(
        "a day added as a midnight elsewhere",
        days(&["RDATE;TZID=Europe/Berlin:20270121T000000"]),
        further,
    ));
    cases.push(busy(
        "a rule of days that ends on a midnight of UTC",
        event(&["UID:1", "DTSTART;VALUE=DATE:20270104", "RRULE:FREQ=WEEKLY;UNTIL=20270111T000000Z"]),
        &["20270104T0500 20270105T0500", "20270111T0500 20270112T0500"],
    ));
    cases
}
