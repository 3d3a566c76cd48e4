//! The certificates of a process that runs one role, and the refusal to run without them beyond this machine.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use rpc::{Access, Tls};

use crate::{config::Config, roles::Role};

/// The access of roles to each other's methods.
pub(crate) const ACCESS: Access = Access { roles: &wire::access::ROLES, may_call: wire::access::may_call };

/// The warning about plain text, for the log and `meridian doctor`.
pub(crate) const CAUTION: &str = "PLAIN TEXT between roles, by peers.plaintext: unless a service mesh secures their \
                                  connections, anybody who reaches them can read and change the data of every organisation";

/// Opens the certificates of a role; `None` where it runs without.
///
/// # Errors
/// When they cannot be used, or when there are none and the role listens or calls beyond this machine.
pub(crate) fn open(config: &Config, role: Role) -> Result<Option<Tls>> {
    if let Some(files) = config.peers.tls.files() {
        let tls = Tls::open(files, role.as_str());
        return tls
            .map(Some)
            .context("the certificates of peers.tls cannot be used; meridian certificates makes others");
    }
    match exposure(config, role) {
        Some(exposure) if !config.peers.plaintext => bail!(
            "{exposure} without certificates: anybody who reaches that connection could read and change the data of every \
             organisation. Make certificates with `meridian certificates --out DIR` and set peers.tls, or keep roles to \
             127.0.0.1; only where a service mesh secures the connections between roles, set peers.plaintext = true"
        ),
        Some(exposure) => {
            tracing::warn!(exposure, "{CAUTION}");
            Ok(None)
        }
        None => Ok(None),
    }
}

/// The connection of a role that leads beyond this machine, if there is one.
pub(crate) fn exposure(config: &Config, role: Role) -> Option<String> {
    let listens = config.listen.parse::<SocketAddr>().is_ok_and(|address| !address.ip().is_loopback());
    // The gateway's own port speaks HTTP and checks keys.
    if listens && role != Role::Gateway {
        return Some(format!("{} listens on {}", role.as_str(), config.listen));
    }
    let mut urls = config.peers.urls().into_iter().filter_map(|(peer, url)| Some((peer, url?)));
    let (peer, url) = urls.find(|(peer, url)| *peer != role && !is_local(url))?;
    Some(format!("{} calls {} at {url}", role.as_str(), peer.as_str()))
}

/// Whether a URL leads to this machine.
fn is_local(url: &str) -> bool {
    let url = url.parse::<reqwest::Url>().ok();
    url.as_ref().and_then(reqwest::Url::host_str).is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, booking: Option<&str>, plaintext: bool) -> Config {
        let mut config = Config { listen: listen.to_owned(), ..Config::default() };
        config.peers.booking = booking.map(str::to_owned);
        config.peers.plaintext = plaintext;
        config
    }

    #[test]
    fn plain_text_beyond_this_machine_is_refused_unless_a_mesh_is_vouched_for() {
        let beyond = Some("http://booking:9090");
        for (role, listen, booking, exposure) in [
            (Role::Booking, "0.0.0.0:9090", None, "booking listens on 0.0.0.0:9090"),
            (Role::Reminder, "[::]:9090", None, "reminder listens on [::]:9090"),
            (Role::Availability, "192.168.1.4:9090", None, "availability listens on 192.168.1.4:9090"),
            (Role::Gateway, "127.0.0.1:8080", beyond, "gateway calls booking at http://booking:9090"),
            (Role::Reminder, "127.0.0.1:9092", beyond, "reminder calls booking at http://booking:9090"),
        ] {
            let refused = open(&config(listen, booking, false), role).err().unwrap().to_string();
            assert!(refused.starts_with(exposure) && refused.contains("meridian certificates"), "{refused}");
            assert!(open(&config(listen, booking, true), role).unwrap().is_none());
        }
    }

    #[test]
    fn plain_text_within_this_machine_is_accepted() {
        for (role, listen, booking) in [
            (Role::Booking, "127.0.0.1:9090", None),
            (Role::Booking, "[::1]:0", Some("http://booking:9090")),
            (Role::Gateway, "0.0.0.0:8080", Some("http://localhost:9090")),
            (Role::Gateway, "0.0.0.0:8080", Some("http://[::1]:9090")),
            (Role::Reminder, "127.8.0.1:9090", Some("http://127.0.0.1:9090")),
        ] {
            assert!(open(&config(listen, booking, false), role).unwrap().is_none(), "{listen} {booking:?}");
        }
    }
}
