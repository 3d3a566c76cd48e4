//! A provider of text messages that takes each at once, in Twilio's form, and keeps account of them.

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
pub(super) struct Carrier {
    /// `http://127.0.0.1:PORT`.
    pub(super) url: String,
    account: Arc<Mutex<Account>>,
}

/// What has come.
#[derive(Default)]
pub(super) struct Account {
    /// When each message came.
    pub(super) arrivals: Vec<Instant>,
    /// How many came for each number.
    pub(super) numbers: HashMap<String, u32>,
}

impl Carrier {
    /// Begins to listen.
    ///
    /// # Errors
    /// When no port can be had.
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let account = Arc::<Mutex<Account>>::default();
        let (runtime, shared) = (super::runtime()?, account.clone());
        std::thread::Builder::new().name("carrier".into()).spawn(move || runtime.block_on(serve(listener, shared)))?;
        Ok(Self { url, account })
    }

    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, account: Arc<Mutex<Account>>) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("the carrier cannot listen")?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let account = account.clone();
        let take = service_fn(move |request| take(request, account.clone()));
        // A client that is gone is no matter here.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), take));
    }
}

async fn take(request: Request<Incoming>, account: Arc<Mutex<Account>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let form = String::from_utf8_lossy(&body);
    let number = form.split('&').find_map(|field| field.strip_prefix("To=")).unwrap_or_default();
    let count = {
        let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
        account.arrivals.push(Instant::now());
        *account.numbers.entry(number.to_owned()).or_default() += 1;
        account.arrivals.len()
    };
    let answer = format!(r#"{{"sid":"SM{count:032x}","status":"queued","error_code":null,"num_segments":"1"}}"#);
    let mut response = Response::new(Full::from(answer));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}
