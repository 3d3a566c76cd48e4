//! Logs, traces and metrics.
//!
//! Logs are a sentence and its fields, readable or JSON. Traces follow W3C Trace Context in and out, and are
//! exported by OTLP where an endpoint is configured. Metrics are Prometheus's. Personal data is in none of them.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{RandomIdGenerator, Sampler, SdkTracerProvider},
};
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Fault, Section};

/// The form of the logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// The section `telemetry`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where spans are sent, OTLP over gRPC, such as `http://127.0.0.1:4317`; none: they are not exported.
    pub otlp_endpoint: Option<String>,
    /// `text` or `json`.
    pub log: LogFormat,
    /// Which events are logged, in tracing's filter syntax.
    pub filter: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { otlp_endpoint: None, log: LogFormat::Text, filter: "info".into() }
    }
}

impl Section for Config {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        if EnvFilter::try_new(&self.filter).is_err() {
            let problem = "write a filter such as info or warn,booking=debug".to_owned();
            faults.push(Fault { key: format!("{at}filter"), problem });
        }
        if self.otlp_endpoint.as_ref().is_some_and(|url| !url.starts_with("http")) {
            let problem = "write a URL such as http://127.0.0.1:4317".to_owned();
            faults.push(Fault { key: format!("{at}otlp_endpoint"), problem });
        }
    }
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The exporter refused its configuration.
    #[error("spans cannot be exported")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Another subscriber is installed already.
    #[error("logging is set up already")]
    Subscriber(#[from] tracing_subscriber::util::TryInitError),
}

/// Keeps the exporter alive; call [`Guard::flush`] before the process ends.
pub struct Guard(Option<SdkTracerProvider>);

impl Guard {
    /// Sends the spans that still wait.
    pub fn flush(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

/// Starts logs and traces for a process named `meridian-<role>`. Logs go to standard error.
///
/// # Errors
/// When the exporter cannot be built or logging is set up already.
pub fn start(config: &Config, role: &str) -> Result<Guard, Error> {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = match &config.otlp_endpoint {
        Some(endpoint) => Some(exporting(endpoint, role)?),
        None => None,
    };
    // Without an exporter the provider still makes trace ids, so that logs and errors can name them.
    let tracing_provider =
        provider.clone().unwrap_or_else(|| SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build());
    let spans = tracing_opentelemetry::layer().with_tracer(tracing_provider.tracer("meridian"));
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = match config.log {
        LogFormat::Text => tracing_subscriber::fmt::layer().with_writer(std::io::stderr).boxed(),
        LogFormat::Json => tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).boxed(),
    };
    // Spans are made whatever the log shows, so that a quiet log does not cut a trace.
    let spans = spans.with_filter(EnvFilter::new("info,h2=off,hyper=off,tonic=off,tower=off,reqwest=off"));
    tracing_subscriber::registry().with(logs.with_filter(filter)).with(spans).try_init()?;
    Ok(Guard(provider))
}

fn exporting(endpoint: &str, role: &str) -> Result<SdkTracerProvider, Error> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let resource = Resource::builder().with_service_name(format!("meridian-{role}")).build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_id_generator(RandomIdGenerator::default())
        .with_resource(resource)
        .build())
}

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// The process's metrics in Prometheus's text format; the first call starts to collect them.
pub fn metrics() -> String {
    handle().render()
}

/// Starts to collect metrics.
pub fn collect_metrics() {
    handle();
}

fn handle() -> &'static PrometheusHandle {
    METRICS.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
            .unwrap_or_else(|_| PrometheusBuilder::new())
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("metrics are collected elsewhere already");
        }
        handle
    })
}
