//! `wharf storage copy` of the real binary: from a directory into a bucket and back, killed in the middle, and what it refuses.

#![expect(
    clippy::disallowed_methods,
    reason = "makes, reads and damages files of stores"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use wharf_testkit::{
    Content,
    bucket::BucketStore,
    image::{self, Blob},
    peer::{Peer, REGISTRY_3},
    store,
    suite::{Part, Suite},
    tool::Bench,
};

use crate::both_ways::{holds, read};

const WHARF: &str = env!("CARGO_BIN_EXE_wharf");

/// Directory in the bucket.
const PREFIX: &str = "moved/here";

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "a_directory_copied_into_a_bucket_and_back_is_the_same",
        &[Part::Bucket],
        there_and_back,
    );
    suite.test(
        "a_copy_in_a_bucket_is_served_by_registry_3",
        &[Part::Bucket, Part::Program(REGISTRY_3)],
        served_by_registry_3,
    );
    suite.test(
        "a_copy_that_is_killed_is_completed_by_the_next_one",
        &[Part::Bucket],
        killed,
    );
    suite.test("a_copy_says_what_it_cannot_do", &[], refused);
    suite.test("a_copy_reports_what_is_damaged_and_fails", &[], damaged);
}

/// Directories and configurations of one test.
struct Scene {
    bench: Bench,
    /// Everything that was pushed, by the names of repositories.
    pushed: Vec<(String, Content)>,
}

impl Scene {
    /// A registry in the directory `data`, with a large blob.
    fn new() -> Self {
        let scene = Self {
            bench: Bench::new(),
            pushed: Vec::new(),
        };
        scene.bench.write("data/keep", "");
        scene
    }

    fn filled() -> Self {
        let mut scene = Self::new();
        let peer = Peer::start(WHARF, &scene.path("data"));
        let large = image::image(
            image::OCI_MANIFEST,
            Blob::random(1, 200),
            (2..6).map(|seed| Blob::random(seed, 20 << 20)).collect(),
        );
        for (name, content) in [
            ("app", Content::of(image::docker("copied"))),
            ("app/below", Content::of(image::oci_index("copied"))),
            ("team/large", Content::of(large)),
        ] {
            for tag in ["1", "1.0-a", "latest"] {
                content.push(peer.authority(), name, tag);
            }
            scene.pushed.push((name.to_owned(), content));
        }
        // The tag moves.
        Content::of(image::oci("moved")).push(peer.authority(), "app", "latest");
        peer.stop();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bench.path(name)
    }

    /// Writes `bucket.yml`.
    fn with_bucket(self, store: &BucketStore) -> Self {
        let lines: Vec<String> = store.configuration(PREFIX);
        let storage = lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
        self.bench
            .write("bucket.yml", &format!("version: 0.1\nstorage:\n{storage}"));
        self
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(WHARF);
        command
            .args(["storage", "copy"])
            .args(words)
            .current_dir(self.path(""))
            .env_remove("REGISTRY_CONFIGURATION_PATH");
        command
    }

    fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command(words).output().expect("it starts"))
    }

    /// Runs a copy that must succeed and say that it is complete.
    fn copy(&self, words: &[&str]) -> Ran {
        let ran = self.run(words);
        assert_eq!((ran.code, ran.errors.as_str()), (Some(0), ""), "{ran:?}");
        ran
    }

    /// The files of the registry in a directory of this scene.
    fn files(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        files(&self.path(name))
    }
}

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            output: String::from_utf8(output.stdout).expect("text"),
            errors: String::from_utf8(output.stderr).expect("text"),
        }
    }

    fn says(&self, text: &str) -> &Self {
        let said = self.output.contains(text) || self.errors.contains(text);
        assert!(said, "`{text}` is not in {self:#?}");
        self
    }
}

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    read(&root.join("docker"), "", &mut files);
    files
}

fn there_and_back() {
    let store = BucketStore::of_this_run();
    let scene = Scene::filled().with_bucket(&store);
    let files_before = scene.files("data");
    scene.copy(&["--dry-run", "data", "bucket.yml"]).says("to copy");
    assert!(!store.has_some_below(PREFIX), "a dry run writes nothing");
    // The server goes on meanwhile.
    let server = Peer::start(WHARF, &scene.path("data"));
    scene
        .copy(&["data", "bucket.yml"])
        .says("tags         9 copied, 0 there already")
        .says("complete: everything is there");
    assert!(files(store.files_of(PREFIX).root()) == files_before);
    // What came since is brought over.
    Content::of(image::oci("later")).push(server.authority(), "app", "later");
    server.stop();
    scene
        .copy(&["data", "bucket.yml"])
        .says("tags         1 copied, 9 there already");
    fs::create_dir(scene.path("back")).expect("a directory");
    scene.copy(&["--verify", "bucket.yml", "back"]);
    assert!(scene.files("back") == scene.files("data"));
    assert_eq!(
        store::check(&scene.path("back"), store::Rules::default()).problems,
        Vec::<String>::new()
    );
    scene
        .copy(&["--verify", "bucket.yml", "back"])
        .says("blobs        0 copied");
}

fn served_by_registry_3() {
    let store = BucketStore::of_this_run();
    let scene = Scene::filled().with_bucket(&store);
    scene.copy(&["--quiet", "data", "bucket.yml"]);
    let peer = Peer::on_bucket(REGISTRY_3, &store, PREFIX);
    for (name, content) in &scene.pushed {
        holds(&peer, name, content);
    }
    peer.stop();
}

