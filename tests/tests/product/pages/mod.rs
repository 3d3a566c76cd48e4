//! The pages that patients open in a browser, in both arrangements.

mod browser;
mod emails;
mod links;
mod moves;
mod offers;
mod times;
mod visits;

use anyhow::Result;
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Clinic, Product, service};
use serde_json::{Value, json};

use self::browser::Browser;

/// A name that does harm in a page where it is not escaped: markup and quotes.
const HOSTILE: &str = "<script>alert(1)</script>\"' onclick=x";

async fn products(extra: &[&str]) -> Result<[Product; 2]> {
    Ok([Product::embedded(extra).await?, Product::apart(extra).await?])
}

/// A clinic with an address and a telephone number, and its open slots some days ahead.
async fn clinic(product: &Product) -> Result<(Clinic, Vec<Value>)> {
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let path = format!("/v1/locations/{}", clinic.location);
    let details = json!({"address": "12 High Street, Edmonton", "phone": "+17805550100"});
    let patched = product.send(Method::PATCH, &path, ADMIN, &[], Some(details)).await?;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.body);
    let slots = product.slots(&clinic, (3, 6), &patched.revision()).await?;
    Ok((clinic, slots))
}

/// Books a slot for a patient with this language; empty: none.
async fn book(product: &Product, slot: &Value, language: &str) -> Result<Answer> {
    // A patient for each language: a known one keeps the language of the first booking.
    let mut patient = scenarios::patient(&format!("Example {language}"), "+17805550123");
    if !language.is_empty() {
        patient["language"] = json!(language);
    }
    let booked = product.post("/v1/appointments", json!({"slot_id": slot["slot_id"], "patient": patient})).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    Ok(booked)
}

/// The path of the page of a booked appointment.
fn page_of(booked: &Answer) -> String {
    let link = booked.text("/links/manage");
    format!("/m/{}", link.rsplit('/').next().unwrap_or_default())
}

/// The appointment as staff see it, without what differs from read to read.
async fn appointment(product: &Product, booked: &Answer) -> Result<Value> {
    Ok(product.get(&format!("/v1/appointments/{}", booked.text("/id"))).await?.body)
}
