//! Server-sent events of a slot search: slots that open and close, in both arrangements.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Events, Product, from_now, patient, service};
use serde_json::{Value, json};

async fn watched(product: &Product, service: &str) -> Result<Events> {
    let path = format!("/v1/slots/watch?service_id={service}&from={}&to={}", from_now(2)?, from_now(3)?);
    product.events(&path).await
}

#[tokio::test]
async fn an_open_calendar_shows_bookings_and_cancellations() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let mut events = watched(&product, &clinic.service).await?;
        let (name, open) = events.next().await?;
        let came = open["came"].as_array().context("what is open")?;
        assert_eq!(name, "open");
        assert_eq!(came, &product.slots(&clinic, (2, 3), &clinic.revision).await?, "the same as a search shows");

        let slot = came[3]["slot_id"].clone();
        let body = json!({"slot_id": slot, "patient": patient("Example", "+17805550123")});
        let booked = product.post("/v1/appointments", body).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        let (name, change) = events.next().await?;
        assert_eq!(name, "change");
        assert!(change["went"].as_array().context("what went")?.contains(&slot), "{change}");
        assert!(!change.to_string().contains("Example"), "nothing about the patient");

        let path = format!("/v1/appointments/{}/cancel", booked.text("/id"));
        product.post(&path, json!({"reason_code": "patient_ill"})).await?;
        let (_, change) = events.next().await?;
        let came: Vec<&Value> =
            change["came"].as_array().context("what came")?.iter().map(|it| &it["slot_id"]).collect();
        assert!(came.contains(&&slot), "{change}");

        let gone = product.send(Method::DELETE, &format!("/v1/services/{}", clinic.service), ADMIN, &[], None).await?;
        assert_eq!(gone.status, StatusCode::OK, "{}", gone.body);
        let (name, problem) = events.next().await?;
        assert_eq!((name.as_str(), problem["code"].as_str()), ("problem", Some("validation_failed")), "{problem}");
        assert!(events.ended().await?, "nothing comes after a problem");
    }
    Ok(())
}

#[tokio::test]
async fn an_invalid_watch_is_refused_before_the_first_event() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let path = |days: i64| -> Result<String> {
        Ok(format!("/v1/slots/watch?service_id={}&from={}&to={}", clinic.service, from_now(1)?, from_now(days)?))
    };
    let long = product.get(&path(70)?).await?;
    assert_eq!(long.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", long.body);
    assert_eq!(long.text("/errors/0/code"), "too_long");
    let page = product.get(&format!("{}&limit=3", path(3)?)).await?;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "a stream has no pages: {}", page.body);
    Ok(())
}

#[tokio::test]
async fn streams_are_limited_and_a_closed_one_frees_its_place() -> Result<()> {
    let product = Product::embedded(&["--set", "gateway.streams_max=1"]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let mut first = watched(&product, &clinic.service).await?;
    first.next().await?;
    let path = format!("/v1/slots/watch?service_id={}&from={}&to={}", clinic.service, from_now(2)?, from_now(3)?);
    let second = product.get(&path).await?;
    assert_eq!((second.status, second.text("/code").as_str()), (StatusCode::SERVICE_UNAVAILABLE, "overloaded"));
    drop(first);
    testkit::poll::until("the stream to be closed", Duration::from_secs(30), || async {
        watched(&product, &clinic.service).await.ok().map(drop)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_when_the_product_stops() -> Result<()> {
    for mut product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let mut events = watched(&product, &clinic.service).await?;
        events.next().await?;
        for process in product.processes.drain(..) {
            let left = tokio::time::timeout(Duration::from_secs(15), process.terminate()).await;
            ensure!(left.context("a process waits for its streams")??, "a process left with an error");
        }
        assert!(events.ended().await?);
    }
    Ok(())
}
