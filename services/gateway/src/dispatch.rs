//! The path of a request to its operation's handler and back: trace, access, rate limit, parameters, body, place, deadline,
//! audit.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Path, Request, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, Method, Uri, header, request::Parts},
    response::Response,
};
use futures::StreamExt;
use rpc::{Code, Fault, Idempotency};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::{Instrument, field::Empty};

use crate::{
    Inner,
    admission::{Admitted, admit, take_place},
    audit::Trail,
    auth::LimitedKeys,
    binding::Guard,
    call::Call,
    characters, idempotency,
    interface::{Interface, Reader},
    operation::{self, Access, Operation},
    params::{self, Params},
    rate_limit::Quota,
    reply::Reply,
    schema::Schemas,
};

/// The most bytes of an oversized body that are read and discarded.
const DISCARDED_BYTES_MAX: usize = 32 << 20;

/// An operation of a dialect, with the state that its handler needs.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) inner: Arc<Inner>,
    pub(crate) interface: Arc<Interface>,
    pub(crate) operation: Arc<Operation>,
}

type PathParams = HashMap<String, String>;

/// A request whose body is there.
struct Received {
    path_params: PathParams,
    params: Params,
    parts: Parts,
    raw_body: Vec<u8>,
    deadline: Instant,
}

impl Endpoint {
    /// Serves one request.
    pub(crate) async fn serve(self, path: Result<Path<PathParams>, PathRejection>, request: Request) -> Response {
        let began = Instant::now();
        let Operation { method, path: route, .. } = self.operation.as_ref();
        // The route's pattern, never the path: a path may hold a patient's link.
        let span = tracing::info_span!(
            "http",
            otel.name = %format!("{method} {route}"),
            otel.kind = "server",
            http.request.method = %method,
            http.route = %route,
            http.response.status_code = Empty,
        );
        rpc::trace::set_parent(&span, request.headers());
        let mut response = self.respond(path, request).instrument(span.clone()).await;
        let status = response.status().as_u16();
        span.record("http.response.status_code", status);
        let duration = began.elapsed();
        metrics::counter!("http_requests_total", "route" => route.clone(), "method" => method.to_string(), "status" => status.to_string()).increment(1);
        metrics::histogram!("http_request_seconds", "route" => route.clone()).record(duration);
        let timing = format!("total;dur={:.3}", duration.as_secs_f64() * 1000.0);
        if let Ok(value) = HeaderValue::try_from(timing) {
            response.headers_mut().insert("server-timing", value);
        }
        response
    }

    async fn respond(&self, path: Result<Path<PathParams>, PathRejection>, request: Request) -> Response {
        let reader = Reader::of(&request);
        let Ok(Path(path_params)) = path else {
            let detail = "the path is not percent-encoded UTF-8";
            return self.interface.error_for(Fault::new(Code::MalformedRequest, detail), &reader);
        };
        let mut trail = Trail::new(request.extensions());
        let handled = self.receive(&mut trail, path_params, request).await;
        let (inner, operation) = (&self.inner, &self.operation);
        match handled {
            Ok((reply, quota)) => {
                inner.audit.answered(inner, operation, &trail, &reply);
                with_quota(reply.into_response(), quota)
            }
            Err(fault) => {
                inner.audit.refused(inner, operation, &trail, &fault);
                self.interface.error_for(fault, &reader)
            }
        }
    }

    /// Receives a request in full, and handles it. It takes its place only then: a slow client shuts nobody out.
    async fn receive(
        &self,
        trail: &mut Trail,
        path_params: PathParams,
        request: Request,
    ) -> Result<(Reply, Quota), Fault> {
        let Self { inner, operation, .. } = self;
        let (parts, body) = request.into_parts();
        trail.path(&path_params);
        let time = Duration::from_millis(inner.config.deadline_ms);
        let admitted = admit(inner, operation, &path_params, &parts, LimitedKeys::Kept, trail);
        let admitted = tokio::time::timeout(time, admitted).await;
        let admitted = admitted.map_err(|_| Fault::deadline_exceeded())??;
        let quota = admitted.quota;
        characters::check_pairs(&path_params)?;
        let query = parts.uri.query().unwrap_or_default();
        let parse = if operation.is_lenient { Params::parse_known } else { Params::parse };
        let params = parse(&operation.params, query)?;
        trail.query(operation, &params);
        let raw_body = read_within_time(inner, operation, body, admitted.network).await?;
        let _permit = take_place(inner, operation)?;
        let deadline = Instant::now() + time;
        let received = Received { path_params, params, parts, raw_body, deadline };
        let handled = tokio::time::timeout(time, self.handle(trail, admitted, received)).await;
        let reply = handled.map_err(|_| Fault::deadline_exceeded())??;
        Ok((reply, quota))
    }

