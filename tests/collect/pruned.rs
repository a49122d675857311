//! What a collection removes beside blobs: histories of tags, layer links, empty repositories.

use wharf_testkit::{Server, image, store, suite::Suite};

use crate::tree::{Collected, Tree, binary};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("s4_46_one_entry_is_left_in_the_history", &[], one_entry);
    suite.test("s4_46_also_when_the_api_has_deleted_before", &[], deleted_before);
    suite.test(
        "s4_44_without_the_flag_untagged_manifests_stay",
        &[],
        without_flag,
    );
    suite.test(
        "what_another_tag_points_at_stays_in_the_history",
        &[],
        still_tagged,
    );
    suite.test(
        "s4_26_empty_repositories_leave_the_catalogue",
        &[],
        empty_repositories,
    );
    suite.test("what_was_collected_can_be_pushed_again", &[], pushed_again);
}

/// `app:latest`, pushed four times.
fn overwritten() -> Tree {
    let tree = Tree::new();
    for seed in 1..=4 {
        tree.image("user/repo", Some("latest"), &image::docker(seed));
    }
    assert_eq!(
        (tree.revisions("user/repo"), tree.history("user/repo", "latest")),
        (4, 4)
    );
    tree
}

fn one_entry() {
    let tree = overwritten();
    let said = tree.collect(&["-m"]);
    assert_eq!(said.counts.unwrap()[1..], [12, 3]);
    assert_eq!(
        (tree.revisions("user/repo"), tree.history("user/repo", "latest")),
        (1, 1)
    );
    tree.check();
    tree.check_pull("user/repo", &image::docker(4).manifest.digest);
}

fn deleted_before() {
    let tree = overwritten();
    for seed in [1, 3] {
        tree.delete("user/repo", &image::docker(seed).manifest.digest);
    }
    assert_eq!(tree.history("user/repo", "latest"), 4);
    let said = tree.collect(&["-m"]);
    assert_eq!(said.counts.unwrap()[1..], [12, 1]);
    assert_eq!(
        (tree.revisions("user/repo"), tree.history("user/repo", "latest")),
        (1, 1)
    );
    tree.check();
}

fn without_flag() {
    let tree = overwritten();
    let before = tree.files();
    assert_eq!(tree.collect(&[]).counts.unwrap()[1..], [0, 0]);
    assert_eq!(tree.files(), before);
}

fn still_tagged() {
    let tree = overwritten();
    tree.manifest("user/repo", Some("first"), &image::docker(1).manifest);
    tree.collect(&["-m"]);
    assert_eq!(tree.revisions("user/repo"), 2);
    assert_eq!(
        tree.history("user/repo", "latest"),
        2,
        "the way back to what `first` keeps"
    );
    tree.check();
}

fn empty_repositories() {
    wharf_testkit::run(async {
        let mut server = Server::builder(env!("CARGO_BIN_EXE_wharf"))
            .storage("delete: {enabled: true}")
            .config("compat: {show_empty_repositories: true}")
            .config("trash: {retention: 0}")
            .start();
        let client = server.anonymous();
        let image = image::oci(1);
        for name in ["empty", "nested", "nested/below", "group/one", "half"] {
            client.repository(name).push_image("1", &image).await;
        }
        for name in ["empty", "nested", "group/one", "half"] {
            let path = client.repository(name).manifest_path(&image.manifest.digest);
            client.delete(&path).try_send().await.unwrap().expect(202);
        }
        client.repository("half").start_upload().await;
        server.stop();
        let config = server.root().parent().unwrap().join("config.yml");
        let said = Collected::of(
            std::process::Command::new(binary())
                .arg("garbage-collect")
                .arg(config),
        );
        assert_eq!(said.code, Some(0), "{said:?}");
        let expected = ["empty", "group/one", "half", "nested"].map(str::to_owned);
        assert_eq!(said.doomed_repositories, expected.into());
        for gone in [
            "empty",
            "group",
            "nested/_manifests",
            "nested/_layers",
            "half/_manifests",
        ] {
            assert!(!server.tree().join("repositories").join(gone).exists(), "{gone}");
        }
        server.start_again();
        let client = server.anonymous();
        let catalog = client.get("/v2/_catalog").try_send().await.unwrap().expect(200);
        assert_eq!(
            catalog.json()["repositories"],
            serde_json::json!(["nested/below"])
        );
        client.repository("nested/below").pull_image("1", &image).await;
        client.repository("group/one").push_image("2", &image).await;
    });
}

fn pushed_again() {
    wharf_testkit::run(async {
        let mut server = Server::builder(env!("CARGO_BIN_EXE_wharf")).start();
        let [image, other] = [image::oci(1), image::oci(2)];
        server.anonymous().repository("app").push_image("1", &image).await;
        server.anonymous().repository("app").push_image("1", &other).await;
        server.stop();
        let config = server.root().parent().unwrap().join("config.yml");
        let mut command = std::process::Command::new(binary());
        let said = Collected::of(command.args(["garbage-collect", "-m"]).arg(config));
        assert_eq!(said.counts.unwrap()[1..], [4, 1], "{said:?}");
        let report = store::check(&server.root(), store::Rules::default());
        assert_eq!(report.problems, Vec::<String>::new());
        server.start_again();
        let app = server.anonymous().repository("app");
        app.head_blob(&image.blobs[0].digest)
            .try_send()
            .await
            .unwrap()
            .expect(404);
        app.push_image("1", &image).await;
        app.pull_image("1", &image).await;
    });
}
