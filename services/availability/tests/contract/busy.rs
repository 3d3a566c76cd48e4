//! Busy times from calendars on other servers.

use domain::directory::Kind;
use rpc::{Code, Fault};
use tonic::Response;
use wire::availability::{ImportBusyRequest, ListEntriesRequest, WriteEntryResponse, entry_body};

use crate::world::{Clinic, World, fault, text_of, violations, worlds};

/// The clinic's hours: half hours from 09:00 to 12:00.
const ALL: [&str; 6] = ["09:00", "09:30", "10:00", "10:30", "11:00", "11:30"];

fn calendar(events: &[&str]) -> String {
    components("VEVENT", events)
}

fn components(name: &str, all: &[&str]) -> String {
    let all: String = all.iter().map(|one| format!("BEGIN:{name}\r\n{one}\r\nEND:{name}\r\n")).collect();
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//test//EN\r\n{all}END:VCALENDAR\r\n")
}

async fn import(
    world: &World,
    clinic: &Clinic,
    source: &str,
    calendar: String,
    dry_run: bool,
) -> Result<Response<WriteEntryResponse>, tonic::Status> {
    let practitioner_id = clinic.practitioner.clone();
    let request = ImportBusyRequest { practitioner_id, source: source.into(), calendar, dry_run, ..Default::default() };
    world.directory.clone().import_busy(world.request(request)).await
}

async fn imported(world: &World, clinic: &Clinic, events: &[&str]) -> WriteEntryResponse {
    import(world, clinic, "outlook", calendar(events), false).await.unwrap().into_inner()
}

/// The times of an answer as `start end`.
fn times(answer: &WriteEntryResponse) -> Vec<String> {
    let body = answer.entry.clone().unwrap().body.unwrap().body.unwrap();
    let entry_body::Body::Busy(busy) = body else { panic!("not busy time") };
    busy.times.iter().map(|time| format!("{} {}", text_of(time.starts_at_us), text_of(time.ends_at_us))).collect()
}

async fn refused(world: &World, clinic: &Clinic, calendar: String) -> Fault {
    fault(import(world, clinic, "outlook", calendar, false).await)
}

#[tokio::test]
async fn busy_time_hides_slots_and_refuses_them_like_time_off() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let event = "UID:1\r\nDTSTART;TZID=America/Edmonton:20260306T100000\r\nDTEND;TZID=America/Edmonton:20260306T110000\r\nSUMMARY:Dentist of Ada";
        let dry = import(&world, &clinic, "outlook", calendar(&[event]), true).await.unwrap().into_inner();
        assert_eq!(times(&dry), ["2026-03-06T17:00:00Z 2026-03-06T18:00:00Z"]);
        assert_eq!(world.starts("", &clinic, "2026-03-06").await, ALL, "a dry run changes nothing");

        let made = imported(&world, &clinic, &[event]).await;
        assert_eq!(world.starts("", &clinic, "2026-03-06").await, ["09:00", "09:30", "11:00", "11:30"]);
        assert_eq!(world.refusals("", &clinic, "2026-03-06T17:00:00Z").await, ["outside_roster"]);
        assert!(!format!("{made:?}").contains("Dentist"), "only times are kept");

        let again = imported(&world, &clinic, &[event]).await;
        assert_eq!(again.entry, made.entry, "the same file changes nothing");
        world.archive(Kind::Busy, &made.entry.unwrap().id).await;
        assert_eq!(world.starts("", &clinic, "2026-03-06").await, ALL);
    }
}

#[tokio::test]
async fn a_new_import_replaces_only_the_same_source() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let at = |hour: u32| format!("UID:{hour}\r\nDTSTART:20260306T{hour}0000Z\r\nDURATION:PT30M");
        let first = imported(&world, &clinic, &[&at(16)]).await.entry.unwrap();
        import(&world, &clinic, "family", calendar(&[&at(17)]), false).await.unwrap();
        let second = imported(&world, &clinic, &[&at(18)]).await.entry.unwrap();
        assert_eq!((first.id, first.version + 1), (second.id, second.version));
        assert_eq!(world.starts("", &clinic, "2026-03-06").await, ["09:00", "09:30", "10:30", "11:30"]);
        let request = ListEntriesRequest {
            kind: wire::convert::directory::kind_to_wire(Kind::Busy) as i32,
            parent_id: clinic.practitioner.clone(),
            ..Default::default()
        };
        let listed = world.directory.clone().list_entries(world.request(request)).await.unwrap().into_inner();
        assert_eq!(listed.entries.len(), 2);
    }
}

