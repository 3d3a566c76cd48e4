//! The start of the process: what other users of the machine must not see, and what must be set before the program runs.

use std::env;

use crate::{allocator, arguments};

/// Executes the program once more where its arguments hold a secret, which moves to the environment, or where the allocator
/// needs a setting. Other users see the arguments of a process (`ps`), never its environment. Returns where nothing is to
/// change, and where it is not possible.
#[cfg(unix)]
pub(crate) fn once() {
    use std::{os::unix::process::CommandExt, process::Command};
    let hidden = arguments::hide(env::args_os().skip(1));
    let setting = allocator::setting();
    if hidden.variables.is_empty() && setting.is_none() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut command = Command::new(program);
    if let Some(name) = env::args_os().next() {
        command.arg0(name);
    }
    // It returns only if it fails.
    let _ = command.args(hidden.arguments).envs(hidden.variables).envs(setting).exec();
}

#[cfg(not(unix))]
pub(crate) fn once() {
    let _ = (env::args_os(), arguments::hide, allocator::setting());
}

/// Files and folders that this process makes are its user's alone.
#[cfg(unix)]
pub(crate) fn make_files_private() {
    use rustix::fs::Mode;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

#[cfg(not(unix))]
pub(crate) fn make_files_private() {}

/// Lets a write beyond the limit of a file's size fail, instead of ending the process (`RLIMIT_FSIZE`, setrlimit(2)). Runs on
/// the runtime.
#[cfg(unix)]
pub(crate) fn survive_file_limits() {
    use tokio::signal::unix::{SignalKind, signal};
    // The handler stays installed. Without it the process behaves as any other.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
}

#[cfg(not(unix))]
pub(crate) fn survive_file_limits() {}
