//! The caller of a request: the connection's peer, whether it is a trusted proxy, and the client
//! behind it. See [design: trusted proxies](crate::design#trusted-proxies).

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The other end of a connection; every request has it as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer.
    Ip(IpAddr),
    /// A process on this machine with access to our socket file; trusted.
    Unix,
}

/// The proxies whose X-Forwarded-* and X-Original-* headers are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    /// Whether `peer` is a trusted proxy.
    pub fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Unix => true,
            Peer::Ip(ip) => self.contains(ip),
        }
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|net| net.contains(&ip))
    }

    /// Returns the client's address. From a trusted peer it is the right-most X-Forwarded-For
    /// element that is not itself a trusted proxy. If the header is missing or unreadable, or the
    /// peer is not trusted, it is the peer's own.
    pub fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<IpAddr> {
        let own = match peer {
            Peer::Ip(ip) => Some(ip.to_canonical()),
            Peer::Unix => None,
        };
        if !self.trusts(peer) {
            return own;
        }
        let mut last = own;
        // From right to left: each proxy appends the address that it saw, and only the trusted ones
        // are believed.
        for header in headers.get_all("x-forwarded-for").iter().rev() {
            // Nothing to the left of an unreadable element can be believed.
            let Ok(text) = header.to_str() else { return last };
            for element in text.rsplit(',') {
                let Some(ip) = parse_address(element.trim()) else { return last };
                if !self.contains(ip) {
                    return Some(ip);
                }
                last = Some(ip);
            }
        }
        last
    }
}

/// Parses an address with or without brackets and port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let ip =
        text.parse::<IpAddr>().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()));
    ip.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let nets = ["127.0.0.0/8", "::1/128", "10.0.0.0/8"].map(|n| n.parse().unwrap());
        let mut headers = HeaderMap::new();
        for f in forwarded {
            headers.append("x-forwarded-for", f.parse().unwrap());
        }
        let peer = Peer::Ip(peer.parse().unwrap());
        TrustedProxies(nets.to_vec()).client(peer, &headers).unwrap().to_string()
    }

    #[test]
    fn case_26_the_client_is_found_from_the_right_over_trusted_hops_only() {
        assert_eq!(client("127.0.0.1", &["6.6.6.6, 203.0.113.9, 10.1.1.1"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &["6.6.6.6", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &["10.0.0.7"]), "10.0.0.7");
    }

    #[test]
    fn case_26_an_untrusted_peer_speaks_only_for_itself() {
        assert_eq!(client("203.0.113.5", &["1.2.3.4"]), "203.0.113.5");
    }

    #[test]
    fn case_26_garbage_ends_the_walk_and_mapped_addresses_are_unmapped() {
        assert_eq!(client("127.0.0.1", &["1.2.3.4, garbage"]), "127.0.0.1");
        assert_eq!(client("::ffff:127.0.0.1", &["::ffff:203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &["[2001:db8::1]:5555"]), "2001:db8::1");
    }
}
