//! `wharf tag rm` and `wharf repo rm` at other registries: with a plan and the trash at a wharf, by tag or by digest elsewhere.

use serde_json::Value;
use wharf_testkit::{Content, image, suite::Suite};

use crate::{
    registries::{ALL, Kind, Registry, WHARFS, on_each, run},
    scene::{assert_holds, get_json, status},
};

pub(crate) fn add_to(suite: &mut Suite) {
    on_each(
        suite,
        &ALL,
        "a_tag_without_others_is_deleted_at",
        a_tag_is_deleted,
    );
    on_each(suite, &WHARFS, "a_deletion_comes_back_at", comes_back);
    on_each(
        suite,
        &[Kind::Directory, Kind::Bucket, Kind::Three],
        "other_tags_of_the_image_stay_at",
        others_stay,
    );
    on_each(
        suite,
        &[Kind::Two],
        "other_tags_of_the_image_need_force_at",
        others_need_force,
    );
    on_each(
        suite,
        &[Kind::Two, Kind::Three],
        "a_child_of_an_index_needs_force_at",
        a_child_needs_force,
    );
    on_each(suite, &ALL, "a_repository_is_deleted_at", a_repository);
    on_each(suite, &ALL, "a_tag_that_is_missing_is_explained_at", missing);
    for kind in [Kind::Two, Kind::Three] {
        let needs = match kind {
            Kind::Two => wharf_testkit::peer::REGISTRY_2,
            _ => wharf_testkit::peer::REGISTRY_3,
        };
        suite.test(
            &format!("deleting_that_is_switched_off_is_told_of_{needs}"),
            &[wharf_testkit::suite::Part::Program(needs)],
            move || switched_off(kind),
        );
    }
}

fn manifest(registry: &Registry, name: &str, reference: &str) -> u16 {
    status(&registry.host, &format!("/v2/{name}/manifests/{reference}"))
}

fn a_tag_is_deleted(registry: &Registry) {
    let (gone, stays) = (Content::of(image::oci("gone")), Content::of(image::oci("stays")));
    gone.push(&registry.host, "team/app", "1");
    stays.push(&registry.host, "team/app", "2");
    let name = registry.at("team/app:1");

    let planned = run(&["tag", "rm", "--dry-run", &name]).good();
    assert!(planned.contains('1') && planned.contains("team/app"), "{planned}");
    let unasked = run(&["tag", "rm", &name]);
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    assert!(unasked.err.contains("--yes"), "{unasked:?}");
    assert_eq!(manifest(registry, "team/app", "1"), 200);

    run(&["tag", "rm", "--yes", &name]).good();
    assert_eq!(manifest(registry, "team/app", "1"), 404);
    assert_holds(&registry.host, "team/app", "2", &stays);
}

fn comes_back(registry: &Registry) {
    let content = Content::of(image::oci("back"));
    content.push(&registry.host, "other", "1");
    let said = run(&["tag", "rm", "--yes", &registry.at("other:1")]).good();
    let way_back = said.lines().last().unwrap();
    let (_, command) = way_back.split_once('`').unwrap();
    let (command, _) = command.split_once('`').unwrap();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    run(&words).good();
    assert_holds(&registry.host, "other", "1", &content);
    content.push(&registry.host, "app", "1");
    let went = run(&["tag", "rm", "--yes", "--json", &registry.at("app:1")]).good();
    let went: Value = serde_json::from_str(&went).unwrap();
    assert_eq!(went[0]["tags"], serde_json::json!(["1"]));
    let id = went[0]["deletion"].as_str().unwrap();

    let server = ["--server", registry.host.as_str()];
    let in_trash = |arguments: &[&str]| run(&[&["trash"], arguments, &server].concat());
    assert_eq!(in_trash(&["ls", "--output", "name"]).good(), format!("{id}\n"));
    let shown = in_trash(&["show", id, "-o", "name"]).good();
    assert!(shown.starts_with("app:1\napp@sha256:"), "{shown}");
    in_trash(&["restore", id]).good();
    assert_holds(&registry.host, "app", "1", &content);
    assert_eq!(in_trash(&["ls"]).good(), "nothing is in the trash\n");
}

fn others_stay(registry: &Registry) {
    let content = Content::of(image::oci("same"));
    content.push(&registry.host, "app", "1");
    content.push(&registry.host, "app", "latest");
    let names = run(&["tag", "rm", "--yes", "-o", "name", &registry.at("app:1")]).good();
    assert_eq!(names, "app:1\n");
    assert_eq!(manifest(registry, "app", "1"), 404);
    assert_holds(&registry.host, "app", "latest", &content);
}

