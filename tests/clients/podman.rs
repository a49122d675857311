//! podman and buildah: build from scratch, push, pull, with storage of their own.

use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;

use crate::subject::Subject;

pub(crate) fn add_to(suite: &mut Suite) {
    let busybox = Part::Program("busybox");
    suite.test(
        "buildah_builds_pushes_and_pulls",
        &[Part::Program("buildah"), Part::Root, busybox],
        buildah,
    );
    suite.test(
        "podman_pulls_what_it_pushed",
        &[Part::Program("podman"), Part::Root, busybox],
        podman,
    );
}

/// A bench whose containers-storage is its own, on the driver that needs nothing from the kernel.
fn storage() -> Bench {
    let bench = Bench::new();
    bench.write(
        "storage.conf",
        &format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            bench.path("graph").display(),
            bench.path("run").display()
        ),
    );
    bench.write(
        "policy.json",
        r#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
    );
    bench.write(
        "context/Containerfile",
        "FROM scratch\nCOPY greeting /greeting\nLABEL made=here\n",
    );
    bench.write("context/greeting", "hello from a layer\n");
    let configuration = bench.path("storage.conf").display().to_string();
    bench.environment("CONTAINERS_STORAGE_CONF", configuration)
}

fn buildah() {
    let (registry, bench) = (Subject::start(), storage());
    let reference = format!("{}/build/greeting:1", registry.authority());
    let policy = bench.path("policy.json").display().to_string();
    let context = bench.path("context").display().to_string();

    bench.run(
        "buildah",
        &[
            "bud",
            "--isolation",
            "chroot",
            "--signature-policy",
            &policy,
            "-t",
            &reference,
            &context,
        ],
    );
    let digest_file = bench.path("digest").display().to_string();
    let push = [
        "push",
        "--tls-verify=false",
        "--signature-policy",
        &policy,
        "--digestfile",
        &digest_file,
        &reference,
    ];
    bench.run("buildah", &push);
    assert_eq!(
        bench.read("digest").trim(),
        registry.digest_of("build/greeting", "1")
    );

    bench.run("buildah", &["rmi", &reference]);
    bench.run(
        "buildah",
        &[
            "pull",
            "--tls-verify=false",
            "--signature-policy",
            &policy,
            &reference,
        ],
    );
    let inspected = bench.run(
        "buildah",
        &[
            "inspect",
            "--type",
            "image",
            "--format",
            "{{.FromImageDigest}}",
            &reference,
        ],
    );
    assert_eq!(inspected.trim(), registry.digest_of("build/greeting", "1"));
}

fn podman() {
    let (registry, bench) = (Subject::start(), storage());
    let reference = format!("{}/education/engineer1-6.2.2:latest", registry.authority());
    let policy = bench.path("policy.json").display().to_string();
    let context = bench.path("context").display().to_string();
    let podman = |arguments: &[&str]| {
        let mut line = vec!["--events-backend", "file", "--cgroup-manager", "cgroupfs"];
        line.extend(arguments);
        bench.run("podman", &line)
    };

    podman(&[
        "build",
        "--isolation",
        "chroot",
        "--signature-policy",
        &policy,
        "-t",
        &reference,
        &context,
    ]);
    for format in ["v2s2", "oci"] {
        podman(&[
            "push",
            "--tls-verify=false",
            "--signature-policy",
            &policy,
            "--format",
            format,
            &reference,
        ]);
        let pushed = registry.digest_of("education/engineer1-6.2.2", "latest");
        podman(&["rmi", "--force", &reference]);
        podman(&[
            "pull",
            "--tls-verify=false",
            "--signature-policy",
            &policy,
            &reference,
        ]);
        let inspected = podman(&["image", "inspect", "--format", "{{.Digest}}", &reference]);
        assert_eq!(
            inspected.trim(),
            pushed,
            "the digest that podman sees after a pull of {format}"
        );
    }
}
