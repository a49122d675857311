//! `referrers write-tags`: signatures are found by registry:2's clients after going back.

use std::{path::Path, process::Command};

use wharf_testkit::{Server, image, suite::Suite};

use crate::tree::{Tree, binary};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("tags_of_referrers_are_written_once", &[], written_once);
    suite.test("write_tags_beside_a_server_only_a_look", &[], beside_a_server);
}

/// Runs the command, and gives its exit status with what it says on both channels.
fn write_tags(config: &Path, options: &[&str]) -> (bool, String) {
    let output = Command::new(binary())
        .args(["referrers", "write-tags"])
        .arg(config)
        .args(options)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.success(), text.concat())
}

/// Two repositories with a signed image each. Gives the fallback tag of the images.
fn signed() -> (Tree, String) {
    let tree = Tree::new();
    let subject = image::oci(1);
    let signature = image::artifact(1, "example/signature", &subject.manifest);
    for repository in ["app", "team/app"] {
        tree.image(repository, Some("1"), &subject);
        tree.image(repository, None, &signature);
    }
    tree.image("unsigned", Some("1"), &image::oci(2));
    (tree, subject.manifest.fallback_tag())
}

fn written_once() {
    let (tree, tag) = signed();
    let config = tree.configuration();
    let before = tree.files();
    let link = |repository: &str| format!("repositories/{repository}/_manifests/tags/{tag}/current/link");

    let (is_ok, said) = write_tags(&config, &[]);
    for repository in ["app", "team/app"] {
        let line = format!("{repository}:{tag}: is missing; 1 manifest(s) to list\n");
        assert!(is_ok && said.contains(&line), "{said}");
    }
    assert!(
        said.contains("2 tag(s) to write") && said.contains("--write"),
        "{said}"
    );
    assert_eq!(tree.files(), before, "a look changes nothing");

    let (is_ok, said) = write_tags(&config, &["--write", "--repository", "team/app"]);
    assert!(is_ok && said.contains("1 tag(s) written"), "{said}");
    assert!(tree.files().contains_key(&link("team/app")), "{said}");
    assert!(!tree.files().contains_key(&link("app")), "{said}");

    let (is_ok, said) = write_tags(&config, &["--write"]);
    assert!(is_ok && said.contains("1 tag(s) written"), "{said}");
    let written = tree.files();
    assert!(written.contains_key(&link("app")), "{said}");
    let (is_ok, said) = write_tags(&config, &["--write"]);
    assert!(is_ok && said.contains("nothing to do"), "{said}");
    assert_eq!(tree.files(), written, "a second run changes nothing");
}

fn beside_a_server() {
    wharf_testkit::run(async {
        let server = Server::builder(env!("CARGO_BIN_EXE_wharf")).start();
        let app = server.anonymous().repository("app");
        let subject = image::oci(1);
        app.push_image("1", &subject).await;
        let signature = image::artifact(1, "example/signature", &subject.manifest);
        app.push_blobs(&signature).await;
        app.push_manifest(&signature.manifest.digest, &signature.manifest)
            .await;
        let config = server.root().parent().unwrap().join("config.yml");

        let (is_ok, said) = write_tags(&config, &[]);
        assert!(is_ok && said.contains("1 tag(s) to write"), "{said}");
        let (is_ok, said) = write_tags(&config, &["--write"]);
        assert!(
            !is_ok && said.contains("cannot write tags while a server runs"),
            "{said}"
        );
        assert_eq!(app.tags().await, ["1"]);
    });
}
