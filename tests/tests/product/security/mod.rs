//! The security of the product: who may call what, and what the audit log keeps of it.
//!
//! [`matrix`] calls every operation as every kind of caller; `operations.rs` says by hand who may. A new operation without a row
//! there fails. [`methods`] does the same for gRPC. Another organisation's ids are tried by `tenant_isolation`.

mod audit_log;
mod matrix;
mod methods;
mod metrics;
mod operations;
mod withheld;

use anyhow::{Context, Result};
use reqwest::Method;
use scenarios::{ADMIN, Product};
use serde_json::{Value, json};

/// A new key with these scopes: its id and its secret.
async fn key(product: &Product, scopes: &[&str]) -> Result<(String, String)> {
    key_of(product, scopes, &[]).await
}

/// The same, of the organisation that a header names.
async fn key_of(product: &Product, scopes: &[&str], headers: &[(&str, &str)]) -> Result<(String, String)> {
    make_key(product, json!({"name": "test", "scopes": scopes}), headers).await
}

async fn make_key(product: &Product, body: Value, headers: &[(&str, &str)]) -> Result<(String, String)> {
    let made = product.send(Method::POST, "/v1/keys", ADMIN, headers, Some(body)).await?;
    let secret = made.body["key"].as_str().with_context(|| format!("refused: {}", made.body))?;
    Ok((made.text("/id"), secret.to_owned()))
}
