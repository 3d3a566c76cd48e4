//! The two runtimes of the process: one for requests, one of lower priority for background work.

use std::{io, thread::available_parallelism};

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// The `nice(2)` increment of background threads: beside busy threads they get about a tenth of a core.
#[cfg(target_os = "linux")]
const NICE_INCREMENT: i32 = 10;
/// The fewest threads of the requests' runtime. A small machine also runs the database, so a thread may wait for a core;
/// four threads keep the other tasks running.
const REQUEST_THREADS_MIN: usize = 4;
const BACKGROUND_THREADS_MIN: usize = 2;

/// The runtime of requests: a thread for each core.
pub(crate) fn request_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(cores().max(REQUEST_THREADS_MIN)).enable_all().build()
}

/// A runtime of lower priority, so that background work does not delay requests.
pub(crate) struct BackgroundRuntime {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl BackgroundRuntime {
    pub(crate) fn new() -> Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(cores().max(BACKGROUND_THREADS_MIN)).thread_name("background").enable_all();
        // On other systems `nice` changes the whole process.
        #[cfg(target_os = "linux")]
        builder.on_thread_start(|| {
            if let Err(error) = rustix::process::nice(NICE_INCREMENT) {
                tracing::debug!(%error, "a background thread keeps its priority");
            }
        });
        let runtime = builder.build().context("the background threads cannot be started")?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    /// The handle to spawn tasks with.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for BackgroundRuntime {
    fn drop(&mut self) {
        // A runtime that is dropped inside a task must not wait for its threads.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// The nice value of the current thread: field 19 of proc(5)'s `stat`, the 17th after the name.
    fn nice_value() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        stat.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn background_threads_have_a_lower_priority() {
        request_runtime().unwrap().block_on(async {
            let background_runtime = BackgroundRuntime::new().unwrap();
            let of_requests = tokio::spawn(async { nice_value() }).await.unwrap();
            let of_background = background_runtime.handle().spawn(async { nice_value() }).await.unwrap();
            assert_eq!(of_background - of_requests, NICE_INCREMENT.min(19 - of_requests));
        });
    }
}
