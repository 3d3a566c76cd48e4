//! The guarantees of a call, the same over TCP and in process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod echo_service;
mod tls;
mod trace;

use std::time::{Duration, Instant};

use echo_service::{Connection, PATH, Transport, call, context, fault, huge_fault, loopback};
use rpc::{Channel, Code, Fault, Server};
use runtime::{Readiness, Shutdown};
use tonic::{Request, service::Routes};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

const AMPLE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(120);

/// Runs each test over both transports.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod over_tcp {
            $(#[tokio::test] async fn $name() { super::$name(super::Transport::Tcp).await })*
        }
        mod in_process {
            $(#[tokio::test] async fn $name() { super::$name(super::Transport::InProcess).await })*
        }
    };
}

on_both! {
    all_that_travels_arrives
    an_answer_carries_its_revision
    a_deadline_ends_the_work_and_the_fault_says_so
    a_deadline_that_has_passed_starts_no_work
    a_call_without_an_organisation_is_refused
    a_fault_arrives_whole
    a_fault_of_the_largest_size_arrives
    a_panic_is_answered_and_the_next_call_is_served
    too_many_calls_at_a_time_are_refused_at_once
    a_method_that_is_not_there_is_unimplemented
    a_call_that_nobody_waits_for_is_dropped
    a_call_without_a_deadline_gets_one
}

async fn all_that_travels_arrives(transport: Transport) {
    let connection = Connection::new(transport, 10).await;
    let sent = context(Duration::from_secs(3));
    connection.echo(sent.forward("echo".into())).await.unwrap();
    let arrived = connection.echo_service.arrived.lock().unwrap().remove(0);
    assert_eq!((arrived.organization, arrived.caller), (sent.organization, sent.caller));
    assert_eq!((arrived.idempotency, arrived.revision), (sent.idempotency, sent.revision));
    assert!(arrived.remaining < Duration::from_secs(3) && arrived.remaining > Duration::from_secs(1));
}

async fn an_answer_carries_its_revision(transport: Transport) {
    let connection = Connection::new(transport, 10).await;
    let answer = connection.echo(context(AMPLE).forward("echo".into())).await.unwrap();
    assert_eq!(answer.metadata().get("meridian-revision").unwrap(), "7.12");
    assert_eq!((answer.metadata().get("meridian-replayed"), answer.get_ref().as_str()), (None, "echo"));
}

async fn a_deadline_ends_the_work_and_the_fault_says_so(transport: Transport) {
    let connection = Connection::new(transport, 10).await;
    let began = Instant::now();
    let status = connection.echo(context(SHORT).forward("hang".into())).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    assert_eq!(Fault::from_status(&status), Fault::deadline_exceeded());
    assert!(began.elapsed() < AMPLE);
    // The handler's future was dropped, not only its answer.
    connection.echo_service.until_hanging(0).await;
    assert_eq!(connection.echo_service.arrived.lock().unwrap().len(), 1);
}

async fn a_deadline_that_has_passed_starts_no_work(transport: Transport) {
    let connection = Connection::new(transport, 10).await;
    let status = connection.echo(context(Duration::ZERO).forward("echo".into())).await.unwrap_err();
    assert_eq!(Fault::from_status(&status).code, Code::DeadlineExceeded);
    assert!(connection.echo_service.arrived.lock().unwrap().is_empty());
}

async fn a_call_without_an_organisation_is_refused(transport: Transport) {
    let connection = Connection::new(transport, 10).await;
    for name in ["meridian-organization", "meridian-caller"] {
        let mut request = context(AMPLE).forward("echo".to_owned());
        request.metadata_mut().remove(name);
        let fault = Fault::from_status(&connection.echo(request).await.unwrap_err());
        assert!(fault.code == Code::MalformedRequest && fault.detail.contains(name), "{fault}");
    }
    assert!(connection.echo_service.arrived.lock().unwrap().is_empty());
}

async fn a_fault_arrives_whole(transport: Transport) {
    let connection = Connection::new(transport, 10).await;
    let status = connection.echo(context(AMPLE).forward("fault".into())).await.unwrap_err();
    assert_eq!((status.code(), Fault::from_status(&status)), (tonic::Code::Aborted, fault()));
}

async fn a_fault_of_the_largest_size_arrives(transport: Transport) {
    let connection = Connection::new(transport, 10).await;
    let status = connection.echo(context(AMPLE).forward("huge fault".into())).await.unwrap_err();
    assert!(Fault::from_status(&status) == huge_fault(), "{:?}", status.code());
}

