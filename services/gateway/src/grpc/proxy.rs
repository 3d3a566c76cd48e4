//! The path of a client's call: trace, access, rate limit, deadline, and the call itself as bytes.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, BodyStream, Empty as EmptyBody, Full, Limited, StreamBody};
use rpc::{Code, Context, Fault, Idempotency};
use tonic::Status;
use tower::ServiceExt;
use tracing::{Instrument, field::Empty};

use super::{
    frame, ids, is_call,
    methods::{Answer, Method},
    refuse, texts,
};
use crate::{
    Inner,
    admission::{Admitted, admit, take_place},
    audit::Trail,
    auth::LimitedKeys,
    dispatch,
    operation::Operation,
    reply::Reply,
    streams::{self, Place},
};

/// The largest answer that is read for the ids in it: the largest that a role sends.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// The headers of an answer that clients get.
const PASSED: [&str; 7] = [
    "content-type",
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "meridian-code",
    "meridian-revision",
    "meridian-replayed",
];

/// A public method, with the state that it needs.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) inner: Arc<Inner>,
    pub(super) method: &'static Method,
    /// The operation of REST that has the same access.
    pub(super) operation: Arc<Operation>,
}

impl Endpoint {
    /// Serves one call.
    pub(super) async fn serve(self, request: Request) -> Response {
        if !is_call(&request) {
            let detail = "this path is a gRPC method: send `Content-Type: application/grpc`";
            return self.inner.default_interface().error(Fault::new(Code::UnsupportedMediaType, detail));
        }
        let began = Instant::now();
        let span = tracing::info_span!(
            "grpc",
            otel.name = self.method.name,
            otel.kind = "server",
            rpc.system = "grpc",
            rpc.code = Empty,
        );
        rpc::trace::set_parent(&span, request.headers());
        let configured = Duration::from_millis(self.inner.config.deadline_ms);
        let allowed = rpc::timeout(request.headers()).unwrap_or(configured).min(configured);
        let mut trail = Trail::new(request.extensions());
        let work = self.handle(&mut trail, request, began + allowed).instrument(span.clone());
        let answer = tokio::time::timeout(allowed, work).await.unwrap_or_else(|_| Err(Fault::deadline_exceeded()));
        match &answer {
            Ok((_, reply)) => self.inner.audit.answered(&self.inner, &self.operation, &trail, reply),
            Err(fault) => self.inner.audit.refused(&self.inner, &self.operation, &trail, fault),
        }
        let answer = answer.map(|(answer, _)| answer);
        let code = answer.as_ref().err().map(|fault| fault.code);
        span.record("rpc.code", code.map_or("ok", Code::as_str));
        let status = code.map_or(200, Code::http).to_string();
        metrics::counter!("http_requests_total", "route" => self.method.name, "method" => "POST", "status" => status)
            .increment(1);
        metrics::histogram!("http_request_seconds", "route" => self.method.name).record(began.elapsed());
        answer.unwrap_or_else(refuse)
    }

    /// The answer of a call, and what the audit log gets of it.
    async fn handle(&self, trail: &mut Trail, request: Request, deadline: Instant) -> Result<(Response, Reply), Fault> {
        let Self { inner, method, operation } = self;
        let (parts, body) = request.into_parts();
        let admitted = admit(inner, operation, &HashMap::new(), &parts, LimitedKeys::Refused, trail).await?;
        let Admitted { caller, visitor, network, .. } = admitted;
        method.scope.map_or(Ok(()), |scope| caller.require(scope))?;
        let is_stream = method.answer == Answer::Stream;
        let stream = is_stream.then(|| streams::place(inner, &caller, visitor.as_ref())).transpose()?;
        let mut kept = inner.bodies.begin(network);
        let message = frame::read(body, inner.config.body_bytes_max, &mut kept).await?;
        let _permit = take_place(inner, operation)?;
        texts::check(method.name, &message)?;
        let idempotency = idempotency(&parts.headers, method, &message)?;
        let message = method.adjust.map_or(Ok(message.clone()), |adjust| adjust(&caller, message))?;
        let asked = ids::find(&message);
        trail.path(&asked.target.into_iter().map(|id| ("id".to_owned(), id)).collect());
        let context = Context {
            organization: caller.organization,
            caller: caller.name,
            visitor,
            deadline,
            idempotency,
            revision: text(&parts.headers, "meridian-revision"),
        };
        let answer = self.forward(&context, &message).await?;
        let reply = Reply { patient: asked.patient, ..Reply::empty(operation.status) };
        match stream {
            Some(place) => Ok((held_open(inner, answer, place), reply)),
            None if method.answer == Answer::List => Ok((answer, reply)),
            None => whole(answer, reply).await,
        }
    }