/// Killed after the first blob, the first link, and at some moments in between, in both directions.
fn killed() {
    let store = BucketStore::of_this_run();
    let scene = Scene::filled().with_bucket(&store);
    fs::create_dir(scene.path("back")).expect("a directory");
    let expected = scene.files("data");
    let mut killed = 0;
    for (words, target) in [
        (["data", "bucket.yml"], Target::Bucket(&store)),
        (["bucket.yml", "back"], Target::Directory(scene.path("back"))),
    ] {
        for place in ["docker/registry/v2/blobs", "docker/registry/v2/repositories"] {
            killed += u32::from(kill_when_there(&scene, &words, &target, place));
            let problems = target.look(|root| store::check(root, store::Rules::default()).problems);
            let of_store = problems.iter().filter(|problem| !problem.contains("not part"));
            assert_eq!(of_store.count(), 0, "{problems:#?}");
        }
        scene.copy(&words).says("complete: everything is there");
        assert!(target.look(files) == expected, "{words:?}");
    }
    assert!(killed > 0, "each copy was over before it could be killed");
}

/// What a copy writes into.
enum Target<'a> {
    Bucket(&'a BucketStore),
    Directory(PathBuf),
}

impl Target<'_> {
    fn has(&self, place: &str) -> bool {
        match self {
            Self::Bucket(store) => store.has_some_below(&format!("{PREFIX}/{place}")),
            Self::Directory(root) => root.join(place).exists(),
        }
    }

    /// Looks at it as a directory of files.
    fn look<T>(&self, look: impl FnOnce(&Path) -> T) -> T {
        match self {
            Self::Bucket(store) => look(store.files_of(PREFIX).root()),
            Self::Directory(root) => look(root),
        }
    }
}

/// Starts a copy, and kills it as soon as there is something at `place`. Returns whether it was killed before it ended.
fn kill_when_there(scene: &Scene, words: &[&str], target: &Target<'_>, place: &str) -> bool {
    let mut copy = scene
        .command(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !target.has(place) && Instant::now() < deadline {
        if copy.try_wait().expect("a child").is_some() {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    copy.kill().expect("a child");
    !copy.wait().expect("a child").success()
}

fn refused() {
    let scene = Scene::new();
    let fails = |words: &[&str], says: &[&str]| {
        let ran = scene.run(words);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        for text in says {
            ran.says(text);
        }
    };
    fails(
        &["data", "s3://bucket/prefix"],
        &["`s3://bucket/prefix`", "storage: {s3:"],
    );
    fails(
        &["missing.yml", "data"],
        &["`missing.yml` does not exist", "mkdir -p missing.yml"],
    );
    fs::create_dir(scene.path("to")).expect("a directory");
    fails(
        &["data", "to"],
        &[
            "there is no registry in `data`",
            "the directory that holds `docker`",
        ],
    );
    fails(&["data", "./data"], &["cannot copy `data` onto itself"]);
    scene
        .bench
        .write("memory.yml", "version: 0.1\nstorage: inmemory\n");
    fails(
        &["memory.yml", "to"],
        &["`storage: inmemory` keeps the data in the memory"],
    );
    store::write_manifest(&scene.path("data"), "app", Some("1"), b"{}");
    let server = Peer::start(WHARF, &scene.path("to"));
    fails(
        &["data", "to"],
        &[
            "cannot copy into a directory that a server uses",
            "stop that one first",
            "; start it again after the copy",
        ],
    );
    scene.run(&["--dry-run", "data", "to"]).says("1 to copy");
    server.stop();
    for name in ["one.yml", "other.yml"] {
        let text = format!("version: 0.1\nstorage: {{filesystem: {{rootdirectory: {name}.d}}}}\n");
        scene.bench.write(name, &text);
    }
    let mut overridden = scene.command(&["one.yml", "other.yml"]);
    let ran = overridden
        .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "data")
        .output()
        .expect("it starts");
    Ran::of(ran).says("onto itself; variables `REGISTRY_STORAGE_…`");
    // The directory of a configuration is made, as a start makes it.
    scene.copy(&["data", "one.yml"]);
    assert!(scene.files("one.yml.d") == scene.files("data"));
}

fn damaged() {
    let scene = Scene::new();
    let data = scene.path("data");
    let image = image::docker("damaged");
    for blob in &image.blobs {
        store::write_layer(&data, "app", &blob.bytes);
    }
    store::write_manifest(&data, "app", Some("1"), &image.manifest.bytes);
    store::write_manifest(&data, "other", Some("1"), b"{\"schemaVersion\":2}");
    let layer = &image.blobs[1].digest;
    fs::write(store::blob_path(&data, layer), "something else").expect("a file");
    fs::create_dir(scene.path("to")).expect("a directory");
    let ran = scene.run(&["data", "to"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    ran.says(&format!(
        "failed: the blob `{layer}`: the bytes of the source have another digest"
    ))
    .says(&format!("`{layer}`, which it needs, is damaged"))
    .says("failed: the tag `app:1`")
    .says("tags         1 copied, 0 there already, 1 failed")
    .says("incomplete: 3 object(s) failed");
    assert!(
        scene
            .path("to/docker/registry/v2/repositories/other/_manifests/tags/1")
            .exists()
    );
    assert!(
        !scene
            .path("to/docker/registry/v2/repositories/app/_manifests/tags")
            .exists()
    );
}
