//! `wharf tag cp`, `mv`, `history` and `restore`, at any registry that can do them.

use serde_json::{Value, json};
use wharf_testkit::{Content, image, suite::Suite};

use crate::{
    registries::{ALL, Kind, Registry, WHARFS, on_each, run},
    scene::{Signed, assert_holds, status},
};

/// Registries that delete a tag alone.
const BY_TAG: [Kind; 4] = [Kind::Directory, Kind::Memory, Kind::Bucket, Kind::Three];

pub(crate) fn add_to(suite: &mut Suite) {
    on_each(suite, &ALL, "a_tag_is_copied_at", copied);
    on_each(suite, &ALL, "a_tag_moves_only_by_force_at", only_by_force);
    on_each(
        suite,
        &ALL,
        "an_image_is_copied_with_its_signatures_at",
        with_signatures,
    );
    on_each(suite, &BY_TAG, "a_tag_is_renamed_at", renamed);
    on_each(
        suite,
        &[Kind::Two],
        "a_tag_is_not_renamed_by_halves_at",
        not_by_halves,
    );
    on_each(suite, &WHARFS, "a_tag_goes_back_at", goes_back);
    on_each(
        suite,
        &[Kind::Two, Kind::Three],
        "only_a_wharf_has_histories_not",
        no_history,
    );
}

fn exists(registry: &Registry, name: &str, reference: &str) -> bool {
    status(&registry.host, &format!("/v2/{name}/manifests/{reference}")) == 200
}

fn copied(registry: &Registry) {
    let content = Content::of(image::oci("c"));
    let digest = &content.root().digest;
    content.push(&registry.host, "app", "1");
    let source = registry.at("app:1");
    let said = run(&["tag", "cp", &source, "1.0"]).good();
    assert_eq!(said, format!("{}@{digest}\n", registry.at("app:1.0")));
    assert_holds(&registry.host, "app", "1.0", &content);

    let into = registry.at("other/app:2");
    let said = run(&[
        "tag",
        "cp",
        "--json",
        &registry.at(&format!("app@{digest}")),
        &into,
    ])
    .good();
    assert_eq!(
        serde_json::from_str::<Value>(&said).unwrap(),
        json!({"repository": "other/app", "tag": "2", "digest": digest, "written": true, "removed": null})
    );
    assert_holds(&registry.host, "other/app", "2", &content);

    let error = run(&["tag", "cp", &registry.at("app:nope"), "2"]).bad();
    assert!(error.contains("has no tag `nope`"), "{error}");
    let error = run(&["tag", "cp", &source, "registry.test/app:1"]).bad();
    assert!(error.contains("wharf copy"), "{error}");
}

fn only_by_force(registry: &Registry) {
    let (old, new) = (Content::of(image::oci("old")), Content::of(image::oci("new")));
    old.push(&registry.host, "app", "latest");
    new.push(&registry.host, "app", "2");
    let copy = |more: &[&str]| run(&[&["tag", "cp"], more, &[&registry.at("app:2"), "latest"]].concat());
    let refused = copy(&[]).bad();
    assert!(
        refused.contains(&old.root().digest) && refused.contains("--force"),
        "{refused}"
    );
    let left = copy(&["--no-clobber", "--json"]);
    assert_eq!(left.code, Some(0), "{left:?}");
    let outcome: Value = serde_json::from_str(&left.out).unwrap();
    assert_eq!(
        (&outcome["written"], &outcome["digest"]),
        (&json!(false), &json!(old.root().digest))
    );
    assert_holds(&registry.host, "app", "latest", &old);
    copy(&["--force"]).good();
    assert_holds(&registry.host, "app", "latest", &new);
    // What points there already is no reason to refuse.
    copy(&[]).good();
}

