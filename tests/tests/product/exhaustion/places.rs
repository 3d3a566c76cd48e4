//! Clients that hold requests open: slow bodies, and streams of HTTP/2 without bodies.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{Others, WITHIN, address, both, reaches, sent};

/// A call of a provider whose body never ends.
const SLOW: &[u8] = b"POST /v1/providers/http/inbound HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n\
    content-length: 1000\r\n\r\n{";

#[tokio::test]
async fn slow_bodies_without_a_key_shut_nobody_out() -> Result<()> {
    for product in both(&["gateway.rates.provider_address_per_second=10000"]).await? {
        let others = Others::of(&product).await?;
        let mut slow = Vec::new();
        for _ in 0..512 {
            slow.push(sent(&product, SLOW).await?);
        }
        reaches(&product, "http_connections ", 512.0).await;
        for _ in 0..3 {
            others.are_served().await?;
        }
        drop(slow);
    }
    Ok(())
}

#[tokio::test]
async fn http2_streams_without_bodies_shut_nobody_out() -> Result<()> {
    for product in both(&["gateway.rates.provider_address_per_second=10000"]).await? {
        let others = Others::of(&product).await?;
        let mut held = Vec::new();
        for number in 1..=3 {
            let stream = TcpStream::connect(address(&product)).await?;
            let (client, connection) =
                h2::client::Builder::new().initial_max_send_streams(200).handshake::<_, &[u8]>(stream).await?;
            tokio::spawn(connection);
            let mut client = Some(client);
            while held.len() < number * 200 {
                // The gateway allows fewer streams than the attack would open.
                let ready = tokio::time::timeout(Duration::from_millis(500), client.take().context("ready")?.ready());
                let Ok(ready) = ready.await else { break };
                let mut ready = ready?;
                let request = http::Request::post("http://gateway/v1/providers/http/inbound")
                    .header("content-type", "application/json")
                    .body(())?;
                held.push(ready.send_request(request, false)?);
                client = Some(ready);
            }
        }
        ensure!(held.len() >= 200, "{} streams were opened", held.len());
        for _ in 0..3 {
            others.are_served().await?;
        }
        drop(held);
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_does_not_come_is_refused() -> Result<()> {
    for product in both(&["gateway.connections.body_timeout_ms=300"]).await? {
        let mut answer = String::new();
        let mut slow = sent(&product, SLOW).await?;
        let read = async {
            while !answer.contains("request_timeout") {
                let mut bytes = [0; 4096];
                let count = slow.read(&mut bytes).await?;
                ensure!(count > 0, "closed after {answer}");
                answer.push_str(std::str::from_utf8(&bytes[..count])?);
            }
            Ok(())
        };
        tokio::time::timeout(WITHIN, read).await??;
        let status = StatusCode::REQUEST_TIMEOUT.as_u16().to_string();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    Ok(())
}
