//! A tree as registry:2 writes it, the collection of it, and what can be pulled from it afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use wharf_testkit::{
    Bytes, Value,
    image::{self, Image, Index, Manifest},
    peer::{Peer, REGISTRY_2},
    store, tool,
    wire::Request,
};

/// Media types that a current client accepts.
const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// The files of a tree, by their path below `docker/registry/v2`.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A store on the disk that no server uses, unless a test starts one.
#[derive(Debug)]
pub(crate) struct Tree {
    directory: TempDir,
}

impl Tree {
    /// An empty store.
    pub(crate) fn new() -> Self {
        Self {
            directory: TempDir::with_prefix("wharf-collect-").unwrap(),
        }
    }

    /// Another store with the same files.
    pub(crate) fn copied(&self) -> Self {
        let copy = Self::new();
        for (path, bytes) in self.files() {
            let path = copy.path(&path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        copy
    }

    /// The root directory of the store.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A path below `docker/registry/v2`.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root().join(store::TREE).join(below)
    }

    /// A path below `repositories`.
    pub(crate) fn repository(&self, below: &str) -> PathBuf {
        self.path("repositories").join(below)
    }

    /// Pushes an image, without a tag or with one.
    pub(crate) fn image(&self, repository: &str, tag: Option<&str>, image: &Image) -> String {
        for blob in &image.blobs {
            store::write_layer(&self.root(), repository, &blob.bytes);
        }
        self.manifest(repository, tag, &image.manifest)
    }

    /// Pushes an index with its children.
    pub(crate) fn index(&self, repository: &str, tag: Option<&str>, index: &Index) -> String {
        for image in &index.images {
            self.image(repository, None, image);
        }
        self.manifest(repository, tag, &index.manifest)
    }

    /// Pushes a manifest alone.
    pub(crate) fn manifest(&self, repository: &str, tag: Option<&str>, manifest: &Manifest) -> String {
        store::write_manifest(&self.root(), repository, tag, &manifest.bytes)
    }

    /// Pushes a layer alone.
    pub(crate) fn layer(&self, repository: &str, bytes: impl Into<Bytes>) -> String {
        store::write_layer(&self.root(), repository, &bytes.into())
    }

    /// Takes a manifest away as the API of registry:2 does: its link and the tags that point at it, nothing else.
    pub(crate) fn delete(&self, repository: &str, digest: &str) {
        let manifests = self.repository(repository).join("_manifests");
        std::fs::remove_file(manifests.join("revisions").join(below(digest)).join("link")).unwrap();
        for tag in names(&manifests.join("tags")) {
            let tag = manifests.join("tags").join(tag);
            if std::fs::read_to_string(tag.join("current/link")).is_ok_and(|current| current == digest) {
                std::fs::remove_dir_all(tag).unwrap();
            }
        }
    }

    /// Every file.
    pub(crate) fn files(&self) -> Files {
        let mut files = Files::new();
        read_files(&self.path(""), "", &mut files);
        files
    }

    /// The bytes of `digest`, if they are stored.
    pub(crate) fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        std::fs::read(store::blob_path(&self.root(), digest)).ok()
    }

    /// Whether `digest` is stored.
    pub(crate) fn has(&self, digest: &str) -> bool {
        store::blob_path(&self.root(), digest).exists()
    }

    /// How many digests the history of a tag holds: `ls …/tags/TAG/index/sha256 | wc -l`.
    pub(crate) fn history(&self, repository: &str, tag: &str) -> usize {
        let history = format!("_manifests/tags/{tag}/index/sha256");
        names(&self.repository(repository).join(history)).len()
    }

    /// How many manifests a repository has.
    pub(crate) fn revisions(&self, repository: &str) -> usize {
        let revisions = self.repository(repository).join("_manifests/revisions/sha256");
        let linked = names(&revisions);
        linked
            .iter()
            .filter(|hex| revisions.join(hex).join("link").exists())
            .count()
    }

    /// Path of a configuration with this store.
    pub(crate) fn configuration(&self) -> PathBuf {
        let path = self.directory.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp:\n  addr: 127.0.0.1:0\n",
            self.root().display()
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The command of wharf, with `words` after the name of the configuration.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("garbage-collect")
            .arg(self.configuration())
            .args(words)
            .current_dir(self.directory.path());
        command
    }

