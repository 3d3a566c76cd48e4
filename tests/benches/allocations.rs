//! Allocations of one answer of slots: `cargo xtask bench allocations`.
//!
//! The whole product runs in this process and is called without a socket, so that only the answer's own allocations
//! count: those of the search through gRPC, and those of the gateway around it. Each figure is the median of many
//! answers, which leaves out background work. A reallocation counts as an allocation, with the bytes that it adds.

use std::alloc::System;

use anyhow::{Context as _, Result, ensure};
use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use scenarios::{ADMIN, ManualClockProduct, ORGANIZATION, context};
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
/// Answers for each figure; as many before them warm the caches.
const ANSWERS: usize = 51;
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The allocations of one answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Allocated {
    allocations: usize,
    bytes: usize,
    answer_bytes: usize,
}

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> Result<()> {
    let product =
        ManualClockProduct::at("2026-03-02T15:00:00Z", Database::sqlite()?, booking::Config::default()).await?;
    let service = chain(&product).await?;
    println!("\nAllocations of an answer of slots (median)");
    println!("  {:<18}{:>7}{:>13}{:>12}{:>10}{:>12}", "", "slots", "answer bytes", "allocations", "bytes", "of answer");
    for limit in LIMITS {
        let by_search = median(async || search(&product, &service, limit).await).await?;
        row("search (gRPC)", limit, by_search);
        let rest = median(async || request(&product, &service, limit).await).await?;
        row("GET /v1/slots", limit, rest);
    }
    Ok(())
}

fn row(name: &str, slots: u32, allocated: Allocated) {
    let Allocated { allocations, bytes, answer_bytes } = allocated;
    let ratio = bytes as f64 / answer_bytes as f64;
    println!("  {name:<18}{slots:>7}{answer_bytes:>13}{allocations:>12}{bytes:>10}{ratio:>12.2}");
}

/// Creates a chain with every hour open; returns the id of its service.
async fn chain(product: &ManualClockProduct) -> Result<String> {
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
            let practitioner =
                made("/v1/practitioners", json!({"given_name": "Grace", "family_name": "Sample"})).await?;
            let roster = json!({"location_id": location, "effective_from": "2026-01-05", "weekly": weekly});
            made(&format!("/v1/practitioners/{practitioner}/rosters"), roster).await?;
        }
    }
    made("/v1/services", scenarios::service()).await
}

/// The gRPC search as the gateway calls it; the answer's bytes are those on the wire.
async fn search(product: &ManualClockProduct, service: &str, limit: u32) -> Result<Allocated> {
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
    let allocated = allocated(&region, prost::Message::encoded_len(&answer));
    ensure!(answer.slots.len() == limit as usize, "{} slots", answer.slots.len());
    Ok(allocated)
}

/// A REST request, from its head to the last byte of its answer.
async fn request(product: &ManualClockProduct, service: &str, limit: u32) -> Result<Allocated> {
    let uri = format!("/v1/slots?service_id={service}&from={FROM}&to={TO}&limit={limit}");
    let get = Request::get(uri).header("authorization", format!("Bearer {ADMIN}")).body(Body::empty())?;
    let router = product.gateway.router();
    let region = Region::new(ALLOCATOR);
    let response = router.oneshot(get).await?;
    let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await?;
    let allocated = allocated(&region, bytes.len());
    let answer: Value = serde_json::from_slice(&bytes)?;
    let slots = answer["data"].as_array().map_or(0, Vec::len);
    ensure!(slots == limit as usize, "{slots} slots: {answer}");
    Ok(allocated)
}

fn allocated(region: &Region<'_, System>, answer_bytes: usize) -> Allocated {
    let change = region.change();
    Allocated { allocations: change.allocations + change.reallocations, bytes: change.bytes_allocated, answer_bytes }
}

async fn median(mut answer: impl AsyncFnMut() -> Result<Allocated>) -> Result<Allocated> {
    let mut all = Vec::new();
    for _ in 0..2 * ANSWERS {
        all.push(answer().await?);
    }
    let counted = &mut all[ANSWERS..];
    counted.sort_unstable();
    Ok(counted[ANSWERS / 2])
}