#[tokio::test]
async fn busy_time_displaces_appointments() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let (id, revision) = world.booking.book(&world.visit(&clinic, "2026-03-06T17:00:00Z", 30));
        world.starts(&revision, &clinic, "2026-03-06").await;
        let made = imported(&world, &clinic, &["UID:1\r\nDTSTART;VALUE=DATE:20260306"]).await;
        assert_eq!(made.displaced, std::slice::from_ref(&id));
        assert_eq!(world.booking.flags(), [(id, true)]);
    }
}

#[tokio::test]
async fn a_refusal_names_the_line_and_repeats_no_content() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let unreadable = calendar(&["UID:1\r\nSUMMARY:Secret\r\nDTSTART:Secret", "UID:2\r\nDTEND:20260306T170000Z"]);
        let refusal = refused(&world, &clinic, unreadable).await;
        let details: Vec<&str> = refusal.violations.iter().map(|one| one.detail.as_str()).collect();
        assert_eq!(details.len(), 2, "all faults at once");
        assert!(details[0].starts_with("line 4: ") && details[1].starts_with("line 9: "), "{details:?}");
        assert!(!format!("{refusal:?}").contains("Secret"));

        let large = format!("{}{}", calendar(&[]), "\r\n".repeat(1 << 20));
        assert_eq!(refused(&world, &clinic, large).await.code, Code::PayloadTooLarge);
        let no_code = fault(import(&world, &clinic, "My Calendar", calendar(&[]), false).await);
        assert_eq!(violations(&no_code), ["/source invalid_code"]);
        let stranger = Clinic { practitioner: clinic.practitioner.replace("prac_0", "prac_7"), ..clinic.clone() };
        assert_eq!(refused(&world, &stranger, calendar(&[])).await.code, Code::NotFound);
        assert_eq!(world.starts("", &clinic, "2026-03-06").await, ALL);
    }
}

#[tokio::test]
async fn a_moved_series_hides_its_new_hour_after_a_clock_change_too() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let series = "UID:1\r\nDTSTART;TZID=America/Edmonton:20260305T090000\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY";
        let turned = "UID:1\r\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260306T160000Z\r\n\
            DTSTART;TZID=America/Edmonton:20260306T110000\r\nDURATION:PT30M";
        let ended = "UID:1\r\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260310T150000Z\r\n\
            DTSTART:20260310T150000Z\r\nSTATUS:CANCELLED";
        imported(&world, &clinic, &[series, turned, ended]).await;
        for day in ["2026-03-06", "2026-03-09"] {
            assert_eq!(world.starts("", &clinic, day).await, ["09:00", "09:30", "10:00", "10:30", "11:30"], "{day}");
        }
        assert_eq!(world.starts("", &clinic, "2026-03-10").await, ALL);
    }
}

#[tokio::test]
async fn listed_periods_hide_slots() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let list = |periods: &str| components("VFREEBUSY", &["DTSTART:20260301T000000Z", periods]);
        let periods = "FREEBUSY;FBTYPE=FREE:20260306T160000Z/PT3H\r\n\
            FREEBUSY;FBTYPE=BUSY-TENTATIVE:20260306T160000Z/20260306T163000Z,20260306T180000Z/PT30M";
        let made = import(&world, &clinic, "exchange", list(periods), false).await.unwrap().into_inner();
        let expected = ["2026-03-06T16:00:00Z 2026-03-06T16:30:00Z", "2026-03-06T18:00:00Z 2026-03-06T18:30:00Z"];
        assert_eq!(times(&made), expected);
        assert_eq!(world.starts("", &clinic, "2026-03-06").await, ["09:30", "10:00", "10:30", "11:30"]);
        let refusal = fault(import(&world, &clinic, "exchange", list("FREEBUSY:20260306T160000/PT1H"), false).await);
        assert_eq!(violations(&refusal), ["/calendar invalid_time"]);
        assert!(refusal.violations[0].detail.starts_with("line 8: "), "{refusal:?}");
    }
}

#[tokio::test]
async fn busy_time_outlives_a_restart() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        imported(&world, &clinic, &["UID:1\r\nDTSTART:20260306T160000Z\r\nDTEND:20260306T183000Z"]).await;
        let mut other = World::start(world.target.clone(), world.booking.clone(), world.clock.clone(), 2).await;
        other.organization = world.organization;
        assert_eq!(other.starts("", &clinic, "2026-03-06").await, ["11:30"]);
    }
}

