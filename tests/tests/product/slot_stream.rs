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

/// How often the gateway has asked availability to watch.
async fn questions(product: &Product) -> Result<f64> {
    let metrics = product.text("/metrics").await?;
    let lines = metrics.lines().filter(|line| line.starts_with("rpc_client_requests_total"));
    let watches = lines.filter(|line| line.contains("WatchAvailability"));
    Ok(watches.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

#[tokio::test]
async fn equal_searches_share_one_question_and_a_stream_resumes() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let mut streams = vec![];
        let mut openings = vec![];
        for _ in 0..5 {
            let mut events = watched(&product, &clinic.service).await?;
            openings.push(events.next().await?);
            streams.push(events);
        }
        assert!(openings.windows(2).all(|pair| pair[0] == pair[1]), "the same opening");
        assert!((questions(&product).await? - 1.0).abs() < 0.1, "one question");

        let slot = openings[0].1["came"][3]["slot_id"].clone();
        let position = streams[0].last_id().to_owned();
        assert!(!position.is_empty());
        drop(streams.pop());
        let body = json!({"slot_id": slot, "patient": patient("Example", "+17805550123")});
        assert_eq!(product.post("/v1/appointments", body).await?.status, StatusCode::CREATED);
        let (name, change) = streams[0].next().await?;
        assert!(name == "change" && change["went"].as_array().context("what went")?.contains(&slot), "{change}");
        let path = format!("/v1/slots/watch?service_id={}&from={}&to={}", clinic.service, from_now(2)?, from_now(3)?);
        for (headers, parameter) in
            [(&[("last-event-id", position.as_str())][..], String::new()), (&[], format!("&last_event_id={position}"))]
        {
            let mut resumed = product.events_with(&format!("{path}{parameter}"), headers).await?;
            assert_eq!(resumed.next().await?, (name.clone(), change.clone()), "the events after the position");
        }
        let mut late = product.events(&path).await?;
        let (name, open) = late.next().await?;
        assert_eq!(name, "open");
        // A stream that is not at the first event gets the opening and what has changed since.
        if open["came"].as_array().context("what is open")?.iter().any(|open| open["slot_id"] == slot) {
            assert_eq!(late.next().await?.1, change);
        }
        assert!((questions(&product).await? - 1.0).abs() < 0.1, "still one question");
    }
    Ok(())
}

#[tokio::test]
async fn the_streams_of_a_revoked_key_end() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let path = format!("/v1/slots/watch?service_id={}&from={}&to={}", clinic.service, from_now(2)?, from_now(3)?);
        let key = async |name: &str| -> Result<(String, String)> {
            let body = json!({"name": name, "scopes": ["slots:read", "reports:read"]});
            let made = product.post("/v1/keys", body).await?;
            Ok((made.text("/id"), made.text("/key")))
        };
        let [(first, first_key), (second, second_key), (_, kept_key)] =
            [key("first").await?, key("second").await?, key("kept").await?];
        let mut kept = product.events_as(&kept_key, &path, &[]).await?;
        kept.next().await?;
        let mut streams = vec![];
        for key in [&first_key, &second_key] {
            let mut slots = product.events_as(key, &path, &[]).await?;
            slots.next().await?;
            streams.push([slots, product.events_as(key, "/v1/events", &[]).await?]);
        }
        // Through the gateway, and beside it.
        product.send(Method::DELETE, &format!("/v1/keys/{first}"), ADMIN, &[], None).await?;
        let (succeeded, printed) = product.command(&["keys", "revoke", &second]).await?;
        ensure!(succeeded, "{printed}");
        for mut events in streams.into_iter().flatten() {
            let (name, problem) = events.next().await?;
            assert_eq!((name.as_str(), problem["code"].as_str()), ("problem", Some("unauthenticated")), "{problem}");
            assert!(events.ended().await?, "nothing comes after a problem");
        }
        let slot = product.slots(&clinic, (2, 3), "").await?[3]["slot_id"].clone();
        let body = json!({"slot_id": slot, "patient": patient("Example", "+17805550123")});
        product.post("/v1/appointments", body).await?;
        assert_eq!(kept.next().await?.0, "change", "another key's stream goes on");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_and_a_visitor_have_a_part_of_the_streams() -> Result<()> {
    let settings = ["--set", "gateway.streams_per_caller_max=3", "--set", "gateway.streams_per_visitor_max=1"];
    let product = Product::embedded(&settings).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let path = format!("/v1/slots/watch?service_id={}&from={}&to={}", clinic.service, from_now(2)?, from_now(3)?);
    let body = json!({"name": "web", "scopes": ["slots:read"]});
    let key = product.post("/v1/keys", body).await?.text("/key");
    let open = async |visitor: &str| product.events_as(&key, &path, &[("meridian-visitor", visitor)]).await;
    let refused = async |visitor: &str| -> Result<()> {
        let refused = product.send(Method::GET, &path, &key, &[("meridian-visitor", visitor)], None).await?;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.body);
        assert!(refused.headers.contains_key("retry-after"));
        Ok(())
    };
    let _first = open("first").await?;
    refused("first").await?;
    let _others = [open("second").await?, open("third").await?];
    refused("fourth").await?;
    product.events(&path).await?.next().await?;
    Ok(())
}
