//! The transports of a call: TCP, or a server of the same process without a socket.
//!
//! Both look the same to a generated client. Both pass the client layer (trace, deadline, metrics) and the server's guard. A
//! call that cannot be made is answered by a [`Fault`].

use std::{
    sync::{Arc, LazyLock, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::{Status, TimeoutExpired, body::Body, service::Routes, transport::Endpoint};
use tower::Service;
use tracing::{Instrument, Span, field::Empty};

use crate::{
    Code, Fault,
    call_metrics::{CallRecord, Methods, Side},
    context::DEFAULT_DEADLINE,
    guard::timeout,
    tls::{self, Tls, connector},
    trace,
};

/// Most bytes of an answer's headers; a fault with all its violations needs the most.
const HEADER_BYTES_MAX: u32 = 512 * 1024;

static METHODS: LazyLock<Methods> = LazyLock::new(Methods::default);

/// The error of a call that did not reach its server.
pub type TransportError = Box<dyn std::error::Error + Send + Sync>;

/// A client's connection to a service; cheap to clone.
#[derive(Clone)]
pub struct Channel(Transport);

#[derive(Clone)]
enum Transport {
    Tcp(tonic::transport::Channel),
    InProcess(Arc<OnceLock<Routes>>),
}

impl Channel {
    /// A channel over TCP. It connects when first used, and again after the connection is lost.
    ///
    /// # Errors
    /// When the URI is malformed.
    pub fn connect(uri: &str) -> Result<Self, tonic::transport::Error> {
        Ok(Self(Transport::Tcp(endpoint(uri.to_owned())?.connect_lazy())))
    }

    /// As [`Channel::connect`], with mutual TLS to a role, whose name the server's certificate must have. The URI begins with
    /// `https`.
    ///
    /// # Errors
    /// When the URI is malformed.
    pub fn connect_tls(uri: &str, tls: &Tls, role: &str) -> Result<Self, tls::Error> {
        let malformed = || tls::Error::Uri(uri.to_owned());
        let name = tls::server_name(role).map_err(|_| malformed())?;
        // With `https` tonic itself would add TLS, without reading the files again.
        let plain = uri.strip_prefix("https://").map(|rest| format!("http://{rest}")).ok_or_else(malformed)?;
        let endpoint = endpoint(plain).map_err(|_| malformed())?;
        let tls = tls.clone();
        let connector = tower::service_fn(move |uri| connector::connect(tls.clone(), name.clone(), uri));
        Ok(Self(Transport::Tcp(endpoint.connect_with_connector_lazy(connector))))
    }

    /// A channel into a server of this process; `guarded` comes from [`crate::guard`].
    pub fn in_process(guarded: Routes) -> Self {
        let channel = Self::pending();
        channel.bind(guarded);
        channel
    }

    /// A channel into a server of this process that is built later, for services that call each other.
    pub fn pending() -> Self {
        Self(Transport::InProcess(Arc::new(OnceLock::new())))
    }

    /// Binds a pending channel to its server. Only the first binding counts.
    pub fn bind(&self, guarded: Routes) {
        if let Transport::InProcess(routes) = &self.0 {
            let _ = routes.set(guarded);
        }
    }
}

/// The settings of every connection. Its time limit covers the handshake of TLS.
fn endpoint(uri: String) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(uri)?
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(HEADER_BYTES_MAX))
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = TransportError;
    type Future = BoxFuture<'static, Result<Response<Body>, TransportError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.0 {
            Transport::Tcp(channel) => channel.poll_ready(cx).map_err(Into::into),
            Transport::InProcess(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path().trim_start_matches('/').to_owned();
        let span = tracing::info_span!(
            "rpc call",
            otel.name = %path,
            otel.kind = "client",
            otel.status_code = Empty,
            rpc.system = "grpc",
            rpc.code = Empty,
        );
        trace::inject(&span, request.headers_mut());
        let allowed = timeout(request.headers()).unwrap_or(DEFAULT_DEADLINE);
        let record = CallRecord::begin(Side::Client, &METHODS, &path);
        let answer: BoxFuture<'static, Result<Response<Body>, TransportError>> = match &mut self.0 {
            Transport::Tcp(channel) => {
                let answer = channel.call(request);
                Box::pin(async move { answer.await.map_err(Into::into) })
            }
            Transport::InProcess(routes) => match routes.get() {
                Some(routes) => {
                    let answer = routes.clone().call(request);
                    Box::pin(async move { answer.await.map_err(|never| match never {}) })
                }
                None => Box::pin(std::future::ready(Ok(starting()))),
            },
        };
        Box::pin(finish(allowed, answer, record, span.clone()).instrument(span))
    }
}

/// Waits for the answer until the deadline. The deadline covers connecting, and servers that fall silent.
async fn finish(
    allowed: Duration,
    answer: BoxFuture<'static, Result<Response<Body>, TransportError>>,
    record: CallRecord,
    span: Span,
) -> Result<Response<Body>, TransportError> {
    let answer = match tokio::time::timeout(allowed, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Status::from(transport_fault(&*error)).into_http(),
        Err(_) => Status::from(Fault::deadline_exceeded()).into_http(),
    };
    record.finish(answer.headers(), &span);
    Ok(answer)
}

fn starting() -> Response<Body> {
    let fault = Fault::new(Code::Unavailable, "the service is still starting; try again shortly");
    Status::from(fault).into_http()
}

/// The fault for an error of the transport.
fn transport_fault(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Fault {
    let error: &(dyn std::error::Error + 'static) = error;
    let causes = || std::iter::successors(Some(error), |error| error.source());
    if causes().any(|cause| cause.is::<TimeoutExpired>()) {
        return Fault::deadline_exceeded();
    }
    let error = causes().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    tracing::info!(%error, "a service could not be reached");
    Fault::unreachable()
}
