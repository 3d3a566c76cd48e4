//! A small HTTP server that says what a test has written down.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;

/// An answer: its status, a `Location` where it is not empty, and the body.
pub type Said = (u16, String, Vec<u8>);

/// A server on a free port of this machine, as long as the runtime lives.
#[derive(Clone)]
pub struct Pages {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// The port.
    pub port: u16,
    pages: Arc<Mutex<HashMap<String, Said>>>,
}

impl Pages {
    /// Serves nothing yet: every path answers 404.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn serve() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let pages = Self { url: format!("http://127.0.0.1:{port}"), port, pages: Arc::default() };
        let router = Router::new().fallback(page).with_state(pages.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(pages)
    }

    /// What a path answers from now on.
    pub fn say(&self, path: &str, status: u16, location: &str, body: &[u8]) {
        let said = (status, location.to_owned(), body.to_vec());
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), said);
    }
}

async fn page(State(pages): State<Pages>, uri: Uri) -> Response {
    let said = pages.pages.lock().unwrap_or_else(PoisonError::into_inner).get(uri.path()).cloned();
    let Some((status, location, body)) = said else { return StatusCode::NOT_FOUND.into_response() };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    if location.is_empty() {
        (status, body).into_response()
    } else {
        (status, [(header::LOCATION, location)], body).into_response()
    }
}
