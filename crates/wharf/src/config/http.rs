//! `http`: where to listen, and how to answer.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use wharf_server::{Limits, ServerOptions};

use super::{debug, raw::Section};

const DEFAULT_ADDRESS: &str = "127.0.0.1:5000";

/// Sets what `http` says in `options`, and returns where to listen.
pub(super) fn read(mut http: Section<'_>, options: &mut ServerOptions) -> String {
    let address = http.string("addr").unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    options.host = http.string("host").filter(|host| !host.is_empty());
    if let Some(host) = &mut options.host {
        if !(host.starts_with("http://") || host.starts_with("https://")) {
            http.problem("host", "must be a URL such as `https://registry.example.com`");
        }
        host.truncate(host.trim_end_matches('/').len());
    }
    options.relative_urls = http.boolean("relativeurls").unwrap_or(false);
    options.limits = limits(&mut http);
    options.headers = headers(http.section("headers"));
    match http.string("net").as_deref() {
        None | Some("tcp" | "") => {}
        Some(other) => http.problem("net", &format!("`{other}` is not supported yet; only `tcp` is")),
    }
    if http
        .string("prefix")
        .is_some_and(|prefix| !matches!(&*prefix, "" | "/"))
    {
        http.problem(
            "prefix",
            "is not supported yet, and clients would not find the registry without it",
        );
    }
    let tls = http.section("tls");
    if !tls.is_empty() {
        http.problem("tls", "is not supported yet, and this server would speak without encryption; take it out and put a proxy that speaks TLS in front");
    }
    // There is no state in our `Location`s that would need a signature, and HTTP/2 is always understood.
    http.ignore(&["secret", "h2c", "http2"]);
    debug::read(&http.section("debug"));
    http.finish();
    address
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