async fn a_panic_is_answered_and_the_next_call_is_served(transport: Transport) {
    let connection = Connection::new(transport, 1).await;
    let status = connection.echo(context(AMPLE).forward("panic".into())).await.unwrap_err();
    assert_eq!(Fault::from_status(&status).code, Code::Internal);
    assert!(!status.message().contains("requested"));
    connection.echo(context(AMPLE).forward("echo".into())).await.unwrap();
}

async fn too_many_calls_at_a_time_are_refused_at_once(transport: Transport) {
    let connection = Connection::new(transport, 1).await;
    let first = tokio::spawn({
        let channel = connection.channel.clone();
        async move { call(&channel, PATH, context(AMPLE).forward("wait".into())).await }
    });
    connection.echo_service.until_hanging(1).await;
    let status = connection.echo(context(AMPLE).forward("echo".into())).await.unwrap_err();
    assert_eq!(Fault::from_status(&status).code, Code::Overloaded);
    connection.echo_service.go_on.notify_one();
    let answer = first.await.unwrap().unwrap();
    assert_eq!(answer.metadata().get("meridian-replayed").unwrap(), "true");
    connection.echo(context(AMPLE).forward("echo".into())).await.unwrap();
}

async fn a_method_that_is_not_there_is_unimplemented(transport: Transport) {
    let connection = Connection::new(transport, 10).await;
    for path in ["/meridian.test.v1.EchoService/Other", "/meridian.test.v1.Nobody/Echo"] {
        let status = call(&connection.channel, path, context(AMPLE).forward("echo".into())).await.unwrap_err();
        assert_eq!(Fault::from_status(&status).code, Code::Unimplemented, "{path}");
    }
}

async fn a_call_that_nobody_waits_for_is_dropped(transport: Transport) {
    let connection = Connection::new(transport, 10).await;
    let caller = tokio::spawn({
        let channel = connection.channel.clone();
        async move { call(&channel, PATH, context(AMPLE).forward("hang".into())).await }
    });
    connection.echo_service.until_hanging(1).await;
    caller.abort();
    connection.echo_service.until_hanging(0).await;
}

async fn a_call_without_a_deadline_gets_one(transport: Transport) {
    let connection = Connection::new(transport, 10).await;
    let mut request = context(AMPLE).forward("echo".to_owned());
    request.metadata_mut().remove("grpc-timeout");
    connection.echo(request).await.unwrap();
    let remaining = connection.echo_service.arrived.lock().unwrap()[0].remaining;
    assert!(remaining <= Duration::from_secs(5) && remaining > Duration::from_secs(1), "{remaining:?}");
}

#[tokio::test]
async fn the_server_ends_the_work_at_the_deadline_by_itself() {
    // Without the client's layer, which would also end the call.
    let echo_service = echo_service::EchoService::default();
    let guarded = rpc::guard(Routes::new(echo_service.clone()));
    let began = Instant::now();
    let status = call(&guarded, PATH, context(SHORT).forward("hang".into())).await.unwrap_err();
    assert_eq!(Fault::from_status(&status), Fault::deadline_exceeded());
    assert!(began.elapsed() < AMPLE);
    echo_service.until_hanging(0).await;
}

#[tokio::test]
async fn the_client_waits_no_longer_than_the_deadline_even_where_nothing_guards_the_server() {
    let unguarded = Channel::in_process(Routes::new(echo_service::EchoService::default()));
    let began = Instant::now();
    let status = call(&unguarded, PATH, context(SHORT).forward("hang".into())).await.unwrap_err();
    assert_eq!(Fault::from_status(&status), Fault::deadline_exceeded());
    assert!(began.elapsed() < AMPLE);
}

