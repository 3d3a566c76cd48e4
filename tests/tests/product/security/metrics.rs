//! Metrics are for this machine, and for keys with a scope of their own.

use anyhow::Result;
use reqwest::Method;
use scenarios::{ADMIN, Product};

use super::key;

#[tokio::test]
async fn metrics_behind_a_proxy_need_a_key_of_their_own() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        assert!(product.text("/metrics").await?.contains("http_requests_total"), "this machine may read them");
        let (_, metrics) = key(&product, &["metrics:read"]).await?;
        let (_, reports) = key(&product, &["reports:read", "patients:read"]).await?;
        for header in ["forwarded", "x-forwarded-for", "via"] {
            let status = async |key: &str| -> Result<u16> {
                let proxied = [(header, "1.1 proxy.example.org")];
                Ok(product.send(Method::GET, "/metrics", key, &proxied, None).await?.status.as_u16())
            };
            assert_eq!(status("").await?, 401, "{header}");
            assert_eq!(status("mrd_wrong").await?, 401, "{header}");
            assert_eq!(status(&reports).await?, 403, "{header}");
            assert_eq!(status(&metrics).await?, 200, "{header}");
            assert_eq!(status(ADMIN).await?, 200, "{header}");
        }
    }
    Ok(())
}
