//! A location's day in one answer, as a day board reads it.

use anyhow::{Context, Result, ensure};
use booking::Config;
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, ManualClockProduct, Product, patient, service};
use serde_json::{Value, json};
use testkit::database::Database;

testkit::engines!(
    a_day_has_shifts_breaks_blocks_and_appointments,
    the_days_of_a_clock_change_have_their_hours_and_offsets,
    who_has_an_appointment_and_no_shift_has_a_column,
);

/// A Monday, 08:00 in Edmonton.
const NOW: &str = "2026-03-02T15:00:00Z";

/// A location that opens from 09:00 to 17:00 on all days, with a practitioner who would begin at 08:00.
struct Board {
    product: ManualClockProduct,
    location: String,
    practitioner: String,
    service: String,
    rooms: [String; 2],
    roster: String,
}

impl Board {
    async fn over(database: Database) -> Result<Self> {
        let product = ManualClockProduct::at(NOW, database, Config::default()).await?;
        let made = async |path: &str, body: Value| -> Result<String> {
            let answer = product.post(path, body).await?;
            ensure!(answer.status == StatusCode::CREATED, "{path}: {}", answer.body);
            Ok(answer.text("/id"))
        };
        const DAYS: [&str; 7] = ["mo", "tu", "we", "th", "fr", "sa", "su"];
        let opening = DAYS.map(|day| json!({"day": day, "from": "09:00", "to": "17:00"}));
        let location = json!({"name": "Whyte", "time_zone": "America/Edmonton", "opening_hours": opening});
        let location = made("/v1/locations", location).await?;
        let room = async |name: &str| {
            made(&format!("/v1/locations/{location}/rooms"), json!({"name": name, "type": "treatment-room"})).await
        };
        let rooms = [room("Room 1").await?, room("Room 2").await?];
        let practitioner = made("/v1/practitioners", json!({"given_name": "Grace", "family_name": "Sample"})).await?;
        let weekly = DAYS.map(
            |day| json!({"day": day, "from": "08:00", "to": "17:00", "breaks": [{"from": "12:00", "to": "12:30"}]}),
        );
        let roster = json!({"location_id": location, "effective_from": "2026-01-01", "weekly": weekly});
        let roster = made(&format!("/v1/practitioners/{practitioner}/rosters"), roster).await?;
        let service = made("/v1/services", service()).await?;
        Ok(Self { product, location, practitioner, service, rooms, roster })
    }

    async fn day(&self, query: &str) -> Result<Answer> {
        let day = self.product.get(&format!("/v1/locations/{}/day?{query}", self.location)).await?;
        ensure!(day.status == StatusCode::OK, "{}", day.body);
        Ok(day)
    }

    /// Books the first open start from this instant on; returns the appointment.
    async fn book(&self, from: &str, family_name: &str) -> Result<Value> {
        let path = format!("/v1/slots?service_id={}&from={from}&to=2026-04-01T00:00:00Z&limit=1", self.service);
        let slot = self.product.get(&path).await?.body["data"][0]["slot_id"].clone();
        let body = json!({"slot_id": slot, "patient": patient(family_name, "+17805550123"), "note": "by the ramp"});
        let booked = self.product.post("/v1/appointments", body).await?;
        ensure!(booked.status == StatusCode::CREATED, "{}", booked.body);
        Ok(booked.body)
    }
}

fn span(from: &str, to: &str) -> Value {
    json!({"starts_at": format!("2026-03-03T{from}:00-07:00"), "ends_at": format!("2026-03-03T{to}:00-07:00")})
}

async fn a_day_has_shifts_breaks_blocks_and_appointments(database: Database) {
    days_work(database).await.unwrap_or_else(|error| panic!("{error:?}"));
}

