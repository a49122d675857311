//! regctl: image copy, tags, manifests, blobs, artifacts and their trees.

use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;
use wharf_testkit::{Content, digest::sha256, image};

use crate::subject::{Subject, assert_complete};

const NEEDS: &[Part] = &[Part::Program("regctl")];

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "regctl_copies_images_with_their_referrers",
        NEEDS,
        copies_with_referrers,
    );
    suite.test("regctl_lists_and_deletes_tags", NEEDS, lists_and_deletes_tags);
    suite.test("regctl_reads_and_writes_manifests", NEEDS, manifests);
    suite.test("regctl_reads_and_writes_blobs", NEEDS, blobs);
    suite.test("regctl_puts_lists_and_trees_artifacts", NEEDS, artifacts);
}

pub(crate) fn regctl(registry: &Subject, bench: &Bench, arguments: &[&str]) -> String {
    regctl_with_input(registry, bench, arguments, b"")
}

fn regctl_with_input(registry: &Subject, bench: &Bench, arguments: &[&str], input: &[u8]) -> String {
    let host = format!("reg={},tls=disabled", registry.authority());
    let line = [&["--host", &host], arguments].concat();
    let ran = bench.try_run_with_input("regctl", &line, input);
    assert!(
        ran.succeeded,
        "`{}` failed\n{}\n{}",
        ran.line, ran.stdout, ran.stderr
    );
    ran.stdout
}

fn copies_with_referrers() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let image = Content::of(image::oci("subject"));
    let signature = Content::of(image::artifact(
        "signature",
        "application/vnd.example.signature",
        image.root(),
    ));
    image.push(registry.authority(), "signed", "1");
    signature.push(registry.authority(), "signed", "");

    let reference = |name: &str| format!("{}/{name}", registry.authority());
    regctl(
        &registry,
        &bench,
        &[
            "image",
            "copy",
            "--referrers",
            &reference("signed:1"),
            &reference("copy/signed:1"),
        ],
    );
    registry.assert_holds("copy/signed", "1", &image);
    let copied = registry.manifest("copy/signed", &signature.root().digest);
    assert_eq!(copied.status, 200, "the referrer came along: {}", copied.text());

    let local = format!("ocidir://{}:1", bench.path("local").display());
    regctl(
        &registry,
        &bench,
        &[
            "image",
            "copy",
            "--referrers",
            &reference("copy/signed:1"),
            &local,
        ],
    );
    let pulled = bench.files_by_digest("local");
    assert_complete(&pulled, &image);
    assert_complete(&pulled, &signature);
}

fn lists_and_deletes_tags() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let content = Content::of(image::docker("regctl"));
    for tag in ["1", "2", "3"] {
        content.push(registry.authority(), "kyo/my-image", tag);
    }
    let reference = format!("{}/kyo/my-image", registry.authority());
    let mut tags = regctl(&registry, &bench, &["tag", "ls", &reference])
        .lines()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    tags.sort();
    assert_eq!(tags, ["1", "2", "3"]);
    regctl(&registry, &bench, &["tag", "delete", &format!("{reference}:2")]);
    assert_eq!(registry.tags("kyo/my-image"), ["1", "3"]);
    registry.assert_holds("kyo/my-image", "3", &content);
    let repositories = regctl(&registry, &bench, &["repo", "ls", registry.authority()]);
    assert_eq!(repositories.trim(), "kyo/my-image");
}

fn manifests() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let content = Content::of(image::oci_index("manifests"));
    content.push(registry.authority(), "app", "1");
    let reference = format!("{}/app:1", registry.authority());
    let head = regctl(&registry, &bench, &["manifest", "head", &reference]);
    assert_eq!(head.trim(), content.root().digest);
    let raw = regctl(
        &registry,
        &bench,
        &["manifest", "get", "--format", "raw-body", &reference],
    );
    assert_eq!(raw.as_bytes(), content.root().bytes);

    let renamed = format!("{}/app:2", registry.authority());
    let put = [
        "manifest",
        "put",
        "--content-type",
        &content.root().media_type,
        &renamed,
    ];
    regctl_with_input(&registry, &bench, &put, raw.as_bytes());
    assert_eq!(registry.digest_of("app", "2"), content.root().digest);

    let by_digest = format!("{}/app@{}", registry.authority(), content.root().digest);
    regctl(&registry, &bench, &["manifest", "delete", &by_digest]);
    assert_eq!(registry.tags("app"), Vec::<String>::new());
}

fn blobs() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let bytes = "some bytes of our own, ".repeat(5000);
    let repository = format!("{}/education/engineer1-6.2.2", registry.authority());
    let said = regctl_with_input(&registry, &bench, &["blob", "put", &repository], bytes.as_bytes());
    let expected = sha256(bytes.as_bytes());
    assert!(said.contains(&expected), "{said}");
    assert_eq!(
        regctl(&registry, &bench, &["blob", "get", &repository, &expected]),
        bytes
    );
    let stored = registry.get(&format!("/v2/education/engineer1-6.2.2/blobs/{expected}"));
    assert_eq!(stored.body, bytes.as_bytes());
    let copy = format!("{}/copy", registry.authority());
    regctl(
        &registry,
        &bench,
        &["blob", "copy", &repository, &copy, &expected],
    );
    regctl(&registry, &bench, &["blob", "head", &copy, &expected]);
    regctl(&registry, &bench, &["blob", "delete", &copy, &expected]);
    assert_eq!(registry.get(&format!("/v2/copy/blobs/{expected}")).status, 404);
}

fn artifacts() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let image = Content::of(image::oci("with artifacts"));
    image.push(registry.authority(), "app", "1");
    let reference = format!("{}/app:1", registry.authority());
    let put = |artifact_type: &str, text: &str| {
        let line = [
            "artifact",
            "put",
            "--artifact-type",
            artifact_type,
            "--subject",
            &reference,
        ];
        regctl_with_input(&registry, &bench, &line, text.as_bytes());
    };
    put("application/vnd.example.sbom", "the parts list");
    put("application/vnd.example.scan", "no findings");

    let listed = regctl(
        &registry,
        &bench,
        &["artifact", "list", "--format", "{{json .}}", &reference],
    );
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("regctl prints JSON");
    assert_eq!(
        listed["descriptors"].as_array().map(Vec::len),
        Some(2),
        "{listed}"
    );
    let filter = [
        "artifact",
        "list",
        "--filter-artifact-type",
        "application/vnd.example.scan",
    ];
    let line = [&filter[..], &["--format", "{{json .}}", &reference]].concat();
    let filtered: serde_json::Value =
        serde_json::from_str(&regctl(&registry, &bench, &line)).expect("regctl prints JSON");
    assert_eq!(
        filtered["descriptors"].as_array().map(Vec::len),
        Some(1),
        "{filtered}"
    );

    let tree = regctl(&registry, &bench, &["artifact", "tree", &reference]);
    assert!(tree.contains("application/vnd.example.sbom"), "{tree}");
    let get = [
        "artifact",
        "get",
        "--subject",
        &reference,
        "--filter-artifact-type",
        "application/vnd.example.sbom",
    ];
    assert_eq!(regctl(&registry, &bench, &get), "the parts list");
}
