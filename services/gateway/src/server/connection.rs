//! One connection: HTTP/1.1 or HTTP/2 as the client begins, until it ends, expires or the gateway drains.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, header},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use rpc::{Code, Fault};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tower::ServiceExt;

use super::{
    activity::{Activity, Expired, Limits},
    exchange::{AnswerBody, Exchange},
    places::Place,
    socket::Socket,
};
use crate::{Inner, config::Connections};

/// The largest head of a request, and what HTTP/1.1 reads ahead of a body.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The largest list of headers in HTTP/2, and the most headers in HTTP/1.1.
const HEADERS: (u32, usize) = (32 << 10, 100);
/// What HTTP/2 receives ahead: for one request, and for all of a connection.
const WINDOWS: (u32, u32) = (64 << 10, 256 << 10);
/// What HTTP/2 keeps of one answer for a slow client.
const SEND_BYTES_MAX: usize = 64 << 10;
/// Requests that a client of HTTP/2 began and reset before they were served, until the connection ends (CVE-2023-44487).
const RESETS_MAX: usize = 20;
/// The interval of pings in HTTP/2, and the time for their answers.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// The time for a connection to say that it closes.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves a connection, with TLS where it is configured.
pub(super) async fn serve(inner: Arc<Inner>, stream: TcpStream, peer: SocketAddr, router: Router, place: Place) {
    let Some(certificate) = inner.certificate.clone() else { return carry(inner, stream, peer, router, place).await };
    let time = Duration::from_millis(inner.config.connections.header_timeout_ms);
    let acceptor = certificate.acceptor().await;
    // A client that fails here has gone, speaks no TLS or does not trust the certificate.
    if let Ok(Ok(stream)) = tokio::time::timeout(time, acceptor.accept(stream)).await {
        carry(inner, stream, peer, router, place).await;
    }
}

/// Serves the requests of a connection.
async fn carry(
    inner: Arc<Inner>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    place: Place,
) {
    let activity = place.activity.clone();
    let limits = Limits::from(&inner.config.connections);
    let socket = TokioIo::new(Socket { inner: stream, activity: activity.clone() });
    let service = {
        let (activity, inner) = (activity.clone(), inner.clone());
        service_fn(move |request| respond(inner.clone(), activity.clone(), peer, router.clone(), request))
    };
    let builder = builder(&inner.config.connections);
    let mut connection = pin!(builder.serve_connection(socket, service));
    let mut is_draining = false;
    let expired = loop {
        tokio::select! {
            // An error is the client's.
            _ = connection.as_mut() => return,
            expired = activity.expired(limits) => break expired,
            () = inner.draining.begun(), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    metrics::counter!("http_connections_expired_total", "reason" => expired.as_str()).increment(1);
    if expired != Expired::Stalled {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(FAREWELL, connection).await;
    }
}

fn builder(config: &Connections) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // The activity limits the time of a head, of HTTP/2's too.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None::<Duration>)
        .max_headers(HEADERS.1)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.http2_requests_max)
        .max_header_list_size(HEADERS.0)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1);
    builder
}

async fn respond(
    inner: Arc<Inner>,
    activity: Arc<Activity>,
    peer: SocketAddr,
    router: Router,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let exchange = Exchange::begin(activity, &request);
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = match exchange.is_ambiguous {
        true => ambiguous(&inner),
        false => router.oneshot(request).await?,
    };
    Ok(response.map(|body| AnswerBody::new(body, exchange)))
}

/// The refusal of a body with two lengths: a proxy before the gateway may have read another one (RFC 9112, section 6.3).
fn ambiguous(inner: &Inner) -> Response<Body> {
    let detail = "give the length of the body once: by Content-Length or by Transfer-Encoding";
    let mut response = inner.default_interface().error(Fault::new(Code::MalformedRequest, detail));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
