//! `http`: where to listen, and how to answer.

pub(super) mod tls;

use std::{path::PathBuf, time::Duration};

use http::{HeaderMap, header};
use wharf_http::{Cors, Limits, Network, TlsOptions, TrustedProxies};
use wharf_server::ServerOptions;

use super::{
    Listen, headers,
    keys::{Default, Key, Kind, Since},
    raw::Section,
};

const DEFAULT_ADDRESS: &str = "127.0.0.1:5000";

pub(super) const KEYS: &[Key] = &[
    Key::works(
        "http.addr",
        Kind::Text,
        Default::Value(DEFAULT_ADDRESS),
        "Where to listen: `host:port`, or `:port` for all addresses",
    ),
    Key::works(
        "http.net",
        Kind::Word(&["tcp", "unix"]),
        Default::Value("tcp"),
        "`unix` for a unix socket, whose path `http.addr` then is",
    ),
    Key::works(
        "http.host",
        Kind::Text,
        Default::Words("what the request says"),
        "The URL under which clients reach the server",
    ),
    Key::works(
        "http.prefix",
        Kind::Text,
        Default::None,
        "The path under which the registry lies: `/registry/` for `/registry/v2/`",
    ),
    Key::works(
        "http.trustedproxies",
        Kind::Texts,
        Default::Words("loopback and private addresses"),
        "Networks of proxies whose `Forwarded` and `X-Forwarded-*` are believed; an empty list is nobody",
    )
    .since(Since::Ours),
    Key::accepted(
        "http.secret",
        Kind::Secret,
        "there is nothing in our `Location`s that would need a signature",
    ),
    Key::works(
        "http.relativeurls",
        Kind::Boolean,
        Default::Value("false"),
        "Answer `Location` without scheme and host",
    ),
    Key::works(
        "http.draintimeout",
        Kind::Duration,
        Default::Value("8s"),
        "How long running requests may take to end after SIGTERM",
    ),
    Key::works(
        "http.timeouts.header",
        Kind::Duration,
        Default::Value("10s"),
        "How long a client may take to send the head of a request",
    )
    .since(Since::Ours),
    Key::works(
        "http.timeouts.idle",
        Kind::Duration,
        Default::Value("60s"),
        "How long a request may stand still",
    )
    .since(Since::Ours),
    Key::works(
        "http.timeouts.keepalive",
        Kind::Duration,
        Default::Value("120s"),
        "How long a connection may stay without a request",
    )
    .since(Since::Ours),
    Key::works(
        "http.headers",
        Kind::Headers { is_secret: false },
        Default::None,
        "Headers that are added to every answer",
    ),
    Key::works(
        "http.cors.origins",
        Kind::Texts,
        Default::None,
        "Pages that may call the registry from a browser; `*` for all",
    )
    .since(Since::Ours),
    Key::works(
        "http.cors.credentials",
        Kind::Boolean,
        Default::Value("false"),
        "Whether those pages may send the user's password",
    )
    .since(Since::Ours),
    Key::works(
        "http.http2.disabled",
        Kind::Boolean,
        Default::Value("false"),
        "Speak HTTP/1.1 only",
    ),
    Key::works(
        "http.h2c.enabled",
        Kind::Boolean,
        Default::Words("true, unless `http.http2.disabled`"),
        "Speak HTTP/2 without TLS with clients that begin with it",
    )
    .since(Since::From3("3.0")),
];

/// What `http` says beside what goes into the options of the server.
pub(super) struct Read {
    pub(super) listen: Listen,
    pub(super) tls: Option<TlsOptions>,
}

/// Sets what `http` says in `options`.
pub(super) fn read(http: &Section<'_>, options: &mut ServerOptions) -> Read {
    let listen = listen(http);
    options.host = host(http);
    options.prefix = prefix(http);
    options.relative_urls = http.boolean("relativeurls").unwrap_or(false);
    if let Some(proxies) = trusted_proxies(http) {
        options.trusted_proxies = proxies;
    }
    options.limits = limits(http);
    options.headers = headers::read(http, |_| true);
    options.cors = cors(http, &mut options.headers);
    let http2 = http2(http, options);
    let tls = tls::read(&http.section("tls"), http2);
    Read { listen, tls }
}

