//! The process's descriptors: connections leave a quarter of them to databases, peers and files.

/// Descriptors of everything but connections, as far as the system allows.
#[cfg(target_os = "linux")]
const OTHERS: u64 = 1024;

/// The most connections, at most the configured number. Raises the limit of descriptors where the system allows it.
#[cfg(target_os = "linux")]
pub(super) fn connections_max(configured: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let needed = configured as u64 + OTHERS;
    let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let current = match limit.current {
        None => return configured,
        Some(current) if current >= raised => current,
        Some(current) => {
            let limit = Rlimit { current: Some(raised), maximum: limit.maximum };
            setrlimit(Resource::Nofile, limit).map_or(current, |()| raised)
        }
    };
    let max = usize::try_from(current - current / 4).unwrap_or(configured).min(configured);
    if max < configured {
        let descriptors = current;
        tracing::warn!(descriptors, max, configured, "fewer connections are possible than configured: raise the limit");
    }
    max
}

/// Other systems decide themselves.
#[cfg(not(target_os = "linux"))]
pub(super) fn connections_max(configured: usize) -> usize {
    configured
}
