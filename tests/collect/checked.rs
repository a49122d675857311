//! `wharf fsck`: exit codes, output, beside a server, and damage that a push heals after `--repair`.

use std::{path::Path, process::Command};

use wharf_testkit::{Server, Value, digest, image, run, serde_json, store, suite::Suite};

use crate::tree::{Tree, binary};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "a11_fsck_says_what_is_damaged_and_which_images_suffer",
        &[],
        exit_codes,
    );
    suite.test("a11_fsck_of_bad_input_names_each_thing_once", &[], bad_input);
    suite.test("a11_fsck_works_beside_a_server_and_repair_does_not", &[], || {
        run(beside_a_server());
    });
    suite.test("a11_after_a_repair_a_push_heals", &[], || run(repaired()));
    suite.test("fsck_needs_a_registry", &[], mistakes);
}

/// What `wharf fsck` said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `wharf fsck` on the store of a tree.
fn fsck(tree: &Tree, words: &[&str]) -> Said {
    fsck_with(&tree.configuration(), words)
}

/// Runs `wharf fsck` with a configuration.
fn fsck_with(configuration: &Path, words: &[&str]) -> Said {
    let mut command = Command::new(binary());
    let command = command.arg("fsck").arg("--config").arg(configuration).args(words);
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn exit_codes() {
    let tree = Tree::new();
    let index = image::docker_list(1);
    tree.index("team/app", Some("1.0"), &index);
    let sound = fsck(&tree, &[]);
    assert_eq!((sound.code, sound.stderr.as_str()), (Some(0), ""), "{sound:?}");
    assert_eq!(sound.stdout.lines().count(), 1, "{sound:?}");
    assert!(
        sound.stdout.ends_with(" read: 0 broken, 0 untidy, 0 unknown\n"),
        "{sound:?}"
    );
    assert!(
        !tree.root().join("wharf").exists(),
        "registry:2 has its directory to itself"
    );

    // Leftovers alone are no damage.
    std::fs::write(tree.repository("team/app/note.txt"), "x").unwrap();
    let untidy = fsck(&tree, &[]);
    assert_eq!(untidy.code, Some(0), "{untidy:?}");
    assert!(
        untidy
            .stdout
            .starts_with("untidy: `docker/registry/v2/repositories/team/app/note.txt` is no part"),
        "{untidy:?}"
    );
    assert_eq!(fsck(&tree, &["--quiet"]).stdout, "");

    // A layer of the second platform is gone, one of the first has a flipped bit.
    let lost = &index.images[1].blobs[1].digest;
    std::fs::remove_file(store::blob_path(&tree.root(), lost)).unwrap();
    let flipped = &index.images[0].blobs[1].digest;
    let mut bytes = tree.blob(flipped).unwrap();
    bytes[0] ^= 1;
    std::fs::write(store::blob_path(&tree.root(), flipped), &bytes).unwrap();
    let before = tree.files();
    let broken = fsck(&tree, &["-q"]);
    assert_eq!(broken.code, Some(10), "{broken:?}");
    let text = &broken.stdout;
    for expected in [
        format!("broken: the blob `{lost}` is not stored; push one of these images again"),
        "  team/app:1.0 (linux/arm64)\n".to_owned(),
        format!(
            "broken: the {} bytes of the blob `{flipped}` are damaged: they hash to `{}`",
            bytes.len(),
            digest::sha256(&bytes)
        ),
        "  team/app:1.0 (linux/amd64)\n".to_owned(),
    ] {
        assert!(text.contains(&expected), "{expected}: {text}");
    }
    assert_eq!(text.lines().count(), 4, "{text}");
    let quick = fsck(&tree, &["--quick", "-q"]);
    assert_eq!(
        (quick.code, quick.stdout.lines().count()),
        (Some(10), 2),
        "{quick:?}"
    );
    assert_eq!(tree.files(), before, "nothing has changed");

    let json = fsck(&tree, &["--json", "--rate", "1GiB", "--repository", "team/app"]);
    let lines: Vec<Value> = json
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4, "{json:?}");
    let missing = lines.iter().find(|line| line["kind"] == "missing-blob").unwrap();
    assert_eq!(missing["digest"], lost.as_str());
    assert_eq!(missing["severity"], "broken");
    assert_eq!(missing["images"][0]["tag"], "1.0");
    assert_eq!(missing["images"][0]["platform"], "linux/arm64");
    assert_eq!(lines[3]["summary"]["broken"], 2);
}

