//! Several versions of one event in one file.

use super::{Case, busy, event};

fn at(hour: u8, more: &[&str]) -> String {
    let start = format!("DTSTART:20270104T{hour:02}0000Z");
    event(&[&["UID:1", &start, "DURATION:PT1H"], more].concat())
}

/// A series on Mondays, and one occurrence of it elsewhere.
fn series(more: &[&str]) -> String {
    let start = "DTSTART;TZID=America/New_York:20270104T090000";
    event(&[&["UID:1", start, "DURATION:PT1H", "RRULE:FREQ=WEEKLY;COUNT=2"], more].concat())
}

fn second(id: &str, hour: u8, more: &[&str]) -> String {
    let start = format!("DTSTART:20270111T{hour:02}0000Z");
    event(&[&["UID:1", id, &start, "DURATION:PT1H"], more].concat())
}

const LOCAL: &str = "RECURRENCE-ID;TZID=America/New_York:20270111T090000";
const IN_UTC: &str = "RECURRENCE-ID:20270111T140000Z";

pub(crate) fn cases() -> Vec<Case> {
    let turned = |events: [String; 2]| {
        let [first, last] = events;
        [first.clone() + &last, last + &first]
    };
    let mut cases = Vec::new();
    let mut both_ways = |name: &'static str, events: [String; 2], right: &'static [&'static str]| {
        cases.extend(turned(events).map(|lines| busy(name, lines, right)));
    };
    both_ways("a later version called off", [at(8, &["SEQUENCE:0"]), at(8, &["SEQUENCE:1", "STATUS:CANCELLED"])], &[]);
    both_ways("a later version that leaves free", [at(8, &[]), at(8, &["SEQUENCE:2", "TRANSP:TRANSPARENT"])], &[]);
    both_ways(
        "a later version elsewhere",
        [at(8, &["SEQUENCE:9"]), at(12, &["SEQUENCE:10"])],
        &["20270104T1200 20270104T1300"],
    );
    both_ways(
        "a version taken up again",
        [at(8, &["SEQUENCE:1", "STATUS:CANCELLED"]), at(9, &["SEQUENCE:2"])],
        &["20270104T0900 20270104T1000"],
    );
    let union: &[&str] = &["20270104T0800 20270104T0900", "20270104T1200 20270104T1300"];
    both_ways("without any version all count", [at(8, &[]), at(12, &[])], union);
    both_ways("of the same version all count", [at(8, &["SEQUENCE:3"]), at(12, &["SEQUENCE:3"])], union);
    both_ways(
        "two versions of a series",
        [series(&["SEQUENCE:0"]), series(&["SEQUENCE:1"]).replace("20270104T09", "20270105T09")],
        &["20270105T1400 20270105T1500", "20270112T1400 20270112T1500"],
    );
    let moved: &[&str] = &["20270104T1400 20270104T1500", "20270111T2000 20270111T2100"];
    both_ways(
        "two versions of one occurrence, however it is named",
        [series(&[]) + &second(LOCAL, 18, &["SEQUENCE:1"]), second(IN_UTC, 20, &["SEQUENCE:2"])],
        moved,
    );
    both_ways(
        "an occurrence moved, then called off",
        [series(&[]) + &second(LOCAL, 18, &["SEQUENCE:1"]), second(LOCAL, 18, &["SEQUENCE:2", "STATUS:CANCELLED"])],
        &["20270104T1400 20270104T1500"],
    );
    both_ways(
        "one occurrence twice without a version",
        [series(&[]) + &second(LOCAL, 18, &[]), second(IN_UTC, 20, &[])],
        &["20270104T1400 20270104T1500", "20270111T1800 20270111T1900", "20270111T2000 20270111T2100"],
    );
    both_ways(
        "an occurrence counts whatever the version of its series",
        [series(&["SEQUENCE:5"]), second(LOCAL, 20, &[])],
        moved,
    );
    both_ways(
        "a series called off takes its older occurrences along",
        [series(&["SEQUENCE:2", "STATUS:CANCELLED"]), second(LOCAL, 20, &["SEQUENCE:1"])],
        &[],
    );
    both_ways(
        "versions of different events are their own",
        [at(8, &["SEQUENCE:1"]), at(12, &["SEQUENCE:2"]).replace("UID:1", "UID:2")],
        union,
    );
    both_ways(
        "events without a UID are different ones",
        [at(8, &["SEQUENCE:1"]), at(12, &["SEQUENCE:2"])].map(|it| it.replace("UID:1\n", "")),
        union,
    );
    cases
}
