//! The peer of a connection, and the client behind it if the peer is a proxy.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

use crate::{forwarding, proxies::TrustedProxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Address of the peer; `None` on a unix socket.
    pub address: Option<SocketAddr>,
    /// Whether the peer is a trusted proxy, whose headers about its clients count.
    pub is_trusted: bool,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
}

impl Peer {
    /// A peer at `address`. A peer on a unix socket is trusted like this machine: the permissions of the socket and
    /// its directory decide which processes may connect.
    pub fn new(address: Option<SocketAddr>, proxies: &TrustedProxies, is_encrypted: bool) -> Self {
        Self {
            address,
            is_trusted: address.is_none_or(|address| proxies.contains(address.ip())),
            is_encrypted,
        }
    }

    /// Warns, once, when the request of a peer that is not trusted has headers that only count from a trusted proxy.
    pub(crate) fn note_ignored(&self, headers: &HeaderMap) {
        if let (false, Some(address)) = (self.is_trusted, self.address) {
            forwarding::ignored(headers, address.ip().to_canonical());
        }
    }

    /// Warns, once, when the peer is a proxy that does not say whether its clients use TLS. `url` is the start of the URL
    /// that a client is sent to.
    pub(crate) fn note_missing_scheme(&self, headers: &HeaderMap, url: &str) {
        match self.address {
            Some(address) => forwarding::missed_scheme(headers, address.ip().to_canonical(), url),
            None => forwarding::missed_scheme(headers, "the unix socket", url),
        }
    }

    /// The address of the client of a request, behind any number of trusted proxies.
    ///
    /// Each proxy appends the address of its own client, so the list is read from its end, for as long as its writers are
    /// trusted proxies: what stands further left may be the client's own invention.
    pub fn client(&self, headers: &HeaderMap, proxies: &TrustedProxies) -> Option<IpAddr> {
        self.client_behind(headers, |proxy| proxies.contains(proxy))
    }

    /// The address by which a request is limited: that of its client by the word of proxies which are trusted for
    /// [limits](TrustedProxies::limits_by_word_of), so that no client chooses it.
    pub fn limited_client(&self, headers: &HeaderMap, proxies: &TrustedProxies) -> Option<IpAddr> {
        self.client_behind(headers, |proxy| proxies.limits_by_word_of(proxy))
    }

    /// The address by which rights are decided: that of the client by the word of proxies that the operator has named. `None`:
    /// another peer says that the request is not its own, and of whom it is cannot be believed.
    pub fn proven_client(&self, headers: &HeaderMap, proxies: &TrustedProxies) -> Option<IpAddr> {
        let direct = self.address.map(|address| address.ip().to_canonical());
        let is_forwarded = [X_FORWARDED_FOR, X_REAL_IP, header::FORWARDED]
            .iter()
            .any(|name| headers.contains_key(name));
        if proxies.are_named_for(direct) {
            self.client_behind(headers, |proxy| proxies.are_named_for(Some(proxy)))
        } else if is_forwarded {
            None
        } else {
            direct
        }
    }

    fn client_behind(&self, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let direct = self.address.map(|address| address.ip().to_canonical());
        if direct.is_some_and(|direct| !trusts(direct)) {
            return direct;
        }
        let mut nearest = direct;
        let mut hops = 0;
        for hop in forwarded_for(headers).rev() {
            hops += 1;
            let Some(address) = hop.and_then(address_in) else {
                return nearest;
            };
            nearest = Some(address);
            if !trusts(address) {
                return nearest;
            }
        }
        if hops == 0 {
            let real = headers.get(X_REAL_IP).and_then(|value| value.to_str().ok());
            return real.and_then(address_in).or(direct);
        }
        nearest
    }

    /// The client as registry:2 writes it into events: with the port if no proxy lies between, empty if it is unknown.
    pub fn client_text(&self, headers: &HeaderMap, proxies: &TrustedProxies) -> String {
        match (self.client(headers, proxies), self.address) {
            (Some(client), Some(direct)) if client == direct.ip().to_canonical() => {
                SocketAddr::new(client, direct.port()).to_string()
            }
            (Some(client), _) => client.to_string(),
            (None, _) => String::new(),
        }
    }
}

/// The network of `address` that one client has: the address itself, or of IPv6 64 bits.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// The hops that `X-Forwarded-For` names, or `Forwarded` when that is what the proxy speaks, from the client on.
///
/// `X-Forwarded-For` goes first: proxies that write it often let the other one pass as the client wrote it.
fn forwarded_for(headers: &HeaderMap) -> impl DoubleEndedIterator<Item = Option<&str>> {
    let old = !headers.contains_key(header::FORWARDED) || headers.contains_key(X_FORWARDED_FOR);
    let name = if old { X_FORWARDED_FOR } else { header::FORWARDED };
    let values = headers.get_all(name).iter().collect::<Vec<_>>().into_iter();
    values
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(move |hop| if old { Some(hop) } else { parameter(hop, "for") })
}