    /// Calls the service; the metadata of the client's call stays behind.
    async fn forward(&self, context: &Context, message: &Bytes) -> Result<Response, Fault> {
        let mut headers = context.forward(()).into_parts().0.into_headers();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(super::MEDIA_TYPE));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        let body = tonic::body::Body::new(Full::new(frame::write(message)));
        let request = axum::http::Request::post(format!("/{}", self.method.name)).version(axum::http::Version::HTTP_2);
        let mut request = request.body(body).map_err(Fault::internal)?;
        *request.headers_mut() = headers;
        let answer = self.inner.channel(self.method.name).oneshot(request).await;
        let (mut parts, body) = answer.map_err(|_| Fault::unreachable())?.into_parts();
        let passed = |name: &HeaderName| PASSED.contains(&name.as_str());
        parts.headers =
            parts.headers.into_iter().filter_map(|(name, value)| Some((name.filter(&passed)?, value))).collect();
        match Status::from_header_map(&parts.headers) {
            Some(status) if status.code() != tonic::Code::Ok => Err(Fault::from_status(&status)),
            _ => Ok(Response::from_parts(parts, Body::new(body))),
        }
    }
}

/// Reads an answer with one resource, for the ids at the top of it.
async fn whole(answer: Response, reply: Reply) -> Result<(Response, Reply), Fault> {
    let (parts, body) = answer.into_parts();
    let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let read = read.map_err(|_| Fault::new(Code::Unavailable, "the answer broke off"))?;
    let trailers = read.trailers().cloned();
    let bytes = read.to_bytes();
    if let Some(status) = trailers.as_ref().and_then(Status::from_header_map)
        && status.code() != tonic::Code::Ok
    {
        return Err(Fault::from_status(&status));
    }
    let found = ids::find(frame::first(&bytes));
    let reply = Reply { target: found.target, patient: found.patient.or(reply.patient), ..reply };
    let body = Full::new(bytes).with_trailers(std::future::ready(trailers.map(Ok)));
    Ok((Response::from_parts(parts, Body::new(body)), reply))
}

/// The idempotency key of a call, with the fingerprint of its method and message.
fn idempotency(headers: &HeaderMap, method: &Method, message: &Bytes) -> Result<Option<Idempotency>, Fault> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = dispatch::visible_key(value)?;
    Ok(Some(Idempotency { key, fingerprint: dispatch::hex_digest(&[method.name.as_bytes(), &[0], message]) }))
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// An answer that keeps its place until it ends. It ends as `unavailable` when the gateway drains, and as `unauthenticated`
/// when the caller's key is revoked.
pub(super) fn held_open(inner: &Inner, answer: Response, place: Place) -> Response {
    let draining = inner.draining.clone();
    let (parts, body) = answer.into_parts();
    let frames = BodyStream::new(body);
    let frames = futures::stream::unfold(Some((frames, draining, place)), |state| async move {
        let (mut frames, draining, place) = state?;
        let end = tokio::select! {
            frame = frames.next() => return Some((frame?, Some((frames, draining, place)))),
            () = draining.begun() => Fault::new(Code::Unavailable, "the gateway is restarting; begin the stream again"),
            () = place.revoked() => Fault::new(Code::Unauthenticated, "the key is revoked"),
        };
        Some((last_frame(end).next().await?, None))
    });
    Response::from_parts(parts, Body::new(StreamBody::new(frames)))
}

/// The end of a stream that a fault breaks off.
fn last_frame(fault: Fault) -> BodyStream<Body> {
    let mut trailers = HeaderMap::new();
    // It fails only for texts that are no header, and the client sees the end either way.
    let _ = Status::from(fault.for_clients()).add_header(&mut trailers);
    let body = EmptyBody::<Bytes>::new().with_trailers(std::future::ready(Some(Ok(trailers))));
    BodyStream::new(Body::new(body))
}
