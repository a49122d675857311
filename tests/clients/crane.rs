//! crane: push, pull, copy, ls, catalog, digest, manifest, tag, delete, validate.

use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;
use wharf_testkit::{Content, image};

use crate::subject::{Subject, assert_complete};

const NEEDS: &[Part] = &[Part::Program("crane")];

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("crane_pushes_and_pulls", NEEDS, pushes_and_pulls);
    suite.test("crane_copies_between_repositories", NEEDS, copies);
    suite.test("crane_lists_and_reads", NEEDS, lists_and_reads);
    suite.test(
        "crane_tags_and_deletes_by_tag_and_by_digest",
        NEEDS,
        tags_and_deletes,
    );
    suite.test("crane_validates", NEEDS, validates);
}

pub(crate) fn crane(bench: &Bench, arguments: &[&str]) -> String {
    bench.run("crane", arguments).trim_end().to_owned()
}

fn pushes_and_pulls() {
    let (registry, bench) = (Subject::start(), Bench::new());
    for (name, content) in [
        ("image", Content::of(image::docker("crane"))),
        ("zstd", Content::of(image::zstd("crane"))),
        ("index", Content::of(image::oci_index("crane"))),
    ] {
        let layout = bench.path(name);
        content.write_layout(&layout, "1");
        let reference = format!("{}/crane/{name}:1", registry.authority());
        let said = crane(&bench, &["push", &layout.display().to_string(), &reference]);
        assert!(said.ends_with(&content.root().digest), "{said}");
        registry.assert_holds(&format!("crane/{name}"), "1", &content);

        let pulled = format!("{name}-pulled");
        crane(
            &bench,
            &[
                "pull",
                "--format=oci",
                &reference,
                &bench.path(&pulled).display().to_string(),
            ],
        );
        assert_complete(&bench.files_by_digest(&pulled), &content);
    }
}

fn copies() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let content = Content::of(image::oci_index("copied"));
    content.push(registry.authority(), "from/here", "1");
    let reference = |name: &str| format!("{}/{name}", registry.authority());
    crane(
        &bench,
        &["copy", &reference("from/here:1"), &reference("to/there:2")],
    );
    registry.assert_holds("to/there", "2", &content);

    let other = Subject::start();
    let elsewhere = format!("{}/kyo/my-image:1", other.authority());
    crane(&bench, &["copy", &reference("from/here:1"), &elsewhere]);
    other.assert_holds("kyo/my-image", "1", &content);
}

fn lists_and_reads() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let content = Content::of(image::docker_list("read"));
    for (name, tag) in [("b/app", "2"), ("b/app", "1"), ("a", "latest")] {
        content.push(registry.authority(), name, tag);
    }
    let reference = format!("{}/b/app", registry.authority());
    assert_eq!(
        crane(&bench, &["catalog", registry.authority()])
            .lines()
            .collect::<Vec<_>>(),
        ["a", "b/app"]
    );
    let mut tags = crane(&bench, &["ls", &reference])
        .lines()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    tags.sort();
    assert_eq!(tags, ["1", "2"]);
    assert_eq!(
        crane(&bench, &["digest", &format!("{reference}:1")]),
        content.root().digest
    );
    let manifest = bench.run("crane", &["manifest", &format!("{reference}:1")]);
    assert_eq!(manifest.trim_end().as_bytes(), content.root().bytes);
    let arm = &content.manifests[1];
    let by_platform = crane(
        &bench,
        &["digest", "--platform", "linux/arm64", &format!("{reference}:1")],
    );
    assert_eq!(by_platform, arm.digest);
    let config = crane(
        &bench,
        &["config", "--platform", "linux/arm64", &format!("{reference}:1")],
    );
    assert!(config.contains(r#""architecture":"arm64""#), "{config}");
    let (digest, bytes) = content.blobs.first_key_value().expect("an image has blobs");
    let blob = bench.try_run("crane", &["blob", &format!("{reference}@{digest}")]);
    assert_eq!(blob.stdout, String::from_utf8_lossy(bytes));
}

fn tags_and_deletes() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let content = Content::of(image::docker("tagged"));
    content.push(registry.authority(), "app", "1");
    let reference = format!("{}/app", registry.authority());
    crane(&bench, &["tag", &format!("{reference}:1"), "stable"]);
    assert_eq!(registry.tags("app"), ["1", "stable"]);
    assert_eq!(registry.digest_of("app", "stable"), content.root().digest);

    crane(&bench, &["delete", &format!("{reference}:stable")]);
    assert_eq!(
        registry.tags("app"),
        ["1"],
        "the sibling tag of the same digest stays"
    );
    crane(
        &bench,
        &["delete", &format!("{reference}@{}", content.root().digest)],
    );
    assert_eq!(registry.manifest("app", "1").status, 404);
    assert_eq!(registry.manifest("app", &content.root().digest).status, 404);
}

fn validates() {
    let (registry, bench) = (Subject::start(), Bench::new());
    for (tag, content) in [
        ("docker", Content::of(image::docker("valid"))),
        ("oci", Content::of(image::oci("valid"))),
        ("list", Content::of(image::docker_list("valid"))),
    ] {
        content.push(registry.authority(), "valid", tag);
        let said = bench.try_run(
            "crane",
            &[
                "validate",
                "--remote",
                &format!("{}/valid:{tag}", registry.authority()),
            ],
        );
        assert!(said.succeeded, "{}{}", said.stdout, said.stderr);
    }
}
