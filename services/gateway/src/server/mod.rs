//! The gateway's socket: its connections, their limits, and the requests that they carry.
//!
//! A client can hold a connection in four ways: it sends no headers, a slow body, nothing at all, or it does not take its
//! answers. Each has a time limit. Start reading at [`serve`]; `places.rs` counts connections, `activity.rs` knows the state
//! of one, `bodies.rs` bounds the memory of bodies that are still being sent.

mod activity;
mod bodies;
mod connection;
mod descriptors;
mod exchange;
mod places;
mod socket;
mod tls;

use std::sync::Arc;

use axum::Router;
pub(crate) use bodies::{Bodies, KeptBody};
use places::{Places, Refused};
use rpc::Acceptor;
pub(crate) use tls::Certificate;
pub use tls::Error as CertificateError;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::{Inner, client_address::limited_network};

/// The answer to a connection beyond the limits. It has no problem as its body: nothing of the request was read.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves connections until the gateway drains, then until the open ones have answered their requests.
pub(crate) async fn serve(inner: &Arc<Inner>, listener: TcpListener, router: Router) {
    // A router whose state is set is not built anew for each request.
    let router: Router = router.with_state(());
    let config = &inner.config.connections;
    let places = Arc::new(Places::new(descriptors::connections_max(config.max), config.per_address_max));
    let mut acceptor = Acceptor::new(listener);
    let tasks = TaskTracker::new();
    while let Some((stream, peer)) = inner.draining.until(acceptor.accept()).await {
        let address = peer.ip().to_canonical();
        // The clients of a proxy share its address.
        let counted = (!inner.proxies.trusts(address)).then(|| limited_network(address));
        match places.take(counted) {
            Ok(place) => {
                let connection = connection::serve(inner.clone(), stream, peer, router.clone(), place);
                tasks.spawn(connection);
            }
            Err(refused) => refuse(&stream, refused),
        }
    }
    drop(acceptor);
    tasks.close();
    tasks.wait().await;
}

fn refuse(stream: &TcpStream, refused: Refused) {
    metrics::counter!("http_connections_refused_total", "limit" => refused.as_str()).increment(1);
    // The client may be gone.
    let _ = stream.try_write(TOO_MANY);
}
