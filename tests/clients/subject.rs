//! The registry under test: wharf, or another one to compare with.

use std::{any::Any, collections::BTreeMap, path::Path};

use tempfile::TempDir;
use wharf_testkit::peer::Peer;
use wharf_testkit::replicas::Replicas;
use wharf_testkit::{Content, digest::sha256};
use wharf_testkit::{RawAnswer, wire::Request};

/// The value of `CLIENTS_AGAINST` for several replicas.
const REPLICAS: &str = "replicas";

/// Every manifest type that the tests push, as a client would accept them.
const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// A registry with nothing in it; it is gone when this is dropped.
pub(crate) struct Subject {
    authority: String,
    /// Ends what was started when it is dropped.
    _registry: Box<dyn Any>,
}

impl Subject {
    /// Starts the registry under test on a port of its own.
    pub(crate) fn start() -> Subject {
        let program = std::env::var("CLIENTS_AGAINST");
        let program = program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_wharf"));
        if program == REPLICAS {
            let replicas = Replicas::start(Path::new(env!("CARGO_BIN_EXE_wharf")), 2, &[]);
            return Subject {
                authority: replicas.authority(),
                _registry: Box::new(replicas),
            };
        }
        let root = TempDir::with_prefix("wharf-tree-").expect("a temporary directory");
        let peer = Peer::start(program, root.path());
        Subject {
            authority: peer.authority().to_owned(),
            _registry: Box::new((peer, root)),
        }
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// A request to the registry without a client program.
    pub(crate) fn get(&self, path: &str) -> RawAnswer {
        let request = Request::new("GET", path).header("Accept", ACCEPT);
        request.send(&self.authority).expect("the registry answers")
    }

    /// Status, digest and bytes of the manifest `name:reference`.
    pub(crate) fn manifest(&self, name: &str, reference: &str) -> RawAnswer {
        self.get(&format!("/v2/{name}/manifests/{reference}"))
    }

    /// The digest that the registry announces for `name:reference`.
    pub(crate) fn digest_of(&self, name: &str, reference: &str) -> String {
        let answer = self.manifest(name, reference);
        assert_eq!(answer.status, 200, "{name}:{reference}: {}", answer.text());
        let announced = answer
            .header("Docker-Content-Digest")
            .expect("a manifest has a digest")
            .to_owned();
        assert_eq!(announced, sha256(&answer.body), "the digest is that of the bytes");
        announced
    }

    /// The tags of a repository, sorted.
    pub(crate) fn tags(&self, name: &str) -> Vec<String> {
        let json = self.get(&format!("/v2/{name}/tags/list")).json();
        let mut tags = json["tags"].as_array().map_or_else(Vec::new, |tags| {
            tags.iter()
                .filter_map(|tag| tag.as_str().map(str::to_owned))
                .collect::<Vec<_>>()
        });
        tags.sort();
        tags
    }

    /// Checks that the registry holds `content` under `name:tag`, every part byte for byte.
    pub(crate) fn assert_holds(&self, name: &str, tag: &str, content: &Content) {
        assert_eq!(
            self.digest_of(name, tag),
            content.root().digest,
            "what `{tag}` points at"
        );
        for manifest in &content.manifests {
            let answer = self.manifest(name, &manifest.digest);
            assert_eq!(
                answer.status,
                200,
                "{name}@{}: {}",
                manifest.digest,
                answer.text()
            );
            assert!(
                answer.body == manifest.bytes,
                "{} was changed: {}",
                manifest.digest,
                answer.text()
            );
            assert_eq!(answer.header("Content-Type"), Some(manifest.media_type.as_str()));
        }
        for (digest, bytes) in &content.blobs {
            let answer = self.get(&format!("/v2/{name}/blobs/{digest}"));
            assert_eq!(answer.status, 200, "{name}@{digest}: {}", answer.text());
            assert!(&answer.body == bytes, "the bytes of {digest} were changed");
        }
    }
}

/// Checks that a client's copy has every part of `content`, byte for byte.
pub(crate) fn assert_complete(pulled: &BTreeMap<String, Vec<u8>>, content: &Content) {
    for (digest, bytes) in content.everything() {
        let copy = pulled
            .get(&digest)
            .unwrap_or_else(|| panic!("{digest} was not pulled"));
        assert!(*copy == bytes, "the bytes of {digest} differ");
    }
}
