//! A fake SMS provider that speaks Twilio's form, and can be told to fail.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use axum::{
    Form, Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;

/// How the provider answers the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes the message.
    Accept,
    /// Refuses it with this HTTP status and error code.
    Refuse(u16, u32),
    /// Says 429 and to come back after so many seconds.
    Busy(u64),
    /// Takes the message and never answers.
    Stall,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The account in the path.
    pub account: String,
    /// The `Authorization` header.
    pub authorization: String,
    /// The form's fields.
    pub form: HashMap<String, String>,
}

#[derive(Default)]
struct Shared {
    received: Vec<Received>,
    script: VecDeque<Behaviour>,
}

/// A running fake provider; it ends with the runtime that it was started on.
#[derive(Clone)]
pub struct FakeProvider {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl FakeProvider {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let provider = Self { address: listener.local_addr()?, shared: Arc::default() };
        let routes = Router::new()
            .route("/2010-04-01/Accounts/{account}/Messages.json", post(receive))
            .with_state(provider.shared.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(provider)
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the next requests meet, in turn; after that, they are accepted.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).script.extend(behaviours);
    }

    /// Everything received so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).received.clone()
    }
}

async fn receive(
    State(shared): State<Arc<Mutex<Shared>>>,
    Path(account): Path<String>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let header = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (number, behaviour) = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.received.push(Received { account: account.clone(), authorization: header.to_owned(), form });
        (shared.received.len(), shared.script.pop_front().unwrap_or(Behaviour::Accept))
    };
    match behaviour {
        Behaviour::Accept => {
            let sid = format!("SM{number:032}");
            let body = json!({"sid": sid, "status": "queued", "num_segments": "1", "error_code": null});
            (StatusCode::CREATED, Json(body)).into_response()
        }
        Behaviour::Refuse(status, code) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, Json(json!({"code": code, "message": "refused", "status": status.as_u16()}))).into_response()
        }
        Behaviour::Busy(seconds) => {
            let body = Json(json!({"code": 20429, "message": "Too Many Requests", "status": 429}));
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds.to_string())], body).into_response()
        }
        Behaviour::Stall => std::future::pending().await,
    }
}
