//! From an HTTP request to its operation's handler and back: trace, authentication, limits, parameters, body,
//! deadline, audit.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Path, Request, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    response::Response,
};
use futures::StreamExt;
use rpc::{Code, Fault, Idempotency};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::{Instrument, field::Empty};

use crate::{
    Inner, audit,
    auth::{self, Caller},
    call::{Call, Reply},
    characters, idempotency,
    operation::{Access, Operation},
    params::{self, Params},
    v1::problem,
};

/// How much of a body that is too large is read and thrown away.
const DRAINED_BYTES_MAX: usize = 32 << 20;

/// Serves one request.
pub(crate) async fn serve(
    inner: Arc<Inner>,
    operation: Arc<Operation>,
    path: Result<Path<HashMap<String, String>>, PathRejection>,
    request: Request,
) -> Response {
    let began = Instant::now();
    // The route's pattern, never the path: a path may hold a patient's link.
    let span = tracing::info_span!(
        "http",
        otel.name = %format!("{} {}", operation.method, operation.path),
        otel.kind = "server",
        http.request.method = %operation.method,
        http.route = %operation.path,
        http.response.status_code = Empty,
    );
    rpc::trace::set_parent(&span, request.headers());
    let deadline = Duration::from_millis(inner.config.deadline_ms);
    let answered = async {
        let Ok(_place) = inner.places.clone().try_acquire_owned() else {
            return problem::answer(Fault::new(Code::Overloaded, "too much is going on; try again shortly"));
        };
        let Ok(Path(path)) = path else {
            return problem::answer(Fault::new(Code::MalformedRequest, "the path is not percent-encoded UTF-8"));
        };
        let work = handle(&inner, &operation, path, request, began + deadline);
        match tokio::time::timeout(deadline, work).await {
            Ok(Ok((reply, limits))) => with_limits(reply.into_response(), limits),
            Ok(Err(fault)) => problem::answer(fault),
            Err(_) => problem::answer(Fault::new(Code::DeadlineExceeded, "the time allowed for the request ran out")),
        }
    };
    let mut response = answered.instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    let took = began.elapsed();
    metrics::counter!("http_requests_total", "route" => operation.path.clone(), "method" => operation.method.to_string(), "status" => status.to_string()).increment(1);
    metrics::histogram!("http_request_seconds", "route" => operation.path.clone()).record(took);
    let timing = format!("total;dur={:.3}", took.as_secs_f64() * 1000.0);
    if let Ok(value) = HeaderValue::try_from(timing) {
        response.headers_mut().insert("server-timing", value);
    }
    response
}

async fn handle(
    inner: &Arc<Inner>,
    operation: &Operation,
    path: HashMap<String, String>,
    request: Request,
    deadline: Instant,
) -> Result<(Reply, (u32, u32)), Fault> {
    let (parts, body) = request.into_parts();
    let caller = admit(inner, operation, &parts.headers).await?;
    let limits = inner.limits.take(&caller.name, inner.config.requests_per_second)?;
    characters::check_pairs(&path)?;
    let params = Params::read(&operation.params, parts.uri.query().unwrap_or_default())?;
    let bytes = collect(inner, operation, body).await?;
    let idempotency = idempotency(operation, &parts.headers, &parts.uri, &bytes)?;
    let (body, form) = read_body(inner, operation, &parts.headers, &bytes)?;
    let call = Call {
        inner: inner.clone(),
        caller: caller.clone(),
        action: operation.id.clone(),
        params,
        path,
        headers: parts.headers,
        body,
        form,
        raw: bytes,
        idempotency,
        deadline,
        link_of: Arc::default(),
    };
    let link_of = call.link_of.clone();
    let reply = match operation.keeps {
        true => idempotency::once(call, operation.handler).await?,
        false => (operation.handler)(call).await?,
    };
    let caller = link_of.get().map_or(caller, |organization| Caller::patient(*organization));
    audit::note(inner, operation, &caller, &reply);
    Ok((reply, limits))
}

async fn admit(inner: &Inner, operation: &Operation, headers: &HeaderMap) -> Result<Caller, Fault> {
    match operation.access {
        Access::Open => Ok(Caller::patient(inner.default_organization)),
        Access::Scopes(scopes) => {
            let caller = auth::caller(inner, headers).await?;
            scopes.iter().try_for_each(|scope| caller.needs(*scope))?;
            Ok(caller)
        }
        Access::Installation => {
            let caller = auth::caller(inner, headers).await?;
            if caller.installation {
                return Ok(caller);
            }
            Err(Fault::new(Code::Forbidden, "only the installation's own key may do this"))
        }
    }
}