    async fn handle(&self, trail: &Trail, admitted: Admitted, received: Received) -> Result<Reply, Fault> {
        let Self { inner, operation, interface } = self;
        let Received { path_params, params, parts, raw_body, deadline } = received;
        let idempotency = idempotency_key(operation, &parts.headers, &parts.uri, &raw_body)?;
        let (body, form) = parse_body(&interface.schemas, operation, &parts.headers, &raw_body)?;
        let Admitted { caller, visitor, .. } = admitted;
        let known = parts.headers.get(header::IF_NONE_MATCH).cloned();
        let mut call = Call {
            inner: inner.clone(),
            schemas: interface.schemas.clone(),
            caller,
            visitor,
            operation_id: operation.id.clone(),
            params,
            path_params,
            headers: parts.headers,
            body,
            form,
            raw_body,
            idempotency,
            deadline,
            link_organization: Arc::clone(&trail.link_organization),
        };
        let guard = Guard::check(interface, operation, &mut call).await?;
        let reply = match operation.replayed_by_gateway {
            true => idempotency::handle_once(call, operation.handler).await?,
            false => (operation.handler)(call).await?,
        };
        let reply = match guard {
            Some(guard) => guard.cut(reply).await?,
            None => reply,
        };
        // After the cut: two callers may be answered differently.
        let reply = if operation.revalidates { reply.etag_of_body(operation.is_public) } else { reply };
        Ok(if operation.is_write() { reply } else { reply.unless_known(known.as_ref()) })
    }
}

/// Reads a body within the time that a client has for it.
async fn read_within_time(inner: &Inner, operation: &Operation, body: Body, network: IpAddr) -> Result<Vec<u8>, Fault> {
    let time = inner.config.connections.body_timeout();
    let read = tokio::time::timeout(time, read_bytes(inner, operation, body, network)).await;
    read.unwrap_or_else(|_| {
        let detail = format!("the body did not come within {} ms", time.as_millis());
        Err(Fault::new(Code::RequestTimeout, detail))
    })
}

/// Reads a body. Of an oversized body the rest is read and discarded up to a limit: a client that is still writing when the
/// connection closes never sees the answer.
async fn read_bytes(inner: &Inner, operation: &Operation, body: Body, network: IpAddr) -> Result<Vec<u8>, Fault> {
    let configured = inner.config.body_bytes_max;
    let bytes_max = operation.body_limit.map_or(configured, |limit| limit.bytes.max(configured));
    let mut kept = inner.bodies.begin(network);
    let mut bytes = Vec::new();
    let mut read = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Fault::new(Code::MalformedRequest, "the body broke off"))?;
        read += chunk.len();
        if read <= bytes_max {
            kept.grow(chunk.len())?;
            bytes.extend_from_slice(&chunk);
        } else if read > DISCARDED_BYTES_MAX {
            break;
        }
    }
    if read <= bytes_max {
        return Ok(bytes);
    }
    let advice = operation.body_limit.map(|limit| format!("; {}", limit.advice)).unwrap_or_default();
    Err(Fault::new(Code::PayloadTooLarge, format!("a body may have at most {bytes_max} bytes{advice}")))
}

/// The idempotency key of a POST, with the fingerprint of its path, query and body.
fn idempotency_key(
    operation: &Operation,
    headers: &HeaderMap,
    uri: &Uri,
    body: &[u8],
) -> Result<Option<Idempotency>, Fault> {
    let Some(value) = headers.get("idempotency-key").filter(|_| operation.method == Method::POST) else {
        return Ok(None);
    };
    let key = visible_key(value)?;
    let path_and_query = uri.path_and_query().map_or(uri.path(), |both| both.as_str());
    let fingerprint = hex_digest(&[path_and_query.as_bytes(), &[0], body]);
    let key = match operation.access {
        // All patients with a link are one caller. The path holds the link, so its digest keeps their keys apart.
        Access::Open => format!("{} {key}", &hex_digest(&[uri.path().as_bytes()])[..32]),
        _ => key,
    };
    Ok(Some(Idempotency { key, fingerprint }))
}

