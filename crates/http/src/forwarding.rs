//! Warnings about headers of reverse proxies that do not do what their operator expects. Each comes once in the life of a
//! process: it is a mistake in a configuration, and every request would repeat it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::HeaderMap;

/// The headers that count when a trusted proxy sends them, the ones with the most effect first.
const HEADERS: [&str; 7] = [
    "x-forwarded-proto",
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-forwarded-for",
    "x-real-ip",
];

/// Headers that every reverse proxy of the usual kinds sends, about whatever else.
const SIGNS: [&str; 3] = ["x-forwarded-for", "x-forwarded-host", "via"];

static HAS_IGNORED: AtomicBool = AtomicBool::new(false);
static HAS_LIMITED: AtomicBool = AtomicBool::new(false);
static HAS_MISSED_SCHEME: AtomicBool = AtomicBool::new(false);

/// Warns that headers of a peer that is not trusted are ignored. Called for every request of such a peer.
pub(crate) fn ignored(headers: &HeaderMap, address: impl std::fmt::Display) {
    if let Some(header) = first_time(&HAS_IGNORED, headers, &HEADERS) {
        tracing::warn!(
            "ignored `{}` of {address}, which is no trusted proxy; if a reverse proxy of yours has this address, add it to \
             `http.trustedproxies`, or clients are sent to the wrong URL and the log shows the proxy's address",
            title(header),
        );
    }
}

/// Warns that a limit counts all clients of the proxy at `address` as one.
pub(crate) fn limited(headers: &HeaderMap, address: impl std::fmt::Display) {
    if let Some(header) = first_time(&HAS_LIMITED, headers, &HEADERS) {
        tracing::warn!(
            "refused a request that came through {address}, which sends `{}`: limits count all its clients as one, because \
             any client of the site could send that; if a reverse proxy of yours has this address, add it to \
             `http.trustedproxies`",
            title(header),
        );
    }
}

/// Warns that a proxy does not say whether its clients use TLS, when the registry sends one of them to `url`.
pub(crate) fn missed_scheme(headers: &HeaderMap, address: impl std::fmt::Display, url: &str) {
    if let Some(sign) = first_time(&HAS_MISSED_SCHEME, headers, &SIGNS) {
        tracing::warn!(
            "the reverse proxy at {address} sends `{}`, and does not say whether its clients speak TLS, so uploads are sent to \
             `{url}`; if clients use `https://`, let the proxy set `X-Forwarded-Proto`, or set `http.host`",
            title(sign),
        );
    }
}

/// The first of `names` that is among `headers`, unless `has_warned` says that an earlier request had one.
fn first_time(has_warned: &AtomicBool, headers: &HeaderMap, names: &[&'static str]) -> Option<&'static str> {
    if has_warned.load(Relaxed) {
        return None;
    }
    let found = names.iter().find(|name| headers.contains_key(**name))?;
    (!has_warned.swap(true, Relaxed)).then_some(*found)
}

/// The name of a header as proxies' configurations spell it.
fn title(name: &str) -> String {
    let words = name.split('-').map(|word| match word {
        "ip" => "IP".to_owned(),
        _ => word[..1].to_ascii_uppercase() + &word[1..],
    });
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_named_as_operators_write_them() {
        let titles: Vec<_> = HEADERS.iter().chain(&SIGNS).map(|name| title(name)).collect();
        assert_eq!(titles[0], "X-Forwarded-Proto");
        assert!(titles.contains(&"X-Real-IP".to_owned()) && titles.contains(&"Via".to_owned()));
    }
}
