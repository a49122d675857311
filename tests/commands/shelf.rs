//! A registry of the tests' own with one repository, `app`, of which each answer can be replaced.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tokio::runtime::Runtime;
use wharf_testkit::{
    image::Manifest,
    internet::{Asked, Internet, Reply},
};

/// A registry over plain HTTP on loopback.
pub(crate) struct Shelf {
    state: Arc<Mutex<State>>,
    internet: Internet,
    _runtime: Runtime,
}

/// What the registry has, and was asked for.
#[derive(Default)]
pub(crate) struct State {
    manifests: BTreeMap<String, Manifest>,
    tags: BTreeMap<String, String>,
    /// Whether it deletes a tag alone.
    pub(crate) deletes_tags: bool,
    /// Requests so far: `DELETE /v2/app/manifests/1`.
    calls: Vec<String>,
}

impl Shelf {
    /// A registry that answers a request, such as `GET /v2/app/tags/list?n=1000`, as `chosen` says, and otherwise as registries do.
    pub(crate) fn start(chosen: impl Fn(&mut State, &str) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let runtime = Runtime::new().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let answering = Arc::clone(&state);
        let internet = runtime.block_on(Internet::start(&[], move |asked| {
            let method = asked.head.split(' ').next().unwrap();
            let path = asked.url.splitn(4, '/').nth(3).unwrap_or_default();
            let call = format!("{method} /{path}");
            let mut state = answering.lock().unwrap();
            state.calls.push(call.clone());
            chosen(&mut state, &call).unwrap_or_else(|| state.answer(&call, asked))
        }));
        Self {
            state,
            internet,
            _runtime: runtime,
        }
    }

    /// A registry without faults.
    pub(crate) fn good() -> Self {
        Self::start(|_, _| None)
    }

    /// The name of something in this registry.
    pub(crate) fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.url())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.internet.local())
    }

    /// Looks at what the registry has, or changes it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }

    /// The requests so far that begin with `start`.
    pub(crate) fn calls(&self, start: &str) -> Vec<String> {
        self.with(|state| state.calls_of(start).cloned().collect())
    }
}

impl State {
    /// Stores a manifest, at `tag` unless that is empty.
    pub(crate) fn push(&mut self, manifest: &Manifest, tag: &str) {
        self.manifests.insert(manifest.digest.clone(), manifest.clone());
        if !tag.is_empty() {
            self.tags.insert(tag.to_owned(), manifest.digest.clone());
        }
    }

    /// The manifest at a tag or digest.
    pub(crate) fn manifest(&self, reference: &str) -> Option<&Manifest> {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        self.manifests.get(digest)
    }

    /// Digests of all manifests.
    pub(crate) fn names(&self) -> Vec<String> {
        self.manifests.keys().cloned().collect()
    }

    /// Whether a tag points at the manifest.
    pub(crate) fn is_tagged(&self, digest: &str) -> bool {
        self.tags.values().any(|known| known == digest)
    }

    /// How many requests began with `start`, the one that is answered included.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.calls_of(start).count()
    }

    fn calls_of(&self, start: &str) -> impl Iterator<Item = &String> {
        self.calls.iter().filter(move |call| call.starts_with(start))
    }

    fn answer(&mut self, call: &str, asked: &Asked) -> Reply {
        let (method, path) = call.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        if let Some(reference) = path.strip_prefix("/v2/app/manifests/") {
            return self.of_manifest(method, reference, asked);
        }
        match (method, path) {
            ("HEAD", _) => Reply::new(404, ""),
            (_, "/v2/") => Reply::new(200, "{}"),
            (_, "/v2/_catalog") => Reply::new(200, json!({"repositories": ["app"]}).to_string()),
            (_, "/v2/app/tags/list") => {
                let tags: Vec<&String> = self.tags.keys().collect();
                Reply::new(200, json!({"name": "app", "tags": tags}).to_string())
            }
            ("POST", "/v2/app/blobs/uploads/") => {
                Reply::new(202, "").header("Location", "/v2/app/blobs/uploads/1")
            }
            ("PUT", "/v2/app/blobs/uploads/1") => Reply::new(201, ""),
            _ => Reply::new(404, "{}"),
        }
    }

    fn of_manifest(&mut self, method: &str, reference: &str, asked: &Asked) -> Reply {
        if method == "PUT" {
            let media_type = asked.header("content-type").unwrap();
            let manifest = Manifest::from_bytes(media_type, asked.body.clone());
            let is_digest = reference == manifest.digest;
            self.push(&manifest, if is_digest { "" } else { reference });
            return Reply::new(201, "");
        }
        if method == "DELETE" && !self.deletes_tags && !reference.starts_with("sha256:") {
            return Reply::new(405, "{}");
        }
        let Some(manifest) = self.manifest(reference).cloned() else {
            return Reply::new(404, if method == "HEAD" { "" } else { "{}" });
        };
        if method == "DELETE" {
            return self.delete(reference);
        }
        // The answer to `HEAD` has no body.
        let body = if method == "HEAD" {
            ""
        } else {
            std::str::from_utf8(&manifest.bytes).unwrap()
        };
        Reply::new(200, body)
            .header("Content-Type", &manifest.media_type)
            .header("Docker-Content-Digest", &manifest.digest)
    }

    fn delete(&mut self, reference: &str) -> Reply {
        if self.tags.remove(reference).is_none() {
            self.manifests.remove(reference);
            self.tags.retain(|_, digest| digest != reference);
        }
        Reply::new(202, "")
    }
}
