//! The event stream of one organisation (server-sent events), in both arrangements.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Product, from_now, patient, service};
use serde_json::{Value, json};

const PATH: &str = "/v1/events";
const ORGANIZATION: &str = "meridian-organization";

/// An organisation with the entries that a booking needs.
struct Chain<'a> {
    product: &'a Product,
    organization: String,
    slots: Vec<Value>,
}

impl<'a> Chain<'a> {
    async fn on(product: &'a Product, name: &str) -> Result<Self> {
        let body = json!({"name": name, "default_language": "en", "country": "CA"});
        let organization = product.post("/v1/organizations", body).await?.text("/id");
        let mut chain = Self { product, organization, slots: vec![] };
        let location = chain.make("/v1/locations", json!({"name": "Clinic", "time_zone": "America/Edmonton"})).await?.0;
        let room = json!({"name": "Room 1", "type": "treatment-room"});
        chain.make(&format!("/v1/locations/{location}/rooms"), room).await?;
        let grace = json!({"given_name": "Grace", "family_name": "Sample"});
        let practitioner = chain.make("/v1/practitioners", grace).await?.0;
        let days = ["mo", "tu", "we", "th", "fr", "sa", "su"];
        let weekly = days.map(|day| json!({"day": day, "from": "08:00", "to": "18:00"}));
        let roster = json!({"location_id": location, "effective_from": "2026-01-01", "weekly": weekly});
        chain.make(&format!("/v1/practitioners/{practitioner}/rosters"), roster).await?;
        let (service, revision) = chain.make("/v1/services", service()).await?;
        let path = format!("/v1/slots?service_id={service}&from={}&to={}&limit=200", from_now(2)?, from_now(4)?);
        let headers = [(ORGANIZATION, chain.organization.as_str()), ("meridian-revision", &revision)];
        let found = product.send(Method::GET, &path, ADMIN, &headers, None).await?;
        chain.slots = found.body["data"].as_array().context("slots")?.clone();
        Ok(chain)
    }

    /// Creates an entry; returns its id and the revision.
    async fn make(&self, path: &str, body: Value) -> Result<(String, String)> {
        let headers = [(ORGANIZATION, self.organization.as_str())];
        let made = self.product.send(Method::POST, path, ADMIN, &headers, Some(body)).await?;
        ensure!(made.status.is_success(), "{path}: {}", made.body);
        Ok((made.text("/id"), made.revision()))
    }

    async fn book(&self, slot: usize) -> Result<String> {
        let body = json!({"slot_id": self.slots[slot]["slot_id"], "patient": patient("Example", "+17805550123")});
        Ok(self.make("/v1/appointments", body).await?.0)
    }

    async fn cancel(&self, id: &str) -> Result<()> {
        self.make(&format!("/v1/appointments/{id}/cancel"), json!({"reason_code": "patient_ill"})).await.map(drop)
    }

    async fn events(&self, last: &str) -> Result<scenarios::Events> {
        let mut headers = vec![(ORGANIZATION, self.organization.as_str())];
        if !last.is_empty() {
            headers.push(("last-event-id", last));
        }
        self.product.events_with(PATH, &headers).await
    }
}

#[tokio::test]
async fn a_stream_carries_only_its_organisations_events() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let (ours, theirs) = (Chain::on(&product, "Ours").await?, Chain::on(&product, "Theirs").await?);
        let before = ours.book(0).await?;
        let (mut own, mut foreign) = (ours.events("").await?, theirs.events("").await?);
        let (visit, other) = (ours.book(4).await?, theirs.book(0).await?);
        ours.cancel(&visit).await?;
        let mut ids = Vec::new();
        let mut names = Vec::new();
        while names.len() < 2 {
            let (name, data) = own.next().await?;
            assert_eq!(
                (data["type"].as_str(), &data["data"]["organization_id"]),
                (Some(name.as_str()), &json!(ours.organization))
            );
            assert!(!data.to_string().contains("Example"), "no names: {data}");
            // Events from just before the stream began may come again.
            if data["data"]["appointment_id"] != json!(before) {
                assert_eq!(data["data"]["appointment_id"], json!(visit));
                let why = &data["data"]["cancellation"]["reason_code"];
                assert_eq!(why.as_str(), (name == "appointment.cancelled").then_some("patient_ill"));
                names.push(name);
                ids.push(own.last_id().to_owned());
            }
        }
        assert_eq!(names, ["appointment.booked", "appointment.cancelled"]);
        let (name, data) = foreign.next().await?;
        assert_eq!((name.as_str(), &data["data"]["appointment_id"]), ("appointment.booked", &json!(other)));

        // A client that resumes gets the missed events, once and in order. The header overrides the query.
        drop(own);
        let missed = ours.book(8).await?;
        theirs.book(8).await?;
        let mut own = ours.events(&ids[1]).await?;
        let (name, data) = own.next().await?;
        assert_eq!((name.as_str(), &data["data"]["appointment_id"]), ("appointment.booked", &json!(missed)));
        let headers = [(ORGANIZATION, ours.organization.as_str())];
        let mut own = product.events_with(&format!("{PATH}?last_event_id={}", ids[0]), &headers).await?;
        assert_eq!(own.next().await?.0, "appointment.cancelled");
        let both = [headers[0], ("last-event-id", ids[1].as_str())];
        let mut own = product.events_with(&format!("{PATH}?last_event_id={}", ids[0]), &both).await?;
        assert_eq!(own.next().await?.1["data"]["appointment_id"], json!(missed));
        // Another organisation's position reveals none of its events.
        let mut foreign = theirs.events(&ids[0]).await?;
        assert_eq!(foreign.next().await?.1["data"]["organization_id"], json!(theirs.organization));
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_position_ends_the_stream_with_a_problem() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    for position in ["1.0.999999999", "7.0.0", "nonsense"] {
        let mut events = product.events_with(PATH, &[("last-event-id", position)]).await?;
        let (name, problem) = events.next().await?;
        assert_eq!((name.as_str(), problem["code"].as_str()), ("problem", Some("feed_position_lost")), "{position}");
        assert!(events.ended().await?, "nothing comes after a problem");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_needs_the_scope_to_read_reports() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let key = json!({"name": "front end", "scopes": ["slots:read", "bookings:write"]});
    let key = product.post("/v1/keys", key).await?.text("/key");
    let refused = product.send(Method::GET, PATH, &key, &[], None).await?;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    Ok(())
}
