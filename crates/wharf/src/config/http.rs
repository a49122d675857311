//! `http`: the listener, and the options of the server.

pub(super) mod tls;

use std::{path::PathBuf, time::Duration};

use http::{HeaderMap, header};
use wharf_http::{Cors, Limits, Network, SocketOwner, TlsOptions, TrustedProxies};
use wharf_server::ServerOptions;

use super::{
    Listen, headers,
    keys::{Default, Key, Pairs, Positive, Since, keys, words},
    limits::PER_ADDRESS,
    section::Section,
};

keys! {
    ADDRESS: String = Key::new("http.addr")
        .default("127.0.0.1:5000")
        .help("Address to listen on: `host:port`, or `:port` for all addresses");
    NET: Net = Key::new("http.net")
        .default("tcp")
        .help("Network to listen on; with `unix`, `http.addr` is the path of a unix socket");
    SOCKET_MODE: Option<String> = Key::new("http.socketmode")
        .shown_default(Default::Words("0777 less the umask; 0660 with `http.socketgroup`"))
        .help("Permissions of the unix socket, in octal: `0660`")
        .since(Since::Ours);
    SOCKET_GROUP: Option<String> = Key::new("http.socketgroup")
        .shown_default(Default::Words("the group of the process"))
        .help("Group of the unix socket, by name or number, such as `www-data`")
        .since(Since::Ours);
    HOST: Option<String> = Key::new("http.host")
        .shown_default(Default::Words("the host of the request"))
        .help("URL under which clients reach the server");
    PREFIX: Option<String> = Key::new("http.prefix")
        .help("Path below which the registry is served: `/registry/` for `/registry/v2/`");
    TRUSTED_PROXIES: Vec<String> = Key::list("http.trustedproxies")
        .default_in_words("loopback, private and shared addresses; for limits, loopback")
        .help("Networks of trusted reverse proxies, whose `Forwarded` and `X-Forwarded-*` count; `[]` for none")
        .since(Since::Ours);
    RELATIVE_URLS: bool = Key::new("http.relativeurls")
        .default("false")
        .help("Answer `Location` without scheme and host");
    DRAIN_TIMEOUT: Duration = Key::new("http.draintimeout")
        .default("8s")
        .help("Longest time for running requests to finish after SIGTERM");
    HEADER_TIMEOUT: Positive<Duration> = Key::new("http.timeouts.header")
        .default("10s")
        .help("Longest time for a client to send the headers of a request")
        .since(Since::Ours);
    IDLE_TIMEOUT: Positive<Duration> = Key::new("http.timeouts.idle")
        .default("60s")
        .help("Longest time without a byte of a request's body")
        .since(Since::Ours);
    ANSWER_TIMEOUT: Positive<Duration> = Key::new("http.timeouts.answer")
        .default("15m")
        .help("Longest time in which a client takes nothing of its answer")
        .since(Since::Ours);
    KEEP_ALIVE: Positive<Duration> = Key::new("http.timeouts.keepalive")
        .default("120s")
        .help("Longest time that a connection stays open without a request")
        .since(Since::Ours);
    HEADERS: Pairs = Key::headers("http.headers").help("Headers that are added to every answer");
    CORS_ORIGINS: Vec<String> = Key::list("http.cors.origins")
        .help("Origins of pages that may call the registry from a browser; `*` for all")
        .since(Since::Ours);
    CORS_CREDENTIALS: bool = Key::new("http.cors.credentials")
        .default("false")
        .help("Whether those pages may send the user's password")
        .since(Since::Ours);
    HTTP2_DISABLED: bool = Key::new("http.http2.disabled").default("false").help("Speak HTTP/1.1 only");
    H2C: Option<bool> = Key::new("http.h2c.enabled")
        .shown_default(Default::Words("true, unless `http.http2.disabled`"))
        .help("Speak HTTP/2 without TLS with clients that start with it (prior knowledge)")
        .since(Since::From3("3.0"));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Net {
    Tcp,
    Unix,
}

words! { Net: "tcp" => Self::Tcp, "unix" => Self::Unix }

/// The settings in `http` that are not options of the server.
pub(super) struct Read {
    pub(super) listen: Listen,
    pub(super) tls: Option<TlsOptions>,
}

/// Sets the settings in `http` in `options`.
pub(super) fn read(root: &Section<'_>, options: &mut ServerOptions) -> Read {
    options.host = host(root);
    options.prefix = prefix(root);
    options.relative_urls = root.get(RELATIVE_URLS);
    if let Some(proxies) = trusted_proxies(root) {
        options.trusted_proxies = proxies;
    }
    options.limits = Limits {
        headers: root.get(HEADER_TIMEOUT).0,
        idle: root.get(IDLE_TIMEOUT).0,
        answer: root.get(ANSWER_TIMEOUT).0,
        connections_per_address: root.get(PER_ADDRESS).map(|Positive(limit)| limit),
        keep_alive: root.get(KEEP_ALIVE).0,
        drain: root.get(DRAIN_TIMEOUT),
    };
    options.headers = headers::read(root, HEADERS, |_| true);
    options.cors = cors(root, &mut options.headers);
    let is_http2_disabled = root.get(HTTP2_DISABLED);
    // Without TLS, HTTP/2 is spoken with clients that begin with it, and not offered to others: so it is on unless the
    // operator disables it.
    options.h2c = root.get(H2C).unwrap_or(!is_http2_disabled);
    Read {
        listen: listen(root),
        tls: tls::read(root, !is_http2_disabled),
    }
}

fn listen(root: &Section<'_>) -> Listen {
    let address = root.get(ADDRESS);
    let owner = socket_owner(root);
    match root.get(NET) {
        Net::Tcp => {
            if let Err(error) = wharf_http::check_address(&address) {
                root.problem(ADDRESS, &format!("cannot be used: {error}"));
            }
            for key in [SOCKET_MODE, SOCKET_GROUP] {
                if root.get(key).is_some() {
                    root.warning(key, "has no effect without `http.net: unix`");
                }
            }
            Listen::Tcp(address)
        }
        Net::Unix if root.is_set(ADDRESS) => Listen::Unix(address.into(), owner),
        Net::Unix => {
            root.problem(
                ADDRESS,
                "is missing: it is the path of the unix socket that `http.net` asks for",
            );
            Listen::Unix(PathBuf::new(), owner)
        }
    }
}

/// Reads group and mode of the unix socket. A group that could not write to the socket could not connect.
fn socket_owner(root: &Section<'_>) -> SocketOwner {
    let group = root.get(SOCKET_GROUP);
    let mode = root.get(SOCKET_MODE).and_then(|text| {
        let digits = text.strip_prefix("0o").unwrap_or(&text);
        let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777);
        if mode.is_none() {
            let text = format!(
                "must be permissions in octal, such as `0660`, not `{}`",
                text.escape_debug()
            );
            root.problem(SOCKET_MODE, &text);
        }
        mode
    });
    let mode = mode.or_else(|| group.is_some().then_some(0o660));
    SocketOwner { group, mode }
}

