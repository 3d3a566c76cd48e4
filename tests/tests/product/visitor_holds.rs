//! The attack of one front end on the diary, in both arrangements: it holds no more than its share of a day, and no hold of
//! another visitor.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use scenarios::{Answer, Product, patient, service};
use serde_json::{Value, json};

async fn front_end(product: &Product) -> Result<String> {
    let scopes = json!({"name": "web", "scopes": ["slots:read", "bookings:write"]});
    Ok(product.post("/v1/keys", scopes).await?.text("/key"))
}

async fn hold(product: &Product, key: &str, visitor: &str, slot: &Value) -> Result<Answer> {
    let headers = [("meridian-visitor", visitor)];
    let headers = if visitor.is_empty() { &[][..] } else { &headers[..] };
    product.send(Method::POST, "/v1/holds", key, headers, Some(json!({"slot_id": slot["slot_id"]}))).await
}

/// The distance in a list of slots, a quarter of an hour apart, of two that do not overlap.
const STEP: usize = 3;

/// The slots of each day, none of which overlaps another.
fn apart(slots: &[Value]) -> Vec<Vec<Value>> {
    let day = |slot: &Value| slot["starts_at"].as_str().map(|text| text[..10].to_owned());
    let days: BTreeSet<_> = slots.iter().filter_map(day).collect();
    let of = |wanted: &String| -> Vec<Value> {
        slots.iter().filter(|slot| day(slot).as_ref() == Some(wanted)).step_by(STEP).cloned().collect()
    };
    days.iter().map(of).collect()
}

#[tokio::test]
async fn a_front_end_key_holds_no_more_than_its_share_of_a_day() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        // 600 minutes a day, and 35 minutes a visit: a fifth of a day is three visits.
        let clinic = product.clinic("Europe/London", service()).await?;
        let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
        let days = apart(&slots);
        let day = days.iter().find(|day| day.len() > 8).context("a whole day of slots")?;
        let key = front_end(&product).await?;
        let mut held = vec![];
        for (number, slot) in day.iter().enumerate() {
            let answer = hold(&product, &key, &format!("visitor-{number}"), slot).await?;
            if answer.status == StatusCode::CREATED {
                held.push(answer.text("/id"));
                continue;
            }
            assert_eq!((answer.status.as_u16(), answer.text("/code").as_str()), (429, "hold_limit"), "{}", answer.body);
            let wait = answer.headers["retry-after"].to_str()?.parse::<u64>()?;
            assert!((1..=300).contains(&wait), "{wait}");
        }
        assert_eq!(held.len(), 3, "as many visitors as slots");
        let other = front_end(&product).await?;
        let free = day.last().context("a slot")?;
        assert_eq!(hold(&product, &other, "visitor-1", free).await?.status, StatusCode::CREATED);

        let list = product.get("/v1/holds").await?;
        assert_eq!(list.body["data"].as_array().map(Vec::len), Some(4), "{}", list.body);
        assert_eq!(list.text("/data/0/slots/0/time_zone"), "Europe/London");
        let refused = product.send(Method::GET, "/v1/holds", &key, &[], None).await?;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "a front end lists no holds");
        assert_eq!(product.get("/v1/holds?limit=1").await?.body["data"].as_array().map(Vec::len), Some(1));
        let path = format!("/v1/holds/{}", held[0]);
        assert_eq!(
            product.send(Method::DELETE, &path, scenarios::ADMIN, &[], None).await?.status,
            StatusCode::NO_CONTENT
        );
        assert_eq!(hold(&product, &key, "visitor-9", &day[5]).await?.status, StatusCode::CREATED);
    }
    Ok(())
}

#[tokio::test]
async fn a_visitor_is_the_header_or_the_address_and_has_three_holds_of_its_own() -> Result<()> {
    let proxied = ["--set", "gateway.trusted_proxies=[\"127.0.0.1\"]"];
    for product in [Product::embedded(&proxied).await?, Product::apart(&proxied).await?] {
        let mut hourly = service();
        hourly["start_alignment_minutes"] = json!(60);
        let clinic = product.clinic("Europe/London", hourly).await?;
        let slots = product.slots(&clinic, (2, 12), &clinic.revision).await?;
        let days = apart(&slots);
        let firsts: Vec<&Value> = days.iter().flat_map(|day| day.iter().take(2)).collect();
        anyhow::ensure!(firsts.len() >= 10, "{} slots", firsts.len());
        let key = front_end(&product).await?;
        let tries = firsts[..6].iter().map(|slot| hold(&product, &key, "one", slot));
        let answers: Vec<Answer> = try_join_all(tries).await?;
        let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).collect();
        assert_eq!(made.len(), 3, "{answers:?}");

        // Another visitor neither releases nor books the hold; its maker does.
        let (path, body) = (
            format!("/v1/holds/{}", made[0].text("/id")),
            json!({"hold_id": made[0].text("/id"), "patient": patient("Example", "+447700900123")}),
        );
        for headers in [&[("meridian-visitor", "other")][..], &[]] {
            let released = product.send(Method::DELETE, &path, &key, headers, None).await?;
            assert_eq!((released.status, released.text("/code").as_str()), (StatusCode::NOT_FOUND, "not_found"));
            let booked = product.send(Method::POST, "/v1/appointments", &key, headers, Some(body.clone())).await?;
            assert_eq!((booked.status, booked.text("/code").as_str()), (StatusCode::NOT_FOUND, "not_found"));
        }
        let own = [("meridian-visitor", "one")];
        let booked = product.send(Method::POST, "/v1/appointments", &key, &own, Some(body)).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);

        // Without the header each client's address has three.
        let shared = front_end(&product).await?;
        let from = async |address: &str, slot: &Value| -> Result<StatusCode> {
            let body = json!({"slot_id": slot["slot_id"]});
            let headers = [("x-forwarded-for", address)];
            Ok(product.send(Method::POST, "/v1/holds", &shared, &headers, Some(body)).await?.status)
        };
        for (at, slot) in firsts[6..10].iter().enumerate() {
            let expected = if at < 3 { StatusCode::CREATED } else { StatusCode::TOO_MANY_REQUESTS };
            // The client's own header names others; the proxy appends the client's address.
            assert_eq!(from(&format!("192.0.2.{at}, 203.0.113.9"), slot).await?, expected, "{at}");
        }
        assert_eq!(from("203.0.113.10", firsts[9]).await?, StatusCode::CREATED);
        let bad = product
            .send(Method::POST, "/v1/holds", &key, &[("meridian-visitor", "a b")], Some(json!({"slot_id": "x"})))
            .await?;
        assert_eq!((bad.status, bad.text("/code").as_str()), (StatusCode::BAD_REQUEST, "invalid_parameter"));
        assert_eq!(bad.text("/errors/0/pointer"), "Meridian-Visitor");
    }
    Ok(())
}