/// Data directories as the issues of registry:2 describe them.
fn bad_input() {
    let tree = Tree::new();
    let image = image::docker(1);
    tree.image("app", Some("1"), &image);
    tree.image("lost", Some("1"), &image::docker(2));
    let schema_1 = format!(
        r#"{{"schemaVersion":1,"name":"app","tag":"old","fsLayers":[{{"blobSum":"{}"}}],"history":[],"signatures":[]}}"#,
        image.blobs[1].digest
    );
    store::write_manifest(&tree.root(), "app", Some("old"), schema_1.as_bytes());
    // An empty link; a dangling history; a half-deleted repository; a foreign file; a link that leads nowhere.
    std::fs::write(tree.repository("app/_manifests/tags/1/current/link"), "").unwrap();
    store::write_link(
        &tree.root(),
        &format!(
            "app/_manifests/tags/old/index/{}",
            digest::unknown(1).replace(':', "/")
        ),
        &digest::unknown(1),
    );
    std::fs::remove_dir_all(tree.repository("lost/_manifests")).unwrap();
    std::fs::write(tree.repository("Thumbs.db"), "x").unwrap();
    std::os::unix::fs::symlink("/does/not/exist", tree.repository("app/link")).unwrap();
    let said = fsck(&tree, &[]);
    assert_eq!(said.code, Some(10), "{said:?}");
    for expected in [
        "broken: the tag `app:1` points nowhere: it is empty; push the tag again",
        "untidy: the history of the tag `app:old` has 1 manifest that",
        "untidy: `lost` has 3 layers, and no manifest; ",
        "untidy: `docker/registry/v2/repositories/app/link` is no part of a registry; ",
        "untidy: `docker/registry/v2/repositories/Thumbs.db` is no part of a registry; ",
    ] {
        assert_eq!(
            said.stdout.matches(expected).count(),
            1,
            "{expected}: {}",
            said.stdout
        );
    }
    // The summary, and the image of the tag.
    assert_eq!(said.stdout.lines().count(), 5 + 2, "{}", said.stdout);
}

async fn beside_a_server() {
    let server = Server::builder(env!("CARGO_BIN_EXE_wharf")).start();
    let app = server.anonymous().repository("app");
    app.push_image("1", &image::oci(1)).await;
    let config = server.root().parent().unwrap().join("config.yml");
    let fsck = |words: &[&str]| fsck_with(&config, words);
    let beside = fsck(&[]);
    assert_eq!(beside.code, Some(0), "{beside:?}");
    assert!(
        server.root().join("wharf/fsck").exists(),
        "it notes how far it is"
    );
    let refused = fsck(&["--repair"]);
    assert_eq!(
        (refused.code, refused.stdout.as_str()),
        (Some(1), ""),
        "{refused:?}"
    );
    for expected in ["cannot repair while a server runs", "stop", "scrub"] {
        assert!(refused.stderr.contains(expected), "{expected}: {refused:?}");
    }
    // The server goes on.
    app.push_image("2", &image::oci(2)).await;
}

async fn repaired() {
    let tree = Tree::new();
    let image = image::oci(1);
    tree.image("app", Some("1"), &image);
    let layer = &image.blobs[1].digest;
    std::fs::write(store::blob_path(&tree.root(), layer), "other bytes").unwrap();
    let said = fsck(&tree, &["--repair"]);
    assert_eq!(said.code, Some(10), "{said:?}");
    let hex = layer.strip_prefix("sha256:").unwrap();
    let expected = format!("  app:1\n  moved to `wharf/quarantine/sha256/{hex}`\n");
    assert!(said.stdout.contains(&expected), "{said:?}");
    let moved = tree.root().join("wharf/quarantine/sha256").join(hex);
    assert_eq!(std::fs::read(moved).unwrap(), b"other bytes");
    let still = fsck(&tree, &["-q"]);
    assert_eq!(still.code, Some(10), "it needs a push: {still:?}");

    let builder = Server::builder(binary().to_str().unwrap()).unchecked();
    let data = tree.root().display().to_string();
    let server = builder
        .environment("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &data)
        .start();
    server.anonymous().repository("app").push_image("1", &image).await;
    let healed = fsck(&tree, &["-q"]);
    assert_eq!((healed.code, healed.stdout.as_str()), (Some(0), ""), "{healed:?}");
    drop(server);
    tree.check();
}

fn mistakes() {
    let tree = Tree::new();
    std::fs::create_dir_all(tree.root()).unwrap();
    let empty = fsck(&tree, &[]);
    assert_eq!(empty.code, Some(1), "{empty:?}");
    assert!(empty.stderr.contains("there is no registry in"), "{empty:?}");
    tree.image("app", Some("1"), &image::oci(1));
    let unknown = fsck(&tree, &["--repository", "other"]);
    assert!(
        unknown.code == Some(1) && unknown.stderr.contains("there is no repository `other`"),
        "{unknown:?}"
    );
    let wrong = fsck(&tree, &["--rate", "fast"]);
    assert!(
        wrong.code == Some(2) && wrong.stderr.contains("50MiB"),
        "{wrong:?}"
    );
}
