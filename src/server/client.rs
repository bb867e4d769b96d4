//! The address of a client behind trusted proxies.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// Returns the address that a request comes from: the peer's or, if the peer is a trusted proxy, the last address in
/// `X-Forwarded-For` that is not a trusted proxy's. Any client may have written the addresses before it.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let lines: Vec<&[u8]> = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes).collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
    for hop in hops {
        if !is_trusted(&client) {
            break;
        }
        // A trusted proxy writes only valid addresses.
        let Some(address) = parse(hop) else { break };
        client = address;
    }
    client
}

/// Returns the address by which a client is limited: an IPv4 address, or the /64 network of an IPv6 address. One client
/// may own every address in its /64.
pub(super) fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

/// Parses an address, with optional brackets and port.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let socket = || hop.parse::<std::net::SocketAddr>().map(|socket| socket.ip());
    let address = hop.trim_matches(['[', ']']).parse::<IpAddr>().or_else(|_| socket()).ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_forwarded_headers_of_trusted_proxies_count() {
        assert_eq!(client("203.0.113.7", &["198.51.100.1"]), "203.0.113.7", "the peer is not a trusted proxy");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["192.0.2.1, 198.51.100.1"]), "198.51.100.1", "earlier hops may be forged");
        assert_eq!(client("10.0.0.1", &["192.0.2.1, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["192.0.2.1", "198.51.100.1", "10.0.0.2"]), "198.51.100.1", "several headers");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("fd00::1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1:5000"]), "198.51.100.1");
    }

    #[test]
    fn invalid_response_is_a_temporary_failure() {
        for forwarded in [&[][..], &[""], &["unknown"], &["198.51.100.1, _hidden"], &[","]] {
            assert_eq!(client("10.0.0.1", forwarded), "10.0.0.1", "{forwarded:?}");
        }
        assert_eq!(client("10.0.0.1", &["é, 203.0.113.9"]), "203.0.113.9", "earlier hops may contain anything");
        assert_eq!(client("10.0.0.1", &["198.51.100.7", "é, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.7", "é"]), "10.0.0.1", "an invalid hop is not skipped");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "all hops are trusted");
    }
}
