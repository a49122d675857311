//! skopeo: copy, inspect, list-tags, delete, sync.

use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;
use wharf_testkit::{Content, image};

use crate::subject::{Subject, assert_complete};

const NEEDS: &[Part] = &[Part::Program("skopeo")];

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "skopeo_copies_an_image_there_and_back",
        NEEDS,
        copies_there_and_back,
    );
    suite.test("skopeo_converts_between_docker_and_oci", NEEDS, converts);
    suite.test("skopeo_copies_all_platforms", NEEDS, copies_all_platforms);
    suite.test("skopeo_inspects_and_lists_tags", NEEDS, inspects_and_lists);
    suite.test("skopeo_deletes", NEEDS, deletes);
    suite.test("skopeo_syncs_out_and_in", NEEDS, syncs);
}

/// Runs skopeo without the machine's policy file and without TLS.
pub(crate) fn skopeo(bench: &Bench, arguments: &[&str]) -> String {
    let mut line = vec!["--insecure-policy"];
    line.extend(arguments);
    bench.run("skopeo", &line)
}

pub(crate) fn copy(bench: &Bench, extra: &[&str], from: &str, to: &str) {
    let mut line = vec!["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    line.extend(extra);
    line.extend([from, to]);
    skopeo(bench, &line);
}

fn copies_there_and_back() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let content = Content::of(image::oci("skopeo"));
    content.write_layout(&bench.path("image"), "1");

    let remote = format!("docker://{}/team/app:1", registry.authority());
    copy(
        &bench,
        &[],
        &format!("oci:{}:1", bench.path("image").display()),
        &remote,
    );
    registry.assert_holds("team/app", "1", &content);

    copy(
        &bench,
        &[],
        &remote,
        &format!("dir:{}", bench.path("as-dir").display()),
    );
    assert_complete(&bench.files_by_digest("as-dir"), &content);
    copy(
        &bench,
        &[],
        &remote,
        &format!("oci:{}:1", bench.path("as-oci").display()),
    );
    assert_complete(&bench.files_by_digest("as-oci"), &content);
}

fn converts() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let content = Content::of(image::oci("convert"));
    content.write_layout(&bench.path("image"), "1");
    let source = format!("oci:{}:1", bench.path("image").display());

    for (format, expected) in [
        ("v2s2", "application/vnd.docker.distribution.manifest.v2+json"),
        ("oci", "application/vnd.oci.image.manifest.v1+json"),
    ] {
        let remote = format!("docker://{}/converted:{format}", registry.authority());
        copy(&bench, &["--format", format], &source, &remote);
        let answer = registry.manifest("converted", format);
        assert_eq!(answer.header("Content-Type"), Some(expected));
        let raw = skopeo(&bench, &["inspect", "--tls-verify=false", "--raw", &remote]);
        assert_eq!(raw.as_bytes(), answer.body, "skopeo sees the stored bytes");
        copy(
            &bench,
            &[],
            &remote,
            &format!("dir:{}", bench.path(format).display()),
        );
        let pulled = bench.files_by_digest(format);
        assert!(
            content
                .blobs
                .keys()
                .filter(|digest| pulled.contains_key(*digest))
                .count()
                >= 2,
            "both layers"
        );
    }
}

fn copies_all_platforms() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let content = Content::of(image::docker_list("skopeo"));
    content.push(registry.authority(), "team/list", "1");
    let remote = |name: &str| format!("docker://{}/{name}:1", registry.authority());

    copy(&bench, &["--all"], &remote("team/list"), &remote("copy/of/list"));
    registry.assert_holds("copy/of/list", "1", &content);
    copy(
        &bench,
        &["--all"],
        &remote("copy/of/list"),
        &format!("dir:{}", bench.path("list").display()),
    );
    assert_complete(&bench.files_by_digest("list"), &content);
}

fn inspects_and_lists() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let content = Content::of(image::docker("inspect"));
    for tag in ["2.0", "1.0", "latest"] {
        content.push(registry.authority(), "kyo/my-image", tag);
    }
    let remote = format!("docker://{}/kyo/my-image", registry.authority());

    let inspected = skopeo(
        &bench,
        &["inspect", "--tls-verify=false", &format!("{remote}:2.0")],
    );
    let inspected: serde_json::Value = serde_json::from_str(&inspected).expect("skopeo prints JSON");
    assert_eq!(inspected["Digest"], content.root().digest.as_str());
    assert_eq!(inspected["Labels"]["seed"], "inspect");
    assert_eq!(inspected["RepoTags"].as_array().map(Vec::len), Some(3));

    let listed = skopeo(&bench, &["list-tags", "--tls-verify=false", &remote]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("skopeo prints JSON");
    assert_eq!(listed["Tags"].as_array().map(Vec::len), Some(3), "{listed}");
}

fn deletes() {
    let (registry, bench) = (Subject::start(), Bench::new());
    Content::of(image::docker("stays")).push(registry.authority(), "app", "stays");
    Content::of(image::docker("goes")).push(registry.authority(), "app", "goes");
    let remote = |tag: &str| format!("docker://{}/app:{tag}", registry.authority());

    skopeo(&bench, &["delete", "--tls-verify=false", &remote("goes")]);
    assert_eq!(registry.manifest("app", "goes").status, 404);
    assert_eq!(registry.tags("app"), ["stays"]);
    let again = bench.try_run(
        "skopeo",
        &[
            "--insecure-policy",
            "delete",
            "--tls-verify=false",
            &remote("goes"),
        ],
    );
    assert!(
        !again.succeeded,
        "what is gone cannot be deleted: {}",
        again.stdout
    );
}

fn syncs() {
    let (registry, bench) = (Subject::start(), Bench::new());
    let contents = ["1", "2"].map(|tag| (tag, Content::of(image::docker(tag))));
    for (tag, content) in &contents {
        content.push(registry.authority(), "fleet/app", tag);
    }
    let (host, directory) = (registry.authority(), bench.path("mirror").display().to_string());
    let out = [
        "sync",
        "--src-tls-verify=false",
        "--src",
        "docker",
        "--dest",
        "dir",
    ];
    skopeo(
        &bench,
        &[&out[..], &[&format!("{host}/fleet/app"), &directory]].concat(),
    );
    for (_, content) in &contents {
        assert_complete(&bench.files_by_digest("mirror"), content);
    }

    let other = Subject::start();
    let into = [
        "sync",
        "--dest-tls-verify=false",
        "--src",
        "dir",
        "--dest",
        "docker",
    ];
    skopeo(
        &bench,
        &[
            &into[..],
            &[&directory, &format!("{}/restored", other.authority())],
        ]
        .concat(),
    );
    for (tag, content) in &contents {
        other.assert_holds("restored/app", tag, content);
    }
}
