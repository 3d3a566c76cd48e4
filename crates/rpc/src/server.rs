//! What stands in front of every service, over TCP and in process alike: the deadline, the trace, a limit on
//! concurrent calls, metrics, and a net under panics.

use std::{
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{extract::Request, middleware::Next, response::Response};
use futures::FutureExt;
use runtime::Shutdown;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Status, service::Routes};
use tracing::{Instrument, field::Empty};

use crate::{
    Code, Fault,
    context::{DEFAULT_DEADLINE, Deadline},
    trace,
};

/// Calls that one process serves at a time; more are refused at once as `overloaded`.
const CONCURRENCY_MAX: usize = 1024;
/// The longest deadline that a caller may ask for.
const DEADLINE_MAX: Duration = Duration::from_secs(60);

/// Puts the guard in front of a service's routes. Both transports serve what this returns.
pub fn guard(routes: Routes) -> Routes {
    let places = Arc::new(Semaphore::new(CONCURRENCY_MAX));
    let guarded = routes.prepare().into_axum_router().layer(axum::middleware::from_fn(move |request, next| {
        let places = places.clone();
        async move { serve(places, request, next).await }
    }));
    Routes::from(guarded)
}

async fn serve(places: Arc<Semaphore>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let (service, method) = path.split_once('/').unwrap_or((path, ""));
    let (service, method) = (service.to_owned(), method.to_owned());
    let span = tracing::info_span!(
        "rpc",
        otel.name = %format!("{service}/{method}"),
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.service = %service,
        rpc.method = %method,
        rpc.code = Empty,
    );
    trace::adopt(&span, request.headers());
    let began = Instant::now();
    let allowed = timeout(request.headers()).unwrap_or(DEFAULT_DEADLINE).min(DEADLINE_MAX);
    request.extensions_mut().insert(Deadline(began + allowed));
    let answer = async {
        let Ok(_place) = places.try_acquire() else {
            return refuse(Fault::new(Code::Overloaded, "too much is going on; try again shortly"));
        };
        // The handler's future is dropped at the deadline, and all that it waits for with it.
        let work = AssertUnwindSafe(next.run(request)).catch_unwind();
        match tokio::time::timeout(allowed, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => refuse(Fault::internal("a handler panicked")),
            Err(_) => refuse(Fault::new(Code::DeadlineExceeded, "the time allowed for the request ran out")),
        }
    };
    let answer = answer.instrument(span.clone()).await;
    let code = answer.headers().get("grpc-status").and_then(|code| code.to_str().ok()).unwrap_or("0").to_owned();
    span.record("rpc.code", &code);
    metrics::counter!("rpc_server_requests_total", "service" => service, "method" => method.clone(), "code" => code)
        .increment(1);
    metrics::histogram!("rpc_server_seconds", "method" => method).record(began.elapsed());
    answer
}

fn refuse(fault: Fault) -> Response {
    Status::from(fault).into_http()
}

/// Reads `grpc-timeout`: up to eight digits and a unit
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
fn timeout(headers: &http::HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// A gRPC server over TCP, with the standard health and reflection services beside its own.
pub struct Server {
    routes: Routes,
}

impl Server {
    /// A server for these routes; `descriptors` are the encoded contracts, `services` their full names.
    ///
    /// # Errors
    /// When the descriptors cannot be read.
    pub async fn new(
        guarded: Routes,
        descriptors: &[u8],
        services: &[&str],
    ) -> Result<Self, tonic_reflection::server::Error> {
        let (reporter, health) = tonic_health::server::health_reporter();
        for service in services {
            reporter.set_service_status(*service, tonic_health::ServingStatus::Serving).await;
        }
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        Ok(Self { routes: guarded.add_service(health).add_service(reflection) })
    }

    /// Serves until draining has begun and every running call is answered.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) -> Result<(), tonic::transport::Error> {
        tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(20)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            .max_concurrent_streams(1024)
            .tcp_nodelay(true)
            .add_routes(self.routes)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move { shutdown.begun().await })
            .await
    }
}

/// Opens a listening socket and says on which address.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn listen(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}
