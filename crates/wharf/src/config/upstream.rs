//! What `mirrors` and `proxy` have in common: the URL of an upstream, and the credentials for it.

use std::{net::IpAddr, time::Duration};

use wharf_client::{
    Login, Secret as UserSecret,
    upstream::{Lifetime, UpstreamLogin, Url},
};
use wharf_document::words::cut;
use wharf_server::ServerOptions;

use super::{
    Listen,
    keys::{Key, Secret},
    section::Section,
};

/// Hosts at which Docker Hub answers as a registry.
const DOCKER_HUB: [&str; 3] = [
    "registry-1.docker.io",
    "index.docker.io",
    "registry.hub.docker.com",
];

/// Hosts of Docker Hub that are web sites.
const NOT_DOCKER_HUB: [&str; 4] = ["docker.io", "www.docker.io", "hub.docker.com", "www.docker.com"];

/// The keys of the credentials in one section.
pub(super) struct LoginKeys {
    pub(super) user: Key<Option<String>>,
    pub(super) password: Key<Option<Secret>>,
    pub(super) command: Key<Option<String>>,
    pub(super) lifetime: Key<Option<Duration>>,
}

/// The addresses of this server, which cannot be an upstream of itself.
#[derive(Debug)]
pub(super) struct OwnAddresses {
    /// Host, empty for all addresses, and port of the listener; `None`: it is a unix socket.
    listener: Option<(String, u16)>,
    /// URL of `http.host`
    url: Option<Url>,
    /// Path before `/v2/`, with a slash before it and none behind it; empty for none
    prefix: String,
}

impl OwnAddresses {
    pub(super) fn new(listen: &Listen, server: &ServerOptions) -> Self {
        let listener = match listen {
            Listen::Unix(..) => None,
            Listen::Tcp(address) => address.rsplit_once(':').and_then(|(host, port)| {
                let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
                Some((host, port.parse().ok()?))
            }),
        };
        Self {
            listener,
            url: server.host.as_deref().and_then(|host| host.parse().ok()),
            prefix: server.prefix.clone(),
        }
    }

    /// Whether requests to `url` come back to this server.
    fn include(&self, url: &Url) -> bool {
        let path = url.path().trim_end_matches('/');
        let is_path = |own: &str| path == own || path == format!("{own}{}", self.prefix);
        let is_listener = self.listener.as_ref().is_some_and(|(host, port)| {
            url.port_or_known_default() == Some(*port) && is_path("") && leads_to(host, url)
        });
        let is_named = self.url.as_ref().is_some_and(|own| {
            own.host_str() == url.host_str()
                && own.port_or_known_default() == url.port_or_known_default()
                && is_path(own.path().trim_end_matches('/'))
        });
        is_listener || is_named
    }

    /// The host of `http.host`, without a port.
    pub(super) fn host(&self) -> Option<&str> {
        self.url.as_ref()?.host_str()
    }
}

/// Whether the host of `url` is one at which a listener at `host` accepts connections of this machine.
fn leads_to(host: &str, url: &Url) -> bool {
    let named = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback =
        |host: &str| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_everywhere = host.is_empty()
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_unspecified());
    match is_everywhere {
        true => is_loopback(named),
        false => named == host || named == "localhost" && is_loopback(host),
    }
}

/// Whether `url` is that of Docker Hub, where official images lie in `library/`.
pub(super) fn is_docker_hub(url: &Url) -> bool {
    url.host_str().is_some_and(|host| DOCKER_HUB.contains(&host))
}

/// Reads the URL of an upstream, without a slash at the end of its path. `None`: the key is absent, or a problem has been reported.
pub(super) fn url(section: &Section<'_>, key: Key<Option<String>>, own: &OwnAddresses) -> Option<Url> {
    let text = section.get(key)?;
    let Some(mut url) = web_url(&text) else {
        // What cannot be read may hold a password all the same.
        let written = match text.contains('@') {
            true => String::new(),
            false => format!(", not `{}`", cut(&text)),
        };
        let text = format!(
            "must be a URL with `https://` or `http://`, such as `https://registry-1.docker.io`{written}"
        );
        section.problem(key, &text);
        return None;
    };
    let mut problems = Vec::new();
    if !url.username().is_empty() || url.password().is_some() {
        problems.push("has credentials in its URL, which would be shown in messages; move them to `username` and `password` beside it".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        problems.push(
            "has a `?` or a `#`; the URL of a registry ends before `/v2/`, such as `https://registry-1.docker.io`"
                .to_owned(),
        );
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if let Some(before) = path.strip_suffix("/v2") {
        let origin = url.origin().ascii_serialization();
        problems.push(format!(
            "ends with `/v2`, which every request adds; write `{origin}{before}`"
        ));
    }
    if url.host_str().is_some_and(|host| NOT_DOCKER_HUB.contains(&host)) {
        problems.push(
            "is a web site of Docker Hub; its registry is at `https://registry-1.docker.io`".to_owned(),
        );
    }
    if own.include(&url) {
        problems.push(
            "is the address of this server itself; name the registry whose content it mirrors".to_owned(),
        );
    }
    for problem in &problems {
        section.problem(key, problem);
    }
    url.set_path(&path);
    problems.is_empty().then_some(url)
}

/// A URL of the web.
fn web_url(text: &str) -> Option<Url> {
    let url: Url = text.trim().parse().ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// Reads a user with a password, or the program that knows one.
pub(super) fn login(section: &Section<'_>, keys: &LoginKeys) -> UpstreamLogin {
    let (user, password) = (section.get(keys.user), section.get(keys.password));
    let (command, lifetime) = (section.get(keys.command), section.get(keys.lifetime));
    if command.is_some() {
        for (key, is_set) in [
            (keys.user.info(), user.is_some()),
            (keys.password.info(), password.is_some()),
        ] {
            if is_set {
                section.problem(
                    key,
                    "and `exec` both say which credentials the upstream gets; remove one of them",
                );
            }
        }
    } else if lifetime.is_some() {
        section.problem(
            keys.command,
            "is missing; it is the program that `exec.lifetime` is about, such as `docker-credential-ecr-login`",
        );
    }
    match (command, user, password) {
        (Some(command), _, _) => UpstreamLogin::Helper {
            command,
            lifetime: match lifetime {
                None => Lifetime::Once,
                Some(lifetime) if lifetime.is_zero() => Lifetime::Each,
                Some(lifetime) => Lifetime::For(lifetime),
            },
        },
        (None, Some(user), Some(Secret(password))) => UpstreamLogin::Given(Login {
            user,
            secret: UserSecret::Password(password),
        }),
        (None, Some(_), None) => {
            section.problem(
                keys.password,
                "is missing; an account is nothing without its password or access token, and without `username` the upstream is asked anonymously",
            );
            UpstreamLogin::Anonymous
        }
        (None, None, Some(_)) => {
            section.problem(
                keys.user,
                "is missing; `password` beside it is that of an account",
            );
            UpstreamLogin::Anonymous
        }
        (None, None, None) => UpstreamLogin::Anonymous,
    }
}

/// Warns, when credentials for `url` would cross a network in clear text.
pub(super) fn warn_of_clear_text(
    section: &Section<'_>,
    key: Key<Option<String>>,
    url: &Url,
    login: &UpstreamLogin,
) {
    let is_here = leads_to("", url);
    if url.scheme() == "http" && *login != UpstreamLogin::Anonymous && !is_here {
        section.warning(
            key,
            "begins with `http://`, so the credentials for it cross the network in clear text; write `https://` if the upstream speaks TLS",
        );
    }
}
