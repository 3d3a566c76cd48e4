//! A small HTTP server that says what a test has written down, and keeps what it was sent.

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

/// A client of HTTP.
pub fn client() -> reqwest::Client {
    reqwest::Client::new()
}

/// An answer: its status, a `Location` where it is not empty, and the body.
pub type Said = (u16, String, Vec<u8>);

/// What a request was.
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
    pages: Arc<Mutex<HashMap<String, Said>>>,
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
        let router = Router::new().fallback(page).with_state(pages.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(pages)
    }

    /// What a path answers from now on.
    pub fn say(&self, path: &str, status: u16, location: &str, body: &[u8]) {
        let said = (status, location.to_owned(), body.to_vec());
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), said);
        self.retry_after.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    /// A path answers with this status and `Retry-After` from now on.
    pub fn retry_after(&self, path: &str, status: u16, after: &str) {
        self.say(path, status, "", b"");
        self.retry_after.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), after.to_owned());
    }

    /// A path answers nobody until the gate is dropped.
    pub fn hold(&self, path: &str) -> Gate {
        let (gate, closed) = watch::channel(());
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), closed);
        Gate(gate)
    }

    /// Everything that was asked, in its order.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn page(State(pages): State<Pages>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
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
    let said = pages.pages.lock().unwrap_or_else(PoisonError::into_inner).get(uri.path()).cloned();
    let Some((status, location, body)) = said else { return StatusCode::NOT_FOUND.into_response() };
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
