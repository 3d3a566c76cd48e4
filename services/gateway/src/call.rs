//! One request on its way: who asks, what, and what is answered.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use domain::{appointment::BookingChannel, fault::Faults, id::OrganizationId};
use futures::{Stream, StreamExt};
use rpc::{Code, Context, Fault, Idempotency};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::{
    Inner,
    auth::{Caller, Scope},
    params::Params,
    suggestion::safe,
};

/// What stands between a client and its server takes a silent stream for a dead one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// What a page is, and what keeps it from running anything, from being framed, kept or listed, and from giving its link away.
const PAGE: &str = "text/html; charset=utf-8";
const PAGE_HEADERS: [(&str, &str); 4] = [
    ("content-security-policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    ("cache-control", "no-store"),
    ("x-robots-tag", "noindex"),
    ("referrer-policy", "no-referrer"),
];

/// A request that has passed every check that its operation describes.
pub(crate) struct Call {
    pub(crate) inner: Arc<Inner>,
    pub(crate) caller: Caller,
    /// The operation's id.
    pub(crate) action: String,
    pub(crate) params: Params,
    pub(crate) path: HashMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) form: Vec<(String, String)>,
    /// The body as it came.
    pub(crate) raw: Vec<u8>,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) deadline: Instant,
    /// The organisation of the link, once it is known, for the audit log.
    pub(crate) link_of: Arc<OnceLock<OrganizationId>>,
}

impl Call {
    /// The context of calls on behalf of this request.
    pub(crate) fn context(&self) -> Context {
        self.context_of(&self.caller)
    }

    /// The context of calls on behalf of another caller.
    pub(crate) fn context_of(&self, caller: &Caller) -> Context {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Context {
            organization: caller.organization,
            caller: caller.name.clone(),
            deadline: self.deadline,
            idempotency: self.idempotency.clone(),
            revision: header("meridian-revision"),
        }
    }

    /// Goes on as the patient whose link of this organisation was followed.
    pub(crate) fn by_link(&mut self, organization: OrganizationId) {
        self.caller = Caller::patient(organization);
        // A request follows one link.
        let _ = self.link_of.set(organization);
    }

    /// A varying part of the path.
    pub(crate) fn part(&self, name: &str) -> String {
        self.path.get(name).cloned().unwrap_or_default()
    }

    /// The body, which its schema has passed.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        read(&self.body)
    }

    /// The version that `If-Match` names; 0 without it.
    pub(crate) fn if_version(&self) -> Result<i64, Fault> {
        let Some(value) = self.headers.get(header::IF_MATCH) else { return Ok(0) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(0);
        }
        let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
        version.filter(|version| *version > 0).ok_or_else(|| {
            let mut faults = Faults::new();
            faults.push("If-Match", "invalid_etag", "send back the ETag of the resource, as it is");
            Fault { code: Code::InvalidParameter, ..Fault::invalid(faults) }
        })
    }

    /// The booking channel on the wire. A caller who may read patients may request either; all others book online.
    pub(crate) fn channel(&self, requested: Option<BookingChannel>) -> i32 {
        let staff = self.caller.has(Scope::PatientsRead) && requested != Some(BookingChannel::Online);
        let channel = if staff { wire::common::BookingChannel::Staff } else { wire::common::BookingChannel::Online };
        channel as i32
    }
}

/// Reads a value that its schema has passed; what the schema cannot say is named here.
pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        // The parser's words may quote the value: only the house's own are passed on.
        let said = error.inner().to_string();
        let detail = if said.contains("offset") {
            "a time needs an offset from UTC, such as 2026-03-06T08:00:00Z"
        } else if said.starts_with("write ") {
            &said
        } else {
            "there is no such value, though its form is right: see this field in /openapi.json"
        };
        Fault::violation(&pointer(error.path()), "invalid_value", detail)
    })
}

