//! The commands of operators at another wharf, by `--server`: `gc`, `why`, `prune`, `trash` and `activity`.

use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};
use wharf_testkit::{Content, eventually, image, suite::Suite};

use crate::registries::{Kind, PASSWORD, Registry, on_each, on_each_with_users, run, run_as, start_as};

pub(crate) fn add_to(suite: &mut Suite) {
    on_each_with_users(suite, "an_operator_administers_from_afar", from_afar);
    on_each_with_users(suite, "rules_take_tags_from_afar_at", pruned);
    on_each_with_users(suite, "a_user_administers_nothing_at", a_user);
    on_each(
        suite,
        &[Kind::Two, Kind::Three],
        "only_a_wharf_is_administered_not",
        another,
    );
}

/// A registry from which images are copied into one with users.
fn fill(registry: &Registry, images: &[(&str, &str, &Content)]) {
    let open = Registry::start(Kind::Memory);
    for (repository, tag, content) in images {
        content.push(&open.host, repository, tag);
        let name = format!("{repository}:{tag}");
        run_as(
            "root",
            &registry.host,
            &["copy", "-q", &open.at(&name), &registry.at(&name)],
        )
        .good();
    }
}

fn from_afar(registry: &Registry) {
    let (kept, gone) = (Content::of(image::oci("kept")), Content::of(image::oci("gone")));
    fill(registry, &[("app", "1", &kept), ("app", "2", &gone)]);
    let server = ["--server", registry.host.as_str()];
    let root = |words: &[&str]| run_as("root", &registry.host, &[words, &server].concat());

    let digest = &kept.root().digest;
    assert_eq!(root(&["why", "-o", "name", digest]).good(), "app:1\n");
    let why: Value = serde_json::from_str(&root(&["why", "--json", digest]).good()).unwrap();
    assert_eq!(why["kept"][0]["by"], json!("tag"));

    // With a password on the command line, and at the name.
    let user = format!("root:{PASSWORD}");
    run(&["tag", "rm", "--yes", "-u", &user, &registry.at("app:2")]).good();
    let id = root(&["trash", "ls", "-o", "name"]).good();
    assert_eq!(root(&["why", "-o", "name", &gone.root().digest]).good(), id);
    let refused = root(&["trash", "empty"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let emptied: Value = serde_json::from_str(&root(&["trash", "empty", "--yes", "--json"]).good()).unwrap();
    assert_eq!(emptied, json!({"removed": 1}));

    let collected: Value = serde_json::from_str(&root(&["gc", "--json"]).good()).unwrap();
    assert!(collected["removed"]["blobs"].is_u64(), "{collected}");
    assert!(root(&["gc"]).good().starts_with("freed "));

    // The log is written a moment later.
    let mut entries = String::new();
    wharf_testkit::run(async {
        eventually("the deletion is in the log", || {
            entries = root(&["activity", "--action", "delete", "-o", "json"]).good();
            let is_there = !entries.is_empty();
            async move { is_there }
        })
        .await;
    });
    let entry: Value = serde_json::from_str(entries.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&entry["target"]["repository"], &entry["actor"]["name"]),
        (&json!("app"), &json!("root"))
    );
    let last = root(&["activity", "-n", "1", "-o", "lines"]).good();
    assert_eq!(last.lines().count(), 1, "{last}");
    let table = root(&["activity", "--repository", "app", "-o", "table"]).good();
    assert!(table.starts_with("TIME"), "{table}");

    // What is deleted while the command runs comes after what was deleted before.
    let follow = ["activity", "--follow", "--action", "delete", "-o", "json"];
    let mut following = start_as("root", &registry.host, &[&follow[..], &server].concat());
    let mut lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), entries.lines().next().unwrap());
    run(&["tag", "rm", "--yes", "-u", &user, &registry.at("app:1")]).good();
    // The manifest goes with its tag; before that comes what is left of the deletion before.
    let is_new = |line: &String| {
        let entry: Value = serde_json::from_str(line).unwrap();
        entry["target"]["tag"] == json!("1")
    };
    lines.map(Result::unwrap).find(is_new).unwrap();
}

fn pruned(registry: &Registry) {
    let images: Vec<Content> = (0..4).map(|number| Content::of(image::oci(number))).collect();
    let tags = ["a", "b", "c", "d"];
    let all: Vec<_> = tags
        .iter()
        .zip(&images)
        .map(|(tag, image)| ("app", *tag, image))
        .collect();
    fill(registry, &all);
    let prune = |words: &[&str]| {
        let server = ["--server", registry.host.as_str()];
        run_as(
            "root",
            &registry.host,
            &[&["prune", "app"], words, &server].concat(),
        )
    };
    let planned = prune(&["--keep", "2", "-o", "name"]);
    assert_eq!(planned.code, Some(10), "{planned:?}");
    assert!(planned.out.starts_with("app:a\napp:b\n"), "{planned:?}");
    let gone = prune(&["--keep", "2", "--apply", "-o", "name"]).good();
    assert!(gone.starts_with("app:a\napp:b\n"), "{gone}");
    let nothing: Value = serde_json::from_str(&prune(&["--keep", "2", "--json"]).good()).unwrap();
    assert_eq!(nothing["plans"][0]["tags_total"], json!(0), "{nothing}");
    let listed = run_as("root", &registry.host, &["tag", "ls", &registry.at("app")]).good();
    assert_eq!(listed, "c\nd\n");
}

fn a_user(registry: &Registry) {
    let content = Content::of(image::oci("u"));
    fill(registry, &[("app", "1", &content)]);
    let server = ["--server", registry.host.as_str()];
    for words in [
        &["gc"][..],
        &["why", &content.root().digest],
        &["prune", "--all", "--keep", "1"],
        &["trash", "empty", "--yes"],
    ] {
        let words = [words, &server].concat();
        let error = run_as("alice", &registry.host, &words).bad();
        assert!(
            error.contains("refuses: `alice` lacks the right `admin`"),
            "{words:?}: {error}"
        );
        let anonymous = run(&words).bad();
        assert!(anonymous.contains("requires a login"), "{words:?}: {anonymous}");
    }
    // What is one's own is told.
    run_as("alice", &registry.host, &["activity", "--server", &registry.host]).good();
    run_as(
        "alice",
        &registry.host,
        &["trash", "ls", "--server", &registry.host],
    )
    .good();
}

fn another(registry: &Registry) {
    let digest = Content::of(image::oci("a")).root().digest.clone();
    for words in [
        &["gc"][..],
        &["why", &digest],
        &["prune", "--all", "--keep", "1"],
        &["trash", "ls"],
        &["activity"],
    ] {
        let error = run(&[words, &["--server", registry.host.as_str()]].concat()).bad();
        assert!(error.contains("is no wharf"), "{words:?}: {error}");
    }
}
