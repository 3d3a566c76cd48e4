//! Graceful shutdown: unready, a short lead in which load balancers notice, drain, and a hard stop.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    Clock, Readiness,
    config::{Fault, Section},
};

/// Longest shutdown from the signal on, in seconds.
pub const DRAIN_SECONDS_MAX: u64 = 25;
/// Longest lead: it must leave time to drain.
const LEAD_MS_MAX: u64 = 15_000;

/// The section `shutdown`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Milliseconds for which the process still serves after it has become unready, 0 to 15000: as long as a load
    /// balancer needs to notice.
    pub lead_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { lead_ms: 500 }
    }
}

impl Section for Config {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        if self.lead_ms > LEAD_MS_MAX {
            let problem = format!("must be at most {LEAD_MS_MAX}, so that there is time left to drain");
            faults.push(Fault { key: format!("{at}lead_ms"), problem });
        }
    }
}

/// The signal to all parts of the process that it ends. Clones share the state.
///
/// Two steps: *leaving*, when the process is unready but still serves, and *begun*, when it accepts no new work and
/// finishes running work.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    leaving: CancellationToken,
    draining: CancellationToken,
}

impl Shutdown {
    /// A process that is not ending.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to drain on SIGTERM or SIGINT, without a lead; see [`Shutdown::on_signals_with`].
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn on_signals(&self) -> std::io::Result<()> {
        self.on_signals_with(&Config { lead_ms: 0 }, Readiness::new())
    }

    /// On SIGTERM or SIGINT: makes `readiness` unready, waits for the lead, begins to drain. Stops the process hard if
    /// all that takes longer than [`DRAIN_SECONDS_MAX`], or at a second signal.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn on_signals_with(&self, config: &Config, readiness: Readiness) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (shutdown, lead) = (self.clone(), Duration::from_millis(config.lead_ms));
        tokio::spawn(async move {
            let mut signalled = async || {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            signalled().await;
            // A separate thread, since the runtime may hang.
            std::thread::spawn(hard_stop);
            // Load balancers live in real time, so the lead does not use the process's clock.
            shutdown.wind_down(&readiness, lead, &Clock::system()).await;
            signalled().await;
            tracing::warn!("second signal received, stopping at once");
            std::process::exit(1);
        });
        Ok(())
    }

    /// Makes the process unready, waits for the lead, and begins to drain.
    pub async fn wind_down(&self, readiness: &Readiness, lead: Duration, clock: &Clock) {
        tracing::info!(lead_ms = lead.as_millis(), "shutting down: unready, still serving");
        readiness.unready("shutdown", "the process is shutting down");
        self.leaving.cancel();
        clock.sleep(lead).await;
        tracing::info!("draining: accepting no new work, finishing running work");
        self.begin();
    }

    /// Begins to drain at once.
    pub fn begin(&self) {
        self.leaving.cancel();
        self.draining.cancel();
    }

    /// Waits until the process is leaving: unready, still serving.
    pub async fn leaving(&self) {
        self.leaving.cancelled().await;
    }

    /// Whether draining has begun.
    pub fn has_begun(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits until draining begins.
    pub async fn begun(&self) {
        self.draining.cancelled().await;
    }

    /// Runs a future until it ends; `None` if draining begins first.
    pub async fn until<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.draining.run_until_cancelled(work).await
    }
}

#[expect(clippy::disallowed_methods, reason = "the last resort counts real seconds, whatever the clock shows")]
fn hard_stop() {
    std::thread::sleep(Duration::from_secs(DRAIN_SECONDS_MAX));
    tracing::error!("draining took longer than {DRAIN_SECONDS_MAX} s, stopping at once");
    std::process::exit(1);
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[tokio::test]
    async fn unready_comes_first_then_the_lead_then_draining() {
        let clock = Clock::manual("2026-03-06T08:00:00Z".parse().unwrap());
        let (shutdown, readiness) = (Shutdown::new(), Readiness::new());
        let ending = tokio::spawn({
            let (shutdown, readiness, clock) = (shutdown.clone(), readiness.clone(), clock.clone());
            async move { shutdown.wind_down(&readiness, Duration::from_secs(5), &clock).await }
        });
        shutdown.leaving().await;
        let asleep = tokio::time::timeout(Duration::from_secs(10), clock.until_sleepers(1)).await;
        asleep.expect("the lead is waited for");
        assert!(!readiness.is_ready() && !shutdown.has_begun());
        clock.advance(SignedDuration::from_secs(5));
        ending.await.unwrap();
        assert!(shutdown.has_begun());
    }

    #[tokio::test]
    async fn endless_work_is_dropped_when_draining_begins() {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.until(async { 7 }).await, Some(7));
        shutdown.begin();
        assert_eq!(shutdown.until(std::future::pending::<u8>()).await, None);
        shutdown.leaving().await;
    }
}
