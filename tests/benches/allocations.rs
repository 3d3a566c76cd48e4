//! What an answer of slots takes from the allocator: `cargo xtask bench allocations`.
//!
//! The whole product in this process, asked without a socket, so that nothing is counted but the answer's own way: the
//! search alone through gRPC, and the gateway's around it. Each figure is the median of many answers, which leaves out
//! what runs beside them. Reallocations count as allocations, with the bytes that they add.

use std::alloc::System;

use anyhow::{Context as _, Result, ensure};
use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use scenarios::{ADMIN, ORGANIZATION, Stopped, context};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use testkit::database::Database;
use tower::ServiceExt;
use wire::availability::{SearchSlotsRequest, search_client::SearchClient};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FROM: &str = "2026-03-03T00:00:00Z";
const TO: &str = "2026-03-31T00:00:00Z";
const LOCATIONS: usize = 6;
/// At each location.
const PRACTITIONERS: usize = 8;
const LIMITS: [u32; 3] = [1, 50, 200];
/// Answers for each figure, after as many that fill what is filled once.
const ANSWERS: usize = 51;
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What one answer took.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Taken {
    allocations: usize,
    bytes: usize,
    answer_bytes: usize,
}

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> Result<()> {
    let product = Stopped::at("2026-03-02T15:00:00Z", Database::sqlite()?, booking::Config::default()).await?;
    let service = chain(&product).await?;
    println!("\nAllocations of an answer of slots (median)");
    println!("  {:<18}{:>7}{:>13}{:>12}{:>10}{:>12}", "", "slots", "answer bytes", "allocations", "bytes", "of answer");
    for limit in LIMITS {
        let search = median(async || searched(&product, &service, limit).await).await?;
        row("search (gRPC)", limit, search);
        let rest = median(async || asked(&product, &service, limit).await).await?;
        row("GET /v1/slots", limit, rest);
    }
    Ok(())
}

fn row(name: &str, slots: u32, taken: Taken) {
    let Taken { allocations, bytes, answer_bytes } = taken;
    let ratio = bytes as f64 / answer_bytes as f64;
    println!("  {name:<18}{slots:>7}{answer_bytes:>13}{allocations:>12}{bytes:>10}{ratio:>12.2}");
}

/// A chain with every hour open; answers its service.
async fn chain(product: &Stopped) -> Result<String> {
    let made = async |path: &str, body: Value| -> Result<String> {
        let answer = product.post(path, body).await?;
        answer.body["id"].as_str().map(str::to_owned).with_context(|| format!("refused: {}", answer.body))
    };
    let weekly: Vec<Value> = ["mo", "tu", "we", "th", "fr"]
        .iter()
        .map(|day| json!({"day": day, "from": "08:00", "to": "16:30", "breaks": [{"from": "12:00", "to": "12:30"}]}))
        .collect();
    for at in 0..LOCATIONS {
        let zone = ["America/Edmonton", "America/Vancouver"][at % 2];
        let location = made("/v1/locations", json!({"name": format!("Clinic {at}"), "time_zone": zone})).await?;
        for room in 0..PRACTITIONERS {
            let body = json!({"name": format!("Room {room}"), "type": "treatment-room"});
            made(&format!("/v1/locations/{location}/rooms"), body).await?;
            let person = made("/v1/practitioners", json!({"given_name": "Grace", "family_name": "Sample"})).await?;
            let roster = json!({"location_id": location, "effective_from": "2026-01-05", "weekly": weekly});
            made(&format!("/v1/practitioners/{person}/rosters"), roster).await?;
        }
    }
    made("/v1/services", scenarios::service()).await
}

/// The search alone, as the gateway asks it; the answer's bytes are those on the wire.
async fn searched(product: &Stopped, service: &str, limit: u32) -> Result<Taken> {
    let us = |text: &str| text.parse::<jiff::Timestamp>().map(|at| at.as_microsecond());
    let request = SearchSlotsRequest {
        service_id: service.to_owned(),
        from_us: us(FROM)?,
        to_us: us(TO)?,
        limit,
        channel: wire::common::BookingChannel::Staff as i32,
        ..SearchSlotsRequest::default()
    };
    let request = context(ORGANIZATION).request(request);
    let mut client = SearchClient::new(product.availability.clone());
    let region = Region::new(ALLOCATOR);
    let answer = client.search_slots(request).await?.into_inner();
    let taken = taken(&region, prost::Message::encoded_len(&answer));
    ensure!(answer.slots.len() == limit as usize, "{} slots", answer.slots.len());
    Ok(taken)
}

/// The whole way of a request, from its head to the last byte of its answer.
async fn asked(product: &Stopped, service: &str, limit: u32) -> Result<Taken> {
    let uri = format!("/v1/slots?service_id={service}&from={FROM}&to={TO}&limit={limit}");
    let request = Request::get(uri).header("authorization", format!("Bearer {ADMIN}")).body(Body::empty())?;
    let router = product.gateway.router();
    let region = Region::new(ALLOCATOR);
    let response = router.oneshot(request).await?;
    let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await?;
    let taken = taken(&region, bytes.len());
    let answer: Value = serde_json::from_slice(&bytes)?;
    let slots = answer["data"].as_array().map_or(0, Vec::len);
    ensure!(slots == limit as usize, "{slots} slots: {answer}");
    Ok(taken)
}

fn taken(region: &Region<'_, System>, answer_bytes: usize) -> Taken {
    let change = region.change();
    Taken { allocations: change.allocations + change.reallocations, bytes: change.bytes_allocated, answer_bytes }
}

async fn median(mut ask: impl AsyncFnMut() -> Result<Taken>) -> Result<Taken> {
    let mut all = Vec::new();
    for _ in 0..2 * ANSWERS {
        all.push(ask().await?);
    }
    let counted = &mut all[ANSWERS..];
    counted.sort_unstable();
    Ok(counted[ANSWERS / 2])
}
