//! A provider of text messages with Twilio's interface, which accepts each message at once and records it.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

/// A running provider, on a thread of its own; it ends with the process.
pub(super) struct FakeProvider {
    /// `http://127.0.0.1:PORT`.
    pub(super) url: String,
    received: Arc<Mutex<Received>>,
}

/// The received messages.
#[derive(Default)]
pub(super) struct Received {
    /// Arrival of each message.
    pub(super) arrivals: Vec<Instant>,
    /// Messages for each number.
    pub(super) numbers: HashMap<String, u32>,
}

impl FakeProvider {
    /// Begins to listen.
    ///
    /// # Errors
    /// When no port can be had.
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let received = Arc::<Mutex<Received>>::default();
        let (runtime, shared) = (super::runtime()?, received.clone());
        std::thread::Builder::new()
            .name("fake-provider".into())
            .spawn(move || runtime.block_on(serve(listener, shared)))?;
        Ok(Self { url, received })
    }

    pub(super) fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, received: Arc<Mutex<Received>>) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("the fake provider cannot listen")?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let received = received.clone();
        let handler = service_fn(move |request| accept(request, received.clone()));
        // A closed connection is no error of the provider.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), handler));
    }
}

async fn accept(
    request: Request<Incoming>,
    received: Arc<Mutex<Received>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let form = String::from_utf8_lossy(&body);
    let number = form.split('&').find_map(|field| field.strip_prefix("To=")).unwrap_or_default();
    let count = {
        let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
        received.arrivals.push(Instant::now());
        *received.numbers.entry(number.to_owned()).or_default() += 1;
        received.arrivals.len()
    };
    let answer = format!(r#"{{"sid":"SM{count:032x}","status":"queued","error_code":null,"num_segments":"1"}}"#);
    let mut response = Response::new(Full::from(answer));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}
