//! A service by hand that does what its caller's text asks, and both ways to reach it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use domain::{fault::Faults, id::OrganizationId};
use futures::future::BoxFuture;
use rpc::{Channel, Code, Context, Fault, Idempotency, Server};
use runtime::Shutdown;
use tokio::sync::Notify;
use tonic::{
    Request, Response, Status, body::Body, codegen::Service, codegen::http, server::NamedService, service::Routes,
};
use tonic_prost::ProstCodec;

pub const PATH: &str = "/meridian.test.v1.Guinea/Ask";

/// What arrived with a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    pub organization: OrganizationId,
    pub caller: String,
    pub idempotency: Option<Idempotency>,
    pub revision: Option<String>,
    pub trace: String,
    pub remaining: Duration,
}

#[derive(Clone, Default)]
pub struct Guinea {
    pub arrived: Arc<Mutex<Vec<Arrived>>>,
    /// Handlers that hang now.
    pub hanging: Arc<AtomicUsize>,
    pub changed: Arc<Notify>,
    /// Lets a handler that waits go on.
    pub go_on: Arc<Notify>,
}

impl Guinea {
    /// Waits until so many handlers hang.
    pub async fn until_hanging(&self, count: usize) {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let changed = self.changed.notified();
                if self.hanging.load(Ordering::SeqCst) == count {
                    return;
                }
                changed.await;
            }
        });
        waited.await.expect("the handlers come to hang, or are dropped");
    }

    async fn ask(self, request: Request<String>) -> Result<Response<String>, Status> {
        let ctx = Context::of(&request)?;
        self.arrived.lock().unwrap().push(Arrived {
            organization: ctx.organization,
            caller: ctx.caller.clone(),
            idempotency: ctx.idempotency.clone(),
            revision: ctx.revision.clone(),
            trace: rpc::trace::id(),
            remaining: ctx.remaining(),
        });
        match request.into_inner().as_str() {
            "hang" => {
                let _hanging = Hanging::begin(&self);
                std::future::pending().await
            }
            "wait" => {
                let _hanging = Hanging::begin(&self);
                self.go_on.notified().await;
                Ok(rpc::respond("went on".to_owned(), "7.1", true))
            }
            "panic" => panic!("as asked"),
            "fault" => Err(fault().into()),
            "huge fault" => Err(huge_fault().into()),
            other => Ok(rpc::respond(other.to_owned(), "7.12", false)),
        }
    }
}

struct Hanging(Guinea);

impl Hanging {
    fn begin(echo_service: &Guinea) -> Self {
        echo_service.hanging.fetch_add(1, Ordering::SeqCst);
        echo_service.changed.notify_waiters();
        Self(echo_service.clone())
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.hanging.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

pub fn fault() -> Fault {
    let mut faults = Faults::new();
    faults.push("/patient/phone", "invalid_phone", "write it: +1 555 000 1111, with é");
    faults.push("/note", "too_long", "at most 500 characters");
    let mut fault = Fault { code: Code::SlotTaken, ..Fault::invalid(faults) };
    fault.detail = "somebody was faster: é".into();
    fault
        .with("allowed", "confirm, cancel")
        .retry_after(Duration::from_millis(2500))
        .with_extra(&prost_types::Timestamp { seconds: 7, nanos: 8 })
}

pub fn huge_fault() -> Fault {
    let mut faults = Faults::new();
    for n in 0..128 {
        faults.push(format!("/{n}/{}", "p".repeat(500)), "invalid", "d".repeat(512));
    }
    Fault::invalid(faults)
}

impl NamedService for Guinea {
    const NAME: &'static str = "meridian.test.v1.Guinea";
}

impl Service<http::Request<Body>> for Guinea {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo_service = self.clone();
        Box::pin(async move {
            if request.uri().path() != PATH {
                return Ok(Status::unimplemented("").into_http());
            }
            let handler = tower::service_fn(move |request| echo_service.clone().ask(request));
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
            Ok(grpc.unary(handler, request).await)
        })
    }
}

/// How the echo_service pig is reached.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    Tcp,
    InProcess,
}

pub struct Reached {
    pub echo_service: Guinea,
    pub channel: Channel,
    pub shutdown: Shutdown,
}

impl Reached {
    pub async fn new(way: Way, calls_max: usize) -> Self {
        runtime::telemetry::propagate();
        let echo_service = Guinea::default();
        let shutdown = Shutdown::new();
        let guarded = rpc::guard_with(Routes::new(echo_service.clone()), calls_max);
        let channel = match way {
            Way::InProcess => Channel::in_process(guarded),
            Way::Tcp => {
                let server =
                    Server::new(guarded, tonic_health::pb::FILE_DESCRIPTOR_SET, &[Guinea::NAME]).await.unwrap();
                let (listener, address) = rpc::listen(loopback()).await.unwrap();
                tokio::spawn(server.serve(listener, shutdown.clone()));
                Channel::connect(&format!("http://{address}")).unwrap()
            }
        };
        Self { echo_service, channel, shutdown }
    }

    pub async fn ask(&self, request: Request<String>) -> Result<Response<String>, Status> {
        call(&self.channel, PATH, request).await
    }
}

pub fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// What a generated client does; a test that would hang fails instead.
pub async fn call<S>(service: &S, path: &'static str, request: Request<String>) -> Result<Response<String>, Status>
where
    S: tonic::client::GrpcService<Body> + Clone,
    S::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
    <S::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError>,
{
    let mut grpc = tonic::client::Grpc::new(service.clone());
    let called = async {
        grpc.ready().await.map_err(|error| Status::unknown(error.into().to_string()))?;
        let path = http::uri::PathAndQuery::from_static(path);
        grpc.unary(request, path, ProstCodec::<String, String>::default()).await
    };
    tokio::time::timeout(Duration::from_secs(20), called).await.expect("every call ends")
}

pub fn context(within: Duration) -> Context {
    Context {
        idempotency: Some(Idempotency { key: "clé 100%".into(), fingerprint: "ab12".into() }),
        revision: Some("7.11".into()),
        ..Context::new("org_00000000000000000000000001".parse().unwrap(), "key_1", within)
    }
}
