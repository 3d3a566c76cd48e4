//! The address of a client: the connection's peer, or the hop that a trusted proxy names.
//!
//! A proxy appends the address of its own client to `X-Forwarded-For`, or to `Forwarded` (RFC 7239). Clients can send both
//! headers, too, so only hops to the right of the last untrusted one are believed, and only in the header that the proxies
//! are configured to set.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap, HeaderName},
};
use ipnet::IpNet;

/// Most proxies in a row.
const HOPS_MAX: usize = 16;

/// The proxies before the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    /// The header that they set.
    header: HeaderName,
}

impl Proxies {
    /// Proxies with these addresses or networks, which set this header.
    ///
    /// # Errors
    /// The first text that is neither an address nor a network, or the header that is neither of both.
    pub(crate) fn parse<'a>(trusted: &'a [String], header: &'a str) -> Result<Self, &'a str> {
        let header = match header.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => HeaderName::from_static("x-forwarded-for"),
            "forwarded" => HeaderName::from_static("forwarded"),
            _ => return Err(header),
        };
        let trusted = trusted.iter().map(|text| network(text).ok_or(text.as_str())).collect::<Result<_, _>>()?;
        Ok(Self { trusted, header })
    }

    /// The address of the client of a request; unspecified (`0.0.0.0`) for a request that came through no socket.
    pub(crate) fn client_address(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip().to_canonical());
        if self.trusted.is_empty() {
            return peer;
        }
        let lines = headers.get_all(&self.header).into_iter().rev();
        let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        let mut client = peer;
        for hop in hops.take(HOPS_MAX) {
            if !self.trusts(client) {
                break;
            }
            // A hop that names no address hides its client: the proxy that reports it stands for it.
            let Some(address) = self.hop(hop) else { break };
            client = address;
        }
        client
    }

    /// Whether an address is a trusted proxy's.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The address that one element of the header names.
    fn hop(&self, element: &str) -> Option<IpAddr> {
        if self.header != "forwarded" {
            return node(element);
        }
        let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for")).and_then(|(_, value)| node(value))
    }
}

/// The part of an address by which a limit counts its client: one subscriber has a whole IPv6 /64 (RFC 6177).
pub(crate) fn limited_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

/// An address, or a network in CIDR form.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|address| address.to_canonical().into()))
}

/// The address of a node, with or without a port, brackets and quotes.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let address = text.parse::<IpAddr>().ok().or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(header: &str, peer: &str, lines: &[&'static str]) -> String {
        let trusted = ["10.0.0.0/8", "192.0.2.1", "2001:db8:1::/48"].map(str::to_owned);
        let proxies = Proxies::parse(&trusted, header).unwrap();
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        let mut headers = HeaderMap::new();
        for line in lines.iter().copied() {
            headers.append(proxies.header.clone(), HeaderValue::from_static(line));
        }
        proxies.client_address(&extensions, &headers).to_string()
    }

    #[test]
    fn the_peer_is_the_client_unless_it_is_a_trusted_proxy() {
        let forged = ["203.0.113.9"];
        assert_eq!(client("x-forwarded-for", "198.51.100.7", &forged), "198.51.100.7");
        assert_eq!(client("x-forwarded-for", "10.0.0.1", &forged), "203.0.113.9");
        assert_eq!(client("x-forwarded-for", "::ffff:10.0.0.1", &forged), "203.0.113.9", "an IPv4 address in IPv6");
        assert_eq!(client("x-forwarded-for", "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn the_last_untrusted_hop_is_the_client_whatever_it_sent_itself() {
        for (lines, expected) in [
            (&["1.1.1.1, 203.0.113.9"][..], "203.0.113.9"),
            (&["1.1.1.1, 203.0.113.9, 192.0.2.1, 10.9.9.9"], "203.0.113.9"),
            (&["1.1.1.1", "203.0.113.9:4711, 10.9.9.9"], "203.0.113.9"),
            (&["1.1.1.1, [2001:db8:2::5]:443"], "2001:db8:2::5"),
            (&["1.1.1.1, unknown, 10.9.9.9"], "10.9.9.9"),
            (&["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
            (&[""], "10.0.0.1"),
        ] {
            assert_eq!(client("X-Forwarded-For", "10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        for (line, expected) in [
            ("for=1.1.1.1, for=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
            ("for=1.1.1.1, proto=https;For=\"[2001:db8:2::5]:4711\"", "2001:db8:2::5"),
            ("for=\"1.1.1.1, for=203.0.113.9", "203.0.113.9"),
            ("for=1.1.1.1, for=_hidden", "10.0.0.1"),
        ] {
            assert_eq!(client("Forwarded", "10.0.0.1", &[line]), expected, "{line}");
        }
    }

    #[test]
    fn settings_that_name_no_network_or_header_are_refused() {
        let proxies = |text: &str| [text.to_owned()];
        assert_eq!(Proxies::parse(&proxies("10.0.0.0/33"), "forwarded").unwrap_err(), "10.0.0.0/33");
        assert_eq!(Proxies::parse(&proxies("proxy.example.org"), "forwarded").unwrap_err(), "proxy.example.org");
        assert_eq!(Proxies::parse(&[], "X-Real-IP").unwrap_err(), "X-Real-IP");
    }

    #[test]
    fn a_limit_counts_an_ipv6_subscriber_once() {
        let network = |text: &str| limited_network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:2:3:4:5:6:7"), "2001:db8:2:3::");
        assert_eq!(network("::ffff:203.0.113.9"), "203.0.113.9");
    }
}
