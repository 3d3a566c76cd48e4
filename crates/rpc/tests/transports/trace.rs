//! One trace spans a call, over TCP and in process, and holds no text of the call.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

use crate::echo_service::{Connection, Transport, context};

const CANARY: &str = "canary-Zoé-Lemieux";

#[derive(Debug, Clone, Default)]
struct Collected(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Collected {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// One subscriber for the process; each test reads its own trace.
fn collected() -> &'static Collected {
    static COLLECTED: OnceLock<Collected> = OnceLock::new();
    COLLECTED.get_or_init(|| {
        let collected = Collected::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(collected.clone()).build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans)).unwrap();
        collected
    })
}

async fn one_trace_runs_from_caller_to_handler(transport: Transport) {
    let collected = collected();
    let connection = Connection::new(transport, 10).await;
    let root = tracing::info_span!("root");
    let (trace, code) = async {
        let mut request = context(Duration::from_secs(5)).forward("fault".to_owned());
        request.metadata_mut().insert("meridian-caller", CANARY.replace('é', "e").parse().unwrap());
        let status = connection.echo(request).await.unwrap_err();
        (rpc::trace::id(), status.code())
    }
    .instrument(root)
    .await;
    assert_eq!(code, tonic::Code::Aborted);
    assert_eq!(connection.echo_service.arrived.lock().unwrap()[0].trace, trace);

    let spans = collected.0.lock().unwrap().clone();
    let of_trace: Vec<_> = spans.iter().filter(|span| span.span_context.trace_id().to_string() == trace).collect();
    let named = |name: &str, kind: &str| {
        let is = |span: &&&SpanData| span.name == name && format!("{:?}", span.span_kind) == kind;
        *of_trace.iter().find(is).unwrap_or_else(|| panic!("no {kind} span {name} among {of_trace:#?}"))
    };
    let root = named("root", "Internal");
    let client = named("meridian.test.v1.EchoService/Echo", "Client");
    let server = named("meridian.test.v1.EchoService/Echo", "Server");
    assert_eq!(root.parent_span_id, SpanId::INVALID);
    assert_eq!(client.parent_span_id, root.span_context.span_id());
    assert_eq!(server.parent_span_id, client.span_context.span_id());
    for span in [client, server] {
        let code = span.attributes.iter().find(|one| one.key.as_str() == "rpc.code").map(|one| one.value.to_string());
        assert_eq!(code.as_deref(), Some("slot_taken"));
    }
    assert!(!format!("{of_trace:?}").contains("canary"));
}

#[tokio::test]
async fn over_tcp() {
    one_trace_runs_from_caller_to_handler(Transport::Tcp).await;
}

#[tokio::test]
async fn in_process() {
    one_trace_runs_from_caller_to_handler(Transport::InProcess).await;
}

#[test]
fn a_foreign_parent_is_adopted() {
    collected();
    runtime::telemetry::propagate();
    let span = tracing::info_span!("adopting");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = http::HeaderMap::from_iter([("traceparent".parse().unwrap(), parent.parse().unwrap())]);
    rpc::trace::set_parent(&span, &headers);
    assert_eq!(span.in_scope(rpc::trace::id), "0af7651916cd43dd8448eb211c80319c");
    let mut onward = http::HeaderMap::new();
    rpc::trace::inject(&span, &mut onward);
    assert!(onward["traceparent"].to_str().unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
}

#[test]
fn a_foreign_trace_is_linked_and_a_broken_one_is_not() {
    let collected = collected();
    runtime::telemetry::propagate();
    let trace = "1af7651916cd43dd8448eb211c80319c";
    for parent in [format!("00-{trace}-b7ad6b7169203331-01"), "no trace".to_owned()] {
        rpc::trace::link(&tracing::info_span!("linking"), &parent);
    }
    let spans = collected.0.lock().unwrap().clone();
    let links: Vec<String> = spans
        .iter()
        .filter(|span| span.name == "linking")
        .flat_map(|span| span.links.iter().map(|link| link.span_context.trace_id().to_string()))
        .collect();
    assert_eq!(links, [trace]);
}
