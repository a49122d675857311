//! podman and buildah: build from scratch, push, pull, with storage of their own.

use wharf_testkit::podman::{POLICY, with_storage};
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

/// A bench with a storage of its own, and the build context of a small image.
fn storage() -> Bench {
    let bench = with_storage(Bench::new());
    bench.write(
        "context/Containerfile",
        "FROM scratch\nCOPY greeting /greeting\nLABEL made=here\n",
    );
    bench.write("context/greeting", "hello from a layer\n");
    bench
}

fn buildah() {
    let (registry, bench) = (Subject::start(), storage());
    let reference = format!("{}/build/greeting:1", registry.authority());
    let policy = bench.path(POLICY).display().to_string();
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
    let policy = bench.path(POLICY).display().to_string();
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