fn others_need_force(registry: &Registry) {
    let content = Content::of(image::oci("same"));
    for tag in ["1", "1.0", "latest"] {
        content.push(&registry.host, "app", tag);
    }
    let name = registry.at("app:1");
    let refused = run(&["tag", "rm", "--yes", &name]).bad();
    assert!(
        refused.contains("the tags `1.0`, `latest` of `app` would go as well")
            && refused.contains("nothing was deleted")
            && refused.contains("--force"),
        "{refused}"
    );
    let planned = run(&["tag", "rm", "--dry-run", "--json", &name]);
    assert_eq!(planned.code, Some(1), "{planned:?}");
    let planned: Value = serde_json::from_str(&planned.out).unwrap();
    assert_eq!(planned[0]["tags"], serde_json::json!(["1", "1.0", "latest"]));
    let alone = run(&["tag", "rm", "--yes", "--keep-image", &name]).bad();
    assert!(alone.contains("deletes no tag alone"), "{alone}");
    assert_holds(&registry.host, "app", "1", &content);

    run(&["tag", "rm", "--yes", "--force", &name]).good();
    for tag in ["1", "1.0", "latest", &content.root().digest] {
        assert_eq!(manifest(registry, "app", tag), 404, "{tag}");
    }
}

fn a_child_needs_force(registry: &Registry) {
    let index = Content::of(image::oci_index("index"));
    index.push(&registry.host, "app", "1");
    let child = registry.at(&format!("app@{}", index.manifests[0].digest));
    let refused = run(&["tag", "rm", "--yes", &child]).bad();
    assert!(
        refused.contains("the index at the tag `1` of `app` lists"),
        "{refused}"
    );
    assert_holds(&registry.host, "app", "1", &index);
    run(&["tag", "rm", "--yes", "--force", &child]).good();
    assert_eq!(manifest(registry, "app", &index.manifests[0].digest), 404);
}

fn a_repository(registry: &Registry) {
    let (index, single) = (
        Content::of(image::oci_index("i")),
        Content::of(image::docker("s")),
    );
    let signature = image::artifact("signature", "application/vnd.example.signature", index.root());
    index.push(&registry.host, "app", "1");
    single.push(&registry.host, "app", "2");
    Content::of(signature.clone()).push(&registry.host, "app", "");
    single.push(&registry.host, "app/sub", "1");
    let refused = run(&["repo", "rm", "--yes", "--if-empty", &registry.at("app")]).bad();
    assert!(refused.contains("2 tag(s)"), "{refused}");

    let planned = run(&["repo", "rm", "--dry-run", &registry.at("app")]).good();
    assert!(planned.contains("app"), "{planned}");
    assert_eq!(manifest(registry, "app", "1"), 200);
    run(&["repo", "rm", "--yes", &registry.at("app")]).good();
    for reference in ["1", "2", &index.root().digest, &index.manifests[0].digest] {
        assert_eq!(manifest(registry, "app", reference), 404, "{reference}");
    }
    if registry.kind.is_wharf() {
        let catalog = get_json(&registry.host, "/v2/_catalog");
        assert_eq!(catalog["repositories"], serde_json::json!(["app/sub"]));
        assert_eq!(manifest(registry, "app", &signature.manifest.digest), 404);
    }
    assert_holds(&registry.host, "app/sub", "1", &single);
    let named = run(&["repo", "rm", &registry.at("app:1")]);
    assert_eq!(named.code, Some(2), "{named:?}");
    assert!(named.err.contains("wharf tag rm"), "{named:?}");
}

fn missing(registry: &Registry) {
    Content::of(image::oci("m")).push(&registry.host, "app", "1.0");
    let error = run(&["tag", "rm", "--yes", &registry.at("app:1.1")]);
    assert_eq!(error.code, Some(1), "{error:?}");
    // A wharf plans, and says itself what there is not.
    let hint = if registry.kind.is_wharf() {
        "1.1"
    } else {
        "did you mean `1.0`?"
    };
    assert!(error.err.contains(hint), "{error:?}");
    let elsewhere = run(&["tag", "rm", "--yes", &registry.at("app:1.0"), "app:1.0"]).bad();
    assert!(elsewhere.contains("one registry at a time"), "{elsewhere}");
    assert_eq!(manifest(registry, "app", "1.0"), 200);
}

fn switched_off(kind: Kind) {
    let off = [("REGISTRY_STORAGE_DELETE_ENABLED", "false")];
    let registry = Registry::start_with(kind, &off, |builder| builder);
    Content::of(image::oci("off")).push(&registry.host, "app", "1");
    for words in [
        ["tag", "rm", "--yes", &registry.at("app:1")],
        ["repo", "rm", "--yes", &registry.at("app")],
    ] {
        let error = run(&words).bad();
        assert!(error.contains("`storage.delete.enabled: true`"), "{error}");
    }
    assert_eq!(manifest(&registry, "app", "1"), 200);
}