async fn days_work(database: Database) -> Result<()> {
    let board = Board::over(database).await?;
    let off =
        json!({"starts_at": "2026-03-03T15:00:00-07:00", "ends_at": "2026-03-03T16:00:00-07:00", "reason": "meeting"});
    let path = format!("/v1/practitioners/{}/time_off", board.practitioner);
    assert_eq!(board.product.post(&path, off).await?.status, StatusCode::CREATED);
    let visit = board.book("2026-03-03T09:00:00-07:00", "Example").await?;
    let other = board.book("2026-03-03T13:00:00-07:00", "Other").await?;
    board.book("2026-03-04T13:00:00-07:00", "Tomorrow").await?;
    let cancel = format!("/v1/appointments/{}/cancel", other["id"].as_str().context("an id")?);
    assert_eq!(board.product.post(&cancel, json!({"reason_code": "patient_ill"})).await?.status, StatusCode::OK);

    let day = board.day("date=2026-03-03").await?.body;
    assert_eq!((&day["date"], &day["time_zone"]), (&json!("2026-03-03"), &json!("America/Edmonton")));
    assert_eq!(day["starts_at"], "2026-03-03T00:00:00-07:00");
    assert_eq!(day["ends_at"], "2026-03-04T00:00:00-07:00");
    assert_eq!(day["offsets"], json!([{"starts_at": "2026-03-03T00:00:00-07:00", "minutes": -420}]));
    assert_eq!(day["open"], json!([span("09:00", "17:00")]));
    let column = &day["columns"][0];
    assert_eq!((&column["id"], &column["name"]), (&json!(board.practitioner), &json!("Grace Sample")));
    let working = [span("09:00", "12:00"), span("12:30", "15:00"), span("16:00", "17:00")];
    assert_eq!(column["working"], json!(working), "{day}");
    assert_eq!(column["breaks"], json!([span("12:00", "12:30")]));
    let mut block = span("15:00", "16:00");
    block["kind"] = json!("time_off");
    block["reason"] = json!("meeting");
    assert_eq!(column["blocks"], json!([block]));
    assert_eq!(column["appointments"], 1, "the cancelled one takes no time");

    let listed = day["appointments"].as_array().context("appointments")?;
    assert_eq!(listed.len(), 2, "{day}");
    let first = &listed[0];
    assert_eq!((&first["id"], &first["starts_at"]), (&visit["id"], &json!("2026-03-03T09:00:00-07:00")));
    assert_eq!((&first["patient"]["family_name"], &first["note"]), (&json!("Example"), &json!("by the ramp")));
    assert_eq!((&first["first_visit"], &first["room_id"]), (&json!(true), &visit["room_id"]));
    assert_eq!(
        (&listed[1]["status"], &listed[1]["cancellation"]["reason_code"]),
        (&json!("cancelled"), &json!("patient_ill"))
    );
    assert_eq!(day["services"][0]["name"], "Manual therapy");
    assert_eq!(day["counts"]["by_status"], json!({"booked": 1, "cancelled": 1}));
    assert_eq!(day["counts"]["total"], 2);

    // By room, and of one appointment that an event has told of.
    let rooms = board.day("date=2026-03-03&by=room").await?.body;
    let columns: Vec<(&Value, &Value)> =
        rooms["columns"].as_array().context("columns")?.iter().map(|it| (&it["id"], &it["name"])).collect();
    assert_eq!(columns, [(&json!(board.rooms[0]), &json!("Room 1")), (&json!(board.rooms[1]), &json!("Room 2"))]);
    let one = board.day(&format!("date=2026-03-03&ids={}", other["id"].as_str().context("an id")?)).await?.body;
    assert_eq!(one["appointments"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["appointments"][0]["id"], other["id"]);

    // Without a date it is today at the location, whose date is behind UTC's in the evening.
    board.product.advance_to("2026-03-04T05:00:00Z")?;
    assert_eq!(board.day("").await?.body["date"], "2026-03-03");

    // A closure takes the whole day.
    let closure = json!({"starts_on": "2026-03-04", "ends_on": "2026-03-04", "reason": "water damage"});
    let closed = board.product.post(&format!("/v1/locations/{}/closures", board.location), closure).await?;
    assert_eq!(closed.status, StatusCode::CREATED, "{}", closed.body);
    let day = board.day("date=2026-03-04").await?.body;
    assert_eq!((&day["open"], &day["columns"][0]["working"]), (&json!([]), &json!([])), "{day}");
    assert_eq!(
        (&day["closures"][0]["kind"], &day["closures"][0]["reason"]),
        (&json!("closure"), &json!("water damage"))
    );
    assert_eq!((&day["counts"]["displaced"], &day["appointments"][0]["displaced"]), (&json!(1), &json!(true)), "{day}");

    for (path, status) in [
        (format!("/v1/locations/{}/day?date=2026-02-30", board.location), StatusCode::BAD_REQUEST),
        (format!("/v1/locations/{}/day?by=chair", board.location), StatusCode::BAD_REQUEST),
        ("/v1/locations/loc_00000000000000000000000001/day".to_owned(), StatusCode::NOT_FOUND),
        ("/v1/locations/loc_00000000000000000000000001/day?date=2026-03-03".to_owned(), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(board.product.get(&path).await?.status, status, "{path}");
    }
    Ok(())
}

async fn the_days_of_a_clock_change_have_their_hours_and_offsets(database: Database) {
    let board = Board::over(database).await.unwrap();
    for (date, hours, offsets) in [
        ("2026-03-08", 23, json!([["2026-03-08T00:00:00-07:00", -420], ["2026-03-08T03:00:00-06:00", -360]])),
        ("2026-11-01", 25, json!([["2026-11-01T00:00:00-06:00", -360], ["2026-11-01T01:00:00-07:00", -420]])),
        // Behind the days that search covers, and ahead of them.
        ("2026-01-05", 24, json!([["2026-01-05T00:00:00-07:00", -420]])),
        ("2029-06-04", 24, json!([["2029-06-04T00:00:00-06:00", -360]])),
    ] {
        let day = board.day(&format!("date={date}")).await.unwrap().body;
        let at = |field: &str| day[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert_eq!(at("ends_at").duration_since(at("starts_at")).as_hours(), hours, "{date}");
        let found = day["offsets"].as_array().unwrap().iter();
        let found: Vec<Value> = found.map(|it| json!([it["starts_at"], it["minutes"]])).collect();
        assert_eq!(json!(found), offsets, "{date}");
        // The same wall clock on every day.
        let working = &day["columns"][0]["working"];
        let clock = |text: &Value| text.as_str().unwrap()[11..16].to_owned();
        assert_eq!(clock(&working[0]["starts_at"]), "09:00", "{date}");
        assert_eq!(clock(&working[1]["ends_at"]), "17:00", "{date}");
    }
}

async fn who_has_an_appointment_and_no_shift_has_a_column(database: Database) {
    let board = Board::over(database).await.unwrap();
    let visit = board.book("2026-03-03T09:00:00-07:00", "Example").await.unwrap();
    let roster = format!("/v1/practitioners/{}/rosters/{}", board.practitioner, board.roster);
    let archived = board.product.send(Method::DELETE, &roster, &[], None).await.unwrap();
    assert!(archived.status.is_success(), "{}", archived.body);
    let day = board.day("date=2026-03-03").await.unwrap().body;
    let column = &day["columns"][0];
    assert_eq!((&column["id"], &column["name"]), (&json!(board.practitioner), &json!("Grace Sample")), "{day}");
    assert_eq!((&column["working"], &column["appointments"]), (&json!([]), &json!(1)));
    assert_eq!(day["appointments"][0]["id"], visit["id"]);
    let empty = board.day("date=2026-03-05").await.unwrap().body;
    assert_eq!((&empty["columns"], &empty["appointments"]), (&json!([]), &json!([])));
}

/// A board that was read follows the events from there on, and loses none.
#[tokio::test]
async fn the_events_after_a_day_continue_it() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
        let date = &slots[0]["starts_at"].as_str().context("a start")?[..10];
        let path = format!("/v1/locations/{}/day?date={date}", clinic.location);
        let day = product.get(&path).await?;
        assert_eq!(day.body["appointments"], json!([]), "{}", day.body);
        let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", "+17805550123")});
        let booked = product.post("/v1/appointments", body).await?;
        let last = day.text("/last_event_id");
        let mut events = product.events_with("/v1/events", &[("last-event-id", &last)]).await?;
        let (name, event) = events.next().await?;
        assert_eq!(
            (name.as_str(), &event["data"]["appointment_id"]),
            ("appointment.booked", &booked.body["id"]),
            "{event}"
        );
        let day = product.get(&path).await?;
        assert_eq!(day.body["appointments"][0]["id"], booked.body["id"]);

        // A reason of absence is for those who may change the directory.
        let off = json!({"starts_at": slots[0]["starts_at"], "ends_at": slots[0]["ends_at"], "reason": "sick"});
        let absence = format!("/v1/practitioners/{}/time_off", clinic.practitioner);
        assert_eq!(product.post(&absence, off).await?.status, StatusCode::CREATED);
        let desk = product.post("/v1/keys", json!({"name": "desk", "scopes": ["patients:read"]})).await?.text("/key");
        for (key, reason) in [(ADMIN, json!("sick")), (desk.as_str(), Value::Null)] {
            let day = product.send(Method::GET, &path, key, &[], None).await?.body;
            let block = &day["columns"][0]["blocks"][0];
            assert_eq!((&block["kind"], &block["reason"]), (&json!("time_off"), &reason), "{day}");
        }

        // Names of patients are for those who may read patients.
        let key = product.post("/v1/keys", json!({"name": "web", "scopes": ["slots:read", "bookings:write"]})).await?;
        let refused = product.send(Method::GET, &path, &key.text("/key"), &[], None).await?;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert_eq!(product.send(Method::GET, &path, ADMIN, &[], None).await?.status, StatusCode::OK);
    }
    Ok(())
}
