//! A hand-written service that echoes a text or behaves as the text requests, over both transports.

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

pub const PATH: &str = "/meridian.test.v1.EchoService/Echo";

/// The metadata of a received call.
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
pub struct EchoService {
    pub arrived: Arc<Mutex<Vec<Arrived>>>,
    /// The number of handlers that hang.
    pub hanging: Arc<AtomicUsize>,
    pub changed: Arc<Notify>,
    /// Resumes a waiting handler.
    pub go_on: Arc<Notify>,
}

impl EchoService {
    /// Waits until this many handlers hang.
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

    async fn echo(self, request: Request<String>) -> Result<Response<String>, Status> {
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
            "panic" => panic!("requested"),
            "fault" => Err(fault().into()),
            "huge fault" => Err(huge_fault().into()),
            other => Ok(rpc::respond(other.to_owned(), "7.12", false)),
        }
    }
}

struct Hanging(EchoService);

impl Hanging {
    fn begin(echo_service: &EchoService) -> Self {
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
    fault.detail = "the slot was taken: é".into();
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

impl NamedService for EchoService {
    const NAME: &'static str = "meridian.test.v1.EchoService";
}

impl Service<http::Request<Body>> for EchoService {
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
            let handler = tower::service_fn(move |request| echo_service.clone().echo(request));
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
            Ok(grpc.unary(handler, request).await)
        })
    }
}

/// The transport of a connection.
#[derive(Debug, Clone, Copy)]
pub enum Transport {
    Tcp,
    InProcess,
}

pub struct Connection {
    pub echo_service: EchoService,
    pub channel: Channel,
    pub shutdown: Shutdown,
}

impl Connection {
    pub async fn new(transport: Transport, calls_max: usize) -> Self {
        runtime::telemetry::propagate();
        let echo_service = EchoService::default();
        let shutdown = Shutdown::new();
        let guarded = rpc::guard_with(Routes::new(echo_service.clone()), calls_max);
        let channel = match transport {
            Transport::InProcess => Channel::in_process(guarded),
            Transport::Tcp => {
                let server = Server::new(guarded, &[EchoService::NAME]).await;
                let (listener, address) = rpc::listen(loopback()).await.unwrap();
                tokio::spawn(server.serve(listener, shutdown.clone()));
                Channel::connect(&format!("http://{address}")).unwrap()
            }
        };
        Self { echo_service, channel, shutdown }
    }

    pub async fn echo(&self, request: Request<String>) -> Result<Response<String>, Status> {
        call(&self.channel, PATH, request).await
    }
}

pub fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Calls as a generated client does, within a bound.
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
