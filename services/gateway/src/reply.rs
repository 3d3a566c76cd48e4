//! The answer of an operation.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use rpc::Fault;
use serde::Serialize;
use tonic::metadata::MetadataMap;

const HTML: &str = "text/html; charset=utf-8";
/// Headers of a page: they forbid scripts, framing, caching, indexing and the referrer, which holds the page's link.
const HTML_HEADERS: [(&str, &str); 4] = [
    ("content-security-policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    ("cache-control", "no-store"),
    ("x-robots-tag", "noindex"),
    ("referrer-policy", "no-referrer"),
];

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Option<Vec<u8>>,
    /// A streamed body, instead of `body`.
    pub(crate) stream: Option<Body>,
    pub(crate) media_type: &'static str,
    pub(crate) version: Option<i64>,
    pub(crate) location: Option<String>,
    pub(crate) revision: Option<String>,
    pub(crate) replayed: bool,
    /// Whether the gateway has already stored it for the idempotency key.
    pub(crate) stored: bool,
    /// The patient whom it concerns, for the audit log.
    pub(crate) patient: Option<String>,
    /// The rows of a list, for the audit log.
    pub(crate) rows: Option<usize>,
    /// The cursor of the next page of a table, which has no place for it.
    pub(crate) next_cursor: Option<String>,
    /// The resource that was created or changed, for the audit log.
    pub(crate) target: Option<String>,
}

impl Reply {
    /// An answer with a JSON body.
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Result<Self, Fault> {
        let body = serde_json::to_vec(body).map_err(Fault::internal)?;
        Ok(Self { body: Some(body), ..Self::empty(status) })
    }

    /// An HTML page.
    pub(crate) fn html(page: String) -> Self {
        Self { body: Some(page.into_bytes()), media_type: HTML, ..Self::empty(200) }
    }

    /// A table as CSV.
    pub(crate) fn csv(table: String) -> Self {
        Self { body: Some(table.into_bytes()), media_type: "text/csv; charset=utf-8", ..Self::empty(200) }
    }

    /// Server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
    pub(crate) fn events(body: Body) -> Self {
        Self { stream: Some(body), media_type: "text/event-stream", ..Self::empty(200) }
    }

    /// An answer without content.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            body: None,
            stream: None,
            media_type: "application/json",
            version: None,
            location: None,
            revision: None,
            replayed: false,
            stored: false,
            patient: None,
            rows: None,
            next_cursor: None,
            target: None,
        }
    }

    /// Sets the version, which becomes the `ETag`.
    pub(crate) fn version(self, version: i64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Sets `Location`, the path of the created resource.
    pub(crate) fn location(self, path: String) -> Self {
        Self { location: Some(path), ..self }
    }

    /// Names the resource for the audit log.
    pub(crate) fn target(self, id: &str) -> Self {
        Self { target: Some(id.to_owned()), ..self }
    }

    /// Names the patient for the audit log.
    pub(crate) fn patient(self, id: &str) -> Self {
        Self { patient: Some(id.to_owned()), ..self }
    }

    /// Counts the rows of a list for the audit log.
    pub(crate) fn rows(self, rows: usize) -> Self {
        Self { rows: Some(rows), ..self }
    }

    /// Sets the cursor of the next page of a table.
    pub(crate) fn next_cursor(self, next_cursor: Option<String>) -> Self {
        Self { next_cursor, ..self }
    }

    /// Copies the revision and the replay mark from the metadata of a service's answer.
    pub(crate) fn write_metadata(self, metadata: &MetadataMap) -> Self {
        let text = |name: &str| metadata.get(name).and_then(|value| value.to_str().ok());
        Self {
            revision: text("meridian-revision").map(str::to_owned),
            replayed: text("meridian-replayed") == Some("true"),
            ..self
        }
    }

    /// The HTTP response.
    pub(crate) fn into_response(self) -> Response {
        let streams = self.stream.is_some();
        let mut response = Response::new(self.stream.or(self.body.map(Body::from)).unwrap_or_default());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let headers = response.headers_mut();
        if self.status != 204 {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        }
        let mut set = |name: &'static str, value: Option<String>| {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        };
        set("cache-control", streams.then(|| "no-cache".to_owned()));
        for (name, value) in HTML_HEADERS.into_iter().filter(|_| self.media_type == HTML) {
            set(name, Some(value.to_owned()));
        }
        set("etag", self.version.map(|version| format!("\"{version}\"")));
        set("location", self.location);
        set("meridian-revision", self.revision);
        set("meridian-next-cursor", self.next_cursor);
        set("idempotency-replayed", self.replayed.then(|| "true".to_owned()));
        response
    }
}
