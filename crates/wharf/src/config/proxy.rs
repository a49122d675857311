//! `proxy`: registry:2's pull-through cache, in which the whole registry is a mirror of one upstream.

use std::time::Duration;

use wharf_client::upstream::UpstreamOptions;
use wharf_mirror::{MirrorOptions, Place};

use super::{
    keys::{
        Default, Key, Secret,
        Since::{From3, Ours},
        Status::Accepted,
        keys,
    },
    mirrors,
    section::Section,
    upstream::{self, LoginKeys, OwnAddresses},
};

keys! {
    REMOTE_URL: Option<String> = Key::new("proxy.remoteurl")
        .help("URL of the registry that the whole of this one is a mirror of; without it this one is no mirror. See [mirror](mirror.md)");
    USER: Option<String> = Key::new("proxy.username").help("Account at the upstream; without one it is asked anonymously");
    PASSWORD: Option<Secret> = Key::new("proxy.password").help("Password or access token of that account");
    COMMAND: Option<String> = Key::new("proxy.exec.command")
        .help("Program that answers with the credentials, as docker's `docker-credential-…` do: its path, or its name in `PATH`")
        .since(From3("3.0"));
    LIFETIME: Option<Duration> = Key::new("proxy.exec.lifetime")
        .shown_default(Default::Words("as long as the server runs"))
        .help("Time for which its answer is used; `0`: for one login")
        .since(From3("3.0"));
    REALMS: Vec<String> = Key::list("proxy.realms")
        .help("Further hosts that may get the credentials as token servers, beside those of the upstream's own domain")
        .since(Ours);
    TTL: Option<Duration> = Key::new("proxy.ttl")
        .status(Accepted("content stays until it is deleted; a warning says so of a time other than `0`"))
        .since(From3("3.0"));
    CACHE_WRITE_TIMEOUT: Option<Duration> = Key::new("proxy.cachewritetimeout")
        .status(Accepted("a download is stored while it comes in, and ends by itself when the upstream stands still"))
        .since(From3("3.1"));
}

const LOGIN: LoginKeys = LoginKeys {
    user: USER,
    password: PASSWORD,
    command: COMMAND,
    lifetime: LIFETIME,
};

/// Reads the section. `None`: this registry is no mirror as a whole, or a problem has been reported. `is_read_only`: nothing may be stored.
pub(super) fn read(root: &Section<'_>, own: &OwnAddresses, is_read_only: bool) -> Option<MirrorOptions> {
    // As in registry:2, an empty URL switches the section off.
    if root.get(REMOTE_URL).is_none() {
        let others = [
            (USER.info(), root.get(USER).is_some()),
            (PASSWORD.info(), root.get(PASSWORD).is_some()),
            (COMMAND.info(), root.get(COMMAND).is_some()),
        ];
        for (key, _) in others.into_iter().filter(|(_, is_set)| *is_set) {
            root.warning(key, "has no effect without `proxy.remoteurl`");
        }
        return None;
    }
    if is_read_only {
        root.problem(
            REMOTE_URL,
            "needs a store that it may write to; remove `storage.maintenance.readonly`, which a mirror does not need to refuse pushes",
        );
    }
    if !root.elements(mirrors::MIRRORS).is_empty() {
        root.problem(
            REMOTE_URL,
            "and `mirrors` exclude each other: with `proxy` the whole registry is one mirror; move it into `mirrors` with a `prefix`, or remove \
             `mirrors`",
        );
    }
    if root.get(TTL).is_some_and(|ttl| !ttl.is_zero()) {
        root.warning(
            TTL,
            "has no effect: content stays until it is deleted (`wharf repo rm`, `retention.rules`), and registry:2's `scheduler-state.json` \
             is left alone; write `0`, or remove it",
        );
    }
    let url = upstream::url(root, REMOTE_URL, own);
    let login = upstream::login(root, &LOGIN);
    let realms = mirrors::hosts(root, REALMS);
    let url = url?;
    upstream::warn_of_clear_text(root, REMOTE_URL, &url, &login);
    let is_docker_hub = upstream::is_docker_hub(&url);
    let mut namespaces = vec![mirrors::authority(&url)];
    if is_docker_hub {
        namespaces.push(mirrors::DOCKER_IO.to_owned());
    }
    Some(MirrorOptions {
        place: Place::Whole,
        upstream: UpstreamOptions {
            login,
            realms,
            ..UpstreamOptions::new(url, String::new())
        },
        is_docker_hub,
        namespaces,
        hosts: Vec::new(),
        allow: Vec::new(),
        deny: Vec::new(),
        fresh: Duration::ZERO,
        stale: None,
        is_offline: false,
        keeps_gone: true,
    })
}
