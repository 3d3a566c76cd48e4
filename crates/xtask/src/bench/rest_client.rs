//! Single requests to the product's REST interface.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, client::conn::http1, header::HeaderValue};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Days, load::server_time};
use crate::product::ADMIN_KEY;

/// Rooms that every location of the demo chain has for any service.
const ROOMS: usize = 2;

/// The product's interface at an address.
pub(crate) struct RestClient {
    /// `host:port`.
    pub(super) address: String,
    /// The revision of the last write, which later requests send.
    revision: Mutex<String>,
}

impl RestClient {
    /// The interface at this URL, `http://host:port`.
    pub(crate) fn new(url: &str) -> Self {
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { address, revision: Mutex::default() }
    }

    /// A request with the installation's key.
    pub(super) fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Option<Request<Full<Bytes>>> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address)
            .header("authorization", format!("Bearer {ADMIN_KEY}"))
            .header("content-type", "application/json")
            .body(Full::new(bytes))
            .ok()
    }

    /// GET.
    ///
    /// # Errors
    /// When the answer is not 200 or no JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.send(Method::GET, path, None).await?.0)
    }

    /// Sends a request; returns the answer and the server's own duration.
    ///
    /// # Errors
    /// When the answer is no success or no JSON.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(Value, Option<Duration>)> {
        self.send_request(self.request(method, path, body).context("the path is no URI")?).await
    }

    /// GET of a text.
    ///
    /// # Errors
    /// When the answer is no success or no text.
    pub(super) async fn text(&self, path: &str) -> Result<String> {
        let (bytes, _) =
            self.exchange_successfully(self.request(Method::GET, path, None).context("the path is no URI")?).await?;
        Ok(String::from_utf8(bytes.into())?)
    }

    /// Sends a request of [`RestClient::request`].
    ///
    /// # Errors
    /// As [`RestClient::send`].
    pub(super) async fn send_request(&self, request: Request<Full<Bytes>>) -> Result<(Value, Option<Duration>)> {
        let (bytes, duration) = self.exchange_successfully(request).await?;
        Ok((serde_json::from_slice(&bytes)?, duration))
    }

    /// Posts a calendar file; returns the status and the JSON.
    ///
    /// # Errors
    /// When nothing answers, or no JSON.
    pub(crate) async fn calendar(&self, path: &str, file: Vec<u8>) -> Result<(StatusCode, Value)> {
        let mut request =
            self.request(Method::POST, path, None).context("the path is no URI")?.map(|_| Full::new(file.into()));
        request.headers_mut().insert("content-type", HeaderValue::from_static("text/calendar"));
        let (status, bytes, _) = self.exchange(request).await?;
        Ok((status, serde_json::from_slice(&bytes)?))
    }

    async fn exchange_successfully(&self, request: Request<Full<Bytes>>) -> Result<(Bytes, Option<Duration>)> {
        let what = format!("{} {}", request.method(), request.uri());
        let (status, body, duration) = self.exchange(request).await?;
        if !status.is_success() {
            bail!("{what} was answered by {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok((body, duration))
    }

    /// Sends a request on a connection of its own; returns the status, the body and the server's own duration.
    ///
    /// # Errors
    /// When nothing answers.
    pub(super) async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes, Option<Duration>)> {
        let revision = self.revision.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(revision) = HeaderValue::try_from(revision).ok().filter(|revision| !revision.is_empty()) {
            request.headers_mut().insert("meridian-revision", revision);
        }
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let timing = answer.headers().get("server-timing").and_then(|value| value.to_str().ok());
        let duration = timing.and_then(server_time);
        if let Some(written) = answer.headers().get("meridian-revision").and_then(|value| value.to_str().ok()) {
            written.clone_into(&mut self.revision.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let body = answer.into_body().collect().await?.to_bytes();
        Ok((status, body, duration))
    }

    /// At most `count` open slots of all services that do not exclude each other. No appointment takes longer than an hour,
    /// so each practitioner has at most one in every two hours, and each location at most as many as it has rooms.
    ///
    /// # Errors
    /// When the search fails.
    pub(super) async fn slots(&self, days: &Days, count: usize) -> Result<Vec<String>> {
        let (Days { from, to }, mut slots, mut kept) = (days, Vec::new(), HashSet::new());
        let mut rooms = HashMap::new();
        let mut is_separate = |slot: &Value| {
            let start: Option<jiff::Timestamp> = slot["starts_at"].as_str().and_then(|text| text.parse().ok());
            let hour = start.map_or(1, |start| start.as_second().div_euclid(3600));
            let location = (slot["location_id"].to_string(), hour);
            let free = hour % 2 == 0 && rooms.get(&location).is_none_or(|used| *used < ROOMS);
            let separate = free && kept.insert((slot["practitioner_id"].to_string(), hour));
            *rooms.entry(location).or_insert(0) += usize::from(separate);
            separate
        };
        for service in self.services().await? {
            let mut cursor = String::new();
            while slots.len() < count {
                let path = format!("/v1/slots?service_id={service}&from={from}&to={to}&limit=200{cursor}");
                let page = self.get(&path).await?;
                let data = page["data"].as_array().context("a page has data")?;
                let free = data.iter().filter(|slot| is_separate(slot));
                slots.extend(free.filter_map(|slot| Some(slot["slot_id"].as_str()?.to_owned())));
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
        }
        Ok(slots)
    }

    /// The ids of the services without a prerequisite.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub(super) async fn services(&self) -> Result<Vec<String>> {
        let services = self.get("/v1/services?limit=200").await?;
        let data = services["data"].as_array().context("a page has data")?;
        let unconditional = data.iter().filter(|service| service["requires_prior"].is_null());
        Ok(unconditional.filter_map(|service| Some(service["id"].as_str()?.to_owned())).collect())
    }
}
