//! Calendars with `RANGE=THISANDFUTURE` changes, read by the product and by PyPI's `recurring-ical-events`.

use std::path::Path;

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use scenarios::{ManualClockProduct, service};
use serde_json::{Value, json};
use testkit::database::Database;

const PACKAGE: &str = "recurring-ical-events==3.8.2";
/// Reads a list of calendars; prints the busy times of each, in order and merged.
const READ: &str = r#"
import json, sys
from datetime import datetime, timezone
from icalendar import Calendar
import recurring_ical_events
utc = lambda at: at.astimezone(timezone.utc)
first, last = datetime(2026, 3, 1, tzinfo=timezone.utc), datetime(2026, 12, 1, tzinfo=timezone.utc)
def busy(text):
    events = recurring_ical_events.of(Calendar.from_ical(text)).between(first, last)
    times = []
    for start, end in sorted((utc(event.start), utc(event.end)) for event in events if event.get("STATUS") != "CANCELLED"):
        if times and start <= times[-1][1]:
            times[-1][1] = max(times[-1][1], end)
        else:
            times.append([start, end])
    return [[at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in pair] for pair in times]
print(json.dumps([busy(text) for text in json.load(sys.stdin)]))
"#;

/// Shifts of a this-and-future change on the wall clock: days and hours.
const SHIFTS: [(i8, i8); 5] = [(0, 2), (0, -3), (1, 0), (-2, 1), (6, 23)];

/// A property value with the zone, at this hour of a day.
fn at(zone: &str, day: jiff::civil::Date, hour: i8) -> String {
    format!(";TZID={zone}:{}T{hour:02}0000", day.strftime("%Y%m%d"))
}

fn calendar(zone: &str, daily: bool, shift: (i8, i8), more: bool) -> Result<String> {
    // The clocks change on the 8th in the one zone, on the 29th in the other.
    let begin = jiff::civil::date(2026, 3, 4);
    let occurrence = |n: i64| begin.saturating_add(jiff::Span::new().days(if daily { n } else { 7 * n }));
    let change = |n: i64, (days, hours): (i8, i8), last: &str| {
        let start = occurrence(n).at(9, 0, 0, 0).saturating_add(jiff::Span::new().days(days).hours(hours));
        let start = at(zone, start.date(), start.hour());
        format!("RECURRENCE-ID;RANGE=THISANDFUTURE{}\r\nDTSTART{start}\r\n{last}", at(zone, occurrence(n), 9))
    };
    let rule = if daily { "DAILY;COUNT=40" } else { "WEEKLY;COUNT=12;BYDAY=WE" };
    let mut events = vec![
        format!("DTSTART{}\r\nDURATION:PT1H\r\nRRULE:FREQ={rule}", at(zone, begin, 9)),
        change(1, shift, "DURATION:PT45M"),
    ];
    if more {
        let alone = format!("RECURRENCE-ID{}\r\nDTSTART{}", at(zone, occurrence(3), 9), at(zone, occurrence(3), 20));
        events.push(format!("{alone}\r\nDURATION:PT20M"));
        events.push(change(5, (-1, 4), "DURATION:PT2H"));
        events.push(change(9, (0, 0), "DURATION:PT1H\r\nSTATUS:CANCELLED"));
    }
    let events = events
        .iter()
        .map(|event| format!("BEGIN:VEVENT\r\nUID:series\r\nDTSTAMP:20260101T000000Z\r\n{event}\r\nEND:VEVENT\r\n"));
    let events: String = events.collect();
    Ok(format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//test//EN\r\n{events}END:VCALENDAR\r\n"))
}

#[tokio::test]
async fn this_and_future_changes_are_read_as_recurring_ical_events_reads_them() -> Result<()> {
    let mut calendars = Vec::new();
    for zone in ["America/Edmonton", "Europe/Berlin"] {
        for (daily, more) in [(false, false), (false, true), (true, false), (true, true)] {
            for shift in SHIFTS {
                calendars.push(calendar(zone, daily, shift, more)?);
            }
        }
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    let input = serde_json::to_vec(&calendars)?;
    let theirs = tokio::task::spawn_blocking(move || testkit::python::run(&folder, PACKAGE, READ, &input)).await??;
    let theirs: Vec<Vec<[String; 2]>> = serde_json::from_str(&theirs)?;

    let product =
        ManualClockProduct::at("2026-03-02T15:00:00Z", Database::sqlite()?, booking::Config::default()).await?;
    let clinic = product.rest.clinic("America/Edmonton", service()).await?;
    let path = format!("/v1/practitioners/{}/busy?dry_run=true", clinic.practitioner);
    for (calendar, theirs) in calendars.iter().zip(&theirs) {
        let answer = product.post(&path, json!(calendar)).await?;
        ensure!(answer.status == StatusCode::OK, "{}", answer.body);
        let ours = answer.body["times"].as_array().cloned().unwrap_or_default();
        let theirs: Vec<Value> =
            theirs.iter().map(|[start, end]| json!({"starts_at": start, "ends_at": end})).collect();
        ensure!(theirs.len() > 5, "{theirs:?}");
        assert_eq!(ours, theirs, "{calendar}");
    }
    Ok(())
}