fn listen(http: &Section<'_>) -> Listen {
    let address = http.string("addr");
    let is_unix = http
        .choice("net", &[("tcp", false), ("unix", true)])
        .unwrap_or(false);
    match address {
        Some(path) if is_unix => Listen::Unix(path.into()),
        None if is_unix => {
            http.problem(
                "addr",
                "is missing: the path of the unix socket that `http.net` asks for",
            );
            Listen::Unix(PathBuf::new())
        }
        address => Listen::Tcp(address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned())),
    }
}

/// Without a final slash.
fn host(http: &Section<'_>) -> Option<String> {
    let mut host = http.string("host")?;
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
        http.problem("host", &text);
    }
    host.truncate(host.trim_end_matches('/').len());
    Some(host)
}

/// With a slash before it and none behind it; empty for none.
fn prefix(http: &Section<'_>) -> String {
    let said = http.string("prefix").unwrap_or_default();
    let prefix = said.trim_matches('/');
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
            said.escape_debug()
        );
        http.problem("prefix", &text);
        String::new()
    }
}

/// `None`: as usual. An empty list is nobody.
fn trusted_proxies(http: &Section<'_>) -> Option<TrustedProxies> {
    const KEY: &str = "trustedproxies";

    if !http.has(KEY) {
        return None;
    }
    let mut networks = Vec::new();
    // In the environment, a list is easier written with commas.
    for text in http.strings(KEY).iter().flat_map(|texts| texts.split(',')) {
        match text.trim().parse::<Network>() {
            Ok(network) => networks.push(network),
            Err(error) => http.problem(KEY, &format!("cannot be used: {error}")),
        }
    }
    Some(TrustedProxies::new(networks))
}

/// Whether HTTP/2 is offered over TLS. Without TLS, it is spoken with those who begin with it, and nobody is led to it:
/// so it is on unless somebody says that it should not be.
fn http2(http: &Section<'_>, options: &mut ServerOptions) -> bool {
    let is_disabled = http.section("http2").boolean("disabled").unwrap_or(false);
    options.h2c = http.section("h2c").boolean("enabled").unwrap_or(!is_disabled);
    !is_disabled
}

/// Our own `http.cors`, or what `http.headers` says about it.
fn cors(http: &Section<'_>, headers: &mut HeaderMap) -> Option<Cors> {
    let section = http.section("cors");
    let origins = section.strings("origins");
    let credentials = section.boolean("credentials").unwrap_or(false);
    let has_origins = !origins.is_empty();
    if has_origins && headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        section.problem(
            "origins",
            "and `Access-Control-Allow-Origin` in `http.headers` say the same twice; take one of them out",
        );
    }
    if has_origins && credentials && origins.iter().any(|origin| origin == "*") {
        section.problem(
            "credentials",
            "cannot be true for `*`: browsers refuse that, since every page could use the user's password; name the origins",
        );
    }
    let cors = match Cors::new(&origins, credentials) {
        Ok(cors) => has_origins.then_some(cors),
        Err(error) => {
            section.problem("origins", &format!("cannot be used: {error}"));
            None
        }
    };
    let is_any = |headers: &HeaderMap| {
        let origins = headers.get_all(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        origins.iter().any(|origin| origin == "*")
    };
    if is_any(headers) && headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS) {
        http.warning(
            "headers",
            "allows credentials for the origin `*`, which browsers refuse; name the origins",
        );
    }
    cors.or_else(|| Cors::take_from(headers))
}

/// `http.draintimeout`, and our own `http.timeouts`.
fn limits(http: &Section<'_>) -> Limits {
    let default = Limits::default();
    let drain = http.duration("draintimeout").unwrap_or(default.drain);
    let timeouts = http.section("timeouts");
    let timeout = |key, default| match timeouts.duration(key) {
        Some(Duration::ZERO) | None => default,
        Some(duration) => duration,
    };
    Limits {
        headers: timeout("header", default.headers),
        idle: timeout("idle", default.idle),
        keep_alive: timeout("keepalive", default.keep_alive),
        drain,
        ..default
    }
}
