//! Logs, traces and metrics.
//!
//! A log line is a sentence with fields, as text or JSON. Traces follow W3C Trace Context in both directions and are
//! exported by OTLP to a configured endpoint. Metrics are in Prometheus's format. None of them holds personal data.
//!
//! Start reading at [`start`].

mod metrics;

pub use metrics::{collect_metrics, metrics};

use std::panic::PanicHookInfo;

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

/// The format of the logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line for each event.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

/// The section `telemetry`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Endpoint of OTLP over gRPC that receives the spans, such as `http://127.0.0.1:4317`; without one, spans are not
    /// exported.
    pub otlp_endpoint: Option<String>,
    /// Format of the logs: `text` or `json`.
    pub log: LogFormat,
    /// Filter of the logged events in tracing's syntax, such as `info` or `warn,booking=debug`.
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

/// The reason why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The exporter refused its configuration.
    #[error("spans cannot be exported")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Another subscriber is installed already.
    #[error("logging is set up already")]
    Subscriber(#[from] tracing_subscriber::util::TryInitError),
}

/// Filtered out unless the configured filter names them: SQL texts, and the exporter's own events.
const QUIET: &str = "sqlx::query=off,opentelemetry=warn,opentelemetry_sdk=warn,opentelemetry-otlp=warn";
/// Filter of the spans, independent of the logs. It excludes the exporter's own calls, which would export themselves without
/// end.
const SPANS: &str = "info,sqlx::query=off,h2=off,hyper=off,hyper_util=off,tonic=off,tower=off,reqwest=off,\
                     opentelemetry=off,opentelemetry_sdk=off,opentelemetry-otlp=off";

/// Owns the exporter; call [`Guard::flush`] before the process ends.
#[must_use = "the last spans are sent by Guard::flush"]
pub struct Guard(Option<SdkTracerProvider>);

impl Guard {
    /// Exports the remaining spans, within 5 seconds. Needs the multi-threaded runtime of the exporter's connection.
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
    propagate();
    let provider = match &config.otlp_endpoint {
        Some(endpoint) => Some(exporting_provider(endpoint, role)?),
        None => None,
    };
    // Without an exporter the provider still makes trace ids for logs and errors, and still propagates the caller's
    // sampling decision, so that this process does not cut the trace.
    let unexported = || {
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        SdkTracerProvider::builder().with_sampler(sampler).build()
    };
    let tracing_provider = provider.clone().unwrap_or_else(unexported);
    let spans = tracing_opentelemetry::layer().with_tracer(tracing_provider.tracer("meridian"));
    let logs = match config.log {
        LogFormat::Text => tracing_subscriber::fmt::layer().with_writer(std::io::stderr).boxed(),
        LogFormat::Json => tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).boxed(),
    };
    let spans = spans.with_filter(EnvFilter::new(SPANS));
    tracing_subscriber::registry().with(logs.with_filter(log_filter(&config.filter))).with(spans).try_init()?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(Guard(provider))
}

/// Installs W3C Trace Context for this process. [`start`] does it; a test that starts no telemetry may.
pub fn propagate() {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
}

fn log_filter(filter: &str) -> EnvFilter {
    EnvFilter::try_new(format!("{QUIET},{filter}")).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Logs the location of a panic, and its message only if that is a constant: a formatted one may hold a patient's text.
fn log_panic(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("hidden: it may hold personal data");
    tracing::error!(%location, message, "panic: a bug in the program");
}

fn exporting_provider(endpoint: &str, role: &str) -> Result<SdkTracerProvider, Error> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let resource = Resource::builder().with_service_name(format!("meridian-{role}")).build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_id_generator(RandomIdGenerator::default())
        .with_resource(resource)
        .build())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, events: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let logs = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).with_filter(log_filter(filter));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(logs), events);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn sql_texts_are_logged_only_if_the_filter_names_them() {
        let events = || {
            tracing::warn!(target: "sqlx::query", "select the-query");
            tracing::info!("an ordinary sentence");
        };
        let text = logged("info", events);
        assert!(text.contains("an ordinary sentence") && !text.contains("the-query"), "{text}");
        assert!(logged("info,sqlx::query=debug", events).contains("the-query"));
    }

    #[test]
    fn every_fault_of_the_section_is_named() {
        let config = Config { otlp_endpoint: Some("nowhere".into()), filter: "a=b=c".into(), ..Config::default() };
        let mut faults = Vec::new();
        config.validate("telemetry.", &mut faults);
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["telemetry.filter", "telemetry.otlp_endpoint"]);
        faults.clear();
        Config::default().validate("telemetry.", &mut faults);
        assert_eq!(faults, []);
    }
}
