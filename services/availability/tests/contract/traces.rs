//! The spans of applied changes.

use std::sync::{Arc, Mutex};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use testkit::database::Database;
use tracing_subscriber::layer::SubscriberExt;

use crate::world::World;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[derive(Debug, Clone, Default)]
struct Exported(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exported {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[tokio::test]
async fn an_applied_change_is_linked_to_the_trace_of_its_write() {
    let exported = Exported::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exported.clone()).build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans)).unwrap();
    runtime::telemetry::propagate();

    let world = World::over(Database::sqlite().unwrap()).await;
    let clinic = world.clinic().await;
    world.starts("", &clinic, "2026-03-06").await;
    world.booking.trace(&format!("00-{TRACE}-b7ad6b7169203331-01"));
    let (_, revision) = world.booking.book(&world.visit(&clinic, "2026-03-06T17:00:00Z", 30));
    world.starts(&revision, &clinic, "2026-03-06").await;

    let exported = exported.0.lock().unwrap().clone();
    let applied: Vec<_> = exported.iter().filter(|span| span.name == "apply_change").collect();
    assert_eq!(applied.len(), 1, "one change has a trace");
    let links: Vec<String> = applied[0].links.iter().map(|link| link.span_context.trace_id().to_string()).collect();
    assert_eq!(links, [TRACE]);
}
