//! The command line, the exit codes, and what happens beside a running server.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use wharf_testkit::{Server, image, store, suite::Suite};

use crate::tree::{Collected, Tree, binary, names};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "s0_19_s0_20_flags_and_names_in_any_order",
        &[],
        flags_in_any_order,
    );
    suite.test("a9_the_lines_are_those_of_the_goldens", &[], golden_lines);
    suite.test("a9_a_dry_run_changes_nothing", &[], dry_run_changes_nothing);
    suite.test("quiet_says_nothing", &[], quiet);
    suite.test(
        "without_a_configuration_it_prints_the_usage",
        &[],
        without_configuration,
    );
    suite.test("a_store_that_is_not_there_is_named", &[], no_store);
    suite.test("a_store_in_memory_is_refused", &[], inmemory);
    suite.test("s0_21_beside_a_server_the_server_collects", &[], beside_a_server);
    suite.test("delete_enabled_does_not_matter", &[], delete_enabled);
    suite.test("a_reader_that_goes_away_stops_it", &[], closed_output);
}

/// One tagged image, and one that is untagged, and a layer that nothing names.
fn small() -> Tree {
    let tree = Tree::new();
    tree.image("app", Some("latest"), &image::docker(1));
    tree.image("app", None, &image::docker(2));
    tree.layer("app", "nobody names this");
    tree
}

fn flags_in_any_order() {
    let tree = small();
    let before = tree.files();
    let config = tree.configuration();
    let config = config.to_str().unwrap();
    for (words, manifests) in [
        (vec!["--dry-run", config], 0),
        (vec!["-d", config, config], 0),
        (vec![config, "--dry-run", config], 0),
        (vec!["-m=true", "-d", config], 1),
        (vec![config, "-dm"], 1),
        (vec!["--delete-untagged=false", config, "--dry-run=true"], 0),
        (vec!["--delete-untagged", "--dry-run", config], 1),
    ] {
        let said = Collected::of(Command::new(binary()).arg("garbage-collect").args(&words));
        assert_eq!(said.code, Some(0), "{words:?}: {said:?}");
        assert_eq!(said.counts.unwrap()[2], manifests, "{words:?}");
        assert_eq!(tree.files(), before, "{words:?}");
    }
    let said = Collected::of(Command::new(binary()).args(["garbage-collect", config, config]));
    assert_eq!((said.code, said.counts), (Some(0), Some([8, 1, 0])));
}

fn golden_lines() {
    let tree = Tree::new();
    let image = image::docker(1);
    let digest = tree.image("org/app", Some("1"), &image);
    let garbage = tree.layer("org/app", "0123456789");
    let mut expected = format!("org/app\norg/app: marking manifest {digest} \n");
    for blob in &image.blobs {
        expected += &format!("org/app: marking blob {}\n", blob.digest);
    }
    expected += &format!(
        "\n4 blobs marked, 1 blobs and 0 manifests eligible for deletion\n\
         blob eligible for deletion: {garbage}\norg/app: layer link eligible for deletion: {garbage}\n"
    );
    let dry = tree.collect(&["-d"]);
    assert_eq!(dry.output, format!("{expected}10 bytes (10 B) would be freed\n"));
    let real = tree.collect(&[]);
    assert_eq!(real.output, format!("{expected}10 bytes (10 B) freed\n"));
    assert_eq!((dry.errors.as_str(), real.errors.as_str()), ("", ""));
    tree.check();
}

fn dry_run_changes_nothing() {
    let tree = small();
    let before = tree.files();
    let said = tree.collect(&["--dry-run", "-m"]);
    assert_eq!(said.counts, Some([4, 5, 1]));
    assert_eq!(tree.files(), before);
    // Not even wharf's own files: a dry run needs no right to write.
    assert!(!tree.root().join("wharf").exists());
    let real = tree.collect(&["-m"]);
    assert_eq!(
        (real.counts, &real.doomed_blobs),
        (said.counts, &said.doomed_blobs)
    );
    assert_ne!(tree.files(), before);
    tree.check();
}

fn quiet() {
    let tree = small();
    let said = tree.collect(&["-q", "-m"]);
    assert_eq!((said.output.as_str(), said.errors.as_str()), ("", ""));
    assert_eq!(tree.revisions("app"), 1);
    tree.check();
}

