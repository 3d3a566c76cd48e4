//! Clients that hold connections: silent ones, idle ones, those that take no answers, and more than the process has
//! descriptors for.

use std::fs;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use scenarios::Product;
use testkit::poll;
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{Others, WITHIN, address, both, measured, reaches, sent};

/// Waits until the gateway closes a connection; returns what it sent before.
async fn closed(stream: &mut TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(WITHIN, stream.read_to_end(&mut bytes)).await.context("it stays open")?;
    // A connection that is reset is closed, too.
    drop(read);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn sockets_that_send_no_headers_shut_nobody_out() -> Result<()> {
    for product in both(&["gateway.connections.max=64"]).await? {
        let others = Others::of(&product).await?;
        let mut silent = Vec::new();
        for number in 0..512 {
            // Some of them begin a request.
            let bytes: &[u8] = if number % 2 == 0 { b"" } else { b"GET /healthz HTTP/1.1\r\nhost: ga" };
            silent.push(sent(&product, bytes).await?);
        }
        for _ in 0..3 {
            others.are_served().await?;
        }
        assert!(measured(&product, "http_connections_evicted_total").await.context("metrics")? > 0.0);
        drop(silent);
    }
    Ok(())
}

#[tokio::test]
async fn connections_that_wait_for_their_client_are_closed() -> Result<()> {
    let settings = [
        "gateway.connections.header_timeout_ms=300",
        "gateway.connections.idle_timeout_ms=1000",
        "gateway.connections.stall_timeout_ms=1000",
    ];
    for product in both(&settings).await? {
        for bytes in [&b""[..], b"GET /healthz HTTP/1.1\r\nho", b"PRI * HTTP/2.0\r\n"] {
            assert_eq!(closed(&mut sent(&product, bytes).await?).await?, "");
        }
        reaches(&product, "http_connections_expired_total{reason=\"header\"}", 3.0).await;
        let answer = closed(&mut sent(&product, b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n").await?).await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let again = b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\nGET /healthz HTTP/1.1\r\nho";
        let answer = closed(&mut sent(&product, again).await?).await?;
        ensure!(answer.matches("HTTP/1.1 200").count() == 1, "{answer}");
        // Answers that are larger than all buffers on their way.
        let many = b"GET /openapi.json HTTP/1.1\r\nhost: gateway\r\n\r\n".repeat(200);
        let before = measured(&product, "http_connections_expired_total").await.context("metrics")?;
        let stalled = sent(&product, &many).await?;
        reaches(&product, "http_connections_expired_total", before + 1.0).await;
        drop(stalled);
    }
    Ok(())
}

#[tokio::test]
async fn an_address_has_a_part_of_the_connections() -> Result<()> {
    let product = Product::embedded(&["--set", "gateway.connections.per_address_max=4"]).await?;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = sent(&product, b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n").await?;
        let mut bytes = [0; 1024];
        ensure!(stream.read(&mut bytes).await? > 0);
        streams.push(stream);
    }
    // The connection of the address that is idle longest gives up its place.
    let fifth = sent(&product, b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n").await?;
    assert_eq!(closed(&mut streams[0]).await?, "");
    drop(fifth);
    Ok(())
}

#[tokio::test]
async fn a_body_with_two_lengths_is_refused() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let request = |headers: &str| format!("POST /v1/holds HTTP/1.1\r\nhost: gateway\r\n{headers}\r\n\r\n0\r\n\r\n");
    for headers in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "transfer-encoding: chunked\r\nx-other: 1\r\ncontent-length: 5",
    ] {
        let answer = closed(&mut sent(&product, request(headers).as_bytes()).await?).await?;
        ensure!(answer.starts_with("HTTP/1.1 400") && answer.contains("malformed_request"), "{headers}: {answer}");
    }
    // One length is fine; the request lacks a key.
    let one = request("connection: close\r\ntransfer-encoding: chunked");
    let answer = closed(&mut sent(&product, one.as_bytes()).await?).await?;
    ensure!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_process_without_descriptors_serves_again_when_it_has_some() -> Result<()> {
    for product in both(&[]).await? {
        let others = Others::of(&product).await?;
        let gateway = product.processes.last().context("a gateway")?;
        let process = Pid::from_raw(i32::try_from(gateway.id())?).context("a process")?;
        let open = fs::read_dir(format!("/proc/{}/fd", gateway.id()))?.count() as u64;
        let few = Rlimit { current: Some(open + 4), maximum: getrlimit(Resource::Nofile).maximum };
        let before = prlimit(Some(process), Resource::Nofile, few)?;
        let mut held = Vec::new();
        for _ in 0..40 {
            // The system takes connections that the process has not accepted.
            held.push(TcpStream::connect(address(&product)).await?);
        }
        let printed = || async { product.printed().contains("connections cannot be accepted").then_some(()) };
        poll::until("the descriptors to run out", WITHIN, printed).await;
        drop(held);
        prlimit(Some(process), Resource::Nofile, before)?;
        let served = || async { others_are_served(&product).await.then_some(()) };
        poll::until("the gateway to accept again", WITHIN, served).await;
        others.are_served().await?;
        assert!(measured(&product, "http_accept_failures_total").await.context("metrics")? > 0.0);
    }
    Ok(())
}

async fn others_are_served(product: &Product) -> bool {
    testkit::http::client()
        .get(format!("{}/readyz", product.url))
        .send()
        .await
        .is_ok_and(|answer| answer.status() == 200)
}
