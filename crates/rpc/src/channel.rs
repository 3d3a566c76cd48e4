//! How calls travel: over TCP, or straight into a server in the same process without a socket.
//!
//! Both ways look the same to a generated client, pass the same client layer on the way out and meet the same
//! guard on the way in.

use std::{
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::{body::Body, service::Routes, transport::Endpoint};
use tower::Service;
use tracing::Instrument;

use crate::{Code, Fault, trace};

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
            .keep_alive_while_idle(true);
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
        let span = tracing::info_span!(
            "rpc call",
            otel.name = %request.uri().path().trim_start_matches('/'),
            otel.kind = "client",
            rpc.system = "grpc",
        );
        trace::inject(&span, request.headers_mut());
        match &mut self.0 {
            Way::Tcp(channel) => {
                let answer = channel.call(request);
                Box::pin(async move { answer.await.map_err(Into::into) }.instrument(span))
            }
            Way::InProcess(routes) => match routes.get() {
                Some(routes) => {
                    let answer = routes.clone().call(request);
                    Box::pin(async move { answer.await.map_err(|never| match never {}) }.instrument(span))
                }
                None => {
                    let fault = Fault::new(Code::Unavailable, "the service is still starting; try again shortly");
                    Box::pin(std::future::ready(Ok(tonic::Status::from(fault).into_http())))
                }
            },
        }
    }
}
