//! Metrics in Prometheus's text format, collected in the process; the gateway and the operations port serve them.

use std::{sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the histograms, in seconds: from half a millisecond to ten seconds.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Interval at which samples are moved from memory into buckets, if no scrape does it.
const UPKEEP: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// The process's metrics in Prometheus's text format; the first call starts to collect them.
pub fn metrics() -> String {
    handle().render()
}

/// Starts to collect metrics.
pub fn collect_metrics() {
    handle();
}

fn handle() -> &'static PrometheusHandle {
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new())
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed already");
        }
        let upkeep_handle = handle.clone();
        // A thread, since the first caller may have no runtime, or one that ends.
        let upkeep = std::thread::Builder::new().name("metrics-upkeep".into()).spawn(move || compact(&upkeep_handle));
        if upkeep.is_err() {
            tracing::warn!("the thread that compacts metrics cannot start; only scrapes compact them");
        }
        handle
    })
}

#[expect(clippy::disallowed_methods, reason = "memory is compacted in real time, independent of the clock")]
fn compact(handle: &PrometheusHandle) {
    loop {
        std::thread::sleep(UPKEEP);
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_rendered() {
        collect_metrics();
        metrics::counter!("telemetry_test_total", "kind" => "a").increment(2);
        metrics::histogram!("telemetry_test_seconds").record(Duration::from_millis(3));
        let text = metrics();
        assert!(text.contains("telemetry_test_total{kind=\"a\"} 2"), "{text}");
        assert!(text.contains("telemetry_test_seconds_bucket{le=\"0.005\"} 1"), "{text}");
    }
}
