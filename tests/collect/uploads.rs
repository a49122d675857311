//! `uploads ls` and `uploads purge`: room on the disk now, and not after a week.

use std::{path::Path, process::Command};

use wharf_testkit::{Server, suite::Suite};

use crate::tree::{Tree, binary};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "unfinished_uploads_are_listed_and_removed_by_age",
        &[],
        listed_and_removed,
    );
    suite.test("uploads_beside_a_server_are_only_listed", &[], beside_a_server);
}

/// Runs the command, and gives its exit status with what it says on both channels.
fn uploads(config: &Path, words: &[&str]) -> (bool, String) {
    let output = Command::new(binary())
        .arg("uploads")
        .args(words)
        .arg(config)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.success(), text.concat())
}

fn listed_and_removed() {
    let tree = Tree::new();
    let upload = tree.repository("team/app/_uploads/3f0a1c9e-8a5b-4c52-9f0e-3a3f4a5b6c7d");
    std::fs::create_dir_all(upload.join("hashstates/sha256")).unwrap();
    std::fs::write(upload.join("startedat"), "2026-11-21T07:07:44Z").unwrap();
    std::fs::write(upload.join("data"), "12345").unwrap();
    let config = tree.configuration();
    let before = tree.files();

    let (is_ok, said) = uploads(&config, &["ls"]);
    assert!(
        is_ok && said.contains("team/app\t3f0a1c9e-8a5b-4c52-9f0e-3a3f4a5b6c7d\t5\t"),
        "{said}"
    );
    let (is_ok, said) = uploads(&config, &["purge", "--older-than", "1h"]);
    assert!(is_ok && said.contains("0 unfinished upload(s) removed"), "{said}");
    let (is_ok, said) = uploads(&config, &["purge", "--older-than", "0s", "--dry-run"]);
    assert!(
        is_ok && said.contains("1 unfinished upload(s) would be removed"),
        "{said}"
    );
    assert_eq!(tree.files(), before);
    let (is_ok, said) = uploads(&config, &["purge", "--older-than", "soon"]);
    assert!(!is_ok && said.contains("`90m`"), "{said}");

    let (is_ok, said) = uploads(&config, &["purge", "--older-than", "0s"]);
    assert!(is_ok && said.contains("1 unfinished upload(s) removed"), "{said}");
    assert!(!upload.exists());
}

fn beside_a_server() {
    wharf_testkit::run(async {
        let server = Server::builder(env!("CARGO_BIN_EXE_wharf")).start();
        let (client, bytes) = (server.anonymous(), "some bytes");
        let app = client.repository("app");
        let location = app.start_upload().await;
        app.append(&location, bytes).await.expect(202);
        let id = location.rsplit('/').next().unwrap();
        let config = server.root().parent().unwrap().join("config.yml");

        let (is_ok, said) = uploads(&config, &["ls"]);
        assert!(
            is_ok && said.contains(&format!("app\t{id}\t{}\t", bytes.len())),
            "{said}"
        );
        let (is_ok, said) = uploads(&config, &["purge", "--older-than", "0s"]);
        assert!(!is_ok && said.contains("while a server runs"), "{said}");
        server.anonymous().get(&location).await.expect(204);
    });
}