fn without_configuration() {
    let tree = small();
    let before = tree.files();
    let usual = ["/etc/docker/registry/config.yml", "/etc/distribution/config.yml"];
    // A machine that has one of these has a configuration.
    if !usual.iter().any(|path| Path::new(path).exists()) {
        let mut command = Command::new(binary());
        command
            .arg("garbage-collect")
            .current_dir(tree.root())
            .env_remove("REGISTRY_CONFIGURATION_PATH");
        let said = Collected::of(&mut command);
        assert_eq!((said.code, said.output.as_str()), (Some(1), ""));
        for expected in [
            "configuration error: configuration path unspecified\n",
            "Usage:",
            "--delete-untagged",
        ] {
            assert!(said.errors.contains(expected), "{expected}: {}", said.errors);
        }
    }
    let said = Collected::of(Command::new(binary()).args(["garbage-collect", "/nowhere/config.yml"]));
    assert_eq!(said.code, Some(1));
    assert!(said.errors.contains("/nowhere/config.yml"), "{}", said.errors);
    // The variable of registry:2.
    let mut command = Command::new(binary());
    command
        .args(["garbage-collect", "-d"])
        .env("REGISTRY_CONFIGURATION_PATH", tree.configuration());
    let said = Collected::of(&mut command);
    assert_eq!((said.code, said.counts), (Some(0), Some([8, 1, 0])));
    assert_eq!(tree.files(), before);
}

fn no_store() {
    let tree = Tree::new();
    for words in [&["-d"][..], &[]] {
        let said = Collected::of(&mut tree.command(words));
        assert_eq!((said.code, said.output.as_str()), (Some(1), ""));
        assert!(
            said.errors.contains(tree.root().to_str().unwrap()),
            "{}",
            said.errors
        );
        assert!(!tree.root().exists(), "nothing is created");
    }
    // Restored one level too deep.
    std::fs::create_dir_all(
        tree.root()
            .join("registry/data/docker/registry/v2/repositories/app"),
    )
    .unwrap();
    let said = Collected::of(&mut tree.command(&[]));
    assert_eq!(said.code, Some(1));
    assert!(said.errors.contains("rootdirectory"), "{}", said.errors);
    assert!(!tree.root().join("wharf").exists(), "nothing is created");
}

fn inmemory() {
    let tree = Tree::new();
    let config = tree.configuration();
    std::fs::write(&config, "version: 0.1\nstorage: inmemory\n").unwrap();
    let said = Collected::of(Command::new(binary()).arg("garbage-collect").arg(config));
    assert_eq!(said.code, Some(1));
    assert!(said.errors.contains("inmemory"), "{}", said.errors);
}

fn beside_a_server() {
    wharf_testkit::run(async {
        let server = Server::builder(env!("CARGO_BIN_EXE_wharf")).start();
        let app = server.anonymous().repository("app");
        let [kept, left] = [image::oci(1), image::oci(2)];
        app.push_image("1", &kept).await;
        app.push_blobs(&left).await;
        let config = server.root().parent().unwrap().join("config.yml");
        let before = files_of(&server);
        let collect = |words: &[&str]| {
            let mut command = Command::new(binary());
            Collected::of(command.arg("garbage-collect").arg(&config).args(words))
        };

        // The server does it, and keeps what is younger than its grace period: these blobs wait for their manifest.
        let collected = collect(&[]);
        assert_eq!(
            (collected.code, collected.doomed_blobs.len()),
            (Some(0), 0),
            "{collected:?}"
        );
        // Without the control socket the command needs the store to itself.
        std::fs::remove_file(server.root().join("wharf/control.sock")).unwrap();
        let refused = collect(&[]);
        assert_eq!(
            (refused.code, refused.output.as_str()),
            (Some(1), ""),
            "{refused:?}"
        );
        for expected in ["stop", "--dry-run", &format!("pid {}", server.pid())] {
            assert!(
                refused.errors.contains(expected),
                "{expected}: {}",
                refused.errors
            );
        }

        let dry = collect(&["-d"]);
        assert_eq!(
            (dry.code, dry.doomed_blobs.len()),
            (Some(0), left.blobs.len()),
            "{dry:?}"
        );
        assert_eq!(files_of(&server), before);
        // The server did not notice.
        app.push_image("2", &left).await;
        app.pull_image("1", &kept).await;
        app.pull_image("2", &left).await;
    });
}

/// Everything below the root of a server, wharf's own files included, but for the log that the server itself goes on writing.
fn files_of(server: &Server) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = vec![server.root()];
    while let Some(directory) = left.pop() {
        for name in names(&directory) {
            let path = directory.join(name);
            // What was done, and what a collection found to be stored that day.
            if path.ends_with("wharf/activity") || path.ends_with("wharf/growth") {
                continue;
            }
            if path.is_dir() {
                left.push(path);
            } else if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

fn delete_enabled() {
    let tree = small();
    let config = tree.configuration();
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("storage:\n", "storage:\n  delete: {enabled: false}\n");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(binary());
    let said = Collected::of(command.arg("garbage-collect").arg(&config).arg("-m"));
    assert_eq!((said.code, said.counts), (Some(0), Some([4, 5, 1])));
    assert_eq!(store::check(&tree.root(), store::Rules::default()).blobs, 4);
}

fn closed_output() {
    let tree = small();
    let before = tree.files();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = tree.command(&["-m"]).stdout(writer).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert_eq!(tree.files(), before, "what could not be said was not done");
}
