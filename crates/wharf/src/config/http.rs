//! `http`: where to listen, and how to answer.

mod tls;

use std::{path::PathBuf, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use wharf_server::{Cors, Limits, Network, ServerOptions, TlsOptions, TrustedProxies};

use super::{Listen, debug, raw::Section};

const DEFAULT_ADDRESS: &str = "127.0.0.1:5000";

/// What `http` says beside what goes into the options of the server.
pub(super) struct Read {
    pub(super) listen: Listen,
    pub(super) tls: Option<TlsOptions>,
}

/// Sets what `http` says in `options`.
pub(super) fn read(mut http: Section<'_>, options: &mut ServerOptions) -> Read {
    let listen = listen(&mut http);
    options.host = host(&mut http);
    options.prefix = prefix(&mut http);
    options.relative_urls = http.boolean("relativeurls").unwrap_or(false);
    if let Some(proxies) = trusted_proxies(&mut http) {
        options.trusted_proxies = proxies;
    }
    options.limits = limits(&mut http);
    options.headers = headers(http.section("headers"));
    options.cors = cors(&mut http, &mut options.headers);
    let http2 = http2(&mut http, options);
    let tls = tls::read(http.section("tls"), http2);
    // There is no state in our `Location`s that would need a signature.
    http.ignore(&["secret"]);
    debug::read(&http.section("debug"));
    http.finish();
    Read { listen, tls }
}

fn listen(http: &mut Section<'_>) -> Listen {
    let address = http.string("addr").filter(|address| !address.is_empty());
    match http.string("net").as_deref() {
        None | Some("tcp" | "") => Listen::Tcp(address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned())),
        Some("unix") => match address {
            Some(path) => Listen::Unix(path.into()),
            None => {
                http.problem(
                    "addr",
                    "is missing: the path of the unix socket that `http.net` asks for",
                );
                Listen::Unix(PathBuf::new())
            }
        },
        Some(other) => {
            let text = format!("must be `tcp` or `unix`, not `{}`", other.escape_debug());
            http.problem("net", &text);
            Listen::Tcp(DEFAULT_ADDRESS.to_owned())
        }
    }
}

/// Without a final slash.
fn host(http: &mut Section<'_>) -> Option<String> {
    let mut host = http.string("host").filter(|host| !host.is_empty())?;
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
fn prefix(http: &mut Section<'_>) -> String {
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
fn trusted_proxies(http: &mut Section<'_>) -> Option<TrustedProxies> {
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
fn http2(http: &mut Section<'_>, options: &mut ServerOptions) -> bool {
    let mut http2 = http.section("http2");
    let is_disabled = http2.boolean("disabled").unwrap_or(false);
    http2.finish();
    let mut h2c = http.section("h2c");
    options.h2c = h2c.boolean("enabled").unwrap_or(!is_disabled);
    h2c.finish();
    !is_disabled
}

/// Our own `http.cors`, or what `http.headers` says about it.
fn cors(http: &mut Section<'_>, headers: &mut HeaderMap) -> Option<Cors> {
    let mut section = http.section("cors");
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
    section.finish();
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
fn limits(http: &mut Section<'_>) -> Limits {
    let default = Limits::default();
    let drain = http.duration("draintimeout").unwrap_or(default.drain);
    let mut timeouts = http.section("timeouts");
    let mut timeout = |key, default| match timeouts.duration(key) {
        Some(Duration::ZERO) | None => default,
        Some(duration) => duration,
    };
    let limits = Limits {
        headers: timeout("header", default.headers),
        idle: timeout("idle", default.idle),
        keep_alive: timeout("keepalive", default.keep_alive),
        drain,
        ..default
    };
    timeouts.finish();
    limits
}

fn headers(mut section: Section<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in section.names() {
        let values = section.strings(&name);
        let Ok(header) = name.parse::<HeaderName>() else {
            section.problem(&name, "is not the name of a header");
            continue;
        };
        for value in values {
            match HeaderValue::try_from(value) {
                Ok(value) => _ = headers.append(header.clone(), value),
                Err(_) => section.problem(&name, "has a value that no header can have"),
            }
        }
    }
    headers
}
