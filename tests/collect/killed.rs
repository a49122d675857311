//! `kill -9` in the middle of a collection: nothing that is needed is gone, and the next run finishes.

use std::{os::unix::process::ExitStatusExt as _, path::PathBuf, process::Stdio};

use wharf_testkit::{image, suite::Suite};

use crate::tree::{Files, Tree, below};

/// How many images the collection removes.
const GARBAGE: u64 = 150;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "a_killed_collection_leaves_nothing_dangling",
        &[],
        killed_anywhere,
    );
}

fn killed_anywhere() {
    let tree = Tree::new();
    for seed in 0..GARBAGE {
        tree.image("app", Some("moving"), &image::docker(1000 + seed));
    }
    for (seed, name) in (1..).zip(["app", "b", "b/c"]) {
        tree.image(name, Some("kept"), &image::oci(seed));
        tree.index(name, Some("multi"), &image::oci_index(50 + seed));
        tree.index(name, None, &image::oci_index(70 + seed));
    }
    tree.image("app", Some("moving"), &image::oci(9));
    let finished = finish(&tree.copied());

    // The first of each kind that goes, and some in the middle of the many.
    let hex = |seed: u64| below(&image::docker(1000 + seed).manifest.digest);
    let history = |seed: u64| tree_path(format!("app/_manifests/tags/moving/index/{}", hex(seed)));
    let revision = |seed: u64| tree_path(format!("app/_manifests/revisions/{}", hex(seed)));
    let layer = |seed: u64| {
        tree_path(format!(
            "app/_layers/{}",
            below(&image::docker(1000 + seed).blobs[1].digest)
        ))
    };
    let mut interrupted = 0;
    for signs in [
        (0..GARBAGE).map(history).collect::<Vec<_>>(),
        vec![history(GARBAGE / 2)],
        (0..GARBAGE).map(revision).collect(),
        vec![revision(GARBAGE / 2)],
        (0..GARBAGE).map(layer).collect(),
        vec![layer(GARBAGE / 2)],
        vec![PathBuf::from("blobs")],
    ] {
        let tree = tree.copied();
        interrupted += u32::from(kill_when_gone(&tree, &signs));
        tree.check();
        assert_eq!(finish(&tree), finished);
    }
    assert!(
        interrupted > 0,
        "each run was over before it could be killed: nothing was tested"
    );
}

/// Collects to the end, and checks that nothing is left to do.
fn finish(tree: &Tree) -> Files {
    tree.collect(&["-m"]);
    tree.check();
    let files = tree.files();
    let again = tree.collect(&["-m"]);
    assert_eq!(again.counts.unwrap()[1..], [0, 0]);
    assert_eq!(tree.files(), files);
    files
}

fn tree_path(below: String) -> PathBuf {
    PathBuf::from("repositories").join(below).join("link")
}

/// Starts a collection and kills it as soon as one of `signs` is gone (or, for `blobs`, the first blob). Answers
/// whether it was killed before it ended.
fn kill_when_gone(tree: &Tree, signs: &[PathBuf]) -> bool {
    let signs: Vec<PathBuf> = if signs == [PathBuf::from("blobs")] {
        let doomed = tree.copied().collect(&["-m"]).doomed_blobs;
        let path = |digest: &String| wharf_testkit::store::blob_path(&tree.root(), digest);
        doomed.iter().map(path).collect()
    } else {
        signs
            .iter()
            .map(|sign| tree.path(sign.to_str().unwrap()))
            .collect()
    };
    let mut child = tree
        .command(&["-m"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() && signs.iter().all(|sign| sign.exists()) {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap().signal() == Some(9)
}