/// The stored times and problem of a practitioner's only calendar.
async fn kept(world: &World, clinic: &Clinic) -> (Vec<String>, String) {
    let kind = wire::availability::EntryKind::Busy as i32;
    let request = ListEntriesRequest { kind, parent_id: clinic.practitioner.clone(), ..Default::default() };
    let list = world.directory.clone().list_entries(world.request(request)).await.unwrap().into_inner();
    let entry = list.entries.into_iter().next().unwrap();
    let Some(entry_body::Body::Busy(busy)) = entry.body.clone().unwrap().body else { panic!("not busy time") };
    (times(&WriteEntryResponse { entry: Some(entry), ..Default::default() }), busy.problem)
}

#[tokio::test]
async fn a_fetched_calendar_is_read_at_its_interval() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let pages = testkit::http::Pages::serve().await.unwrap();
        let at = |hour: u32| calendar(&[&format!("UID:1\r\nDTSTART:20260306T{hour}0000Z\r\nDURATION:PT1H")]);
        let times_at = |hour: u32| vec![format!("2026-03-06T{hour}:00:00Z 2026-03-06T{}:00:00Z", hour + 1)];
        let import = async |path: &str| {
            let url = format!("{}{path}", pages.url);
            let practitioner_id = clinic.practitioner.clone();
            let request = ImportBusyRequest { practitioner_id, source: "home".into(), url, ..Default::default() };
            world.directory.clone().import_busy(world.request(request)).await
        };
        assert_eq!(violations(&fault(import("/none.ics").await)), ["/url refused_by_server"]);
        pages.say("/a.ics", 200, "", b"BEGIN:VCALENDAR\r\n");
        assert_eq!(violations(&fault(import("/a.ics").await)), ["/calendar truncated"]);
        pages.say("/a.ics", 200, "", at(17).as_bytes());
        assert_eq!(times(&import("/a.ics").await.unwrap().into_inner()), times_at(17));
        assert_eq!(world.starts("", &clinic, "2026-03-06").await, ["09:00", "09:30", "11:00", "11:30"]);

        let comes_to = async |expected: (Vec<String>, &str)| {
            let within = std::time::Duration::from_secs(15);
            testkit::poll::until("the calendar to be read again", within, || async {
                let (times, problem) = kept(&world, &clinic).await;
                (times == expected.0 && problem == expected.1).then_some(())
            })
            .await;
        };
        pages.say("/a.ics", 200, "", at(18).as_bytes());
        world.advance(15);
        comes_to((times_at(18), "")).await;
        assert_eq!(world.starts("", &clinic, "2026-03-06").await, ["09:00", "09:30", "10:00", "10:30"]);
        // An unreadable calendar keeps its times and names its problem.
        pages.say("/a.ics", 500, "", b"");
        world.advance(15);
        comes_to((times_at(18), "refused_by_server")).await;
        pages.say("/a.ics", 200, "", b"BEGIN:VCALENDAR\r\n");
        world.advance(15);
        comes_to((times_at(18), "truncated")).await;
        pages.say("/a.ics", 200, "", at(17).as_bytes());
        world.advance(15);
        comes_to((times_at(17), "")).await;
    }
}

#[tokio::test]
async fn a_fetched_calendar_stays_lenient() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let pages = testkit::http::Pages::serve().await.unwrap();
        let wrong = "UID:1\r\nDTSTART;TZID=Narnia/Lamppost:20260306T170000\r\nDURATION:PT1H";
        let at = |hour: u32| calendar(&[wrong, &format!("UID:2\r\nDTSTART:20260306T{hour}0000Z\r\nDURATION:PT1H")]);
        let times_at = |hour: u32| vec![format!("2026-03-06T{hour}:00:00Z 2026-03-06T{}:00:00Z", hour + 1)];
        let import = async |lenient: bool| {
            let (practitioner_id, url) = (clinic.practitioner.clone(), format!("{}/a.ics", pages.url));
            let request =
                ImportBusyRequest { practitioner_id, source: "home".into(), url, lenient, ..Default::default() };
            world.directory.clone().import_busy(world.request(request)).await
        };
        pages.say("/a.ics", 200, "", at(17).as_bytes());
        assert_eq!(violations(&fault(import(false).await)), ["/calendar unknown_time_zone"]);
        let taken = import(true).await.unwrap().into_inner();
        assert_eq!(times(&taken), times_at(17));
        let skipped: Vec<_> =
            taken.skipped.iter().map(|one| (one.component.as_str(), one.line, one.code.as_str())).collect();
        assert_eq!(skipped, [("VEVENT", 4, "unknown_time_zone")]);

        pages.say("/a.ics", 200, "", at(18).as_bytes());
        world.advance(15);
        let within = std::time::Duration::from_secs(15);
        testkit::poll::until("the calendar to be read again", within, || async {
            let (times, problem) = kept(&world, &clinic).await;
            (times == times_at(18) && problem.is_empty()).then_some(())
        })
        .await;
    }
}
