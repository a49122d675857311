//! Other programs: they read what wharf exports, wharf reads what they write, and copies have the same digests.

use serde_json::Value;
use wharf_testkit::{
    Content,
    docker::Docker,
    image,
    podman::{POLICY, with_storage},
    suite::{Part, Suite},
    tool::Bench,
};

use crate::scene::{Engine, Signed, assert_holds, host, path, registry, wharf};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "skopeo_reads_and_writes_the_same_files",
        &[Part::Program("skopeo")],
        skopeo,
    );
    suite.test(
        "crane_copies_to_the_same_digests",
        &[Part::Program("crane")],
        crane,
    );
    suite.test(
        "regctl_copies_the_same_referrers",
        &[Part::Program("regctl")],
        regctl,
    );
    suite.test(
        "docker_loads_and_saves",
        &[Part::Program("dockerd"), Part::Root],
        docker,
    );
    suite.test(
        "podman_loads_and_saves",
        &[Part::Program("podman"), Part::Root],
        podman,
    );
}

fn skopeo() {
    let server = registry(Engine::Filesystem);
    let (host, bench) = (host(&server), Bench::new());
    let content = Content::of(image::oci("skopeo"));
    content.push(&host, "app", "1");
    let source = format!("{host}/app:1");
    wharf(&["export", "-o", &path(&bench, "oci.tar"), &source]).good();
    wharf(&[
        "export",
        "--format",
        "oci-dir",
        "-o",
        &path(&bench, "layout"),
        &source,
    ])
    .good();
    wharf(&[
        "export",
        "--format",
        "docker-archive",
        "-o",
        &path(&bench, "docker.tar"),
        &source,
    ])
    .good();
    for (from, is_same) in [
        (format!("oci-archive:{}:1", path(&bench, "oci.tar")), true),
        (format!("oci:{}:1", path(&bench, "layout")), true),
        (format!("docker-archive:{}", path(&bench, "docker.tar")), false),
    ] {
        let to = format!("docker://{host}/skopeo:1");
        bench.run(
            "skopeo",
            &["--insecure-policy", "copy", "--dest-tls-verify=false", &from, &to],
        );
        if is_same {
            assert_holds(&host, "skopeo", "1", &content);
        }
    }
    // Archives that skopeo writes.
    for form in ["oci-archive", "docker-archive"] {
        let file = path(&bench, form);
        let to = format!("{form}:{file}:app:7");
        bench.run(
            "skopeo",
            &[
                "--insecure-policy",
                "copy",
                "--src-tls-verify=false",
                &format!("docker://{source}"),
                &to,
            ],
        );
        wharf(&["import", &file, &format!("{host}/{form}:7")]).good();
        let again = format!("docker://{host}/{form}:7");
        let described = bench.run("skopeo", &["inspect", "--tls-verify=false", "--config", &again]);
        let original = bench.run(
            "skopeo",
            &[
                "inspect",
                "--tls-verify=false",
                "--config",
                &format!("docker://{source}"),
            ],
        );
        let part = |text: &str| serde_json::from_str::<Value>(text).unwrap()["rootfs"].clone();
        assert_eq!(part(&described), part(&original));
    }
    assert_holds(&host, "oci-archive", "7", &content);
}

