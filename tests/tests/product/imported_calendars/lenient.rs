//! Faults that make no difference, and faults that a lenient import skips.

use anyhow::Result;
use reqwest::StatusCode;
use serde_json::Value;

use super::{Fixture, event, file, times};

/// Skipped components as `component line code`.
fn skipped(body: &Value) -> Vec<String> {
    let all = body["skipped"].as_array().cloned().unwrap_or_default();
    let word = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    all.iter().map(|one| format!("{} {} {}", word(one, "component"), one["line"], word(one, "code"))).collect()
}

const GOOD: [&str; 3] = ["UID:good", "DTSTART:20270118T190000Z", "DURATION:PT1H"];
const HOUR: &str = "20270118T1900 20270118T2000";

#[tokio::test]
async fn a_fault_in_a_transparent_event_is_ignored() -> Result<()> {
    let fixture = Fixture::start().await?;
    let unknown = "DTSTART;TZID=Narnia/Lamppost:20270119T090000";
    for harmless in [
        vec!["UID:1", unknown, "DURATION:PT1H", "TRANSP:TRANSPARENT"],
        vec!["UID:1", unknown, "DURATION:PT1H", "STATUS:CANCELLED"],
        vec!["UID:1", "DTSTART:20270119T090000Z", "DTEND:20270119T080000Z", "STATUS:cancelled"],
        vec!["UID:1", "DTSTART:20270119T090000Z", "DURATION:PT1H", "RRULE:FREQ=HOURLY", "transp:transparent"],
        vec!["UID:1", "STATUS:CANCELLED"],
    ] {
        let answer = fixture.read(&file(&(event(&harmless) + &event(&GOOD)))).await?;
        assert_eq!(times(&answer), [HOUR], "{harmless:?}: {}", answer.body);
        assert_eq!(skipped(&answer.body), [""; 0], "nothing was skipped that says anything");
    }
    // Its exception to the series still counts: the second occurrence is cancelled.
    let series = event(&["UID:2", "DTSTART:20270118T190000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2"]);
    let gone = event(&["UID:2", "RECURRENCE-ID:20270119T190000Z", unknown, "STATUS:CANCELLED"]);
    assert_eq!(times(&fixture.read(&file(&(series + &gone))).await?), [HOUR]);
    // So does its replacement of an older version.
    for later in [
        vec!["UID:good", "SEQUENCE:1", "STATUS:CANCELLED"],
        vec!["UID:good", "SEQUENCE:1", unknown, "TRANSP:TRANSPARENT"],
    ] {
        let answer = fixture.read(&file(&(event(&GOOD) + &event(&later)))).await?;
        assert_eq!((answer.status, times(&answer)), (StatusCode::OK, vec![]), "{later:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_lenient_import_lists_what_it_skips() -> Result<()> {
    let fixture = Fixture::start().await?;
    let wrong = [
        event(&["UID:1", "SUMMARY:Secret", "DTSTART;TZID=Narnia/Lamppost:20270119T090000", "DURATION:PT1H"]),
        event(&["UID:2", "DTSTART:20270119T090000Z", "DTEND:20270119T080000Z"]),
        event(&["UID:3", "DTSTART:20270119T090000Z", "DURATION:PT1H", "RRULE:FREQ=HOURLY"]),
        "BEGIN:VFREEBUSY\nFREEBUSY:20270119T090000Z/PT1H\nFREEBUSY:whenever\nEND:VFREEBUSY\n".to_owned(),
    ];
    let mixed = file(&(wrong.concat() + &event(&GOOD)));
    let strict = fixture.read(&mixed).await?;
    assert_eq!(strict.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(strict.body["errors"].as_array().map(Vec::len), Some(4), "{}", strict.body);

    let lenient = fixture.import(&mixed, "&lenient=true").await?;
    assert_eq!(lenient.status, StatusCode::OK, "{}", lenient.body);
    assert_eq!(times(&lenient), [HOUR, "20270119T0900 20270119T1000"]);
    let expected = [
        "VEVENT 4 unknown_time_zone",
        "VEVENT 10 ends_before_start",
        "VEVENT 15 unsupported",
        "VFREEBUSY 23 invalid_value",
    ];
    assert_eq!(skipped(&lenient.body), expected);
    let detail = lenient.body["skipped"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("IANA"), "{detail}");
    assert!(!lenient.body.to_string().contains("Secret"), "nothing of the file is repeated");
    // A repeated import changes nothing and has the same answer.
    let again = fixture.import(&mixed, "&lenient=true").await?;
    assert_eq!((&again.body["version"], skipped(&again.body)), (&lenient.body["version"], skipped(&lenient.body)));
    assert!(
        !fixture.import(&file(&event(&GOOD)), "").await?.body.as_object().is_some_and(|it| it.contains_key("skipped"))
    );
    Ok(())
}

#[tokio::test]
async fn a_lenient_import_reads_the_intact_parts_of_a_broken_file() -> Result<()> {
    let fixture = Fixture::start().await?;
    let good = event(&GOOD);
    let whole = file(&good);
    let broken = [
        // Cut off in its second event.
        (
            whole.replace("END:VCALENDAR", "BEGIN:VEVENT\r\nUID:2"),
            vec!["VEVENT 9 unbalanced", "VCALENDAR 10 truncated"],
        ),
        (whole.replace("END:VCALENDAR\r\n", ""), vec!["VCALENDAR 8 truncated"]),
        // An alarm without an end.
        (file(&good.replace("END:VEVENT", "BEGIN:VALARM\nEND:VEVENT")), vec!["VCALENDAR 8 unbalanced"]),
        (file(&(good.clone() + "END:VTODO\n")), vec!["VCALENDAR 9 unbalanced"]),
        (format!("{whole}{whole}"), vec!["VCALENDAR 10 more_than_one"]),
    ];
    for (text, expected) in broken {
        assert_eq!(fixture.read(&text).await?.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
        let answer = fixture.import(&text, "&lenient=true&dry_run=true").await?;
        assert_eq!(
            (times(&answer), skipped(&answer.body)),
            (vec![HOUR.to_owned()], expected.iter().map(ToString::to_string).collect()),
            "{text}"
        );
    }
    for none in ["", "hello", "BEGIN:VEVENT\r\nEND:VEVENT\r\n", "{}"] {
        let answer = fixture.import(none, "&lenient=true").await?;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{none}: {}", answer.body);
    }
    Ok(())
}
