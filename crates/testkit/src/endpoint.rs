//! An HTTP endpoint that records requests and answers by a script.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

/// Longest wait of [`Endpoint::wait_for`].
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This status and body.
    Say(u16, String),
    /// This status with `Retry-After` in seconds.
    Later(u16, u64),
    /// None: the request is received and never answered.
    Silence,
}

/// A received request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The path with its query.
    pub path: String,
    /// The headers, their names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: String,
}

/// A running endpoint on a free port of the loopback address; clones share it.
#[derive(Clone)]
pub struct Endpoint(Arc<Running>);

struct Running {
    url: String,
    shared: Arc<Shared>,
    server: AbortHandle,
}

struct Shared {
    state: Mutex<Exchange>,
    received: watch::Sender<usize>,
}

struct Exchange {
    script: VecDeque<Answer>,
    otherwise: Answer,
    posted: Vec<Posted>,
}

impl Endpoint {
    /// Starts it; `otherwise` is the answer after the script.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(otherwise: Answer) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let known = Exchange { script: VecDeque::new(), otherwise, posted: vec![] };
        let shared = Arc::new(Shared { state: Mutex::new(known), received: watch::Sender::new(0) });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Ok(Self(Arc::new(Running { url, shared, server })))
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        self.0.url.clone()
    }

    /// Answers the next requests in this order.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.0.shared.lock().script.extend(answers);
    }

    /// Every request so far, in the order of arrival.
    pub fn posted(&self) -> Vec<Posted> {
        self.0.shared.lock().posted.clone()
    }

    /// Waits until this many requests have arrived, and returns them.
    ///
    /// # Panics
    /// When they do not arrive within 30 seconds.
    pub async fn wait_for(&self, count: usize) -> Vec<Posted> {
        let mut seen = self.0.shared.received.subscribe();
        let arrived = tokio::time::timeout(WAIT_MAX, seen.wait_for(|seen| *seen >= count)).await.is_ok();
        let posted = self.posted();
        assert!(arrived, "{count} requests should have come, there were {}", posted.len());
        posted
    }
}

impl Posted {
    /// The fields of a form, decoded.
    ///
    /// # Panics
    /// When the body is no form.
    pub fn form(&self) -> HashMap<String, String> {
        let url = reqwest::Url::parse(&format!("http://form/?{}", self.body)).expect("a form");
        url.query_pairs().into_owned().collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let posted = Posted {
        path: uri.to_string(),
        headers: headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let (answer, count) = {
        let mut known = shared.lock();
        known.posted.push(posted);
        (known.script.pop_front().unwrap_or_else(|| known.otherwise.clone()), known.posted.len())
    };
    shared.received.send_replace(count);
    let status = |code| StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match answer {
        Answer::Say(code, body) => (status(code), [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Answer::Later(code, seconds) => (status(code), [(header::RETRY_AFTER, seconds.to_string())]).into_response(),
        Answer::Silence => std::future::pending().await,
    }
}
