//! A change of the feed names the trace of the request that made it.

use std::sync::OnceLock;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use testkit::database::Database;
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;
use wire::booking::SubscribeChangesRequest;

use crate::harness::{CLASS, GRACE, Harness, after, slot, visit};

testkit::engines!(a_change_names_the_trace_of_its_request);

/// Drops all spans.
#[derive(Debug)]
struct NoExporter;

impl SpanExporter for NoExporter {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

/// Records traces in this process, as `runtime` does where an exporter is configured.
fn record_traces() {
    static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let provider = SdkTracerProvider::builder().with_simple_exporter(NoExporter).build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans)).unwrap();
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        provider
    });
}

async fn a_change_names_the_trace_of_its_request(database: Database) {
    record_traces();
    let harness = Harness::over(&database).await;
    let (_, position) = harness.snapshot().await;
    let mut subscriptions = Vec::new();
    for early in [true, false] {
        let request = SubscribeChangesRequest { position: position.clone(), early };
        let answer = harness.feed.clone().subscribe_changes(harness.request(request)).await;
        subscriptions.push(answer.unwrap().into_inner());
    }
    // The first place of a group session makes two changes.
    let book = async {
        harness.book(visit(&slot(CLASS, GRACE, after(0)), 1)).await;
        rpc::trace::id()
    };
    let trace = book.instrument(tracing::info_span!("request")).await;
    for mut changes in subscriptions {
        let mut events = Vec::new();
        while events.len() < 2 {
            for change in changes.message().await.unwrap().unwrap().changes {
                let parts: Vec<&str> = change.trace_parent.split('-').collect();
                assert_eq!(parts.len(), 4, "{}: {:?}", change.event, change.trace_parent);
                assert_eq!((parts[0], parts[1]), ("00", trace.as_str()), "{}", change.event);
                events.push(change.event);
            }
        }
        assert_eq!(events, ["group_changed", "booked"]);
    }
    let (live, _) = harness.snapshot().await;
    assert!(live.iter().all(|change| change.trace_parent.is_empty()), "a snapshot has no request");
}
