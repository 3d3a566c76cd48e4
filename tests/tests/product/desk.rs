//! What a front desk reads and writes, in both arrangements: visits with the names behind their ids, and details of its own.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Clinic, Product, patient, service};
use serde_json::{Value, json};

/// A clinic with two visits of the same patient.
struct Desk {
    product: Product,
    clinic: Clinic,
    visits: [Value; 2],
}

impl Desk {
    async fn open() -> Result<[Self; 2]> {
        Ok([Self::over(Product::embedded(&[]).await?).await?, Self::over(Product::apart(&[]).await?).await?])
    }

    async fn over(product: Product) -> Result<Self> {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
        let book = async |slot: &Value, external: &str| -> Result<Value> {
            let body = json!({"slot_id": slot["slot_id"], "patient": patient("Example", "+17805550123"),
                "note": "walks with a frame", "external_id": external, "custom": {"referrer": "Dr. Example"}});
            let booked = product.post("/v1/appointments", body).await?;
            assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
            Ok(booked.body)
        };
        let last = slots.last().context("a slot")?;
        let visits = [book(&slots[0], "A-7").await?, book(last, "A-8").await?];
        Ok(Self { product, clinic, visits })
    }

    fn id(&self, at: usize) -> String {
        self.visits[at]["id"].as_str().unwrap_or_default().to_owned()
    }

    async fn read(&self, path: &str, key: &str, accept: &str) -> Result<(StatusCode, String)> {
        let request = reqwest::Client::new().get(format!("{}{path}", self.product.url)).bearer_auth(key);
        let response = request.header("accept", accept).send().await?;
        Ok((response.status(), response.text().await?))
    }

    async fn patch(&self, body: Value) -> Result<Answer> {
        let path = format!("/v1/appointments/{}", self.id(0));
        self.product.send(Method::PATCH, &path, ADMIN, &[], Some(body)).await
    }
}

