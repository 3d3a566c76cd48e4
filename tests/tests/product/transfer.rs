//! What an answer costs on the wire: compression, and lists that a client has already.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, Response, StatusCode, header};
use scenarios::{ADMIN, Product, service};
use serde_json::{Value, json};

/// The first two bytes of a gzip stream (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

async fn get(product: &Product, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
    let mut request = testkit::http::client().get(format!("{}{path}", product.url)).bearer_auth(ADMIN);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.send().await?)
}

/// The values of a header, separated by commas.
fn header(response: &Response, name: header::HeaderName) -> String {
    let values = response.headers().get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_accept_it() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
    ensure!(slots.len() > 20, "too few slots for a long answer");
    let (from, to) = (scenarios::from_now(2)?, scenarios::from_now(4)?);
    let path = format!("/v1/slots?service_id={}&from={from}&to={to}&limit=200", clinic.service);
    let plain = get(&product, &path, &[]).await?;
    assert_eq!(header(&plain, header::CONTENT_ENCODING), "");
    let plain = plain.bytes().await?;
    let packed = get(&product, &path, &[("accept-encoding", "gzip")]).await?;
    assert_eq!(header(&packed, header::CONTENT_ENCODING), "gzip");
    assert!(header(&packed, header::VARY).contains("accept-encoding"));
    let packed = packed.bytes().await?;
    assert_eq!(packed[..2], GZIP);
    assert!(packed.len() * 4 < plain.len(), "{} of {} bytes", packed.len(), plain.len());

    // A short answer is one packet anyway, and events may not wait for a full block.
    let short = get(&product, "/v1/caller", &[("accept-encoding", "gzip")]).await?;
    assert_eq!((short.status(), header(&short, header::CONTENT_ENCODING)), (StatusCode::OK, String::new()));
    let events = get(&product, "/v1/events", &[("accept-encoding", "gzip")]).await?;
    assert_eq!(header(&events, header::CONTENT_TYPE), "text/event-stream");
    assert_eq!(header(&events, header::CONTENT_ENCODING), "");
    Ok(())
}

#[tokio::test]
async fn an_unchanged_list_of_the_directory_is_not_sent_again() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let fresh = [("meridian-revision", clinic.revision.as_str())];
        let first = get(&product, "/v1/locations", &fresh).await?;
        assert_eq!(header(&first, header::CACHE_CONTROL), "private, no-cache");
        let etag = header(&first, header::ETAG);
        assert!(etag.starts_with('"') && etag.len() > 10, "{etag}");

        let known = [("if-none-match", etag.as_str()), fresh[0]];
        let again = get(&product, "/v1/locations", &known).await?;
        assert_eq!((again.status(), header(&again, header::ETAG)), (StatusCode::NOT_MODIFIED, etag.clone()));
        assert!(again.bytes().await?.is_empty());
        let weak = format!("\"other\", W/{etag}");
        let weak = get(&product, "/v1/locations", &[("if-none-match", &weak), fresh[0]]).await?;
        assert_eq!(weak.status(), StatusCode::NOT_MODIFIED);

        // One entry has its version, and a change has another.
        let path = format!("/v1/locations/{}", clinic.location);
        let one = get(&product, &path, &[("if-none-match", "\"1\""), fresh[0]]).await?;
        assert_eq!(one.status(), StatusCode::NOT_MODIFIED);
        let renamed = product.send(Method::PATCH, &path, ADMIN, &[], Some(json!({"name": "Clinic 2"}))).await?;
        assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.body);
        let revision = renamed.revision();
        let changed = [("if-none-match", etag.as_str()), ("meridian-revision", &revision)];
        let changed = get(&product, "/v1/locations", &changed).await?;
        assert_eq!(changed.status(), StatusCode::OK);
        assert_ne!(header(&changed, header::ETAG), etag);
        let body: Value = changed.json().await?;
        assert_eq!(body["data"][0]["name"], "Clinic 2");
        let one = get(&product, &path, &[("if-none-match", "\"1\""), ("meridian-revision", &revision)]).await?;
        assert_eq!(one.status(), StatusCode::OK);

        // Two keys are answered differently, and reasons of absence stay in no cache.
        let key = json!({"name": "other place", "role": "owner", "location_ids": [other_location(&product).await?]});
        let key = product.post("/v1/keys", key).await?.text("/key");
        let cut = [("if-none-match", header_of(&product, "/v1/locations").await?)];
        let cut: Vec<(&str, &str)> = cut.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let cut = product.send(Method::GET, "/v1/locations", &key, &cut, None).await?;
        assert_eq!(cut.status, StatusCode::OK);
        assert_eq!(cut.body["data"].as_array().map(Vec::len), Some(1));
        let absences = format!("/v1/practitioners/{}/time_off", clinic.practitioner);
        assert_eq!(header(&get(&product, &absences, &[]).await?, header::CACHE_CONTROL), "no-store");
    }
    Ok(())
}

async fn other_location(product: &Product) -> Result<String> {
    let made = product.post("/v1/locations", json!({"name": "Other", "time_zone": "Europe/Paris"})).await?;
    made.body["id"].as_str().map(str::to_owned).context("an id")
}

async fn header_of(product: &Product, path: &str) -> Result<String> {
    Ok(header(&get(product, path, &[]).await?, header::ETAG))
}