/// Reads `http.host`, without a final slash.
fn host(root: &Section<'_>) -> Option<String> {
    let mut host = root.get(HOST)?;
    let rest = host
        .strip_prefix("https://")
        .or_else(|| host.strip_prefix("http://"));
    let is_url = rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"?#@\"<>\\".contains(&byte))
    });
    if !is_url {
        let text = format!(
            "must be a URL such as `https://registry.example.com`, not `{}`",
            host.escape_debug()
        );
        root.problem(HOST, &text);
    }
    host.truncate(host.trim_end_matches('/').len());
    Some(host)
}

/// Reads `http.prefix`, with a slash before it and none behind it; empty for none.
fn prefix(root: &Section<'_>) -> String {
    let written = root.get(PREFIX).unwrap_or_default();
    let prefix = written.trim_matches('/');
    let is_segment = |segment: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !segment.is_empty() && segment.bytes().all(is_plain) && !matches!(segment, "." | "..")
    };
    if prefix.is_empty() {
        String::new()
    } else if prefix.split('/').all(is_segment) {
        format!("/{prefix}")
    } else {
        let text = format!(
            "must be a path such as `/registry/`, of letters, digits and `-._~`, not `{}`",
            written.escape_debug()
        );
        root.problem(PREFIX, &text);
        String::new()
    }
}

/// Reads the trusted proxies. `None`: the server's default. An empty list trusts no proxy.
fn trusted_proxies(root: &Section<'_>) -> Option<TrustedProxies> {
    if !root.has(TRUSTED_PROXIES) {
        return None;
    }
    let mut networks = Vec::new();
    // In the environment, a list is easier written with commas.
    for text in root
        .get(TRUSTED_PROXIES)
        .iter()
        .flat_map(|texts| texts.split(','))
    {
        match text.trim().parse::<Network>() {
            Ok(network) => networks.push(network),
            Err(error) => root.problem(TRUSTED_PROXIES, &format!("cannot be used: {error}")),
        }
    }
    Some(TrustedProxies::new(networks))
}

/// Our own `http.cors`, or the headers of CORS in `http.headers`.
fn cors(root: &Section<'_>, headers: &mut HeaderMap) -> Option<Cors> {
    let origins = root.get(CORS_ORIGINS);
    let credentials = root.get(CORS_CREDENTIALS);
    let has_origins = !origins.is_empty();
    if has_origins && headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        root.problem(
            CORS_ORIGINS,
            "and `Access-Control-Allow-Origin` in `http.headers` have the same meaning; remove one of them",
        );
    }
    if has_origins && credentials && origins.iter().any(|origin| origin == "*") {
        root.problem(
            CORS_CREDENTIALS,
            "cannot be true for `*`: browsers refuse that, since every page could use the user's password; name the origins",
        );
    }
    let cors = match Cors::new(&origins, credentials) {
        Ok(cors) => has_origins.then_some(cors),
        Err(error) => {
            root.problem(CORS_ORIGINS, &format!("cannot be used: {error}"));
            None
        }
    };
    let is_any = |headers: &HeaderMap| {
        let origins = headers.get_all(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        origins.iter().any(|origin| origin == "*")
    };
    if is_any(headers) && headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS) {
        root.warning(
            HEADERS,
            "allows credentials for the origin `*`, which browsers refuse; name the origins",
        );
    }
    cors.or_else(|| Cors::take_from(headers))
}
