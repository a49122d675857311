//! `http.debug`: a second port, for those who watch.

use super::{
    Debug,
    keys::{Default, Key, Kind},
    raw::Section,
};

const DEFAULT_PATH: &str = "/metrics";

pub(super) const KEYS: &[Key] = &[
    Key::works(
        "http.debug.addr",
        Kind::Text,
        Default::Words("none"),
        "Where health and metrics are shown, apart from the registry: `host:port`, best one that only monitoring reaches",
    ),
    Key::works(
        "http.debug.prometheus.enabled",
        Kind::Boolean,
        Default::Value("false"),
        "Count requests and more, and show the numbers there",
    ),
    Key::works(
        "http.debug.prometheus.path",
        Kind::Text,
        Default::Value(DEFAULT_PATH),
        "The path at which the numbers are",
    ),
];

pub(super) fn read(debug: &Section<'_>) -> Option<Debug> {
    let prometheus = debug.section("prometheus");
    let is_enabled = prometheus.boolean("enabled").unwrap_or(false);
    let path = prometheus
        .string("path")
        .unwrap_or_else(|| DEFAULT_PATH.to_owned());
    if !path.starts_with('/') {
        prometheus.problem("path", "must begin with `/`");
    } else if path == "/debug/health" {
        prometheus.problem("path", "must be another: health is there");
    }
    let Some(address) = debug.string("addr") else {
        if is_enabled {
            let text = "has no effect without `http.debug.addr`: metrics have a port of their own, such as `127.0.0.1:5001`";
            prometheus.warning("enabled", text);
        }
        return None;
    };
    Some(Debug {
        address,
        metrics_path: is_enabled.then_some(path),
    })
}
