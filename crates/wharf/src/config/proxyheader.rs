//! `access.proxyheader`: proxies that authenticate clients and name their account in a header.

use http::{HeaderName, header};
use wharf_access::{ProxyHeader, rules};

use super::{
    keys::{Key, Since, keys},
    section::Section,
};

keys! {
    USER: Option<String> = Key::new("access.proxyheader.user")
        .help("Name of the header in which a proxy names the account of its client, such as `X-Remote-User`; it is believed from `proxies` alone")
        .since(Since::Ours);
    GROUPS: Option<String> = Key::new("access.proxyheader.groups")
        .help("Name of the header in which a proxy names the groups of the account, separated by commas, such as `X-Remote-Groups`")
        .since(Since::Ours);
    PROXIES: Vec<String> = Key::list("access.proxyheader.proxies")
        .help("Addresses and networks of these proxies, which must remove the headers from requests of their clients")
        .since(Since::Ours);
}

/// Reads the headers. `has_accounts` says whether clients log in: without that every client may do everything.
pub(super) fn read(root: &Section<'_>, has_accounts: bool) -> Option<ProxyHeader> {
    let (user, groups, proxies) = (root.get(USER), root.get(GROUPS), root.get(PROXIES));
    if user.is_none() {
        let others = [
            (GROUPS.info(), groups.is_some()),
            (PROXIES.info(), !proxies.is_empty()),
        ];
        for (key, _) in others.into_iter().filter(|(_, is_set)| *is_set) {
            root.problem(key, "has no effect without `access.proxyheader.user`");
        }
        return None;
    }
    if !has_accounts {
        root.problem(
            USER,
            "has no effect without `auth`: every client may do everything; set `auth.htpasswd.path`, or remove it",
        );
    }
    if proxies.is_empty() {
        root.problem(
            PROXIES,
            "is missing; name the addresses of the proxies, or every client could name any account",
        );
    }
    let network = |text: &String| {
        let network = rules::network(text.trim());
        if network.is_none() {
            let text = text.trim().escape_debug();
            let problem = format!("must have addresses or networks, such as `10.0.0.0/8`, and not `{text}`");
            root.problem(PROXIES, &problem);
        }
        network
    };
    Some(ProxyHeader {
        user: name(root, USER, user)?,
        groups: match groups {
            Some(_) => Some(name(root, GROUPS, groups)?),
            None => None,
        },
        proxies: proxies.iter().filter_map(network).collect(),
    })
}

/// A name of a header that has no other meaning.
fn name(root: &Section<'_>, key: Key<Option<String>>, text: Option<String>) -> Option<String> {
    let text = text?;
    let name = HeaderName::try_from(&text)
        .ok()
        .filter(|name| *name != header::AUTHORIZATION);
    if name.is_none() {
        let text = format!(
            "must be the name of a header of its own, such as `X-Remote-User`, and not `{}`",
            text.escape_debug()
        );
        root.problem(key, &text);
    }
    name.map(|name| name.as_str().to_owned())
}