#[tokio::test]
async fn calls_are_counted_on_both_ends() {
    runtime::telemetry::collect_metrics();
    let connection = Connection::new(Transport::InProcess, 10).await;
    connection.echo(context(AMPLE).forward("fault".into())).await.unwrap_err();
    let text = runtime::telemetry::metrics();
    for end in ["client", "server"] {
        let line =
            format!("rpc_{end}_requests_total{{method=\"meridian.test.v1.EchoService/Echo\",code=\"slot_taken\"}}");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(text.contains("rpc_server_seconds_bucket") && !text.contains("key_1"), "{text}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable_and_found_once_it_is() {
    let (listener, address) = rpc::listen(loopback()).await.unwrap();
    drop(listener);
    let channel = Channel::connect(&format!("http://{address}")).unwrap();
    let status = call(&channel, PATH, context(AMPLE).forward("echo".into())).await.unwrap_err();
    assert_eq!(Fault::from_status(&status), Fault::unreachable());
    // The product's own error: that of tonic would contain the address.
    assert_eq!(status.message(), Fault::unreachable().detail);

    let (listener, _) = rpc::listen(address).await.unwrap();
    let guarded = rpc::guard(Routes::new(echo_service::EchoService::default()));
    let server = Server::new(guarded, &[]).await;
    tokio::spawn(server.serve(listener, Shutdown::new()));
    call(&channel, PATH, context(AMPLE).forward("echo".into())).await.unwrap();
}

#[tokio::test]
async fn a_service_that_falls_silent_does_not_outlast_the_deadline() {
    // The system accepts the connection, and nothing ever answers on it.
    let (_listener, address) = rpc::listen(loopback()).await.unwrap();
    let channel = Channel::connect(&format!("http://{address}")).unwrap();
    let status = call(&channel, PATH, context(SHORT).forward("echo".into())).await.unwrap_err();
    assert_eq!(Fault::from_status(&status), Fault::deadline_exceeded());
}

#[tokio::test]
async fn a_channel_that_leads_nowhere_yet_says_so_until_it_is_bound() {
    let channel = Channel::pending();
    let ask = async |text: &str| call(&channel, PATH, context(AMPLE).forward(text.to_owned())).await;
    assert_eq!(Fault::from_status(&ask("echo").await.unwrap_err()).code, Code::Unavailable);
    channel.clone().bind(rpc::guard(Routes::new(echo_service::EchoService::default())));
    assert_eq!(ask("echo").await.unwrap().into_inner(), "echo");
}

#[tokio::test]
async fn draining_answers_what_runs_and_health_says_so_before() {
    let (echo_service, shutdown, readiness) = (echo_service::EchoService::default(), Shutdown::new(), Readiness::new());
    let guarded = rpc::guard(Routes::new(echo_service.clone()));
    let server = Server::new(guarded, &["meridian.test.v1.EchoService"]).await;
    let (listener, address) = rpc::listen(loopback()).await.unwrap();
    let serving = tokio::spawn(server.with_readiness(readiness.clone()).serve(listener, shutdown.clone()));
    let channel = Channel::connect(&format!("http://{address}")).unwrap();

    let service = "meridian.test.v1.EchoService".to_owned();
    let mut health =
        HealthClient::new(channel.clone()).watch(HealthCheckRequest { service }).await.unwrap().into_inner();
    let mut said = async || {
        let message = tokio::time::timeout(AMPLE, health.message()).await.expect("health says what has changed");
        message.unwrap().unwrap().status()
    };
    assert_eq!(said().await, ServingStatus::Serving);
    readiness.unready("feed", "not loaded");
    assert_eq!(said().await, ServingStatus::NotServing);
    readiness.ready("feed");
    assert_eq!(said().await, ServingStatus::Serving);

    let running = tokio::spawn({
        let channel = channel.clone();
        async move { call(&channel, PATH, context(AMPLE).forward("wait".into())).await }
    });
    echo_service.until_hanging(1).await;
    let ending = tokio::spawn({
        let (shutdown, readiness) = (shutdown.clone(), Readiness::new());
        async move { shutdown.wind_down(&readiness, Duration::ZERO, &runtime::Clock::system()).await }
    });
    assert_eq!(said().await, ServingStatus::NotServing);
    drop(health);
    ending.await.unwrap();
    echo_service.go_on.notify_one();
    assert_eq!(running.await.unwrap().unwrap().into_inner(), "went on");
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn health_needs_no_context() {
    let connection = Connection::new(Transport::Tcp, 0).await;
    let mut health = HealthClient::new(connection.channel.clone());
    let answer = health.check(Request::new(HealthCheckRequest::default())).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    connection.shutdown.begin();
}

#[tokio::test]
async fn reflection_is_offered_where_it_is_asked_for_alone() {
    for offered in [false, true] {
        let server = Server::new(rpc::guard(Routes::new(echo_service::EchoService::default())), &[]).await;
        let server =
            if offered { server.with_reflection(tonic_health::pb::FILE_DESCRIPTOR_SET).unwrap() } else { server };
        let (listener, address) = rpc::listen(loopback()).await.unwrap();
        tokio::spawn(server.serve(listener, Shutdown::new()));
        let mut grpc = tonic::client::Grpc::new(Channel::connect(&format!("http://{address}")).unwrap());
        grpc.ready().await.unwrap();
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".parse().unwrap();
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let answer = grpc.streaming(Request::new(futures::stream::empty::<()>()), path, codec).await;
        let status = answer.err().map(|status| status.code());
        assert_eq!(status, (!offered).then_some(tonic::Code::Unimplemented));
    }
}