/// A parameter of one element of a `Forwarded` header (RFC 7239).
pub(crate) fn parameter<'a>(element: &'a str, wanted: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case(wanted) && !value.is_empty()).then_some(value)
    })
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&str, &str)]) -> String {
        let proxies = TrustedProxies::default();
        let peer = Peer::new(
            Some(SocketAddr::new(peer.parse().unwrap(), 4711)),
            &proxies,
            false,
        );
        seen(&peer, headers)
    }

    fn seen(peer: &Peer, headers: &[(&str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let client = peer.client(&map, &TrustedProxies::default());
        client.map_or_else(|| "-".to_owned(), |client| client.to_string())
    }

    #[test]
    fn rights_depend_on_no_address_that_a_client_may_have_made_up() {
        let proven = |peer: Option<&str>, proxies: &TrustedProxies, values: &[(&'static str, &str)]| {
            let address = peer.map(|peer| SocketAddr::new(peer.parse().unwrap(), 1));
            let mut headers = HeaderMap::new();
            for (name, value) in values {
                headers.append(*name, value.parse().unwrap());
            }
            let client = Peer::new(address, proxies, false).proven_client(&headers, proxies);
            client.map(|client| client.to_string())
        };
        let (unnamed, named) = (
            TrustedProxies::default(),
            TrustedProxies::new(vec!["10.0.1.5".parse().unwrap()]),
        );
        let says = [("x-forwarded-for", "198.51.100.7")];
        // A proxy in another container that the operator has not named stands for no client, whoever writes the header.
        assert_eq!(proven(Some("10.0.1.5"), &unnamed, &says), None);
        assert_eq!(
            proven(Some("127.0.0.1"), &unnamed, &[("x-real-ip", "10.0.0.1")]),
            None
        );
        assert_eq!(
            proven(Some("127.0.0.1"), &unnamed, &[("forwarded", "for=10.0.0.1")]),
            None
        );
        assert_eq!(proven(Some("10.0.1.6"), &named, &says), None);
        assert_eq!(proven(None, &unnamed, &says), None);
        assert_eq!(proven(None, &unnamed, &[]), None);
        assert_eq!(proven(Some("10.0.1.5"), &named, &says).unwrap(), "198.51.100.7");
        let chain = [("x-forwarded-for", "10.0.0.1, 198.51.100.7")];
        assert_eq!(proven(Some("10.0.1.5"), &named, &chain).unwrap(), "198.51.100.7");
        assert_eq!(
            proven(Some("::ffff:10.9.9.9"), &unnamed, &[]).unwrap(),
            "10.9.9.9"
        );
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_no_proxy_of_ours() {
        assert_eq!(
            client("127.0.0.1", &[("x-forwarded-for", "203.0.113.9")]),
            "203.0.113.9"
        );
        let chain = [
            ("x-forwarded-for", "1.2.3.4, 203.0.113.9"),
            ("x-forwarded-for", "10.0.0.2"),
        ];
        assert_eq!(client("127.0.0.1", &chain), "203.0.113.9");
        // Every hop is a trusted proxy, so the first one is the client.
        assert_eq!(
            client("127.0.0.1", &[("x-forwarded-for", "10.0.0.7, 10.0.0.2")]),
            "10.0.0.7"
        );
        assert_eq!(
            client("10.0.0.2", &[("x-forwarded-for", "unknown, 10.0.0.3")]),
            "10.0.0.3"
        );
        assert_eq!(
            client("10.0.0.2", &[("x-forwarded-for", "[2001:db8::7]:80")]),
            "2001:db8::7"
        );
        assert_eq!(client("10.0.0.2", &[("x-real-ip", "203.0.113.9")]), "203.0.113.9");
        assert_eq!(client("10.0.0.2", &[]), "10.0.0.2");
        let forwarded = [("forwarded", "for=1.2.3.4, for=\"[2001:db8::7]:4711\";proto=https")];
        assert_eq!(client("10.0.0.2", &forwarded), "2001:db8::7");
        let both = [("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(client("10.0.0.2", &both), "203.0.113.9");
    }

    #[test]
    fn headers_of_an_untrusted_peer_do_not_count() {
        let says = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
        ];
        assert_eq!(client("203.0.113.9", &says), "203.0.113.9");
        assert_eq!(client("::ffff:203.0.113.9", &says), "203.0.113.9");
    }

    #[test]
    fn no_client_with_a_private_address_chooses_by_which_one_it_is_limited() {
        let limited = |peer: Option<&str>, proxies: &TrustedProxies, said: &str| {
            let address = peer.map(|peer| SocketAddr::new(peer.parse().unwrap(), 4711));
            let mut headers = HeaderMap::new();
            headers.insert(X_FORWARDED_FOR, said.parse().unwrap());
            let client = Peer::new(address, proxies, false).limited_client(&headers, proxies);
            client.map(|client| client.to_string()).unwrap_or_default()
        };
        let default = TrustedProxies::default();
        for private in ["10.0.0.7", "172.17.0.2", "192.168.1.1", "fd12::1"] {
            assert_eq!(limited(Some(private), &default, "203.0.113.9"), private);
        }
        assert_eq!(limited(Some("127.0.0.1"), &default, "203.0.113.9"), "203.0.113.9");
        assert_eq!(limited(None, &default, "203.0.113.9"), "203.0.113.9");
        // The proxy on this machine names its own client; what stands before that is the client's own invention.
        let chain = "203.0.113.9, 10.0.0.7";
        assert_eq!(limited(Some("127.0.0.1"), &default, chain), "10.0.0.7");
        let named = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(limited(Some("10.0.0.7"), &named, "203.0.113.9"), "203.0.113.9");
        assert_eq!(limited(Some("127.0.0.1"), &named, "203.0.113.9"), "127.0.0.1");
    }

    #[test]
    fn a_unix_socket_has_no_address_but_may_name_one() {
        let peer = Peer::new(None, &TrustedProxies::new(Vec::new()), false);
        assert_eq!(seen(&peer, &[]), "-");
        assert_eq!(seen(&peer, &[("x-forwarded-for", "203.0.113.9")]), "203.0.113.9");
    }
}