    /// Collects with wharf's binary, which must succeed.
    pub(crate) fn collect(&self, words: &[&str]) -> Collected {
        let said = Collected::of(&mut self.command(words));
        assert_eq!(said.code, Some(0), "{said:?}");
        said
    }

    /// Collects with the program of another project.
    pub(crate) fn collect_with(&self, program: &str, words: &[&str]) -> Collected {
        let mut command = Command::new(tool::find(program).unwrap());
        command
            .arg("garbage-collect")
            .arg(self.configuration())
            .args(words)
            .env("OTEL_TRACES_EXPORTER", "none");
        Collected::of(&mut command)
    }

    /// Checks all that must be true of a tree, and that everything tagged can be pulled.
    pub(crate) fn check(&self) {
        let report = store::check(&self.root(), store::Rules::default());
        assert_eq!(report.problems, Vec::<String>::new());
        for (repository, _, digest) in self.tags() {
            self.check_pull(&repository, &digest);
        }
    }

    /// Checks that `digest` can be pulled from `repository`, with all that it names.
    pub(crate) fn check_pull(&self, repository: &str, digest: &str) {
        let link = |kind: &str, digest: &str| {
            let link = self.repository(repository).join(kind).join(below(digest));
            link.join("link")
        };
        let revision = link("_manifests/revisions", digest);
        assert!(revision.exists(), "{repository} has lost the manifest {digest}");
        let bytes = self
            .blob(digest)
            .unwrap_or_else(|| panic!("the bytes of {digest} in {repository} are lost"));
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        let digests = |key: &str, field: &str| {
            let list = manifest[key].as_array().cloned().unwrap_or_default();
            let digests = list
                .iter()
                .filter_map(|each| each[field].as_str().map(str::to_owned));
            digests.collect::<Vec<_>>()
        };
        let entries = digests("manifests", "digest");
        // The entries of a build cache are blobs.
        let is_cache = manifest["manifests"].as_array().is_some_and(|entries| {
            entries
                .iter()
                .any(|entry| entry["mediaType"] == image::BUILDKIT_CACHE)
        });
        let (listed, children) = match is_cache {
            true => (entries, Vec::new()),
            false => (Vec::new(), entries),
        };
        for child in children {
            self.check_pull(repository, &child);
        }
        let config = manifest["config"]["digest"].as_str().map(str::to_owned);
        let blobs = digests("layers", "digest")
            .into_iter()
            .chain(digests("fsLayers", "blobSum"));
        for blob in blobs.chain(config).chain(listed) {
            assert!(
                link("_layers", &blob).exists(),
                "{repository} has lost the layer {blob}"
            );
            assert!(self.has(&blob), "the bytes of {blob} in {repository} are lost");
        }
    }

    /// Checks that registry 2.8.2 serves all that is tagged, byte for byte.
    pub(crate) fn check_served_by_registry_2(&self) {
        let peer = Peer::start(REGISTRY_2, &self.root());
        let get = |path: String| {
            let answer = peer
                .send(&Request::new("GET", &path).header("Accept", ACCEPT))
                .unwrap();
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            answer.body
        };
        for (repository, tag, digest) in self.tags() {
            let served = get(format!("/v2/{repository}/manifests/{tag}"));
            assert_eq!(Some(&served), self.blob(&digest).as_ref(), "{repository}:{tag}");
            let manifest: Value = serde_json::from_slice(&served).unwrap();
            for layer in manifest["layers"].as_array().into_iter().flatten() {
                let layer = layer["digest"].as_str().unwrap();
                let served = get(format!("/v2/{repository}/blobs/{layer}"));
                assert_eq!(Some(served), self.blob(layer), "{repository}: {layer}");
            }
        }
        peer.stop();
    }

