//! The settings of glibc's allocator.
//!
//! By default glibc returns freed memory beyond 128 KiB to the system, and each page of it costs a fault when it is allocated
//! again: up to a third of the time of a long plan's proposals. With these settings each arena keeps 32 MiB. glibc reads them
//! only at the start of a process, so the program executes itself once more with them in its environment.
//!
//! Refused: jemalloc, which takes 84 s of each build; mimalloc, which gives memory back after 10 ms and in its third version
//! holds twice as much.

/// The environment variable that glibc reads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const VARIABLE: &str = "GLIBC_TUNABLES";
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SETTINGS: &str = "glibc.malloc.trim_threshold=33554432:glibc.malloc.mmap_threshold=33554432";

/// Executes the program again with the settings, unless the environment has its own. Returns where that is not possible,
/// and on other systems: the program also runs without them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_freed_memory() {
    use std::{env, os::unix::process::CommandExt, process::Command};
    if env::var_os(VARIABLE).is_some() {
        return;
    }
    let (Ok(program), mut arguments) = (env::current_exe(), env::args_os()) else { return };
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // It returns only if it fails.
    let _ = command.args(arguments).env(VARIABLE, SETTINGS).exec();
}

/// Other allocators have no such settings.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed_memory() {}