fn crane() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Filesystem));
    let (from, to, bench) = (host(&from), host(&to), Bench::new());
    let content = Content::of(image::oci_index("crane"));
    content.push(&from, "app", "1");
    bench.run(
        "crane",
        &[
            "copy",
            "--insecure",
            &format!("{from}/app:1"),
            &format!("{to}/crane:1"),
        ],
    );
    let said = wharf(&["copy", &format!("{from}/app:1"), &format!("{to}/wharf")]).good();
    let digest = bench.run("crane", &["digest", "--insecure", &format!("{to}/crane:1")]);
    assert!(said.trim().ends_with(digest.trim()), "{said} {digest}");
    // An archive that crane writes, with compressed layers.
    let single = Content::of(image::docker("single"));
    single.push(&from, "single", "1");
    let file = path(&bench, "crane.tar");
    bench.run(
        "crane",
        &["pull", "--insecure", &format!("{from}/single:1"), &file],
    );
    wharf(&["import", &file, &format!("{to}/single")]).good();
    let layers = |content: &Content| content.root().json()["layers"].as_array().unwrap().len();
    let manifest = bench.run("crane", &["manifest", "--insecure", &format!("{to}/single:1")]);
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), layers(&single));
    assert_eq!(
        manifest["layers"][0]["digest"],
        single.root().json()["layers"][0]["digest"]
    );
}

fn regctl() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Filesystem));
    let (from, to, bench) = (host(&from), host(&to), Bench::new());
    let signed = Signed::new("regctl");
    signed.push(&from, "app", "1");
    for host in [&from, &to] {
        bench.run("regctl", &["registry", "set", "--tls", "disabled", host.as_str()]);
    }
    let copy = |to: &str| {
        bench.run(
            "regctl",
            &[
                "image",
                "copy",
                "--referrers",
                "--digest-tags",
                &format!("{from}/app:1"),
                to,
            ],
        )
    };
    copy(&format!("{to}/regctl:1"));
    wharf(&["copy", &format!("{from}/app:1"), &format!("{to}/wharf")]).good();
    signed.assert_held(&to, "regctl", "1");
    signed.assert_held(&to, "wharf", "1");
    // A layout that regctl writes.
    let layout = path(&bench, "layout");
    copy(&format!("ocidir://{layout}:1"));
    wharf(&["import", &layout, &format!("{to}/back")]).good();
    signed.assert_held(&to, "back", "1");
}

fn docker() {
    let server = registry(Engine::Filesystem);
    let (host, bench) = (host(&server), Bench::new());
    let docker = Docker::new("hello from docker\n");
    let name = format!("{host}/greeting:1");
    docker.build(&name);
    docker.run(&["push", &name]);
    let id = |reference: &str| docker.run(&["image", "inspect", "--format", "{{json .RootFS}}", reference]);
    let before = id(&name);
    let saved = path(&bench, "saved.tar");
    docker.run(&["save", "-o", &saved, &name]);
    for format in ["docker-archive", "oci"] {
        let file = path(&bench, format);
        wharf(&["export", "--format", format, "-o", &file, &name]).good();
        docker.run(&["rmi", "-f", &name]);
        docker.run(&["load", "-i", &file]);
        assert_eq!(id(&name), before, "{format}");
    }
    wharf(&["import", &saved, &format!("{host}/again:2")]).good();
    let again = format!("{host}/again:2");
    docker.run(&["pull", &again]);
    assert_eq!(id(&again), before);
}

fn podman() {
    let server = registry(Engine::Filesystem);
    let (host, bench) = (host(&server), with_storage(Bench::new()));
    let content = Content::of(image::oci("podman"));
    content.push(&host, "app", "1");
    let name = format!("{host}/app:1");
    let policy = path(&bench, POLICY);
    for format in ["docker-archive", "oci"] {
        let file = path(&bench, format);
        wharf(&["export", "--format", format, "-o", &file, &name]).good();
        let said = bench.run("podman", &["load", "--signature-policy", &policy, "-i", &file]);
        assert!(said.contains(&name), "{format}: {said}");
        let (kind, saved) = (
            format!("{format}-saved"),
            path(&bench, &format!("{format}.saved")),
        );
        let form = if format == "oci" {
            "oci-archive"
        } else {
            "docker-archive"
        };
        bench.run("podman", &["save", "--format", form, "-o", &saved, &name]);
        wharf(&["import", &saved, &format!("{host}/{kind}:1")]).good();
        bench.run("podman", &["rmi", "-f", &name]);
    }
}
