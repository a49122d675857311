//! Proxies that authenticate clients themselves, as in front of a single sign-on, and name the account in a header.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::credentials::{Credentials, Proxied};

/// The longest name of an account or a group, in bytes.
const NAME: usize = 256;

/// The most groups of one account.
const GROUPS: usize = 256;

/// The headers in which a proxy names the account of its client (`access.proxyheader`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Name of the header with the account
    pub user: String,
    /// Name of the header with its groups, separated by commas
    pub groups: Option<String>,
    /// Addresses of the proxies that are believed
    pub proxies: Vec<IpNet>,
}

impl ProxyHeader {
    /// The credentials in the values of the two headers of a request from `peer`, which is `None` for a unix socket; `None`: the
    /// request names no account, and its other credentials count.
    ///
    /// A header from another peer is refused, and not ignored: either a client tries to be another one, or the operator has
    /// forgotten the proxy.
    pub fn credentials<'a>(
        &self,
        peer: Option<IpAddr>,
        mut users: impl Iterator<Item = &'a [u8]>,
        mut groups: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Credentials<'a>> {
        let user = users.next()?;
        let is_believed = peer.is_some_and(|peer| {
            let peer = peer.to_canonical();
            self.proxies.iter().any(|network| network.contains(&peer))
        });
        Some(if !is_believed {
            Credentials::Malformed(
                "the header that names the account is believed only from the addresses in `access.proxyheader.proxies`",
            )
        } else if let (groups, None, None) = (groups.next(), groups.next(), users.next()) {
            match proxied(user, groups) {
                Some(proxied) => Credentials::Proxied(proxied),
                None => {
                    Credentials::Malformed("the header that names the account, or its groups, holds no name")
                }
            }
        } else {
            Credentials::Malformed("there is more than one header that names the account, or its groups")
        })
    }
}

fn proxied(user: &[u8], groups: Option<&[u8]>) -> Option<Proxied> {
    let groups = groups.unwrap_or_default().split(|&byte| byte == b',');
    let groups = groups.filter(|group| !group.trim_ascii().is_empty());
    let names: Option<Vec<Box<str>>> = groups.map(|group| Some(name(group)?.into())).collect();
    let names = names.filter(|names| names.len() <= GROUPS)?;
    Some(Proxied {
        account: name(user)?.into(),
        groups: names.into(),
    })
}

fn name(bytes: &[u8]) -> Option<&str> {
    let name = str::from_utf8(bytes.trim_ascii()).ok()?;
    let is_name = !name.is_empty() && name.len() <= NAME && !name.contains(char::is_control);
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(peer: Option<&str>, users: &[&str], groups: &[&str]) -> Option<String> {
        let header = ProxyHeader {
            user: "x-remote-user".to_owned(),
            groups: Some("x-remote-groups".to_owned()),
            proxies: vec!["10.1.0.0/16".parse().unwrap()],
        };
        let bytes = |texts: &[&'static str]| texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>();
        let leaked = |texts: &[&str]| -> Vec<&'static str> {
            texts
                .iter()
                .map(|text| &*String::leak((*text).to_owned()))
                .collect()
        };
        let (users, groups) = (bytes(&leaked(users)), bytes(&leaked(groups)));
        let peer = peer.map(|peer| peer.parse().unwrap());
        let read = header.credentials(peer, users.into_iter(), groups.into_iter())?;
        Some(match read {
            Credentials::Proxied(Proxied { account, groups }) => format!("{account} {groups:?}"),
            _ => "refused".to_owned(),
        })
    }

    #[test]
    fn only_a_proxy_that_is_believed_names_an_account() {
        let proxy = Some("10.1.2.3");
        assert_eq!(read(proxy, &[], &["ops"]), None);
        assert_eq!(read(proxy, &[" alice "], &[]).unwrap(), "alice []");
        assert_eq!(
            read(Some("::ffff:10.1.2.3"), &["é"], &["ops, ci,"]).unwrap(),
            "é [\"ops\", \"ci\"]"
        );
        for (peer, users, groups) in [
            (None, vec!["alice"], vec![]),
            (Some("10.2.0.1"), vec!["alice"], vec![]),
            (Some("10.2.0.1"), vec![""], vec![]),
            (proxy, vec!["alice", "bob"], vec![]),
            (proxy, vec!["alice"], vec!["ops", "admins"]),
            (proxy, vec![""], vec![]),
            (proxy, vec!["a\u{7}"], vec![]),
            (proxy, vec!["alice"], vec!["a\u{7}"]),
        ] {
            assert_eq!(
                read(peer, &users, &groups).unwrap(),
                "refused",
                "{peer:?} {users:?}"
            );
        }
        assert_eq!(read(proxy, &["a".repeat(257).as_str()], &[]).unwrap(), "refused");
        assert_eq!(
            read(proxy, &["a"], &["g,".repeat(257).as_str()]).unwrap(),
            "refused"
        );
    }
}
