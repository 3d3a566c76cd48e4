//! The threads of the process: those that somebody waits for, and those that give way to them.

use std::{io, thread::available_parallelism};

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// By how much the quiet threads give way, by `nice(2)`: beside busy ones they have a tenth of a core, and a core that
/// nobody wants they have whole.
#[cfg(target_os = "linux")]
const GIVE_WAY: i32 = 10;

/// What somebody waits for: one thread a core, and on small machines, which have the database beside them, four: one that
/// has to wait for a core then holds up fewer of the others' tasks.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(cores().max(4)).enable_all().build()
}

/// What may be some milliseconds later: nobody waits for it, and what somebody waits for is not to wait behind it.
pub(crate) struct Quiet(Option<Runtime>, Handle);

impl Quiet {
    pub(crate) fn new() -> Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(cores().max(2)).thread_name("quiet").enable_all();
        // Elsewhere it would be the whole process that gives way.
        #[cfg(target_os = "linux")]
        builder.on_thread_start(|| {
            if let Err(error) = rustix::process::nice(GIVE_WAY) {
                tracing::debug!(%error, "a thread does not give way to the others");
            }
        });
        let runtime = builder.build().context("no more threads can be made")?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    /// Where to spawn it.
    pub(crate) fn handle(&self) -> &Handle {
        &self.1
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Without waiting, which a task may not do.
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The priority of the thread that asks: field 19 of proc(5)'s `stat`, the 17th after the name.
    fn priority() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        stat.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn quiet_threads_give_way_to_the_others() {
        runtime().unwrap().block_on(async {
            let quiet = Quiet::new().unwrap();
            let usual = tokio::spawn(async { priority() }).await.unwrap();
            let given = quiet.handle().spawn(async { priority() }).await.unwrap();
            assert_eq!(given - usual, GIVE_WAY.min(19 - usual));
        });
    }
}
