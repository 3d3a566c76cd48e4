//! The answer of an operation.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rpc::Fault;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tonic::metadata::MetadataMap;

/// The media type of pages.
pub(crate) const HTML: &str = "text/html; charset=utf-8";
/// Headers of a page: they forbid foreign and inline scripts, framing, caching, indexing and the referrer, which holds the
/// page's link.
const HTML_HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'self'; base-uri 'none'; form-action 'self'; object-src 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'",
    ),
    ("cache-control", "no-store"),
    ("x-robots-tag", "noindex"),
    ("referrer-policy", "no-referrer"),
];

/// Adds the headers of a page where the media type is that of pages.
pub(crate) fn page_headers(media_type: &str, headers: &mut HeaderMap) {
    for (name, value) in HTML_HEADERS.into_iter().filter(|_| media_type == HTML) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Option<Vec<u8>>,
    /// A streamed body, instead of `body`.
    pub(crate) stream: Option<Body>,
    pub(crate) media_type: &'static str,
    pub(crate) version: Option<i64>,
    /// The `ETag` of an answer without a version, with its quotes.
    pub(crate) etag: Option<String>,
    /// Whether a client may keep it and ask whether it has changed; otherwise it may keep nothing.
    pub(crate) kept: bool,
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
    /// What was done to it, for the audit log: a word of the interface, never a resource's content.
    pub(crate) note: Option<String>,
}

impl Reply {
    /// An answer with a JSON body.
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Result<Self, Fault> {
        let body = serde_json::to_vec(body).map_err(Fault::internal)?;
        Ok(Self { body: Some(body), ..Self::empty(status) })
    }

    /// An HTML page.
    pub(crate) fn html(status: u16, page: String) -> Self {
        Self { body: Some(page.into_bytes()), media_type: HTML, ..Self::empty(status) }
    }

    /// Sends a browser to a page, which it reads with GET.
    pub(crate) fn see_other(location: String) -> Self {
        Self { media_type: HTML, ..Self::empty(303).location(location) }
    }

    /// An iCalendar file.
    pub(crate) fn calendar(file: String) -> Self {
        Self { body: Some(file.into_bytes()), media_type: "text/calendar; charset=utf-8", ..Self::empty(200) }
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
            etag: None,
            kept: false,
            location: None,
            revision: None,
            replayed: false,
            stored: false,
            patient: None,
            rows: None,
            next_cursor: None,
            target: None,
            note: None,
        }
    }

    /// Sets the version, which becomes the `ETag`.
    pub(crate) fn version(self, version: i64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Sets an `ETag` of the body's bytes. A public answer may be kept by the client (never by a cache between), which then
    /// asks each time whether it has changed.
    pub(crate) fn etag_of_body(self, is_public: bool) -> Self {
        let etag = self.body.as_ref().map(|body| {
            let digest = Sha256::digest(body);
            format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..16]))
        });
        Self { etag, kept: is_public, ..self }
    }

    /// 304 without a body where the client has the same version already (RFC 9110, If-None-Match: a weak comparison).
    pub(crate) fn unless_known(self, if_none_match: Option<&HeaderValue>) -> Self {
        let Some(etag) = self.etag() else { return self };
        let known = if_none_match.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_known = known.split(',').map(str::trim).any(|it| it == "*" || it.trim_start_matches("W/") == etag);
        if self.status == 200 && is_known { Self { status: 304, body: None, ..self } } else { self }
    }

    fn etag(&self) -> Option<String> {
        self.etag.clone().or_else(|| self.version.map(|version| format!("\"{version}\"")))
    }

    /// Sets `Location`, the path of a created resource or of another page.
    pub(crate) fn location(self, path: String) -> Self {
        Self { location: Some(path), ..self }
    }

    /// Names the resource for the audit log.
    pub(crate) fn target(self, id: &str) -> Self {
        Self { target: Some(id.to_owned()), ..self }
    }

    /// Says for the audit log what was done to the resource.
    pub(crate) fn note(self, note: String) -> Self {
        Self { note: Some(note), ..self }
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
        let etag = self.etag();
        let mut response = Response::new(self.stream.or(self.body.map(Body::from)).unwrap_or_default());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let headers = response.headers_mut();
        if ![204, 304].contains(&self.status) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        }
        let mut set = |name: &'static str, value: Option<String>| {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        };
        let cached = if self.kept { Some("private, no-cache") } else { streams.then_some("no-cache") };
        set("cache-control", cached.map(str::to_owned));
        // Another key may be answered differently.
        set("vary", self.kept.then(|| "authorization, meridian-organization".to_owned()));
        set("etag", etag);
        set("location", self.location);
        set("meridian-revision", self.revision);
        set("meridian-next-cursor", self.next_cursor);
        set("idempotency-replayed", self.replayed.then(|| "true".to_owned()));
        page_headers(self.media_type, headers);
        response
    }
}