/// The text of an idempotency key.
///
/// # Errors
/// `invalid_parameter` unless it is 1 to 255 visible ASCII characters.
pub(crate) fn visible_key(value: &HeaderValue) -> Result<String, Fault> {
    let is_visible = |key: &&str| (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    value.to_str().ok().filter(is_visible).map(str::to_owned).ok_or_else(|| {
        let fault = Fault::violation("Idempotency-Key", "invalid_key", "give 1 to 255 visible ASCII characters");
        Fault { code: Code::InvalidParameter, ..fault }
    })
}

/// SHA-256 in hexadecimal.
pub(crate) fn hex_digest(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A JSON body or a calendar file, and the pairs of a form.
type ParsedBody = (Value, Vec<(String, String)>);

fn parse_body(
    schemas: &Schemas,
    operation: &Operation,
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<ParsedBody, Fault> {
    let Some(body) = operation.body else { return Ok((Value::Null, vec![])) };
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json =
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    let schema = match body {
        operation::Body::Form => return Ok((Value::Null, parse_form(is_json, bytes)?)),
        operation::Body::Calendar { .. } if !is_json => return Ok((parse_calendar(&media_type, bytes)?, vec![])),
        operation::Body::Calendar { url_schema } => Some(url_schema),
        operation::Body::Json(schema) => Some(schema),
        operation::Body::MergePatch => None,
    };
    if operation.body_optional && bytes.is_empty() {
        return Ok((Value::Object(serde_json::Map::new()), vec![]));
    }
    if !is_json {
        return Err(Fault::new(Code::UnsupportedMediaType, "send JSON with `Content-Type: application/json`"));
    }
    let value = parse_json(bytes)?;
    let checked = schema.map_or(Ok(()), |schema| schemas.check(schema, &value));
    both(characters::check_json(&value), checked)?;
    Ok((value, vec![]))
}

/// Parses a provider's form. Its JSON is left to the service: a signature may cover each byte.
fn parse_form(is_json: bool, bytes: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    if is_json {
        characters::check_surrogates(bytes)?;
        serde_json::from_slice(bytes).ok().map_or(Ok(()), |value| characters::check_json(&value))?;
        return Ok(vec![]);
    }
    let form = params::pairs(utf8(bytes)?).map_err(|()| not_utf8())?;
    characters::check_pairs(form.iter().map(|(name, value)| (name, value)))?;
    Ok(form)
}

fn parse_calendar(media_type: &str, bytes: &[u8]) -> Result<Value, Fault> {
    if media_type != "text/calendar" {
        let detail = "send an iCalendar file with `Content-Type: text/calendar`, or the `url` of one as JSON";
        return Err(Fault::new(Code::UnsupportedMediaType, detail));
    }
    let file = Value::from(utf8(bytes)?);
    characters::check_json(&file)?;
    Ok(file)
}

fn parse_json(bytes: &[u8]) -> Result<Value, Fault> {
    utf8(bytes)?;
    characters::check_surrogates(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!("the body is not JSON: see line {}, column {}", error.line(), error.column());
        Fault::new(Code::MalformedRequest, detail)
    })
}

/// Joins the violations of two checks.
fn both(first: Result<(), Fault>, second: Result<(), Fault>) -> Result<(), Fault> {
    match (first, second) {
        (Err(mut fault), Err(more)) => {
            fault.violations.extend(more.violations);
            Err(fault)
        }
        (first, second) => first.and(second),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| not_utf8())
}

fn not_utf8() -> Fault {
    Fault::new(Code::MalformedRequest, "the body is not valid UTF-8")
}

fn with_quota(mut response: Response, quota: Quota) -> Response {
    let Quota { tokens, per_second } = quota;
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    set("ratelimit-policy", format!("\"default\";q={per_second};w=1"));
    set("ratelimit", format!("\"default\";r={tokens};t=1"));
    response
}
