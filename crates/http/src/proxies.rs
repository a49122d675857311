//! Who is believed when it says for whom it asks: the proxies whose `Forwarded` and `X-Forwarded-*` headers count.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Networks whose members may speak for others (`http.trustedproxies`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// An address, or all addresses that begin alike: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// The text is no [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no address and no network such as `10.0.0.0/8` or `fd00::/8`", .0.escape_debug())]
pub struct NetworkError(String);

impl TrustedProxies {
    /// These, and nobody else.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether a peer at this address is believed.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

/// This machine, and the addresses that only a network of one's own can have: a proxy in another container or on
/// another machine of the house has one of those, and nobody on the Internet does.
impl Default for TrustedProxies {
    fn default() -> Self {
        let v4 = |a, b, bits| Network {
            first: Ipv4Addr::new(a, b, 0, 0).into(),
            bits,
        };
        let v6 = |first, last, bits| Network {
            first: Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last).into(),
            bits,
        };
        Self(vec![
            v4(127, 0, 8),
            v4(10, 0, 8),
            v4(172, 16, 12),
            v4(192, 168, 16),
            v4(169, 254, 16),
            v6(0, 1, 128),
            v6(0xfc00, 0, 7),
            v6(0xfe80, 0, 10),
        ])
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let differs = match (self.first, address) {
            // As if both were 128 bits long, the shorter ones filled with zeros.
            (IpAddr::V4(first), IpAddr::V4(address)) => u128::from(first.to_bits() ^ address.to_bits()) << 96,
            (IpAddr::V6(first), IpAddr::V6(address)) => first.to_bits() ^ address.to_bits(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        differs.leading_zeros() >= u32::from(self.bits)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| error())?)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| error())?;
        let all = if first.is_ipv4() { 32 } else { 128 };
        match bits.unwrap_or(all) {
            bits if bits <= all => Ok(Self { first, bits }),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
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
    fn what_nobody_on_the_internet_has_is_believed() {
        let proxies = TrustedProxies::default();
        for inside in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
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
            "100.64.0.1",
        ] {
            assert!(!proxies.contains(outside.parse().unwrap()), "{outside}");
        }
    }
}