fn with_signatures(registry: &Registry) {
    let signed = Signed::new("signed");
    signed.push(&registry.host, "app", "1");
    run(&["tag", "cp", &registry.at("app:1"), &registry.at("copy:1")]).good();
    assert_holds(&registry.host, "copy", "1", &signed.index);
    assert_holds(&registry.host, "copy", &signed.cosign_tag, &signed.cosign);
    if registry.kind.is_wharf() {
        signed.assert_held(&registry.host, "copy", "1");
    }
}

fn renamed(registry: &Registry) {
    let content = Content::of(image::oci("r"));
    content.push(&registry.host, "app", "old");
    content.push(&registry.host, "app", "other");
    let said = run(&["tag", "mv", "--json", &registry.at("app:old"), "new"]).good();
    let outcome: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&outcome["tag"], &outcome["removed"]),
        (&json!("new"), &json!("old"))
    );
    assert!(!exists(registry, "app", "old") && exists(registry, "app", "other"));
    assert_holds(&registry.host, "app", "new", &content);

    run(&["tag", "mv", &registry.at("app:new"), &registry.at("team/app:1")]).good();
    assert!(!exists(registry, "app", "new") && exists(registry, "app", "other"));
    assert_holds(&registry.host, "team/app", "1", &content);

    let another = Content::of(image::oci("another"));
    another.push(&registry.host, "app", "there");
    for options in [&[][..], &["--no-clobber"]] {
        let name = registry.at("app:other");
        run(&[&["tag", "mv"], options, &[&name, "there"]].concat()).bad();
        assert!(exists(registry, "app", "other"));
        assert_holds(&registry.host, "app", "there", &another);
    }
    let same = run(&["tag", "mv", &registry.at("app:other"), "other"]).bad();
    assert!(same.contains("same"), "{same}");
    let digest = registry.at(&format!("app@{}", content.root().digest));
    assert!(run(&["tag", "mv", &digest, "x"]).bad().contains("wharf tag cp"));
}

fn not_by_halves(registry: &Registry) {
    let content = Content::of(image::oci("halves"));
    content.push(&registry.host, "app", "old");
    let refused = run(&["tag", "mv", &registry.at("app:old"), "new"]).bad();
    assert!(
        refused.contains("deletes no tag alone") && refused.contains("nothing was changed"),
        "{refused}"
    );
    assert!(exists(registry, "app", "old") && !exists(registry, "app", "new"));
}

fn goes_back(registry: &Registry) {
    let (first, second) = (Content::of(image::oci("1")), Content::of(image::oci("2")));
    first.push(&registry.host, "app", "latest");
    second.push(&registry.host, "app", "latest");
    let name = registry.at("app:latest");
    let (old, new) = (&first.root().digest, &second.root().digest);
    let history = run(&["tag", "history", "-o", "name", &name]).good();
    assert_eq!(history, format!("{new}\n{old}\n"));
    let table = run(&["tag", "history", &name]).good();
    assert!(table.contains("current"), "{table}");
    // The same by an option.
    let option = [
        "tag",
        "history",
        "--json",
        "--server",
        &registry.host,
        "app:latest",
    ];
    let history: Value = serde_json::from_str(&run(&option).good()).unwrap();
    assert_eq!(history["entries"][0]["digest"], json!(new));

    let back = format!("{name}@{old}");
    let said = run(&["tag", "restore", &back]).good();
    assert_eq!(said, format!("app:latest points at {old} again\n"));
    assert_holds(&registry.host, "app", "latest", &first);
    let unknown = format!("{name}@{}", Content::of(image::oci("3")).root().digest);
    let error = run(&["tag", "restore", &unknown]).bad();
    assert!(error.contains("history"), "{error}");
    let two = ["tag", "history", "--server", "registry.test", &name];
    assert!(run(&two).bad().contains("different registries"));
}

fn no_history(registry: &Registry) {
    Content::of(image::oci("n")).push(&registry.host, "app", "1");
    let error = run(&["tag", "history", &registry.at("app:1")]).bad();
    assert!(
        error.contains("is no wharf: only a wharf has an administration API"),
        "{error}"
    );
}
