//! Trusted reverse proxies: peers whose `Forwarded` and `X-Forwarded-*` headers count.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks of trusted reverse proxies (`http.trustedproxies`).
///
/// What a proxy says of its client decides about a URL, a line of the log, and a limit. The first two harm only the client
/// that lies, so by default a private address is enough for them. A client that chooses the address by which it is limited
/// is not limited at all, so for that only this machine is trusted, unless networks are named. Rights depend on an address only
/// by the word of proxies that are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    /// Networks whose proxies are trusted for limits as well.
    for_limits: Vec<Network>,
    /// Whether the operator has named them.
    are_named: bool,
}

/// An address, or a range of addresses in CIDR notation: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

/// The text is not a [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is neither an address nor a network such as `10.0.0.0/8` or `fd00::/8`", .0.escape_debug())]
pub struct NetworkError(String);

impl TrustedProxies {
    /// Trusts these networks for everything, and no other.
    pub fn new(networks: Vec<Network>) -> Self {
        Self {
            for_limits: networks.clone(),
            networks,
            are_named: true,
        }
    }

    /// Whether a peer at this address is trusted.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// Whether a peer at this address is trusted to say which client a limit applies to.
    pub fn limits_by_word_of(&self, address: IpAddr) -> bool {
        self.for_limits.iter().any(|network| network.contains(address))
    }
}

impl TrustedProxies {
    /// Whether a peer at this address, which is `None` on a unix socket, is one that the operator has named.
    pub fn are_named_for(&self, address: Option<IpAddr>) -> bool {
        self.are_named && address.is_none_or(|address| self.contains(address))
    }
}

impl Network {
    /// Whether `address` belongs to the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// Loopback, private, shared and link-local addresses: a proxy in another container or on another machine of the site has one
/// of these, and no host on the Internet has. For limits loopback alone, because the clients of the site have private
/// addresses as well.
impl Default for TrustedProxies {
    fn default() -> Self {
        let v4 = |a, b, bits| Network(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), bits).into());
        let v6 = |first, last, bits| {
            Network(Ipv6Net::new_assert(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last), bits).into())
        };
        let loopback = [v4(127, 0, 8), v6(0, 1, 128)];
        let site = [
            v4(10, 0, 8),
            v4(172, 16, 12),
            v4(192, 168, 16),
            // Behind the address translation of a provider (RFC 6598); clusters and overlay networks use it as well.
            v4(100, 64, 10),
            v4(169, 254, 16),
            v6(0xfc00, 0, 7),
            v6(0xfe80, 0, 10),
        ];
        Self {
            networks: loopback.into_iter().chain(site).collect(),
            for_limits: loopback.into(),
            are_named: false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| NetworkError(text.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_contain_their_members() {
        let check = |network: &str, address: &str| {
            let network: Network = network.parse().unwrap();
            TrustedProxies::new(vec![network]).contains(address.parse().unwrap())
        };
        assert!(check("10.0.0.0/8", "10.255.1.2"));
        assert!(!check("10.0.0.0/8", "11.0.0.1"));
        assert!(check("192.0.2.7", "192.0.2.7"));
        assert!(!check("192.0.2.7", "192.0.2.6"));
        assert!(check("192.0.2.7", "::ffff:192.0.2.7"));
        assert!(check("0.0.0.0/0", "8.8.8.8") && !check("0.0.0.0/0", "2001:db8::1"));
        assert!(check("fd00::/8", "fdff::1") && !check("fd00::/8", "fc00::1"));
        for bad in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "a.example",
            "10.0.0/8",
            "10.0.0.0/-1",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_and_named_networks_say_which_client_is_limited() {
        let by_word_of =
            |proxies: &TrustedProxies, address: &str| proxies.limits_by_word_of(address.parse().unwrap());
        let default = TrustedProxies::default();
        assert!(by_word_of(&default, "127.0.0.1") && by_word_of(&default, "::1"));
        for private in ["10.1.2.3", "172.17.0.2", "192.168.1.1", "fd12::1", "fe80::1"] {
            assert!(!by_word_of(&default, private), "{private}");
        }
        let named = TrustedProxies::new(vec!["172.16.0.0/12".parse().unwrap()]);
        assert!(by_word_of(&named, "172.17.0.2") && !by_word_of(&named, "127.0.0.1"));
    }

    #[test]
    fn what_nobody_on_the_internet_has_is_believed() {
        let proxies = TrustedProxies::default();
        for inside in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "fe80::1",
            "fd12::1",
        ] {
            assert!(proxies.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "8.8.8.8",
            "172.32.0.1",
            "192.169.0.1",
            "2001:db8::1",
            "::2",
            "100.63.255.255",
            "100.128.0.1",
        ] {
            assert!(!proxies.contains(outside.parse().unwrap()), "{outside}");
        }
    }
}
