//! The booking flow, in both arrangements: a front end finds a slot, holds it, books it, moves it and cancels it.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Product, calendar, from_now, patient, service};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

async fn both(extra: &[&str]) -> Result<[Product; 2]> {
    Ok([Product::embedded(extra).await?, Product::apart(extra).await?])
}

fn ids(slots: &[Value]) -> Vec<String> {
    slots.iter().filter_map(|slot| slot["slot_id"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_slot_is_found_held_booked_moved_and_cancelled() -> Result<()> {
    for product in both(&[]).await? {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let slots = ids(&product.slots(&clinic, (2, 4), &clinic.revision).await?);
        let held = product.post("/v1/holds", json!({"slot_id": slots[0]})).await?;
        assert_eq!(held.status, StatusCode::CREATED, "{}", held.body);
        let taken = product.post("/v1/holds", json!({"slot_id": slots[0]})).await?;
        assert_eq!((taken.status, taken.text("/code").as_str()), (StatusCode::CONFLICT, "slot_taken"));
        assert_eq!(taken.body["alternatives"].as_array().map(Vec::len), Some(3), "{}", taken.body);

        let booking = json!({"hold_id": held.text("/id"), "patient": patient("Example", "+17805550123")});
        let booked = product.post("/v1/appointments", booking).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        let after = ids(&product.slots(&clinic, (2, 4), &booked.revision()).await?);
        assert!(!after.contains(&slots[0]), "a search after the booking never offers the slot just taken");

        let manage = booked.text("/links/manage");
        let other = slots.last().cloned().unwrap_or_default();
        let moved = product
            .send(Method::POST, &format!("{manage}/reschedule"), "", &[], Some(json!({"slot_id": other})))
            .await?;
        assert_eq!(moved.status, StatusCode::OK, "{}", moved.body);
        assert_eq!(moved.text("/id"), booked.text("/id"), "the id stays");
        let after = ids(&product.slots(&clinic, (2, 4), &moved.revision()).await?);
        assert!(after.contains(&slots[0]) && !after.contains(&other), "the old time is freed, the new one taken");

        let path = format!("/v1/appointments/{}", booked.text("/id"));
        let cancelled = product.post(&format!("{path}/cancel"), json!({"reason_code": "patient_ill"})).await?;
        assert_eq!(cancelled.text("/status"), "cancelled");
        let again = product.post(&format!("{path}/confirm"), json!({})).await?;
        assert_eq!((again.status, again.text("/code").as_str()), (StatusCode::CONFLICT, "invalid_transition"));
        let after = ids(&product.slots(&clinic, (2, 4), &cancelled.revision()).await?);
        assert!(after.contains(&other), "a cancelled visit's time is free");
    }
    Ok(())
}

#[tokio::test]
async fn the_first_three_available_appointments_can_all_be_booked() -> Result<()> {
    for product in both(&[]).await? {
        let own = json!({"code": "visit", "name": "Visit", "duration_minutes": 45, "start_alignment_minutes": 15,
            "room_type": "treatment-room", "horizon_days": 365});
        let clinic = product.clinic("America/Edmonton", own).await?;
        let path = format!(
            "/v1/slots/next?service_id={}&from={}&to={}&not_before=08:00",
            clinic.service,
            from_now(2)?,
            from_now(9)?
        );
        let headers = [("meridian-revision", clinic.revision.as_str())];
        let answer = product.send(Method::GET, &path, ADMIN, &headers, None).await?;
        let open = answer.body["data"][0]["slots"].as_array().context("slots")?.clone();
        assert_eq!(open.len(), 3, "{}", answer.body);
        let ends: Vec<_> = open.iter().map(|slot| slot["ends_at"].as_str()).collect();
        let starts: Vec<_> = open.iter().map(|slot| slot["starts_at"].as_str()).collect();
        assert!(starts[1] >= ends[0] && starts[2] >= ends[1], "one practitioner, in sequence: {}", answer.body);
        for (number, slot) in ids(&open).into_iter().enumerate() {
            let patient = patient("Example", &format!("+1780555013{number}"));
            let booked = product.post("/v1/appointments", json!({"slot_id": slot, "patient": patient})).await?;
            assert_eq!(booked.status, StatusCode::CREATED, "{number}: {}", booked.body);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_search_reads_its_callers_booking_while_another_transaction_stays_open() -> Result<()> {
    let product = Product::apart(&[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let slots = ids(&product.slots(&clinic, (2, 4), &clinic.revision).await?);
    let mut open = PgConnection::connect(&product.database.as_ref().context("on PostgreSQL")?.admin_url).await?;
    open.execute("BEGIN").await?;
    open.execute("SELECT pg_current_xact_id()").await?;
    let body = json!({"slot_id": slots[0], "patient": patient("Example", "+17805550123")});
    let booked = product.post("/v1/appointments", body).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    let after = product.slots(&clinic, (2, 4), &booked.revision()).await?;
    assert!(!ids(&after).contains(&slots[0]));
    open.execute("ROLLBACK").await?;
    Ok(())
}

#[tokio::test]
async fn every_replica_reads_its_callers_writes() -> Result<()> {
    let one = Product::apart(&[]).await?;
    let clinic = one.clinic("America/Edmonton", service()).await?;
    let other = one.replica().await?;
    let mut slots = ids(&other.slots(&clinic, (2, 4), &clinic.revision).await?);
    for number in 0..20 {
        // Each round books through one gateway and searches through the other.
        let (writer, reader) = if number % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let body = json!({"slot_id": slots[0], "patient": patient(&format!("Example {number}"), "+17805550123")});
        let booked = writer.post("/v1/appointments", body).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        let open = ids(&reader.slots(&clinic, (2, 4), &booked.revision()).await?);
        assert!(!open.contains(&slots[0]), "the booking of round {number} is not seen");
        slots = open;
    }
    // Directory entries are read across replicas, too.
    let closed = json!({"starts_on": &from_now(0)?[..10], "ends_on": &from_now(9)?[..10], "reason": "flood"});
    let closed = one.post(&format!("/v1/locations/{}/closures", clinic.location), closed).await?;
    assert!(other.slots(&clinic, (2, 4), &closed.revision()).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_entry_under_a_parent_just_made_is_taken_by_every_replica() -> Result<()> {
    let one = Product::apart(&[]).await?;
    let other = one.replica().await?;
    for number in 0..10 {
        let (maker, user) = if number % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let location = json!({"name": format!("Clinic {number}"), "time_zone": "America/Edmonton"});
        let location = maker.post("/v1/locations", location).await?.text("/id");
        let room = json!({"name": "Room 1", "type": "treatment-room"});
        let room = user.post(&format!("/v1/locations/{location}/rooms"), room).await?;
        assert_eq!(room.status, StatusCode::CREATED, "{number}: {}", room.body);
        // Another service asks the directory about what it is given.
        let service = maker.post("/v1/services", service_named(&format!("Care {number}"))).await?.text("/id");
        let rule = json!({"trigger": "booked", "channels": ["sms"], "service_ids": [service]});
        let rule = user.post("/v1/reminder_rules", rule).await?;
        assert_eq!(rule.status, StatusCode::CREATED, "{number}: {}", rule.body);
    }
    Ok(())
}

/// A service with a name and a code of its own.
fn service_named(name: &str) -> Value {
    let mut service = service();
    (service["name"], service["code"]) = (json!(name), json!(name.to_lowercase().replace(' ', "-")));
    service
}

#[tokio::test]
async fn a_repeated_request_has_one_effect_and_the_same_answer() -> Result<()> {
    for product in both(&[]).await? {
        let clinic = product.clinic("Europe/London", service()).await?;
        let slots = ids(&product.slots(&clinic, (2, 4), &clinic.revision).await?);
        let body = json!({"slot_id": slots[0], "patient": patient("Example", "+447700900123")});
        let key = [("idempotency-key", "one")];
        let send = |body: Value| product.send(Method::POST, "/v1/appointments", ADMIN, &key, Some(body));
        let first = send(body.clone()).await?;
        let again = send(body.clone()).await?;
        assert_eq!((first.status, &first.body), (again.status, &again.body));
        assert_eq!(again.headers.get("idempotency-replayed").map(|value| value.as_bytes()), Some(&b"true"[..]));
        let mut other = body;
        other["note"] = json!("another request");
        let reused = send(other).await?;
        assert_eq!(reused.text("/code"), "idempotency_key_reused");
        let list = product.get("/v1/appointments").await?;
        assert_eq!(list.body["data"].as_array().map(Vec::len), Some(1));
    }
    Ok(())
}

#[tokio::test]
async fn time_off_displaces_what_it_covers_and_a_dry_run_changes_nothing() -> Result<()> {
    for product in both(&[]).await? {
        let clinic = product.clinic("Australia/Lord_Howe", service()).await?;
        let slots = ids(&product.slots(&clinic, (2, 4), &clinic.revision).await?);
        let body = json!({"slot_id": slots[0], "patient": patient("Example", "+61491570156")});
        let booked = product.post("/v1/appointments", body).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        // The search first waits until the projection has the booking.
        product.slots(&clinic, (2, 4), &booked.revision()).await?;
        let off = json!({"starts_at": from_now(1)?, "ends_at": from_now(6)?, "reason": "ill"});
        let path = format!("/v1/practitioners/{}/time_off", clinic.practitioner);
        let dry = product.post(&format!("{path}?dry_run=true"), off.clone()).await?;
        assert_eq!(dry.body["displaced"], json!([booked.text("/id")]), "{}", dry.body);
        assert!(!product.slots(&clinic, (2, 4), "").await?.is_empty(), "a dry run changes nothing");
        let real = product.post(&path, off).await?;
        assert_eq!(real.body["displaced"], json!([booked.text("/id")]), "{}", real.body);
        assert!(product.slots(&clinic, (2, 4), &real.revision()).await?.is_empty());
        let flagged = product.get("/v1/appointments?displaced=true").await?;
        assert_eq!(flagged.body.pointer("/data/0/id"), Some(&json!(booked.text("/id"))), "{}", flagged.body);
    }
    Ok(())
}

#[tokio::test]
async fn an_imported_calendar_blocks_its_times_until_it_is_deleted() -> Result<()> {
    for product in both(&[]).await? {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let slots = ids(&product.slots(&clinic, (2, 4), &clinic.revision).await?);
        let ask = |slot: usize| json!({"slot_id": slots[slot], "patient": patient("Example", "+17805550123")});
        let booked = product.post("/v1/appointments", ask(0)).await?;
        let open = ids(&product.slots(&clinic, (2, 4), &booked.revision()).await?);
        let path = format!("/v1/practitioners/{}/busy", clinic.practitioner);
        let day = |days: i64| -> Result<String> { Ok(from_now(days)?.replace(['-', ':'], "")) };
        let event = format!(
            "BEGIN:VEVENT\r\nUID:1\r\nDTSTART:{}\r\nDTEND:{}\r\nSUMMARY:Secret\r\nEND:VEVENT\r\n",
            day(1)?,
            day(6)?
        );
        let dry = product.post(&format!("{path}?source=outlook&dry_run=true"), calendar(&event)).await?;
        assert_eq!(dry.body["displaced"], json!([booked.text("/id")]), "{}", dry.body);
        let made = product.post(&format!("{path}?source=outlook"), calendar(&event)).await?;
        assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        assert_eq!(made.body["times"], json!([{"starts_at": from_now(1)?, "ends_at": from_now(6)?}]));
        assert!(product.slots(&clinic, (2, 4), &made.revision()).await?.is_empty());
        let refused = product.post("/v1/appointments", ask(9)).await?;
        assert_eq!(refused.text("/code"), "outside_roster", "{}", refused.body);
        let list = product.get(&path).await?;
        assert_eq!(list.body.pointer("/data/0/source"), Some(&json!("outlook")));
        assert!(!list.body.to_string().contains("Secret"));

        let gone = product.send(Method::DELETE, &format!("{path}/{}", made.text("/id")), ADMIN, &[], None).await?;
        assert_eq!(gone.status, StatusCode::OK, "{}", gone.body);
        assert_eq!(ids(&product.slots(&clinic, (2, 4), &gone.revision()).await?), open);
        for (url, code) in [
            ("http://127.0.0.1:1/a.ics", "private_address"),
            ("http://localhost:1/a.ics", "private_address"),
            ("http://[::ffff:10.0.0.1]/a.ics", "private_address"),
            ("http://169.254.169.254/latest/meta-data/", "private_address"),
            ("ftp://example.org/a.ics", "invalid_url"),
        ] {
            let wrong = product.post(&path, json!({"url": url})).await?;
            assert_eq!(wrong.body.pointer("/errors/0/code"), Some(&json!(code)), "{url}: {}", wrong.body);
            assert_eq!(wrong.body.pointer("/errors/0/pointer"), Some(&json!("/url")));
        }
        let torn = product.post(&path, "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n".into()).await?;
        assert_eq!(torn.body.pointer("/errors/0/code"), Some(&json!("truncated")), "{}", torn.body);
        let detail = torn.text("/errors/0/detail");
        assert!(detail.starts_with("line 2: "), "{detail}");
    }
    Ok(())
}

#[tokio::test]
async fn a_group_session_books_up_to_its_capacity() -> Result<()> {
    for product in both(&[]).await? {
        let class = json!({"code": "class", "name": "Class", "duration_minutes": 60, "capacity": 2,
            "room_type": "treatment-room"});
        let clinic = product.clinic("Pacific/Auckland", class).await?;
        let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
        let slot = ids(&slots)[0].clone();
        assert_eq!(slots[0]["places_left"], 2);
        let book = |phone: &'static str| {
            product.post("/v1/appointments", json!({"slot_id": slot, "patient": patient("Example", phone)}))
        };
        let first = book("+64215550001").await?;
        let second = book("+64215550002").await?;
        assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::CREATED), "{}", second.body);
        assert_eq!(first.text("/room_id"), second.text("/room_id"), "one session, one room");
        let full = book("+64215550003").await?;
        assert_eq!(full.text("/code"), "slot_taken", "{}", full.body);
        let path = format!("/v1/appointments/{}/cancel", first.text("/id"));
        let left = product.post(&path, json!({"reason_code": "patient_ill"})).await?;
        let open = product.slots(&clinic, (2, 4), &left.revision()).await?;
        let same = open.iter().find(|open| open["slot_id"] == json!(slot));
        assert_eq!(same.map(|open| &open["places_left"]), Some(&json!(1)), "one place is open again");
    }
    Ok(())
}

#[tokio::test]
async fn a_front_end_key_reads_no_patients_and_another_organisation_reads_nothing() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let clinic = product.clinic("America/New_York", service()).await?;
    let scopes = json!({"name": "web", "scopes": ["slots:read", "bookings:write"]});
    let key = product.post("/v1/keys", scopes).await?.text("/key");
    let slots = ids(&product.slots(&clinic, (2, 4), &clinic.revision).await?);
    let body = json!({"slot_id": slots[0], "patient": patient("Example", "+19105550123")});
    let booked = product.send(Method::POST, "/v1/appointments", &key, &[], Some(body)).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    let one = format!("/v1/appointments/{}", booked.text("/id"));
    for path in ["/v1/patients", "/v1/appointments", one.as_str()] {
        assert_eq!(product.send(Method::GET, path, &key, &[], None).await?.status, StatusCode::FORBIDDEN, "{path}");
    }
    let body = json!({"slot_id": slots[5], "patient_id": booked.text("/patient_id")});
    let by_id = product.send(Method::POST, "/v1/appointments", &key, &[], Some(body)).await?;
    assert_eq!(by_id.status, StatusCode::FORBIDDEN, "a front end cannot book by a patient's id");

    let organization = json!({"name": "Other", "default_language": "en", "country": "US"});
    let other = product.post("/v1/organizations", organization).await?.text("/id");
    let as_other = [("meridian-organization", other.as_str())];
    let unknown = one.replace(&one[one.len() - 4..], "zzzz");
    let foreign = product.send(Method::GET, &one, ADMIN, &as_other, None).await?;
    let missing = product.send(Method::GET, &unknown, ADMIN, &as_other, None).await?;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    assert_eq!((foreign.text("/code"), foreign.text("/detail")), (missing.text("/code"), missing.text("/detail")));
    Ok(())
}

#[tokio::test]
async fn bad_input_is_refused_with_every_fault_and_never_a_500() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let many = product.post("/v1/locations", json!({"name": 5, "time_zone": "Mars/Olympus", "colour": "red"})).await?;
    let pointers: Vec<&str> =
        many.body["errors"].as_array().into_iter().flatten().filter_map(|error| error["pointer"].as_str()).collect();
    assert!(pointers.contains(&"/name") && pointers.contains(&"/colour"), "{}", many.body);
    let zone = product.post("/v1/locations", json!({"name": "X", "time_zone": "Mars/Olympus"})).await?;
    assert_eq!(zone.text("/errors/0/code"), "unknown_time_zone");
    let off = json!({"starts_at": "2026-03-06T08:00:00", "ends_at": "2026-03-05T08:00:00Z", "reason": "x"});
    let practitioner =
        product.post("/v1/practitioners", json!({"given_name": "A", "family_name": "B"})).await?.text("/id");
    let no_offset = product.post(&format!("/v1/practitioners/{practitioner}/time_off"), off).await?;
    assert_eq!(
        (no_offset.status, no_offset.text("/errors/0/pointer").as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "/starts_at")
    );

    let client = testkit::http::client();
    let raw = |bytes: Vec<u8>, media: &'static str| {
        let url = format!("{}/v1/locations", product.url);
        client.post(url).bearer_auth(ADMIN).header("content-type", media).body(bytes).send()
    };
    for (bytes, media, status) in [
        (vec![b'x'; 10 << 20], "application/json", 413),
        (vec![0xff, 0xfe], "application/json", 400),
        (b"{".to_vec(), "application/json", 400),
        (b"{}".to_vec(), "text/plain", 415),
        (b"[]".to_vec(), "application/json", 422),
    ] {
        let answer = raw(bytes, media).await?;
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    assert!(product.get("/v1/locations").await?.body["data"].as_array().is_some_and(Vec::is_empty), "nothing was made");
    let no_key = product.send(Method::GET, "/v1/locations", "", &[], None).await?;
    assert_eq!(no_key.status, StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn personal_data_stays_out_of_logs_and_metrics() -> Result<()> {
    for product in both(&["--set", "telemetry.filter=debug"]).await? {
        let clinic = product.clinic("America/St_Johns", service()).await?;
        let slots = ids(&product.slots(&clinic, (2, 4), &clinic.revision).await?);
        let canary = json!({"given_name": "Canarygiven", "family_name": "Canaryfamily", "phone": "+17095550187",
            "email": "canary@canary.example", "consents": [{"channel": "sms", "kind": "service"}]});
        let body = json!({"slot_id": slots[0], "patient": canary, "note": "Canarynote"});
        let booked = product.post("/v1/appointments", body.clone()).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        product.post("/v1/appointments", body).await?;
        product.get("/v1/patients?query=Canaryfamily").await?;
        let link = booked.text("/links/manage");
        let token = link.rsplit('/').next().unwrap_or_default().to_owned();
        product.send(Method::GET, &link, "", &[], None).await?;
        let metrics = testkit::http::client().get(format!("{}/metrics", product.url)).send().await?.text().await?;
        let seen = format!("{}{metrics}", product.printed());
        for secret in ["Canary", "7095550187", "canary.example", ADMIN, token.as_str()] {
            assert!(!seen.contains(secret), "{secret} leaked");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_restart_loses_nothing_and_sigterm_ends_in_time() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let start = || {
        let arguments = ["serve", "--listen", "127.0.0.1:0"];
        testkit::product::Process::start(folder.path(), &arguments, &[("MERIDIAN_ADMIN_KEY", ADMIN)])
    };
    let client = testkit::http::client();
    let process = start()?;
    let url = process.line("listening on ").await;
    let location = json!({"name": "Kept", "time_zone": "Europe/London"});
    let made = client.post(format!("{url}/v1/locations")).bearer_auth(ADMIN).json(&location).send().await?;
    assert_eq!(made.status(), StatusCode::CREATED);
    assert!(process.terminate().await?, "it ends with success");
    let process = start()?;
    let url = process.line("listening on ").await;
    let list: Value = client.get(format!("{url}/v1/locations")).bearer_auth(ADMIN).send().await?.json().await?;
    assert_eq!(list.pointer("/data/0/name"), Some(&json!("Kept")));
    let audit: Value = client.get(format!("{url}/v1/audit")).bearer_auth(ADMIN).send().await?.json().await?;
    assert_eq!(audit.pointer("/data/0/action"), Some(&json!("create_location")), "written before the end: {audit}");
    Ok(())
}