    /// Repository, name and digest of every tag.
    pub(crate) fn tags(&self) -> Vec<(String, String, String)> {
        let files = self.files();
        let tags = files.iter().filter_map(|(path, bytes)| {
            let path = path
                .strip_prefix("repositories/")?
                .strip_suffix("/current/link")?;
            let (repository, tag) = path.split_once("/_manifests/tags/")?;
            Some((
                repository.to_owned(),
                tag.to_owned(),
                String::from_utf8(bytes.clone()).unwrap(),
            ))
        });
        tags.collect()
    }
}

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("WHARF_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_wharf").into(), PathBuf::from)
}

/// `sha256:…` as a path.
pub(crate) fn below(digest: &str) -> String {
    digest.replace(':', "/")
}

/// The names in a directory; none when there is no such directory.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn read_files(directory: &Path, prefix: &str, files: &mut Files) {
    for name in names(directory) {
        let path = directory.join(&name);
        let below = format!("{prefix}{name}");
        if path.is_dir() {
            read_files(&path, &format!("{below}/"), files);
        } else {
            files.insert(below, std::fs::read(&path).unwrap());
        }
    }
}

/// The parsed output of a collection.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
    /// Repositories: `name`
    pub(crate) repositories: BTreeSet<String>,
    /// `name digest`
    pub(crate) manifests: BTreeSet<String>,
    /// `name digest`
    pub(crate) blobs: BTreeSet<String>,
    /// Numbers of digests that are marked, and of blobs and manifests that are eligible.
    pub(crate) counts: Option<[usize; 3]>,
    /// Digests.
    pub(crate) doomed_blobs: BTreeSet<String>,
    /// Digests.
    pub(crate) doomed_manifests: BTreeSet<String>,
    /// `name digest`
    pub(crate) doomed_layers: BTreeSet<String>,
    /// Names.
    pub(crate) doomed_repositories: BTreeSet<String>,
    /// Lines of other kinds.
    pub(crate) others: Vec<String>,
}

impl Collected {
    /// Runs `command` to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let ran = command.output().unwrap();
        let mut said = Self {
            code: ran.status.code(),
            output: String::from_utf8(ran.stdout).unwrap(),
            errors: String::from_utf8(ran.stderr).unwrap(),
            ..Self::default()
        };
        for line in said.output.clone().lines() {
            said.take(line);
        }
        said
    }

    /// All digests that were marked, whichever repository needs them.
    pub(crate) fn marked(&self) -> BTreeSet<String> {
        let marks = self.manifests.iter().chain(&self.blobs);
        marks
            .map(|mark| mark.split_once(' ').unwrap().1.to_owned())
            .collect()
    }

    fn take(&mut self, line: &str) {
        let pair = |separator: &str| {
            let (name, rest) = line.split_once(separator)?;
            Some(format!("{name} {rest}"))
        };
        if let Some(manifest) = pair(": marking manifest ") {
            // registry:2 ends this line with a space.
            let manifest = manifest.strip_suffix(' ').unwrap_or_else(|| panic!("{line:?}"));
            self.manifests.insert(manifest.to_owned());
        } else if let Some(blob) = pair(": marking blob ") {
            self.blobs.insert(blob);
        } else if let Some(layer) = pair(": layer link eligible for deletion: ") {
            self.doomed_layers.insert(layer);
        } else if let Some(blob) = line.strip_prefix("blob eligible for deletion: ") {
            self.doomed_blobs.insert(blob.to_owned());
        } else if let Some(manifest) = line.strip_prefix("manifest eligible for deletion: ") {
            // 2.8 prints the digest alone, 3 a structure.
            let digest = manifest.split(' ').find(|word| word.starts_with("sha256:"));
            let digest = digest.unwrap_or_else(|| panic!("{line:?}"));
            self.doomed_manifests.insert(digest.to_owned());
        } else if let Some(name) = line.strip_suffix(": empty repository eligible for deletion") {
            self.doomed_repositories.insert(name.to_owned());
        } else if line.contains("blobs marked") {
            let numbers = line.split(' ').filter_map(|word| word.parse().ok());
            self.counts = Some(numbers.collect::<Vec<_>>().try_into().unwrap());
        } else if !line.is_empty() && !line.contains(' ') {
            self.repositories.insert(line.to_owned());
        } else if !line.is_empty() {
            self.others.push(line.to_owned());
        }
    }
}
