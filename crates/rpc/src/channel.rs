//! How calls travel: over TCP, or straight into a server in the same process without a socket.
//!
//! Both ways look the same to a generated client, pass the same client layer on the way out (trace, deadline, metrics)
//! and meet the same guard on the way in. A call that cannot be made is answered by a [`Fault`] like any other.

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
    call_metrics::{End, Methods, Tally},
    context::DEFAULT_DEADLINE,
    guard::timeout,
    trace,
};

/// The headers of an answer, of which a fault with all its violations takes the most.
const HEADER_BYTES_MAX: u32 = 512 * 1024;

static METHODS: LazyLock<Methods> = LazyLock::new(Methods::default);

/// Why a call never reached its server.
pub type TransportError = Box<dyn std::error::Error + Send + Sync>;

/// A way to a service; cheap to clone.
#[derive(Clone)]
pub struct Channel(Way);

#[derive(Clone)]
enum Way {
    Tcp(tonic::transport::Channel),
    InProcess(Arc<OnceLock<Routes>>),
}

impl Channel {
    /// A way over TCP; connects when first used, and again whenever the connection is lost.
    ///
    /// # Errors
    /// When the URI is malformed.
    pub fn connect(uri: &str) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(uri.to_owned())?
            .connect_timeout(Duration::from_secs(2))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .http2_max_header_list_size(HEADER_BYTES_MAX);
        Ok(Self(Way::Tcp(endpoint.connect_lazy())))
    }

    /// A way into a server of this process; `guarded` comes from [`crate::guard`].
    pub fn in_process(guarded: Routes) -> Self {
        let channel = Self::pending();
        channel.bind(guarded);
        channel
    }

    /// A way into a server of this process that is not built yet, for services that call each other.
    pub fn pending() -> Self {
        Self(Way::InProcess(Arc::new(OnceLock::new())))
    }

    /// Leads a pending way to its server. The first binding counts.
    pub fn bind(&self, guarded: Routes) {
        if let Way::InProcess(routes) = &self.0 {
            let _ = routes.set(guarded);
        }
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = TransportError;
    type Future = BoxFuture<'static, Result<Response<Body>, TransportError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.0 {
            Way::Tcp(channel) => channel.poll_ready(cx).map_err(Into::into),
            Way::InProcess(_) => Poll::Ready(Ok(())),
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
        let tally = Tally::begin(End::Client, &METHODS, &path);
        let answer: BoxFuture<'static, Result<Response<Body>, TransportError>> = match &mut self.0 {
            Way::Tcp(channel) => {
                let answer = channel.call(request);
                Box::pin(async move { answer.await.map_err(Into::into) })
            }
            Way::InProcess(routes) => match routes.get() {
                Some(routes) => {
                    let answer = routes.clone().call(request);
                    Box::pin(async move { answer.await.map_err(|never| match never {}) })
                }
                None => Box::pin(std::future::ready(Ok(starting()))),
            },
        };
        Box::pin(finish(allowed, answer, tally, span.clone()).instrument(span))
    }
}

/// Waits for the answer until the deadline: connecting takes time too, and the other side may have fallen silent.
async fn finish(
    allowed: Duration,
    answer: BoxFuture<'static, Result<Response<Body>, TransportError>>,
    tally: Tally,
    span: Span,
) -> Result<Response<Body>, TransportError> {
    let answer = match tokio::time::timeout(allowed, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Status::from(failed(&*error)).into_http(),
        Err(_) => Status::from(Fault::out_of_time()).into_http(),
    };
    tally.finish(answer.headers(), &span);
    Ok(answer)
}

fn starting() -> Response<Body> {
    let fault = Fault::new(Code::Unavailable, "the service is still starting; try again shortly");
    Status::from(fault).into_http()
}

/// What a failure of the transport means to the caller.
fn failed(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Fault {
    let error: &(dyn std::error::Error + 'static) = error;
    let causes = || std::iter::successors(Some(error), |error| error.source());
    if causes().any(|cause| cause.is::<TimeoutExpired>()) {
        return Fault::out_of_time();
    }
    let error = causes().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    tracing::info!(%error, "a service could not be reached");
    Fault::unreachable()
}
