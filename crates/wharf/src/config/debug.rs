//! `http.debug`: the second listener, for monitoring.

use super::{
    Debug,
    keys::{Default, Key, keys},
    section::Section,
};

keys! {
    ADDRESS: Option<String> = Key::new("http.debug.addr").shown_default(Default::Words("none")).help(
        "Address of the debug server with health and metrics: `host:port`, reachable for monitoring only",
    );
    PROMETHEUS: bool = Key::new("http.debug.prometheus.enabled")
        .default("false")
        .help("Collect metrics of requests, the store and more, and show them on the debug server");
    PATH: String = Key::new("http.debug.prometheus.path").default("/metrics").help("Path of the metrics page");
}

pub(super) fn read(root: &Section<'_>) -> Option<Debug> {
    let is_enabled = root.get(PROMETHEUS);
    let path = root.get(PATH);
    if !path.starts_with('/') {
        root.problem(PATH, "must begin with `/`");
    } else if path == "/debug/health" {
        root.problem(PATH, "must be another path: health is there");
    }
    let Some(address) = root.get(ADDRESS) else {
        if is_enabled {
            let text = "has no effect without `http.debug.addr`: metrics have a port of their own, such as `127.0.0.1:5001`";
            root.warning(PROMETHEUS, text);
        }
        return None;
    };
    if let Err(error) = wharf_http::check_address(&address) {
        root.problem(ADDRESS, &format!("cannot be used: {error}"));
    }
    Some(Debug {
        address,
        metrics_path: is_enabled.then_some(path),
    })
}
