//! Attacks that hold what the gateway has of everything: places, connections, descriptors, buckets. Others are served
//! meanwhile.

mod connections;
mod places;
mod rates;

use std::{cell::RefCell, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use scenarios::{Clinic, Product, patient, service};
use serde_json::json;
use testkit::poll;
use tokio::{io::AsyncWriteExt, net::TcpStream};

const WITHIN: Duration = Duration::from_secs(30);

/// The callers who must be served: staff, a front end, and a patient with a link.
struct Others<'a> {
    product: &'a Product,
    clinic: Clinic,
    front_end: String,
    manage: String,
    /// An open slot, away from the patient's appointment.
    slot: String,
    /// The revision of the last release of that slot: a search that is behind it would call the slot taken.
    released: RefCell<String>,
}

impl<'a> Others<'a> {
    async fn of(product: &'a Product) -> Result<Self> {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let body = json!({"name": "web", "scopes": ["slots:read", "bookings:write"]});
        let front_end = product.post("/v1/keys", body).await?.text("/key");
        let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
        let id = |at: usize| slots.get(at).and_then(|slot| slot["slot_id"].as_str()).context("no slot");
        let slot = id(slots.len() - 1)?.to_owned();
        let body = json!({"slot_id": id(0)?, "patient": patient("Example", "+17805550123")});
        let booked = product.post("/v1/appointments", body).await?;
        let manage = booked.text("/links/manage");
        let manage = manage[manage.find("/v1/").context("no path")?..].to_owned();
        let released = RefCell::new(booked.revision());
        Ok(Self { product, clinic, front_end, manage, slot, released })
    }

    /// Each of them makes a request, on a connection of its own where `client` has none.
    async fn are_served(&self) -> Result<()> {
        let product = self.product;
        let appointments = product.get("/v1/appointments?limit=1").await?;
        ensure!(appointments.status == StatusCode::OK, "staff: {}", appointments.body);
        let slots = product.slots(&self.clinic, (2, 4), "").await?;
        ensure!(!slots.is_empty(), "a search");
        let body = json!({"slot_id": self.slot});
        let revision = self.released.borrow().clone();
        let fresh = [("meridian-revision", revision.as_str())];
        let hold = product.send(Method::POST, "/v1/holds", &self.front_end, &fresh, Some(body)).await?;
        ensure!(hold.status == StatusCode::CREATED, "a front end: {}", hold.body);
        let released = format!("/v1/holds/{}", hold.text("/id"));
        let released = product.send(Method::DELETE, &released, &self.front_end, &[], None).await?;
        ensure!(released.status.is_success(), "a front end: {}", released.body);
        self.released.replace(released.revision());
        let manage = product.send(Method::GET, &self.manage, "", &[], None).await?;
        ensure!(manage.status == StatusCode::OK, "a link: {}", manage.body);
        // A client that has no connection yet.
        let fresh = testkit::http::client().get(format!("{}/healthz", product.url)).send().await?;
        ensure!(fresh.status() == StatusCode::OK, "a new connection");
        Ok(())
    }
}

/// Both arrangements, with these settings.
async fn both(settings: &[&str]) -> Result<[Product; 2]> {
    let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Ok([Product::embedded(&arguments).await?, Product::apart(&arguments).await?])
}

/// A connection to the gateway on which these bytes were sent.
async fn sent(product: &Product, bytes: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address(product)).await?;
    stream.write_all(bytes).await?;
    Ok(stream)
}

fn address(product: &Product) -> &str {
    product.url.trim_start_matches("http://")
}

/// The sum of a metric of the gateway over its labels; 0 where it was not measured.
async fn measured(product: &Product, name: &str) -> Option<f64> {
    let metrics = product.text("/metrics").await.ok()?;
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    Some(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// Waits until a metric of the gateway reaches a value.
async fn reaches(product: &Product, name: &str, least: f64) {
    let reached = || async { (measured(product, name).await? >= least).then_some(()) };
    poll::until(&format!("{name} to reach {least}"), WITHIN, reached).await;
}
