//! An orderly end: unready first, then drain, then a hard stop; and the register of what is ready.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

/// The longest that draining may take.
pub const DRAIN_SECONDS_MAX: u64 = 25;

/// Tells everything in the process that it ends. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    draining: CancellationToken,
}

impl Shutdown {
    /// Nothing ends yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to drain on SIGTERM or SIGINT; stops the process hard if that takes longer than
    /// [`DRAIN_SECONDS_MAX`].
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn on_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("draining: no new work is taken, running work is finished");
            shutdown.begin();
            // On its own thread: a runtime that hangs must not keep the hard stop from coming.
            std::thread::spawn(hard_stop);
        });
        Ok(())
    }

    /// Begins to drain.
    pub fn begin(&self) {
        self.draining.cancel();
    }

    /// Whether draining has begun.
    pub fn has_begun(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits until draining begins.
    pub async fn begun(&self) {
        self.draining.cancelled().await;
    }

    /// Runs a future until it ends or draining begins, whichever is first; `None` for the latter.
    pub async fn until<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.draining.run_until_cancelled(work).await
    }
}

#[expect(clippy::disallowed_methods, reason = "the last resort counts real seconds, whatever the clock shows")]
fn hard_stop() {
    std::thread::sleep(Duration::from_secs(DRAIN_SECONDS_MAX));
    tracing::error!("draining took longer than {DRAIN_SECONDS_MAX} s, stopping hard");
    std::process::exit(1);
}

/// What must hold before the process takes traffic. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<String, Option<String>>>>);

impl Readiness {
    /// Nothing to wait for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that a part is ready.
    pub fn ready(&self, part: &str) {
        self.set(part, None);
    }

    /// Says that a part is not ready, and why, in words without personal data.
    pub fn unready(&self, part: &str, reason: &str) {
        self.set(part, Some(reason.to_owned()));
    }

    /// The parts that are not ready, each with its reason; empty where all are.
    pub fn missing(&self) -> Vec<(String, String)> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().filter_map(|(part, reason)| Some((part.clone(), reason.clone()?))).collect()
    }

    fn set(&self, part: &str, reason: Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part.to_owned(), reason);
    }
}
