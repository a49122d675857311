//! What every test needs: registries on both engines, images with signatures, and the command.

use std::{
    collections::BTreeMap,
    process::{Command, Output},
};

use serde_json::Value;
use wharf_testkit::{Content, Server, ServerBuilder, image, tool::Bench, wire::Request};

/// The storage engines.
pub(crate) const ENGINES: [Engine; 2] = [Engine::Filesystem, Engine::Memory];

/// Where a registry keeps its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Filesystem,
    Memory,
}

/// Media types of manifests, for requests of the tests themselves.
const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// Starts a registry.
pub(crate) fn registry(engine: Engine) -> Server {
    builder(engine).start()
}

/// A registry that is not started yet.
pub(crate) fn builder(engine: Engine) -> ServerBuilder {
    let builder = Server::builder(env!("CARGO_BIN_EXE_wharf"));
    match engine {
        Engine::Filesystem => builder,
        Engine::Memory => builder.inmemory(),
    }
}

/// Host and port of a registry.
pub(crate) fn host(server: &Server) -> String {
    server.address().to_string()
}

/// The outcome of a command.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs wharf away from the user's own credentials.
pub(crate) fn wharf(arguments: &[&str]) -> Said {
    Said::of(command(arguments).output().unwrap())
}

/// The command that [`wharf`] runs.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let binary = std::env::var_os("WHARF_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_wharf").into());
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .env("DOCKER_CONFIG", "/nonexistent")
        .env("HOME", "/nonexistent");
    command
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What was printed, after success.
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The one line that says why it failed.
    pub(crate) fn bad(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        let lines: Vec<&str> = self
            .err
            .lines()
            .filter(|line| line.starts_with("wharf: "))
            .collect();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines[0].to_owned()
    }
}

/// Status of `HEAD`.
pub(crate) fn status(authority: &str, path: &str) -> u16 {
    let request = Request::new("HEAD", path).header("Accept", ACCEPT);
    request.send(authority).unwrap().status
}

/// Bytes at a path, which must be there.
pub(crate) fn get(authority: &str, path: &str) -> Vec<u8> {
    let answer = Request::new("GET", path)
        .header("Accept", ACCEPT)
        .send(authority)
        .unwrap();
    assert_eq!(answer.status, 200, "{path}");
    answer.body
}

pub(crate) fn get_json(authority: &str, path: &str) -> Value {
    serde_json::from_slice(&get(authority, path)).unwrap()
}

/// That the repository has all of `content`, byte for byte, with its root at `tag`.
pub(crate) fn assert_holds(authority: &str, repository: &str, tag: &str, content: &Content) {
    for (digest, bytes) in &content.blobs {
        assert_eq!(
            get(authority, &format!("/v2/{repository}/blobs/{digest}")),
            &bytes[..],
            "{digest}"
        );
    }
    for manifest in &content.manifests {
        let path = format!("/v2/{repository}/manifests/{}", manifest.digest);
        assert_eq!(get(authority, &path), &manifest.bytes[..]);
    }
    if !tag.is_empty() {
        let bytes = get(authority, &format!("/v2/{repository}/manifests/{tag}"));
        assert_eq!(bytes, &content.root().bytes[..], "{repository}:{tag}");
    }
}

/// Digests that the registry lists as referrers.
pub(crate) fn referrers(authority: &str, repository: &str, digest: &str) -> Vec<String> {
    let list = get_json(authority, &format!("/v2/{repository}/referrers/{digest}"));
    let mut found: Vec<String> = list["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["digest"].as_str().unwrap().to_owned())
        .collect();
    found.sort();
    found
}

/// An index of two platforms with attestations, signed in both ways: a referrer with a referrer of its own, one of a child, and a
/// tag of cosign.
pub(crate) struct Signed {
    pub(crate) index: Content,
    pub(crate) referrers: BTreeMap<String, Content>,
    pub(crate) cosign: Content,
    pub(crate) cosign_tag: String,
}

impl Signed {
    pub(crate) fn new(seed: &str) -> Self {
        let index = Content::of(image::oci_index(seed));
        let signature = image::artifact(
            format!("{seed} signature"),
            "application/vnd.example.signature",
            index.root(),
        );
        let proof = image::artifact(
            format!("{seed} proof"),
            "application/vnd.example.proof",
            &signature.manifest,
        );
        let bill = image::artifact(
            format!("{seed} bill"),
            "application/vnd.example.sbom",
            &index.manifests[0],
        );
        let referrers = BTreeMap::from([
            (index.root().digest.clone(), Content::of(signature.clone())),
            (signature.manifest.digest, Content::of(proof)),
            (index.manifests[0].digest.clone(), Content::of(bill)),
        ]);
        let cosign_tag = format!("{}.sig", index.root().digest.replace(':', "-"));
        Self {
            index,
            referrers,
            cosign: Content::of(image::oci(format!("{seed} cosign"))),
            cosign_tag,
        }
    }

    pub(crate) fn push(&self, authority: &str, repository: &str, tag: &str) {
        self.index.push(authority, repository, tag);
        for referrer in self.referrers.values() {
            referrer.push(authority, repository, "");
        }
        self.cosign.push(authority, repository, &self.cosign_tag);
    }

    /// That the repository has the image and everything that refers to it.
    pub(crate) fn assert_held(&self, authority: &str, repository: &str, tag: &str) {
        assert_holds(authority, repository, tag, &self.index);
        assert_holds(authority, repository, &self.cosign_tag, &self.cosign);
        for (subject, referrer) in &self.referrers {
            assert_holds(authority, repository, "", referrer);
            let listed = referrers(authority, repository, subject);
            assert!(listed.contains(&referrer.root().digest), "{listed:?}");
        }
    }
}

/// A path on the bench as text.
pub(crate) fn path(bench: &Bench, name: &str) -> String {
    bench.path(name).display().to_string()
}
