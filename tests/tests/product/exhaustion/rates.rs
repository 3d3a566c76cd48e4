//! Floods without a right key: by links, by addresses and by wrong keys.

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Product};

use super::{Others, both};

/// The client's address as a proxy reports it.
const PROXY: &str = "gateway.trusted_proxies=[\"127.0.0.1\"]";

async fn get(product: &Product, path: &str, key: &str, address: &str) -> Result<Answer> {
    product.send(Method::GET, path, key, &[("x-forwarded-for", address)], None).await
}

#[tokio::test]
async fn a_flood_of_links_stops_its_address_and_its_link_alone() -> Result<()> {
    for product in both(&[PROXY, "gateway.rates.address_per_second=3", "gateway.rates.link_per_second=2"]).await? {
        let others = Others::of(&product).await?;
        let mut limited = 0;
        for number in 0..20 {
            let answer = get(&product, &format!("/v1/manage/guess-{number}"), "", "203.0.113.1").await?;
            limited += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
        }
        ensure!(limited > 0, "a flood from one address");
        let manage = get(&product, &others.manage, "", "203.0.113.2").await?;
        ensure!(manage.status == StatusCode::OK, "another address: {}", manage.body);
        let mut limited = 0;
        for last in 3..20 {
            let answer = get(&product, &others.manage, "", &format!("203.0.113.{last}")).await?;
            limited += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
        }
        ensure!(limited > 0, "a flood of one link");
        let inbound = product.send(Method::POST, "/v1/providers/http/inbound", "", &[], Some(serde_json::json!({})));
        ensure!(inbound.await?.status != StatusCode::TOO_MANY_REQUESTS, "a provider");
    }
    Ok(())
}

#[tokio::test]
async fn wrong_keys_stop_their_address_and_no_right_key_that_is_known() -> Result<()> {
    for product in both(&[PROXY, "gateway.rates.wrong_keys_per_second=3"]).await? {
        let (path, flood, other) = ("/v1/services", "203.0.113.1", "203.0.113.2");
        let others = Others::of(&product).await?;
        let known = get(&product, path, &others.front_end, flood).await?;
        ensure!(known.status == StatusCode::OK, "{}", known.body);
        let mut statuses = Vec::new();
        for number in 0..20 {
            statuses.push(get(&product, path, &format!("mrd_wrong_{number}"), flood).await?.status);
        }
        ensure!(statuses[0] == StatusCode::UNAUTHORIZED, "{statuses:?}");
        ensure!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
        for key in [&others.front_end, ADMIN] {
            ensure!(get(&product, path, key, flood).await?.status == StatusCode::OK, "a known key behind the address");
        }
        ensure!(get(&product, path, "mrd_wrong", other).await?.status == StatusCode::UNAUTHORIZED, "another address");
    }
    Ok(())
}