#[tokio::test]
async fn the_objects_behind_the_ids_are_answered_beside_them() -> Result<()> {
    for desk in Desk::open().await? {
        let include = "include=patient,practitioner,service,location,room,plan";
        let one = desk.product.get(&format!("/v1/appointments/{}?{include}", desk.id(0))).await?;
        let list = desk.product.get(&format!("/v1/appointments?{include}")).await?;
        assert_eq!(list.body["data"].as_array().map(Vec::len), Some(2), "{}", list.body);
        for visit in [&one.body, &list.body["data"][0], &list.body["data"][1]] {
            for kind in ["patient", "practitioner", "service", "location", "room"] {
                assert_eq!(visit[kind]["id"], visit[format!("{kind}_id")], "{kind}: {visit}");
            }
            assert_eq!(visit["patient"]["family_name"], "Example");
            assert_eq!(visit["service"]["name"], "Manual therapy");
            assert_eq!(visit["location"]["name"], "Clinic");
        }
        assert_eq!((&one.body["first_visit"], &list.body["data"][1]["first_visit"]), (&json!(true), &json!(false)));
        let bare = desk.product.get(&format!("/v1/appointments/{}", desk.id(0))).await?;
        assert!(["patient", "service", "room"].iter().all(|kind| bare.body.get(kind).is_none()), "{}", bare.body);
        let some = desk.product.get("/v1/appointments?include=practitioner").await?;
        assert!(some.body["data"][0].get("patient").is_none() && some.body["data"][0]["practitioner"].is_object());

        let window = format!(
            "/v1/slots?service_id={}&from={}&to={}&limit=1",
            desk.clinic.service,
            scenarios::from_now(2)?,
            scenarios::from_now(4)?
        );
        let slots = desk.product.get(&format!("{window}&include=practitioner,location")).await?;
        let slot = &slots.body["data"][0];
        assert_eq!(slot["practitioner"]["id"], slot["practitioner_id"], "{}", slots.body);
        assert!(slot.get("service").is_none());
        let held = desk.product.post("/v1/holds", json!({"slot_id": slot["slot_id"]})).await?;
        let hold = desk.product.get(&format!("/v1/holds/{}?include=service", held.text("/id"))).await?;
        assert_eq!(hold.text("/slots/0/service/code"), "manual-therapy");
        for (path, parameter) in [
            ("/v1/appointments?include=patents".to_owned(), "include"),
            ("/v1/appointments?include=".to_owned(), "include"),
            // A slot has no patient.
            (format!("{window}&include=patient"), "include"),
        ] {
            let refused = desk.product.get(&path).await?;
            assert_eq!(
                (refused.status, refused.text("/errors/0/pointer").as_str()),
                (StatusCode::BAD_REQUEST, parameter)
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn details_of_the_clinic_are_kept_found_and_hidden_from_the_public() -> Result<()> {
    for desk in Desk::open().await? {
        let id = desk.id(0);
        let front = json!({"name": "web", "scopes": ["slots:read", "bookings:write"]});
        let front = desk.product.post("/v1/keys", front).await?.text("/key");
        let (status, _) = desk.read("/v1/appointments?include=patient", &front, "application/json").await?;
        assert_eq!(status, StatusCode::FORBIDDEN);
        let manage = desk.visits[0]["links"]["manage"].as_str().context("a link")?.to_owned();
        let shown = desk.product.send(Method::GET, &manage, "", &[], None).await?;
        for hidden in ["note", "external_id", "custom", "created_by", "first_visit"] {
            assert!(shown.body.get(hidden).is_none(), "{hidden}: {}", shown.body);
        }
        assert_eq!(shown.text("/channel"), "staff");

        let patched = desk.patch(json!({"custom": {"referrer": null, "source": "web"}})).await?;
        assert_eq!((patched.status, &patched.body["custom"]), (StatusCode::OK, &json!({"source": "web"})));
        assert_eq!(patched.text("/note"), "walks with a frame", "a patch leaves the rest");
        let many: Value =
            (0..21).map(|number| (format!("n{number}"), json!(""))).collect::<serde_json::Map<_, _>>().into();
        let refused = desk.patch(json!({"custom": many})).await?;
        assert_eq!(
            (refused.status, refused.text("/errors/0/pointer").as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "/custom")
        );
        let refused = desk.patch(json!({"custom": {"a": 1}, "external_id": 7, "extra": true})).await?;
        assert_eq!(refused.body["errors"].as_array().map(Vec::len), Some(3), "{}", refused.body);

        let starts_at = desk.visits[0]["starts_at"].as_str().context("a start")?;
        let since = desk.visits[0]["updated_at"].as_str().context("an instant")?.replace('+', "%2B");
        let room = desk.visits[0]["room_id"].as_str().unwrap_or_default();
        for (filter, expected) in [
            ("external_id=A-7".to_owned(), vec![desk.id(0)]),
            ("external_id=A-9".to_owned(), vec![]),
            (format!("date={}", &starts_at[..10]), vec![desk.id(0)]),
            // Both changed since the first was booked, the second one before the patch.
            (format!("updated_since={since}&order=updated_at&limit=1"), vec![desk.id(1)]),
            ("updated_since=2199-01-01T00:00:00Z".to_owned(), vec![]),
            (format!("room_id={room}&service_id={}", desk.clinic.service), vec![desk.id(0), desk.id(1)]),
            ("order=updated_at".to_owned(), vec![desk.id(1), desk.id(0)]),
        ] {
            let found = desk.product.get(&format!("/v1/appointments?{filter}")).await?;
            let found: Vec<_> =
                found.body["data"].as_array().into_iter().flatten().map(|it| it["id"].clone()).collect();
            assert_eq!(found, expected.into_iter().map(Value::String).collect::<Vec<_>>(), "{filter}");
        }
        let path = "/v1/appointments?include=patient&limit=1";
        let (_, table) = desk.read(path, ADMIN, "text/csv").await?;
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("id,status,") && lines[0].ends_with(",external_id,note"), "{table}");
        assert!(lines.len() == 2 && lines[1].starts_with(&id) && lines[1].contains(",Ada,Example,"), "{table}");
        let (_, rows) = desk.read("/v1/appointments", ADMIN, "application/x-ndjson").await?;
        let rows = rows.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        assert_eq!((rows.len(), &rows[0]["id"]), (2, &json!(id)));
    }
    Ok(())
}