/// A place in a body as a JSON pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", safe(key)),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(part).collect()
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Option<Vec<u8>>,
    /// In place of a body, what is sent as it comes.
    pub(crate) stream: Option<Body>,
    pub(crate) media: &'static str,
    pub(crate) version: Option<i64>,
    pub(crate) location: Option<String>,
    pub(crate) revision: Option<String>,
    pub(crate) replayed: bool,
    /// Whether the gateway has kept it for the idempotency key already.
    pub(crate) kept: bool,
    /// Whom the answer is about, for the audit log.
    pub(crate) patient: Option<String>,
    /// What was made or changed, for the audit log.
    pub(crate) target: Option<String>,
}

impl Reply {
    /// A JSON answer.
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Result<Self, Fault> {
        let body = serde_json::to_vec(body).map_err(Fault::internal)?;
        Ok(Self { body: Some(body), ..Self::empty(status) })
    }

    /// A page of HTML.
    pub(crate) fn page(html: String) -> Self {
        Self { body: Some(html.into_bytes()), media: PAGE, ..Self::empty(200) }
    }

    /// A table as CSV.
    pub(crate) fn csv(table: String) -> Self {
        Self { body: Some(table.into_bytes()), media: "text/csv; charset=utf-8", ..Self::empty(200) }
    }

    /// Server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), with a sign of life in
    /// between, until they end or the gateway drains. Fails where too many are being sent already.
    pub(crate) fn events(
        inner: &Inner,
        events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
    ) -> Result<Self, Fault> {
        let place = inner.streams.clone().try_acquire_owned();
        let place = place.map_err(|_| Fault::new(Code::Overloaded, "too many streams are open; try again shortly"))?;
        let draining = inner.draining.clone();
        let drained = Box::pin(async move { draining.begun().await });
        let events = events.take_until(drained).map(move |event| {
            let _held = &place;
            event
        });
        let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE));
        let body = sse.into_response().into_body();
        Ok(Self { stream: Some(body), media: "text/event-stream", ..Self::empty(200) })
    }

    /// An answer without content.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            body: None,
            stream: None,
            media: "application/json",
            version: None,
            location: None,
            revision: None,
            replayed: false,
            kept: false,
            patient: None,
            target: None,
        }
    }

    /// The version that `ETag` shows.
    pub(crate) fn version(self, version: i64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Where what was made can be found.
    pub(crate) fn location(self, path: String) -> Self {
        Self { location: Some(path), ..self }
    }

    /// Names the thing for the audit log.
    pub(crate) fn target(self, id: &str) -> Self {
        Self { target: Some(id.to_owned()), ..self }
    }

    /// Names the patient for the audit log.
    pub(crate) fn patient(self, id: &str) -> Self {
        Self { patient: Some(id.to_owned()), ..self }
    }

    /// Takes over what a service says of its write.
    pub(crate) fn after<T>(self, response: &tonic::Response<T>) -> Self {
        let text = |name: &str| response.metadata().get(name).and_then(|value| value.to_str().ok());
        Self {
            revision: text("meridian-revision").map(str::to_owned),
            replayed: text("meridian-replayed") == Some("true"),
            ..self
        }
    }

    /// As HTTP.
    pub(crate) fn into_response(self) -> Response {
        let streams = self.stream.is_some();
        let mut response = Response::new(self.stream.or(self.body.map(Body::from)).unwrap_or_default());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let headers = response.headers_mut();
        if self.status != 204 {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media));
        }
        let mut set = |name: &'static str, value: Option<String>| {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        };
        set("cache-control", streams.then(|| "no-cache".to_owned()));
        for (name, value) in PAGE_HEADERS.into_iter().filter(|_| self.media == PAGE) {
            set(name, Some(value.to_owned()));
        }
        set("etag", self.version.map(|version| format!("\"{version}\"")));
        set("location", self.location);
        set("meridian-revision", self.revision);
        set("idempotency-replayed", self.replayed.then(|| "true".to_owned()));
        response
    }
}
