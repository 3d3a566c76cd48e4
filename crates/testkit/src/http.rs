//! A small HTTP server with fixed answers, which records requests; and the HTTP client of tests.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::rustls::crypto::ring;

/// A client of HTTP with the product's implementation of cryptography, which reqwest does not bring itself.
///
/// # Panics
/// Where TLS cannot be set up.
pub fn client() -> reqwest::Client {
    // It fails only where a provider is installed already.
    let _ = ring::default_provider().install_default();
    reqwest::Client::new()
}

/// An answer: its status, its `Location` unless empty, and its body.
pub type Page = (u16, String, Vec<u8>);

/// A received request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The path.
    pub path: String,
    /// The headers that are text.
    pub headers: BTreeMap<String, String>,
    /// The body, as text.
    pub body: String,
}

/// A server on a free port of this machine, as long as the runtime lives.
#[derive(Clone)]
pub struct Pages {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// The port.
    pub port: u16,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    retry_after: Arc<Mutex<HashMap<String, String>>>,
    received: Arc<Mutex<Vec<Received>>>,
    held: Arc<Mutex<HashMap<String, watch::Receiver<()>>>>,
}

/// Holds answers back until it is dropped.
pub struct Gate(watch::Sender<()>);

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

impl Pages {
    /// Serves nothing yet: every path answers 404.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn serve() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let pages = Self {
            url,
            port,
            pages: Arc::default(),
            retry_after: Arc::default(),
            received: Arc::default(),
            held: Arc::default(),
        };
        let router = Router::new().fallback(serve_page).with_state(pages.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(pages)
    }

    /// Sets the answer of a path.
    pub fn say(&self, path: &str, status: u16, location: &str, body: &[u8]) {
        let page = (status, location.to_owned(), body.to_vec());
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), page);
        self.retry_after.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    /// Sets the answer of a path to this status with `Retry-After`.
    pub fn retry_after(&self, path: &str, status: u16, after: &str) {
        self.say(path, status, "", b"");
        self.retry_after.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), after.to_owned());
    }

    /// A path does not answer until the gate is dropped.
    pub fn hold(&self, path: &str) -> Gate {
        let (gate, closed) = watch::channel(());
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), closed);
        Gate(gate)
    }

    /// All requests in order.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve_page(State(pages): State<Pages>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let texts = headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let received = Received {
        path: uri.path().to_owned(),
        headers: texts.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    pages.received.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    let held = pages.held.lock().unwrap_or_else(PoisonError::into_inner).get(uri.path()).cloned();
    if let Some(mut gate) = held {
        // An error means that it is open.
        let _ = gate.changed().await;
    }
    let page = pages.pages.lock().unwrap_or_else(PoisonError::into_inner).get(uri.path()).cloned();
    let Some((status, location, body)) = page else { return StatusCode::NOT_FOUND.into_response() };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let after = pages.retry_after.lock().unwrap_or_else(PoisonError::into_inner).get(uri.path()).cloned();
    if let Some(after) = after {
        return (status, [(header::RETRY_AFTER, after)], body).into_response();
    }
    if location.is_empty() {
        (status, body).into_response()
    } else {
        (status, [(header::LOCATION, location)], body).into_response()
    }
}
