//! Health and metrics beside those of another registry: the same answers, names, types, labels and bounds.

#![expect(clippy::disallowed_methods, reason = "a file that a health check looks at")]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use wharf_testkit::peer::Peer;
use wharf_testkit::suite::Suite;
use wharf_testkit::{RawAnswer, wire::Request};

use crate::site::Kind;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn add_to(suite: &mut Suite) {
    for kind in [Kind::Two, Kind::Three] {
        let name = kind.name();
        suite.test(
            &format!("c1_8_health_is_answered_as_by_{name}"),
            &kind.needs(),
            move || {
                compare_health(kind);
            },
        );
        suite.test(
            &format!("c1_8_metrics_are_those_of_{name}"),
            &kind.needs(),
            move || {
                compare_metrics(kind);
            },
        );
    }
}

/// A registry with a debug port.
struct Watched {
    peer: Peer,
    debug: String,
    directory: TempDir,
}

impl Watched {
    fn start(kind: Kind) -> Self {
        let directory = TempDir::with_prefix("wharf-compat-").expect("a temporary directory");
        // Other programs do not say which port they were given.
        let debug = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .to_string();
        let down = directory.path().join("down");
        let files = format!("[{{file: '{}', interval: 100ms}}]", down.display());
        let environment = [
            ("REGISTRY_HTTP_DEBUG_ADDR", &*debug),
            ("REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED", "true"),
            ("REGISTRY_HTTP_DEBUG_PROMETHEUS_PATH", "/metrics"),
            ("REGISTRY_HEALTH_FILECHECKERS", &files),
        ];
        let peer = Peer::start_with(kind.program(), &directory.path().join("data"), &environment);
        let watched = Self {
            peer,
            debug,
            directory,
        };
        watched.until("the debug port answers", || watched.health().is_ok());
        watched
    }

    fn send(&self, method: &str, path: &str) -> RawAnswer {
        let answer = self.peer.send(&Request::new(method, path));
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.peer.log()))
    }

    fn health(&self) -> std::io::Result<RawAnswer> {
        Request::new("GET", "/debug/health").send(&self.debug)
    }

    fn page(&self) -> String {
        let page = Request::new("GET", "/metrics").send(&self.debug);
        page.expect("the debug port answers").text()
    }

    fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(
                started.elapsed() < PATIENCE,
                "in vain until {what}:\n{}",
                self.peer.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The compared parts of an answer.
fn outcome(answer: &RawAnswer) -> String {
    format!(
        "{} {:?} {}",
        answer.status,
        answer.header("Content-Type"),
        answer.text().trim_end()
    )
}

fn compare_health(kind: Kind) {
    let registries = [Kind::Wharf, kind].map(Watched::start);
    let mut rows = registries.each_ref().map(|watched| {
        let mut rows = vec![
            outcome(&watched.health().expect("it answers")),
            outcome(&watched.send("GET", "/")),
        ];
        let down = watched.directory.path().join("down");
        std::fs::write(&down, "").expect("the file is written");
        watched.until("it is down", || {
            watched.health().is_ok_and(|health| health.status == 503)
        });
        let why: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&watched.health().expect("it answers").text()).expect("JSON");
        let names: Vec<_> = why.keys().collect();
        assert_eq!(names, [&down.display().to_string()]);
        let text = why[names[0]].as_str().expect("a text");
        assert!(text.starts_with("file exists"), "{text}");
        for path in ["/", "/v2/", "/v2/_catalog", "/nowhere"] {
            rows.push(outcome(&watched.send("GET", path)));
        }
        std::fs::remove_file(&down).expect("the file is there");
        watched.until("it is well", || {
            watched.health().is_ok_and(|health| health.status == 200)
        });
        rows.push(outcome(&watched.send("GET", "/v2/")));
        rows
    });
    if kind == Kind::Three {
        // registry:3 no longer names the character set of JSON; wharf answers as registry:2 does.
        for row in &mut rows[0] {
            *row = row.replace("application/json; charset=utf-8", "application/json");
        }
    }
    let [ours, theirs] = rows;
    assert_eq!(ours, theirs);
}

/// The type, the names of the labels and the bounds of each metric `registry_…`.
fn shape(page: &str) -> BTreeMap<String, String> {
    let mut shape = BTreeMap::<String, String>::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE registry_") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            shape.insert(name.to_owned(), kind.to_owned());
        }
    }
    let families: Vec<String> = shape.keys().cloned().collect();
    for family in families {
        let mut labels = BTreeSet::new();
        let mut bounds = BTreeSet::new();
        for line in page.lines().filter_map(|line| line.strip_prefix("registry_")) {
            let Some((name, rest)) = line.split_once('{') else {
                continue;
            };
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix).filter(|name| *name == family))
                .unwrap_or(name);
            if name != family {
                continue;
            }
            let pairs = rest.split_once('}').expect("labels end").0;
            for (label, value) in pairs.split(',').filter_map(|pair| pair.split_once('=')) {
                if label == "le" {
                    bounds.insert(value.to_owned());
                } else {
                    labels.insert(label.to_owned());
                }
            }
        }
        if let Some(text) = shape.get_mut(&family) {
            *text = format!("{text} {labels:?} {bounds:?}");
        }
    }
    shape
}

fn compare_metrics(kind: Kind) {
    let [ours, theirs] = [Kind::Wharf, kind].map(|kind| {
        let watched = Watched::start(kind);
        watched.send("GET", "/v2/");
        watched.send("GET", "/v2/a/manifests/nope");
        watched.send("POST", "/v2/a/blobs/uploads/");
        // A request is counted when its client has the answer already.
        watched.until("the last one is counted", || {
            let page = watched.page();
            page.contains(
                "registry_http_requests_total{code=\"202\",handler=\"blob_upload\",method=\"post\"} 1\n",
            ) && page.contains(
                "registry_http_requests_total{code=\"404\",handler=\"manifest\",method=\"get\"} 1\n",
            )
        });
        shape(&watched.page())
    });
    assert!(theirs.len() > 5, "{theirs:?}");
    for (name, theirs) in &theirs {
        // This test does not compare notifications and the proxy.
        if name.starts_with("proxy_") || name.starts_with("notifications_") {
            continue;
        }
        assert_eq!(ours.get(name), Some(theirs), "registry_{name}");
    }
}