/// Reads a body. One that is too large is read on for a while and thrown away: whoever is still writing when the
/// connection closes would never see the answer.
async fn collect(inner: &Inner, operation: &Operation, body: Body) -> Result<Vec<u8>, Fault> {
    let usual = inner.config.body_bytes_max;
    let most = operation.body_bytes.map_or(usual, |(most, _)| most.max(usual));
    let mut bytes = Vec::new();
    let mut seen = 0;
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| Fault::new(Code::MalformedRequest, "the body broke off"))?;
        seen += part.len();
        if seen <= most {
            bytes.extend_from_slice(&part);
        } else if seen > DRAINED_BYTES_MAX {
            break;
        }
    }
    if seen <= most {
        return Ok(bytes);
    }
    let advice = operation.body_bytes.map(|(_, advice)| format!("; {advice}")).unwrap_or_default();
    Err(Fault::new(Code::PayloadTooLarge, format!("a body may have at most {most} bytes{advice}")))
}

fn idempotency(
    operation: &Operation,
    headers: &HeaderMap,
    uri: &Uri,
    body: &[u8],
) -> Result<Option<Idempotency>, Fault> {
    let Some(value) = headers.get("idempotency-key").filter(|_| operation.method == Method::POST) else {
        return Ok(None);
    };
    let key =
        value.to_str().ok().filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()));
    let Some(key) = key else {
        let detail = "give 1 to 255 visible ASCII characters";
        let fault = Fault::violation("Idempotency-Key", "invalid_key", detail);
        return Err(Fault { code: Code::InvalidParameter, ..fault });
    };
    let hash = |parts: &[&[u8]]| -> String {
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let whole = uri.path_and_query().map_or(uri.path(), |whole| whole.as_str());
    let fingerprint = hash(&[whole.as_bytes(), &[0], body]);
    let key = match operation.access {
        // All who hold a link are one caller: the key of one link is not that of another. The path has the link.
        Access::Open => format!("{} {key}", &hash(&[uri.path().as_bytes()])[..32]),
        _ => key.to_owned(),
    };
    Ok(Some(Idempotency { key, fingerprint }))
}

type Read = (Value, Vec<(String, String)>);

fn read_body(inner: &Inner, operation: &Operation, headers: &HeaderMap, bytes: &[u8]) -> Result<Read, Fault> {
    let Some(schema) = operation.body else { return Ok((Value::Null, vec![])) };
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"));
    if schema == "Form" {
        // What a provider sends as JSON is for the service to read: a signature may cover each of its bytes.
        if json {
            characters::check_surrogates(bytes)?;
            serde_json::from_slice(bytes).ok().map_or(Ok(()), |value| characters::check_json(&value))?;
            return Ok((Value::Null, vec![]));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| not_utf8())?;
        let form = params::pairs(text).map_err(|()| not_utf8())?;
        characters::check_pairs(form.iter().map(|(name, value)| (name, value)))?;
        return Ok((Value::Null, form));
    }
    if schema == "Calendar" && !json {
        if media != "text/calendar" {
            let detail = "send an iCalendar file with `Content-Type: text/calendar`, or the `url` of one as JSON";
            return Err(Fault::new(Code::UnsupportedMediaType, detail));
        }
        let file = Value::from(std::str::from_utf8(bytes).map_err(|_| not_utf8())?);
        characters::check_json(&file)?;
        return Ok((file, vec![]));
    }
    if operation.body_optional && bytes.is_empty() {
        return Ok((Value::Object(serde_json::Map::new()), vec![]));
    }
    if !json {
        return Err(Fault::new(Code::UnsupportedMediaType, "send JSON with `Content-Type: application/json`"));
    }
    std::str::from_utf8(bytes).map_err(|_| not_utf8())?;
    characters::check_surrogates(bytes)?;
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("the body is not JSON: see line {}, column {}", error.line(), error.column());
        Fault::new(Code::MalformedRequest, place)
    })?;
    let schema = if schema == "Calendar" { "CalendarAddress" } else { schema };
    all(characters::check_json(&value), inner.schemas.check(schema, &value))?;
    Ok((value, vec![]))
}

/// The faults of two checks together.
fn all(one: Result<(), Fault>, other: Result<(), Fault>) -> Result<(), Fault> {
    match (one, other) {
        (Err(mut fault), Err(more)) => {
            fault.violations.extend(more.violations);
            Err(fault)
        }
        (one, other) => one.and(other),
    }
}

fn not_utf8() -> Fault {
    Fault::new(Code::MalformedRequest, "the body is not valid UTF-8")
}

fn with_limits(mut response: Response, (left, most): (u32, u32)) -> Response {
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    set("ratelimit-policy", format!("\"default\";q={most};w=1"));
    set("ratelimit", format!("\"default\";r={left};t=1"));
    response
}
